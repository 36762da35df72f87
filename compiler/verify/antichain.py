"""The heaviest set of nodes of which none waits for another: a maximum weight antichain.

By Dilworth's theorem (1950), with weights, it equals the least flow that carries every weight through its node.
A greedy flow is found first, in one pass; what it has too much is sent back along augmenting paths (Ford and Fulkerson
1956). The cut that remains is the antichain.
"""

from __future__ import annotations

from collections.abc import Sequence

_UNLIMITED = 1 << 62


def heaviest_antichain(
    successors: Sequence[Sequence[int]], weights: Sequence[int]
) -> tuple[int, tuple[int, ...]]:
    """The weight of the heaviest antichain, and its nodes in order.

    Nodes are numbers in a topological order: each stands before its ``successors``. Weights are not negative.

    >>> heaviest_antichain([[1, 2], [3], [3], []], [3, 2, 2, 3])
    (4, (1, 2))
    """
    if not any(weights):
        return 0, ()
    network = _Network(successors, weights)
    network.send_back()
    reached = network.reached()
    chosen = tuple(
        node
        for node in range(len(weights))
        if weights[node] and reached[2 * node + 1] and not reached[2 * node]
    )
    return sum(weights[node] for node in chosen), chosen


class _Network:
    """The residual network of a flow in which node ``v`` is the edge from ``2v`` to ``2v + 1``. Edges come in pairs:
    ``e`` can always take more, ``e ^ 1`` gives back what is above the weight that the edge must carry."""

    def __init__(self, successors: Sequence[Sequence[int]], weights: Sequence[int]) -> None:
        count = len(weights)
        self.source, self.sink = 2 * count, 2 * count + 1
        self.heads: list[int] = []
        self.room: list[int] = []
        self.out: list[list[int]] = [[] for _ in range(2 * count + 2)]
        flows = _greedy(successors, weights)
        for node, weight in enumerate(weights):
            arriving, spare = flows.through[node], flows.through[node] - weight
            self._edge(2 * node, 2 * node + 1, spare)
            self._edge(self.source, 2 * node, flows.begun[node])
            self._edge(2 * node + 1, self.sink, arriving - sum(flows.along[node]))
            for successor, flow in zip(successors[node], flows.along[node], strict=True):
                self._edge(2 * node + 1, 2 * successor, flow)

    def _edge(self, tail: int, head: int, spare: int) -> None:
        self.out[tail].append(len(self.heads))
        self.out[head].append(len(self.heads) + 1)
        self.heads += (head, tail)
        self.room += (_UNLIMITED, spare)

    def send_back(self) -> None:
        """Return as much as can be returned, from the sink to the source."""
        while self._sweep():
            pass

    def _sweep(self) -> bool:
        """Send along paths that are found depth first, giving up each vertex from which none was; whether any was."""
        heads, room = self.heads, self.room
        seen, position = bytearray(len(self.out)), [0] * len(self.out)
        path: list[int] = []
        vertex, sent = self.sink, False
        seen[vertex] = True
        while True:
            if vertex == self.source:
                sent = True
                amount = min(room[edge] for edge in path)
                for edge in path:
                    room[edge] -= amount
                    room[edge ^ 1] += amount
                full = next(index for index, edge in enumerate(path) if not room[edge])
                for edge in path[full:]:
                    seen[heads[edge]] = False
                vertex = heads[path[full] ^ 1]
                del path[full:]
                continue
            edges = self.out[vertex]
            for index in range(position[vertex], len(edges)):
                edge = edges[index]
                if room[edge] and not seen[heads[edge]]:
                    position[vertex] = index
                    path.append(edge)
                    vertex = heads[edge]
                    seen[vertex] = True
                    break
            else:
                if not path:
                    return sent
                position[vertex] = len(edges)
                vertex = heads[path.pop() ^ 1]
                position[vertex] += 1

    def reached(self) -> list[bool]:
        """What can still be reached from the sink."""
        found = [False] * len(self.out)
        found[self.sink] = True
        queue = [self.sink]
        for vertex in queue:
            for edge in self.out[vertex]:
                head = self.heads[edge]
                if self.room[edge] and not found[head]:
                    found[head] = True
                    queue.append(head)
        return found


class _Flows:
    """A flow: what begins at each node, goes ``through`` it, and goes on ``along`` each edge out of it."""

    def __init__(self, successors: Sequence[Sequence[int]]) -> None:
        self.begun = [0] * len(successors)
        self.through = [0] * len(successors)
        self.along = [[0] * len(following) for following in successors]


def _greedy(successors: Sequence[Sequence[int]], weights: Sequence[int]) -> _Flows:
    """A flow that carries every weight: each node takes what its predecessors have left, the last one all of it."""
    flows = _Flows(successors)
    left = [0] * len(weights)
    incoming: list[list[tuple[int, int]]] = [[] for _ in weights]
    for node, following in enumerate(successors):
        for index, successor in enumerate(following):
            incoming[successor].append((node, index))
    last = [max(following, default=-1) for following in successors]
    for node, weight in enumerate(weights):
        arrived = 0
        for source, index in incoming[node]:
            taken = left[source] if last[source] == node else min(left[source], max(weight - arrived, 0))
            flows.along[source][index] = taken
            left[source] -= taken
            arrived += taken
        flows.begun[node] = max(weight - arrived, 0)
        left[node] = flows.through[node] = arrived + flows.begun[node]
    return flows
