"""Of edges that say the same, the first counts: a join must not wait for one edge twice."""

from __future__ import annotations

import json

from ..document import Document
from ..graph import Edge, Graph

Identity = tuple[str, str, str | None, str, tuple[str, ...] | None]


def unique_edges(graph: Graph, document: Document) -> Graph:
    """The graph with each edge once; two edges are the same when ends, condition, mapping and
    codes are."""
    seen: dict[Identity, Edge] = {}
    for edge in graph.edges:
        seen.setdefault(identity(edge), edge)
    return (
        graph if len(seen) == len(graph.edges) else Graph(graph.nodes, tuple(seen.values()), graph.dangling)
    )


def identity(edge: Edge) -> Identity:
    """What makes an edge the same as another."""
    mapping = (
        "" if edge.mapping is None else json.dumps(dict(edge.mapping), sort_keys=True, ensure_ascii=True)
    )
    return edge.source, edge.target, edge.condition, mapping, edge.codes
