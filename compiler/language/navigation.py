"""Go to definition, and find references."""

from __future__ import annotations

from dataclasses import dataclass

from ..diagnostics import Path
from .occurrences import occurrence_at, occurrences
from .pointing import Pointed, pointed_at
from .reach import LoopName, NodeOutput
from .view import View


@dataclass(frozen=True)
class Place:
    """A stretch of the text."""

    start: int
    end: int


def definition(view: View, offset: int) -> Place | None:
    """Where the thing at ``offset`` of the analysed text is declared: a node, a variable, a field of the input, a
    loop."""
    pointed = pointed_at(view, view.text, offset)
    if pointed is None or view.document is None:
        return None
    if pointed.parts:
        path = _declared(view, pointed)
        return _place(view, path, key=True) if path else None
    return _place(view, (*pointed.node.node.path, "node_id")) if pointed.node else None


def references(view: View, offset: int, *, declaration: bool = True) -> list[Place]:
    """Every place that names the node at ``offset``, its own id among them if ``declaration``."""
    named = occurrence_at(view, offset)
    if named is None:
        return []
    same = [one for one in occurrences(view) if one.scope is named.scope and one.node_id == named.node_id]
    return [Place(one.start, one.end) for one in same if declaration or not one.defines]


def _declared(view: View, pointed: Pointed) -> Path | None:
    """The canonical path of what a reference reads."""
    target, parts, reach = pointed.target, pointed.parts, pointed.reach
    if reach is None or not parts:
        return None
    root = str(parts[0])
    for count in range(len(parts), 1, -1):
        output = reach.resolve(parts[:count])
        if isinstance(output, NodeOutput):
            return (*output.node.path, "node_id")
    if root == "vars" and len(parts) > 1:
        return _known(view, ("variables", parts[1]))
    if root == "input":
        path: Path = ("input",)
        for part in parts[1:]:
            path = (*path, "items") if isinstance(part, int) else (*path, "properties", part)
        return _known(view, path)
    if root == "trigger":
        return _known(view, ("triggers",))
    if isinstance(target, LoopName) or root not in ("nodes", "execution", "env"):
        binder = next((scope for scope in reach.scope.around() if root in scope.names), None)
        return (*binder.owner.path, "node_id") if binder is not None and binder.owner is not None else None
    return None


def _known(view: View, path: Path) -> Path | None:
    assert view.document is not None
    try:
        view.document.value(path)
    except (KeyError, IndexError, TypeError):
        return None
    return path


def _place(view: View, path: Path, *, key: bool = False) -> Place:
    node_id = path[-1] == "node_id"
    return Place(*view.span(path, key=key and not node_id))
