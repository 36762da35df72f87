"""Parts of a graph that no edge joins: each has a layout of its own, and they are set in rows like words on a page."""

from __future__ import annotations

from collections.abc import Mapping

from ..graph import Graph
from .geometry import Box, Direction, Layout, Route, Size
from .layout import layout

GAP = 34.0
"""Between two parts."""
ASPECT = 1.6
"""Width by height of the page that the rows aim at."""


def arrange(
    graph: Graph,
    layers_of: Mapping[str, int],
    sizes: Mapping[str, Size],
    labels: Mapping[int, Size],
    direction: Direction,
) -> Layout:
    """:func:`~.layout.layout` of every part of ``graph``, one beside and under the other."""
    parts = [
        (edges, _laid_out(graph, names, edges, layers_of, sizes, labels, direction))
        for names, edges in _components(graph)
    ]
    area = sum((part.width + GAP) * (part.height + GAP) for _, part in parts)
    limit = max([(area * ASPECT) ** 0.5, *(part.width for _, part in parts)], default=0.0)
    boxes: dict[str, Box] = {}
    routes: dict[int, Route] = {}
    x = y = width = height = 0.0
    for edges, part in parts:
        if x > 0 and x + part.width > limit:
            x, y = 0.0, height + GAP
        boxes.update({name: box.moved(x, y) for name, box in part.boxes.items()})
        routes.update({i: route.moved(x, y) for i, route in zip(edges, part.routes, strict=True)})
        width, height = max(width, x + part.width), max(height, y + part.height)
        x += part.width + GAP
    return Layout(boxes, tuple(routes[index] for index in range(len(graph.edges))), width, height)


def _laid_out(
    graph: Graph,
    names: list[str],
    edges: list[int],
    layers_of: Mapping[str, int],
    sizes: Mapping[str, Size],
    labels: Mapping[int, Size],
    direction: Direction,
) -> Layout:
    part = Graph(tuple(graph.by_id[name] for name in names), tuple(graph.edges[index] for index in edges))
    own = {number: labels[index] for number, index in enumerate(edges) if index in labels}
    return layout(part, {name: layers_of[name] for name in names}, sizes, own, direction)


def _components(graph: Graph) -> list[tuple[list[str], list[int]]]:
    """The nodes and the indices of the edges of each part, in the order of the definition (union-find)."""
    leader = {node.id: node.id for node in graph.nodes}

    def lead(name: str) -> str:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    for edge in graph.edges:
        leader[lead(edge.target)] = lead(edge.source)
    found: dict[str, tuple[list[str], list[int]]] = {}
    for node in graph.nodes:
        found.setdefault(lead(node.id), ([], []))[0].append(node.id)
    for index, edge in enumerate(graph.edges):
        found[lead(edge.source)][1].append(index)
    return list(found.values())
