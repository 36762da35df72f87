"""Related information: where the nodes stand that a diagnostic speaks of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..diagnostics import Diagnostic
from ..scopes import Scope
from .view import View

_QUOTED = re.compile(r"'([^']{1,128})'")
_MOST = 8


@dataclass(frozen=True)
class Related:
    """A sentence about ``[start, end)`` of the text."""

    message: str
    start: int
    end: int


def related(view: View, diagnostic: Diagnostic) -> list[Related]:
    """The declarations of the nodes that the message names, except where it stands there itself."""
    if view.scope is None or view.document is None:
        return []
    here = scope_at(view, diagnostic.line or 1)
    found: list[Related] = []
    for name in dict.fromkeys(_QUOTED.findall(diagnostic.message)):
        node = next((scope.graph.by_id[name] for scope in here.around() if name in scope.graph), None)
        if node is None:
            continue
        start, end = view.span((*node.path, "node_id"))
        if view.places.place(start) != (diagnostic.line, diagnostic.column):
            found.append(Related(f"node {name!r} ({node.type or 'no type'})", start, end))
    return found[:_MOST]


def scope_at(view: View, line: int) -> Scope:
    """The innermost scope whose nodes stand around ``line``."""
    assert view.scope is not None
    scope = view.scope
    while (inner := next((child for child in scope.children if _around(child, line)), None)) is not None:
        scope = inner
    return scope


def _around(scope: Scope, line: int) -> bool:
    """Whether ``line`` is between the first node of ``scope`` and what follows its owner."""
    if scope.owner is None or scope.parent is None:
        return False
    first = min((node.span.line for node in scope.graph.nodes), default=line + 1)
    beside = (*scope.parent.graph.nodes, *(node for other in _beside(scope) for node in other.graph.nodes))
    after = [node.span.line for node in beside if node.span.line > first and node is not scope.owner]
    return first <= line < min(after, default=line + 1)


def _beside(scope: Scope) -> list[Scope]:
    """The other parts of the same owner."""
    assert scope.parent is not None
    return [child for child in scope.parent.children if child.owner is scope.owner and child is not scope]
