"""The targets of ``control/condition`` and ``control/switch`` become edges that read what the node decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from ...tasks.control.routing import label_of
from ..diagnostics import Path
from ..document import Document
from ..graph import Edge, Graph, GraphNode

DECISIONS = frozenset({"control/condition", "control/switch"})


class Way(NamedTuple):
    """One target of a decision: the condition of its edge, and where the author named it."""

    target: str
    condition: str
    path: Path


def edges_from_control(graph: Graph, document: Document) -> Graph:
    """One edge for each node that a decision leads to; an unconditional edge that is written too gets the condition."""
    made = [edge for node in graph.nodes if node.type in DECISIONS for edge in _edges(node, document)]
    if not made:
        return graph
    by_ends = {(edge.source, edge.target): edge for edge in made}
    edges = list(graph.edges)
    for index, edge in enumerate(edges):
        if edge.condition is None and (twin := by_ends.pop((edge.source, edge.target), None)) is not None:
            edges[index] = replace(edge, condition=twin.condition)
    return with_edges(graph, edges, by_ends.values())


def with_edges(graph: Graph, edges: Iterable[Edge], made: Iterable[Edge]) -> Graph:
    """The graph with ``edges`` in the place of its own and those of ``made`` whose ends exist; the others dangle."""
    known, made = graph.by_id, list(made)
    fit = [edge.source in known and edge.target in known for edge in made]
    return Graph(
        graph.nodes,
        (*edges, *(edge for edge, fits in zip(made, fit, strict=True) if fits)),
        (*graph.dangling, *(edge for edge, fits in zip(made, fit, strict=True) if not fits)),
    )


def _edges(node: GraphNode, document: Document) -> Iterator[Edge]:
    """Several ways to one target are one edge, which a join then waits for once."""
    together: dict[str, list[Way]] = {}
    for way in ways(node.id, document.value(node.path).get("parameters"), (*node.path, "parameters")):
        together.setdefault(way.target, []).append(way)
    for target, found in together.items():
        condition = " || ".join(dict.fromkeys(way.condition for way in found))
        place = found[0].path
        yield Edge(node.id, target, condition, None, place, document.span(place))


def ways(node_id: str, parameters: Any, path: Path) -> Iterator[Way]:
    """The ways out of a decision, in the order in which they are written; what is malformed is left out."""
    if not isinstance(parameters, dict):
        return
    for name, value in parameters.items():
        place: Path = (*path, name)
        if name == "true_path":
            yield from _to(targets(value, place), field_of(node_id, "result"))
        elif name in ("false_path", "default"):
            yield from _to(targets(value, place), "!" + field_of(node_id, "result"))
        elif name == "cases":
            for label, target, where in _cases(value, place):
                yield from _to(targets(target, where), f"{field_of(node_id, 'case')} == {_quoted(label)}")


def targets(value: Any, path: Path) -> Iterator[tuple[str, Path]]:
    """The node ids of a target or a list of them, each with its place."""
    if isinstance(value, str):
        yield value, path
    elif isinstance(value, list):
        yield from ((item, (*path, index)) for index, item in enumerate(value) if isinstance(item, str))


def _to(found: Iterator[tuple[str, Path]], condition: str) -> Iterator[Way]:
    return (Way(target, condition, place) for target, place in found)


def _cases(cases: Any, path: Path) -> Iterator[tuple[str, Any, Path]]:
    """Label, target and the target's place of each case, also of a mapping ``{value: target}``."""
    if isinstance(cases, dict):
        listed: list[tuple[Path, Any]] = [((*path, key), {"target": cases[key]}) for key in cases]
    else:
        listed = [
            ((*path, index, "target"), case)
            for index, case in enumerate(cases if isinstance(cases, list) else ())
            if isinstance(case, dict)
        ]
    for place, case in listed:
        target, name = case.get("target"), case.get("name")
        known = [node_id for node_id, _ in targets(target, place)]
        if known and (label := label_of(name if isinstance(name, str) else None, target)):
            yield label, target, place


def field_of(node_id: str, field: str) -> str:
    """The expression that reads a field of a node's output.

    >>> field_of("check-01", "result"), field_of("检查", "case")
    ('nodes.check_01.result', "nodes['检查'].case")
    """
    name = node_id.replace("-", "_")
    if name.isascii() and name.isidentifier():
        return f"nodes.{name}.{field}"
    return f"nodes[{_quoted(node_id)}].{field}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"
