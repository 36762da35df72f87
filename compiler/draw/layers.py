"""Which layer each node belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from ..graph import Graph


def layers(graph: Graph) -> dict[str, int]:
    """Longest path from the entries; entries then move close to what follows them. Cycles are cut where they
    close.

    An edge that is no part of a cycle leads to a higher layer; one that closes a cycle to a lower one.
    """
    sources, targets = _acyclic(graph)
    found: dict[str, int] = {}
    order: list[str] = []
    waiting = {node_id: len(sources[node_id]) for node_id in sources}
    ready = [node_id for node_id, count in waiting.items() if count == 0]
    for node_id in ready:
        found[node_id] = 1 + max((found[s] for s in sources[node_id]), default=-1)
        order.append(node_id)
        for target in targets[node_id]:
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    for node_id in reversed(order):
        if targets[node_id] and not sources[node_id]:
            found[node_id] = min(found[t] for t in targets[node_id]) - 1
    return found


def depth(layers_of: Mapping[str, int], inner: Mapping[str, int]) -> int:
    """How many layers a picture is long, a node that has layers inside (``inner``) counting as so many."""
    deepest: dict[int, int] = {}
    for node_id, layer in layers_of.items():
        deepest[layer] = max(deepest.get(layer, 1), inner.get(node_id, 1))
    return sum(deepest.values())


def _acyclic(graph: Graph) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The sources and targets of every node, without the edges that close a cycle in a depth-first walk."""
    sources: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    targets: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    state: dict[str, int] = {}
    for root in (*graph.entries, *(node.id for node in graph.nodes)):
        if root in state:
            continue
        state[root] = 1
        stack = [(root, iter(graph.successors(root)))]
        while stack:
            node_id, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                state[node_id] = 2
                stack.pop()
                continue
            if state.get(target) == 1:
                continue
            targets[node_id].append(target)
            sources[target].append(node_id)
            if target not in state:
                state[target] = 1
                stack.append((target, iter(graph.successors(target))))
    return sources, targets
