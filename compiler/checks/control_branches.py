"""Ways out of a decision and into an aggregate that cannot be meant so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ...tasks.control.routing import text_of
from ..diagnostics import Diagnostic, Path
from ..graph import GraphNode
from ..passes.edges_from_control import DECISIONS, ways
from ..passes.edges_into_aggregates import AGGREGATE, sources_of
from .parameters import has_template
from .subject import Subject


def control_branches(subject: Subject) -> Iterator[Diagnostic]:
    """Cases that are never taken, targets that follow either way, names that are expressions; sources of an aggregate
    whose edge is mapped elsewhere, predecessors whose output an aggregate leaves out."""
    for node in subject.graph.nodes:
        if node.type in DECISIONS:
            parameters = subject.document.value(node.path).get("parameters")
            if isinstance(parameters, dict):
                place: Path = (*node.path, "parameters")
                yield from _either_way(subject, node, parameters, place)
                yield from _cases(subject, parameters.get("cases"), (*place, "cases"))
        elif node.type == AGGREGATE:
            yield from _into(subject, node)


def _either_way(
    subject: Subject, node: GraphNode, parameters: dict[str, Any], path: Path
) -> Iterator[Diagnostic]:
    """A target for every outcome of the decision."""
    conditions: dict[str, set[str]] = {}
    for way in ways(node.id, parameters, path):
        known = conditions.setdefault(way.target, set())
        known.add(way.condition)
        if {way.condition.removeprefix("!"), "!" + way.condition.removeprefix("!")} <= known:
            message = f"{way.target!r} follows whatever {node.id!r} decides"
            hint = f"name it on one path only, or write an edge {{source: {node.id}, target: {way.target}}}"
            yield subject.document.report("MR211", message, way.path, hint=hint, severity="warning")


def _cases(subject: Subject, cases: Any, path: Path) -> Iterator[Diagnostic]:
    taken: set[str] = set()
    for index, case in enumerate(cases if isinstance(cases, list) else ()):
        if not isinstance(case, dict):
            continue
        if has_template(case.get("name")):
            hint = "write a fixed name: edges are made from it before anything runs"
            message = "a case's name cannot be an expression"
            yield subject.document.report("MR211", message, (*path, index, "name"), hint=hint)
        for value, place in _values(case, (*path, index)):
            if has_template(value):
                continue
            identity = _identity(value)
            if identity in taken:
                message = f"this case is never taken for {text_of(value)!r}, which an earlier case has"
                yield subject.document.report(
                    "MR211", message, place, hint="remove one of them", severity="warning"
                )
            taken.add(identity)


def _identity(value: Any) -> str:
    """The same text for JSON values that are equal as in expressions: 2 is 2.0, but true is not 1.

    >>> _identity([2.0]) == _identity([2]), _identity(True) == _identity(1), _identity("1") == _identity(1)
    (True, False, False)
    """
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _values(case: dict[str, Any], path: Path) -> Iterator[tuple[Any, Path]]:
    if "value" in case:
        yield case["value"], (*path, "value")
    values = case.get("values")
    for index, value in enumerate(values if isinstance(values, list) else ()):
        yield value, (*path, "values", index)


def _into(subject: Subject, node: GraphNode) -> Iterator[Diagnostic]:
    """Edges into an aggregate by which an output does not come where it belongs."""
    if isinstance(subject.document.value(node.path).get("input"), dict):
        return  # what it gathers is written out
    named = {source for source, _ in sources_of(node, subject.document)}
    for edge in subject.written.incoming(node.id):
        if edge.source not in named:
            message = f"{node.id!r} does not gather the output of {edge.source!r}, only waits for it"
            hint = f"name {edge.source!r} under required or optional, or remove the edge"
            yield subject.document.report("MR211", message, edge.path, hint=hint, severity="warning")
        elif edge.mapping is not None:
            message = f"{node.id!r} gathers the whole output of {edge.source!r}, so its edge has no mapping"
            hint = f"remove the mapping, and read nodes.….results['{edge.source}'] after it"
            yield subject.document.report("MR211", message, (*edge.path, "mapping"), hint=hint, key=True)
