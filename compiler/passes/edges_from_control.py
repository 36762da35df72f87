"""``true_path`` and ``false_path`` of a ``control/condition`` node become edges that read its result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..diagnostics import Path
from ..document import Document
from ..graph import Edge, Graph

CONDITION = "control/condition"
PATHS = ("true_path", "false_path")


def edges_from_control(graph: Graph, document: Document) -> Graph:
    """An edge for each target of a path; an unconditional edge that is written too gets the condition."""
    made = [
        edge
        for node in graph.nodes
        if node.type == CONDITION
        for edge in _edges(node.id, node.path, document)
    ]
    if not made:
        return graph
    by_ends = {(edge.source, edge.target): edge for edge in made}
    edges = list(graph.edges)
    for index, edge in enumerate(edges):
        if edge.condition is None and (twin := by_ends.get((edge.source, edge.target))) is not None:
            edges[index] = replace(edge, condition=twin.condition)
            made = [other for other in made if other is not twin]
    known = graph.by_id
    return Graph(
        graph.nodes,
        (*edges, *(edge for edge in made if edge.target in known)),
        (*graph.dangling, *(edge for edge in made if edge.target not in known)),
    )


def _edges(node_id: str, path: Path, document: Document) -> Iterator[Edge]:
    parameters = document.value(path).get("parameters")
    if not isinstance(parameters, dict):
        return
    for name in PATHS:
        where: Path = (*path, "parameters", name)
        for target, at in _targets(parameters.get(name), where):
            condition = result_of(node_id) if name == "true_path" else f"!{result_of(node_id)}"
            yield Edge(node_id, target, condition, None, at, document.span(at))


def _targets(value: Any, path: Path) -> Iterator[tuple[str, Path]]:
    if isinstance(value, str):
        yield value, path
    elif isinstance(value, list):
        yield from ((item, (*path, index)) for index, item in enumerate(value) if isinstance(item, str))


def result_of(node_id: str) -> str:
    """The expression that reads a condition node's result.

    >>> result_of("check-01"), result_of("检查")
    ('nodes.check_01.result', "nodes['检查'].result")
    """
    name = node_id.replace("-", "_")
    if name.isascii() and name.isidentifier():
        return f"nodes.{name}.result"
    quoted = node_id.replace("\\", "\\\\").replace("'", "\\'")
    return f"nodes['{quoted}'].result"
