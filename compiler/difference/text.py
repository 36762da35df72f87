"""A difference as people read it: one line a change, in the colours of git, then what it means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from ...core.versions import precedence
from .changes import Change, Difference, Impact, Kind

_LONGEST = 60
"""Characters of a value that are shown."""
_SIGNS: dict[Kind, tuple[str, str]] = {
    "added": ("+", "32"),
    "removed": ("-", "31"),
    "changed": ("~", "33"),
    "renamed": ("→", "36"),
    "moved": ("↕", "2"),
}


def render_text(difference: Difference, *, color: bool = False) -> str:
    """The whole difference; empty where nothing changed."""
    if not difference:
        return ""
    return "\n".join(_lines(difference, color))


def _lines(difference: Difference, color: bool) -> Iterator[str]:
    versions = " → ".join(v or "no version" for v in (difference.old_version, difference.new_version))
    yield _tinted(f"{difference.name} {versions}", "1", color)
    for _, changes in groupby(difference.changes, key=lambda c: c.subject):
        yield ""
        yield from (_change(change, color) for change in changes)
    yield ""
    yield from _consequences(difference)


def _change(change: Change, color: bool) -> str:
    sign, tint = _SIGNS[change.kind]
    place, old, new = change.place, _value(change.old), _value(change.new)
    if change.kind == "changed":
        text = f"{place}: {old} → {new}" if old != new else f"{place}: {old} (another value, not shown)"
    elif change.kind == "renamed":
        text = f"{place}: renamed from {change.old}"
    elif change.kind == "moved":
        text = f"{place}: {old} → {new}"
    else:
        text = f"{place}: {old if change.kind == 'removed' else new}"
    line = _tinted(f"{sign} {text}", tint, color)
    if change.impact is Impact.BREAKING:
        line += f"  {_tinted('breaking', '1;31', color)}: {change.reason}"
    return f"{line}  ({change.impact})" if change.impact is Impact.COSMETIC else line


def _consequences(difference: Difference) -> Iterator[str]:
    for verb, fields in (("loses", difference.lost_outputs), ("gains", difference.gained_outputs)):
        if fields:
            yield f"The output {verb} {', '.join(fields)}."
    kept, again = difference.kept, difference.again
    yield f"Running instances: {len(kept)} of {len(kept) + len(again)} nodes keep their results."
    yield from (f"  run again: {node} ({reason})" for node, reason in again.items())
    bump = difference.bump
    name = f"{bump.version} ({bump.level})" if bump.version else bump.level
    says = difference.new_version
    low = bump.version is not None and says is not None and precedence(says) < precedence(bump.version)
    yield f"Suggested version: {name}, since {bump.reason}." + (f" The new one says {says}." if low else "")


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    text = "".join(character if character.isprintable() else "·" for character in text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _tinted(text: str, codes: str, color: bool) -> str:
    return f"\x1b[{codes}m{text}\x1b[0m" if color else text
