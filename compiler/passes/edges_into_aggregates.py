"""The sources of a ``control/aggregate`` become edges, each of which brings its output under the source's id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..document import Document
from ..graph import Edge, Graph, GraphNode
from .edges_from_control import targets, with_edges

AGGREGATE = "control/aggregate"


def edges_into_aggregates(graph: Graph, document: Document) -> Graph:
    """An edge from each source; one that is written without a mapping gets the mapping and keeps its condition."""
    made = {
        (edge.source, edge.target): edge
        for node in graph.nodes
        if node.type == AGGREGATE
        for edge in _edges(node, document)
    }
    if not made:
        return graph
    written = [
        replace(edge, mapping=made[edge.source, edge.target].mapping)
        if edge.mapping is None and (edge.source, edge.target) in made
        else edge
        for edge in graph.edges
    ]
    there = {(edge.source, edge.target) for edge in written}
    return with_edges(graph, written, (edge for ends, edge in made.items() if ends not in there))


def sources_of(node: GraphNode, document: Document) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """The ids that an aggregate names, each with its place."""
    parameters = document.value(node.path).get("parameters")
    for name in ("required", "optional"):
        if isinstance(parameters, dict):
            yield from targets(parameters.get(name), (*node.path, "parameters", name))


def _edges(node: GraphNode, document: Document) -> Iterator[Edge]:
    for source, place in sources_of(node, document):
        yield Edge(source, node.id, None, {f"sources.{source}": "$"}, place, document.span(place))
