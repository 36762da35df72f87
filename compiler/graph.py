"""The graph of a definition: an immutable value, nodes in definition order, positions kept beside it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .diagnostics import Path
from .document import Document, Span

_MOST_BITS = 20_000
"""Up to so many nodes, every node's ancestors are kept as bits; they take nodes² / 8 bytes."""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node: its id, its type as written (``""`` if absent), and where the document says so."""

    id: str
    type: str
    path: Path = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge.

    ``condition`` is ``None``, ``"else"`` or an expression; ``path`` is its place in the document.
    """

    source: str
    target: str
    condition: str | None = None
    mapping: Mapping[str, Any] | None = None
    path: Path = field(compare=False, default=())
    span: Span = field(compare=False, default=Span(1, 1, 1, 1))
    codes: tuple[str, ...] | None = None
    """Of the way of an error: the codes that it is for, none for all. ``None`` for every other edge."""

    @property
    def listed(self) -> bool:
        """Whether it stands under ``edges``; else a node's own key made it."""
        return self.path[-2:-1] == ("edges",)


@dataclass(frozen=True)
class Graph:
    """Nodes in definition order and the edges between them.

    ``dangling`` holds the edges one of whose ends names no node; the algorithms leave them out. Ids are
    unique: of two nodes that share one, the first counts.
    """

    nodes: tuple[GraphNode, ...]
    edges: tuple[Edge, ...]
    dangling: tuple[Edge, ...] = ()

    def __contains__(self, node_id: object) -> bool:
        return node_id in self.by_id

    @cached_property
    def by_id(self) -> Mapping[str, GraphNode]:
        """The nodes by id."""
        return {node.id: node for node in reversed(self.nodes)}

    def incoming(self, node_id: str) -> tuple[Edge, ...]:
        """The edges into a node, in definition order."""
        return self._incoming.get(node_id, ())

    def outgoing(self, node_id: str) -> tuple[Edge, ...]:
        """The edges out of a node, in definition order."""
        return self._outgoing.get(node_id, ())

    def predecessors(self, node_id: str) -> tuple[str, ...]:
        """The nodes with an edge into ``node_id``, each once."""
        return tuple(dict.fromkeys(edge.source for edge in self.incoming(node_id)))

    def successors(self, node_id: str) -> tuple[str, ...]:
        """The nodes with an edge from ``node_id``, each once."""
        return tuple(dict.fromkeys(edge.target for edge in self.outgoing(node_id)))

    @cached_property
    def entries(self) -> tuple[str, ...]:
        """The nodes without an incoming edge."""
        return tuple(node.id for node in self.nodes if not self.incoming(node.id))

    @cached_property
    def exits(self) -> tuple[str, ...]:
        """The nodes without an outgoing edge."""
        return tuple(node.id for node in self.nodes if not self.outgoing(node.id))

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Every node after its predecessors, else as in the definition; what a cycle holds up comes last."""
        placed = set(self._placed)
        return (*self._placed, *(node.id for node in self.nodes if node.id not in placed))

    @cached_property
    def cycles(self) -> tuple[tuple[str, ...], ...]:
        """One shortest cycle for each knot of cycles, in edge order, from its first node in the definition.

        An edge from a node to itself is no cycle here.
        """
        return tuple(self._cycle_in(component) for component in self._components() if len(component) > 1)

    def reachable(self, starts: Iterable[str]) -> frozenset[str]:
        """The nodes that a path from one of ``starts`` leads to, these included."""
        seen = {start for start in starts if start in self.by_id}
        queue = list(seen)
        while queue:
            for edge in self.outgoing(queue.pop()):
                if edge.target not in seen:
                    seen.add(edge.target)
                    queue.append(edge.target)
        return frozenset(seen)

    def reaches(self, source: str, target: str) -> bool:
        """Whether a path of at least one edge leads from ``source`` to ``target``; not where one is no node."""
        if source not in self.by_id or target not in self.by_id:
            return False
        if len(self._placed) < len(self.nodes) or len(self.nodes) > _MOST_BITS:
            return target in self.reachable(self.successors(source))
        return bool(self._ancestors[target] >> self._rank[source] & 1)

    @cached_property
    def _ancestors(self) -> Mapping[str, int]:
        """Each node's ancestors as the bits of a number, by rank: all of them in one sweep, a kilobyte for 8,000."""
        found: dict[str, int] = {}
        for node_id in self._placed:
            bits = 0
            for edge in self.incoming(node_id):
                bits |= found[edge.source] | 1 << self._rank[edge.source]
            found[node_id] = bits
        return found

    @cached_property
    def _placed(self) -> tuple[str, ...]:
        """The nodes that no cycle holds up, in topological order (Kahn 1962), ties as in the definition."""
        position = {node.id: index for index, node in enumerate(self.nodes)}
        waiting = {node.id: len(self.predecessors(node.id)) for node in self.nodes}
        ready = [position[node_id] for node_id, count in waiting.items() if count == 0]
        heapq.heapify(ready)
        order: list[str] = []
        while ready:
            node_id = self.nodes[heapq.heappop(ready)].id
            order.append(node_id)
            for successor in self.successors(node_id):
                waiting[successor] -= 1
                if waiting[successor] == 0:
                    heapq.heappush(ready, position[successor])
        return tuple(order)

    @cached_property
    def _rank(self) -> Mapping[str, int]:
        return {node_id: index for index, node_id in enumerate(self.order)}

    @cached_property
    def _incoming(self) -> Mapping[str, tuple[Edge, ...]]:
        return _grouped((edge.target, edge) for edge in self.edges)

    @cached_property
    def _outgoing(self) -> Mapping[str, tuple[Edge, ...]]:
        return _grouped((edge.source, edge) for edge in self.edges)

    def _components(self) -> list[list[str]]:
        """Strongly connected components (Tarjan 1972, without recursion), by first node in the definition."""
        index: dict[str, int] = {}
        low: dict[str, int] = {}
        stack: list[str] = []
        on_stack: set[str] = set()
        found: list[list[str]] = []
        for root in self.nodes:
            if root.id in index:
                continue
            work = [(root.id, iter(self.successors(root.id)))]
            index[root.id] = low[root.id] = len(index)
            stack.append(root.id)
            on_stack.add(root.id)
            while work:
                node_id, successors = work[-1]
                for successor in successors:
                    if successor not in index:
                        index[successor] = low[successor] = len(index)
                        stack.append(successor)
                        on_stack.add(successor)
                        work.append((successor, iter(self.successors(successor))))
                        break
                    if successor in on_stack:
                        low[node_id] = min(low[node_id], index[successor])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[node_id])
                    if low[node_id] == index[node_id]:
                        cut = _last(stack, node_id)
                        found.append(stack[cut:])
                        on_stack.difference_update(stack[cut:])
                        del stack[cut:]
        position = {node.id: number for number, node in enumerate(self.nodes)}
        return sorted((sorted(c, key=position.__getitem__) for c in found), key=lambda c: position[c[0]])

    def _cycle_in(self, component: list[str]) -> tuple[str, ...]:
        """A shortest cycle through the component's first node, by breadth-first search."""
        start, members = component[0], set(component)
        came_from: dict[str, str] = {}
        queue = [start]
        for node_id in queue:
            for successor in self.successors(node_id):
                if successor == start and node_id != start:
                    cycle = [node_id]
                    while cycle[-1] != start:
                        cycle.append(came_from[cycle[-1]])
                    return tuple(reversed(cycle))
                if successor in members and successor not in came_from and successor != node_id:
                    came_from[successor] = node_id
                    queue.append(successor)
        raise AssertionError("a component of more than one node holds a cycle through each of them")


