"""The version that a difference asks for, by SemVer 2.0.0: major where it breaks, minor where it adds, else patch."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import SEMVER
from .changes import Bump, Change, Impact, Level


def suggested(
    version: str | None, changes: Sequence[Change], lost: Sequence[str], gained: Sequence[str]
) -> Bump:
    """The version after ``version``, and the change that decides it.

    Before 1.0.0 a minor version may break; a pre-release is followed by its own release.
    """
    level, reason = _level(changes, lost, gained)
    return Bump(level, _next(version, level) if version is not None else None, reason)


def _level(changes: Sequence[Change], lost: Sequence[str], gained: Sequence[str]) -> tuple[Level, str]:
    if not changes:
        return "none", "nothing changed"
    if broken := next((change for change in changes if change.impact is Impact.BREAKING), None):
        return "major", f"{broken.place} was {broken.kind}: {broken.reason}"
    if lost:
        return "major", f"the output loses {', '.join(lost)}"
    if gained:
        return "minor", f"the output gains {', '.join(gained)}"
    useful = [change for change in changes if change.impact is Impact.COMPATIBLE]
    if added := next((change for change in useful if change.kind == "added" and _is_feature(change)), None):
        return "minor", f"{added.place} was added"
    if useful:
        return "patch", f"{useful[0].place} was {useful[0].kind}; nothing breaks and nothing is added"
    return "patch", "nothing that happens changed"


def _is_feature(change: Change) -> bool:
    """Whether what was added can be used, and is not the setting of something that was there."""
    path = change.path
    if change.subject == "workflow":
        return path[0] in ("input", "output")
    if change.subject in ("node", "trigger"):
        return len(path) == 2
    return path[-2] in ("edges", "branches") or path[-1] == "body"


def _next(version: str, level: Level) -> str:
    """The version after ``version``.

    >>> [_next("1.2.3", level) for level in ("none", "patch", "minor", "major")]
    ['1.2.3', '1.2.4', '1.3.0', '2.0.0']
    >>> _next("0.2.3", "major"), _next("1.0.0-rc.1", "patch"), _next("1.2.0-rc.1", "major")
    ('0.3.0', '1.0.0', '2.0.0')
    """
    match = SEMVER.fullmatch(version)
    if match is None or level == "none":
        return version
    major, minor, patch = (int(number) for number in match.groups()[:3])
    unreleased = "-" in version.partition("+")[0]
    if level == "major" and major == 0:
        level = "minor"
    # What a pre-release leads to is not out yet: it may still hold as much as its own number says.
    says: Level = "patch" if patch else "minor" if minor else "major"
    order = ("none", "patch", "minor", "major")
    if unreleased and order.index(level) <= order.index(says):
        return f"{major}.{minor}.{patch}"
    if level == "major":
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if level == "minor" else f"{major}.{minor}.{patch + 1}"
