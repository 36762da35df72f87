"""Every place that names a node: its own id, edges, parameters that name nodes, expressions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from ...tasks.sdk import NODE_NAME
from ..diagnostics import Path
from ..expressions.references import Reference
from ..scopes import Scope
from ..validate import UNNAMED
from .reach import AllNodes, NodeOutput, PartOutput
from .strings import Expression, expressions_of
from .view import View

Spelling = Literal["scalar", "member", "bracket"]


@dataclass(frozen=True)
class Occurrence:
    """A node named at ``[start, end)`` of the text: as a scalar (with its quotes), or in an expression as a member
    (without its dot) or with its brackets. ``exact`` says that the expression takes the id only as it is."""

    scope: Scope
    node_id: str
    start: int
    end: int
    spelling: Spelling
    defines: bool = False
    exact: bool = False


@lru_cache(maxsize=8)
def occurrences(view: View) -> tuple[Occurrence, ...]:
    """All of them, by position; each place once."""
    found: dict[tuple[int, int], Occurrence] = {}
    for one in (*_scalars(view), *_in_expressions(view)):
        found.setdefault((one.start, one.end), one)
    return tuple(sorted(found.values(), key=lambda one: one.start))


def occurrence_at(view: View, offset: int) -> Occurrence | None:
    """The one under ``offset``, a cursor just behind it included."""
    touching = [one for one in occurrences(view) if one.start <= offset <= one.end]
    return min(touching, key=lambda one: (offset == one.end, one.end - one.start), default=None)


def _scalars(view: View) -> Iterator[Occurrence]:
    if view.scope is None or view.document is None:
        return
    for scope in view.scope.walk():
        for node in scope.graph.nodes:
            if not node.id.startswith(UNNAMED):
                yield _scalar(view, scope, node.id, (*node.path, "node_id"), defines=True)
        for edge in (*scope.written.edges, *scope.written.dangling):
            for end, node_id in (("source", edge.source), ("target", edge.target)):
                if node_id in scope.graph:
                    yield _scalar(view, scope, node_id, (*edge.path, end))
        for node in scope.graph.nodes:
            for path, node_id in _named(view, view.document.value(node.path), node.path):
                if node_id in scope.graph:
                    yield _scalar(view, scope, node_id, path)


def _scalar(view: View, scope: Scope, node_id: str, path: Path, *, defines: bool = False) -> Occurrence:
    start, end = view.span(path)
    return Occurrence(scope, node_id, start, end, "scalar", defines)


def _named(view: View, node: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """The values in a node's error rules and parameters that name nodes."""
    rules = node.get("on_error")
    for index, rule in enumerate(rules if isinstance(rules, list) else [rules]):
        if isinstance(rule, dict) and isinstance(rule.get("goto"), str):
            yield (*path, "on_error", index, "goto"), rule["goto"]
    kind = node.get("type")
    if isinstance(kind, str) and (schema := view.schema.parameters(kind)) is not None:
        yield from _by_schema(view, schema, node.get("parameters"), (*path, "parameters"))


def _by_schema(view: View, schema: Any, value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    options = list(view.schema.options(schema))
    if isinstance(value, str):
        if any(option.get("format") == NODE_NAME for option in options):
            yield path, value
    elif isinstance(value, list):
        for option in options:
            for index, item in enumerate(value if "items" in option else ()):
                yield from _by_schema(view, option["items"], item, (*path, index))
    elif isinstance(value, dict):
        for option in options:
            fields, others = option.get("properties") or {}, option.get("additionalProperties")
            for key, item in value.items():
                if key in fields or isinstance(others, dict):
                    yield from _by_schema(view, fields.get(key, others), item, (*path, key))


def _in_expressions(view: View) -> Iterator[Occurrence]:
    for expression in expressions_of(view):
        if "nodes" not in expression.text and "loop" not in expression.text:
            continue
        for reference in expression.references():
            if reference.root in ("nodes", "loop"):
                yield from _along(expression, reference)


def _along(expression: Expression, reference: Reference) -> Iterator[Occurrence]:
    """The nodes that the steps of a reference name."""
    reach = expression.reach
    target = reach.root(reference.root)
    for part, (start, end) in zip(reference.path, reference.places[1:], strict=True):
        if target is None:
            return
        under = reach.step(target, part)
        by_id = isinstance(target, AllNodes | PartOutput) or (
            isinstance(target, NodeOutput) and isinstance(under, NodeOutput)
        )
        if by_id and isinstance(under, NodeOutput):
            bracket = expression.text[start] == "["
            if (place := expression.locate(start, end)) is not None:
                exact = not isinstance(target, AllNodes)
                spelling: Spelling = "bracket" if bracket else "member"
                yield Occurrence(under.scope, under.node.id, *place, spelling, exact=exact)
        target = under
