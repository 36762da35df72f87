"""``realm diff``: what one definition changes of another, and what that means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..core.errors import Code, RealmError
from . import faults
from .terminal import STDIN, color_wanted, terminal

if TYPE_CHECKING:
    from ..compiler import Definition

SAME, DIFFERENT, TROUBLE = 0, 1, 2
"""The exit codes of diff(1)."""
_ENDINGS = frozenset({".yaml", ".yml", ".json"})


def diff(old: str, new: str, /, *, format: Literal["text", "json"] = "text", json: bool = False) -> int:
    """Compare two definitions: what changed, whom it breaks, which results running instances keep.

    Exits with 0 when they mean the same, with 1 when they differ, with 2 when one cannot be read.

    Parameters
    ----------
    old
        A file, or a registered workflow: name or name@1.0.0; - reads standard input.
    new
        A file, or a registered workflow.
    format
        How the difference is written.
    json
        The same as --format json.
    """
    from ..compiler.difference import difference, render_text

    out = terminal()
    try:
        one, other = _definition(old), _definition(new)
    except RealmError as error:
        faults.report(error, out)
        return TROUBLE
    if one is None or other is None:
        return TROUBLE
    found = difference(one, other)
    if json or format == "json":
        out.write_json(found.to_dict())
    elif found:
        out.write(render_text(found, color=color_wanted(out.stdout)))
    return DIFFERENT if found else SAME


def _definition(name: str) -> Definition | None:
    """The definition in a file, or the registered one; ``None`` when it has errors, which were shown."""
    from .definitions import read

    path = Path(name)
    if name != STDIN and not path.exists() and path.suffix.lower() not in _ENDINGS:
        return _registered(name)
    analysis, out = read(path), terminal()
    if analysis.definition is None:
        out.complain(analysis.render(color=color_wanted(out.stderr)))
    return analysis.definition


def _registered(name: str) -> Definition:
    from ..compiler import Definition
    from ..core.settings import settings
    from ..store import Store

    workflow, _, version = name.partition("@")
    if not workflow:
        raise RealmError(Code.INVALID_ARGUMENT, f"{name} names no workflow", hint="write name or name@1.0.0")
    with Store.open(settings().database) as store:
        row = store.workflows.get(workflow, version or None)
    return Definition.model_validate(dict(row.definition)).model_copy(update={"version": row.version})
