"""The outline of a definition: its triggers, variables and nodes, with the nodes inside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..diagnostics import Path
from ..document import MapMark, SeqMark, span_of, unpack
from ..scopes import Scope
from ..validate import UNNAMED
from .view import View

Kind = Literal["node", "branch", "trigger", "variable"]


@dataclass(frozen=True)
class Symbol:
    """``[start, end)`` is the whole, ``[name_start, name_end)`` its name."""

    name: str
    kind: Kind
    detail: str
    start: int
    end: int
    name_start: int
    name_end: int
    children: tuple[Symbol, ...] = ()


def symbols(view: View) -> list[Symbol]:
    """The outline, in the order of the text."""
    if view.document is None:
        return []
    tree: Any = view.document.tree if isinstance(view.document.tree, dict) else {}
    found: list[Symbol] = []
    triggers = tree.get("triggers")
    for index, trigger in enumerate(triggers if isinstance(triggers, list) else ()):
        kind = trigger.get("type") if isinstance(trigger, dict) else None
        if isinstance(kind, str) and kind:
            path: Path = ("triggers", index)
            found.append(_symbol(view, kind, "trigger", "trigger", path, (*path, "type")))
    variables = tree.get("variables")
    for name in variables if isinstance(variables, dict) else ():
        path = ("variables", name)
        start, end = view.span(path, key=True)
        found.append(
            Symbol(name, "variable", "variable", start, max(end, _extent(view, path)[1]), start, end)
        )
    if view.scope is not None:
        found += _nodes(view, view.scope)
    return sorted((one for one in found if one.name), key=lambda one: one.start)


def _nodes(view: View, scope: Scope) -> list[Symbol]:
    found = []
    for node in scope.graph.nodes:
        if node.id.startswith(UNNAMED):
            continue
        children: list[Symbol] = []
        for part in scope.parts_of(node.id):
            inside = tuple(_nodes(view, part))
            if part.name is None:
                children += inside
            else:
                start, end = _extent(view, part.path)
                children.append(Symbol(part.name, "branch", "branch", start, end, start, start, inside))
        found.append(
            _symbol(view, node.id, "node", node.type, node.path, (*node.path, "node_id"), tuple(children))
        )
    return found


def _symbol(
    view: View,
    name: str,
    kind: Kind,
    detail: str,
    path: Path,
    of_name: Path,
    children: tuple[Symbol, ...] = (),
) -> Symbol:
    start, end = _extent(view, path)
    name_start, name_end = view.span(of_name)
    return Symbol(
        name, kind, detail, min(start, name_start), max(end, name_end), name_start, name_end, children
    )


def _extent(view: View, path: Path) -> tuple[int, int]:
    """The whole stretch of the value at ``path``, over all its lines."""
    assert view.document is not None
    mark = view.document.marks
    for part in path:
        if isinstance(mark, MapMark) and isinstance(part, str):
            mark = mark.children.get(part, mark.span)
        elif isinstance(mark, SeqMark) and isinstance(part, int) and part < len(mark.items):
            mark = mark.items[part]
    return unpack(span_of(mark))
