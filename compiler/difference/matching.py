"""Which old node, edge or trigger is which new one."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from ..graph import Graph
from ..model import NodeDefinition

T = TypeVar("T")


def renamed(
    old: Mapping[str, NodeDefinition], new: Mapping[str, NodeDefinition], before: Graph, after: Graph
) -> dict[str, str]:
    """Old id → new id of the nodes that only have another name: the same type, parameters and parts between the same
    neighbours. Where several look alike, they are paired in order if there are as many of them as before.

    One hash for each node: the time is linear.
    """
    kept = old.keys() & new.keys()
    groups: dict[Hashable, tuple[list[str], list[str]]] = {}
    for side, nodes, graph in ((0, old, before), (1, new, after)):
        for node_id, node in nodes.items():
            if node_id not in kept:
                groups.setdefault(_likeness(node, graph, kept), ([], []))[side].append(node_id)
    return {
        one: other
        for gone, came in groups.values()
        if len(gone) == len(came)
        for one, other in zip(gone, came, strict=True)
    }


def paired(
    old: Sequence[T], new: Sequence[T], *keys: Callable[[T], Hashable]
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Indices of the items that belong together, by the first key that finds a partner; then those left over.

    >>> paired(["a1", "b1"], ["b2", "a1", "c1"], str, lambda word: word[0])
    ([(0, 1), (1, 0)], [], [2])
    """
    pairs: list[tuple[int, int]] = []
    gone, came = list(range(len(old))), list(range(len(new)))
    for key in keys:
        waiting: dict[Hashable, list[int]] = {}
        for index in came:
            waiting.setdefault(key(new[index]), []).append(index)
        left: list[int] = []
        for index in gone:
            if partners := waiting.get(key(old[index])):
                pairs.append((index, partners.pop(0)))
            else:
                left.append(index)
        taken = {other for _, other in pairs}
        gone, came = left, [index for index in came if index not in taken]
    return sorted(pairs), gone, came


def spelled(value: Any) -> str:
    """A JSON value as text in which the order of keys does not count: for comparing and for hashing."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _likeness(node: NodeDefinition, graph: Graph, kept: set[str]) -> Hashable:
    document = node.model_dump(mode="json", include={"type", "parameters", "body", "branches"})
    around = (
        frozenset(kept.intersection(graph.predecessors(node.node_id))),
        frozenset(kept.intersection(graph.successors(node.node_id))),
    )
    return spelled(document), around
