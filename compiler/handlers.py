"""The nodes that ``error_handling.on_failure`` names: they run when the instance has failed, and not before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .graph import Graph


@dataclass(frozen=True, slots=True)
class Handler:
    """``nodes`` run when the instance has failed: the one that is named and what follows it. ``only`` are those of them
    that run at no other time."""

    nodes: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()


def handler_of(tree: Any, graph: Graph) -> Handler:
    """The handler of a canonical document whose own nodes are ``graph``; an empty one where none of them is named."""
    handling = tree.get("error_handling") if isinstance(tree, dict) else None
    name = handling.get("on_failure") if isinstance(handling, dict) else None
    return handler_in(graph, name) if isinstance(name, str) else Handler()


def handler_in(graph: Graph, name: str | None) -> Handler:
    """The handler that the node ``name`` begins."""
    if name is None or name not in graph:
        return Handler()
    nodes = graph.reachable([name])
    if graph.incoming(name):
        return Handler(nodes)
    return Handler(nodes, nodes - graph.reachable(entry for entry in graph.entries if entry != name))
