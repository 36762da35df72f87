"""Passes: from the edges that are written to the edges that are meant. Each takes the graph and returns one.

A pass is a file, a function and a name, in the order of :data:`PASSES`. It reads the canonical document for
what a node says, never changes it, and gives every edge it makes the path of what the author wrote.
"""

from __future__ import annotations

from collections.abc import Callable

from ..document import Document
from ..graph import Graph
from ..registered import functions

Pass = Callable[[Graph, Document], Graph]

PASSES: tuple[Pass, ...] = functions(
    __name__,
    "edges_from_control",
    "edges_from_errors",
    "edges_into_aggregates",
    "unique_edges",
)


def apply(graph: Graph, document: Document) -> Graph:
    """Every pass in turn."""
    for one in PASSES:
        graph = one(graph, document)
    return graph