def build_graph(document: Document, base: Path = ()) -> Graph:
    """The graph of a canonical document, or of the part at ``base`` in it, taking what is well-formed and leaving out
    the rest."""
    nodes: dict[str, GraphNode] = {}
    found: Any = document.value(base)
    tree: Any = found if isinstance(found, dict) else {}
    for index, node in enumerate(_items(tree.get("nodes"))):
        node_id = node.get("node_id") if isinstance(node, dict) else None
        if isinstance(node, dict) and isinstance(node_id, str) and node_id and node_id not in nodes:
            path: Path = (*base, "nodes", index)
            kind = node.get("type")
            written = kind if isinstance(kind, str) else ""
            nodes[node_id] = GraphNode(node_id, written, path, document.span(path))
    edges: list[Edge] = []
    dangling: list[Edge] = []
    for index, raw in enumerate(_items(tree.get("edges"))):
        if isinstance(raw, dict) and (edge := _edge(raw, (*base, "edges", index), document)):
            (edges if edge.source in nodes and edge.target in nodes else dangling).append(edge)
    return Graph(tuple(nodes.values()), tuple(edges), tuple(dangling))


def _edge(raw: dict[str, Any], path: Path, document: Document) -> Edge | None:
    source, target = raw.get("source"), raw.get("target")
    if not (isinstance(source, str) and isinstance(target, str) and source and target):
        return None
    condition, mapping = raw.get("condition"), raw.get("mapping")
    if isinstance(condition, bool):
        condition = "true" if condition else "false"
    return Edge(
        source,
        target,
        _else(condition) if isinstance(condition, str) else None,
        mapping if isinstance(mapping, dict) else None,
        path,
        document.span(path),
    )


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _grouped(pairs: Iterable[tuple[str, Edge]]) -> dict[str, tuple[Edge, ...]]:
    groups: dict[str, list[Edge]] = {}
    for node_id, edge in pairs:
        groups.setdefault(node_id, []).append(edge)
    return {node_id: tuple(edges) for node_id, edges in groups.items()}


def _last(stack: list[str], item: str) -> int:
    index = len(stack) - 1
    while stack[index] != item:
        index -= 1
    return index


def _else(condition: str) -> str:
    """A condition, with ``else`` in the one spelling that everything after compares with."""
    return "else" if condition.strip().casefold() == "else" else condition
