"""From a flat graph to nested parts: which nodes are the body of a loop, or a branch of a fork.

A loop's body is what its body edges lead to, up to what also follows the loop itself. A branch is what only its
start leads to: where branches meet again, the fork is over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

Place = tuple[tuple[int, int], ...]
"""Where a node is: the constructs around it and the branch in each (0 in a loop), from the outside."""


@dataclass(frozen=True)
class Construct:
    """A loop or a fork: where its body, or each branch, begins, and what follows it."""

    starts: tuple[int, ...]
    after: tuple[int, ...]
    loop: bool


class Fault(NamedTuple):
    """Something about the node ``node`` that no nesting can express."""

    node: int
    message: str
    hint: str


class Regions:
    """The places of the nodes ``0 … count - 1``. Nodes in ``ends`` belong to no body or branch."""

    def __init__(
        self,
        count: int,
        edges: Iterable[tuple[int, int]],
        constructs: dict[int, Construct],
        ends: Collection[int],
    ) -> None:
        self.faults: list[Fault] = []
        self._successors: list[list[int]] = [[] for _ in range(count)]
        for source, target in edges:
            self._successors[source].append(target)
        self.returns = self._cut_returns(constructs)
        self._members: dict[tuple[int, int], frozenset[int]] = {}
        for index, construct in constructs.items():
            self._divide(index, construct, frozenset(ends))
        self._nest()
        self._places: dict[int, Place] = {}
        for node in range(count):
            self._place(node, ())

    def place(self, node: int) -> Place:
        """The constructs around a node."""
        return self._places[node]

    def edge(self, source: int, target: int) -> tuple[Place, int] | None:
        """The place of an edge, and the node or construct there that it comes from; ``None`` if it leads into a
        body or a branch from outside."""
        origin, place = self.place(source), self.place(target)
        if origin[: len(place)] != place:
            return None
        return place, source if origin == place else origin[len(place)][0]

    def _cut_returns(self, constructs: dict[int, Construct]) -> set[tuple[int, int]]:
        """Take out the edges that lead from a loop's body back to the loop."""
        returns: set[tuple[int, int]] = set()
        for index, construct in constructs.items():
            if construct.loop:
                inside = self._reach(construct.starts, index)
                returns |= {(node, index) for node in inside if index in self._successors[node]}
        for source, target in returns:
            self._successors[source] = [node for node in self._successors[source] if node != target]
        return returns

    def _divide(self, index: int, construct: Construct, ends: frozenset[int]) -> None:
        after = self._reach(construct.after, index) | ends
        reached = [self._reach((start,), index) for start in construct.starts]
        if construct.loop:
            self._members[index, 0] = frozenset().union(*reached) - after
            return
        for branch, start in enumerate(construct.starts):
            others = frozenset().union(*(one for other, one in enumerate(reached) if other != branch))
            self._members[index, branch] = reached[branch] - others - after
            if start in others and start not in after:
                message, hint = "a branch also follows another branch", "remove one of the two connections"
                self.faults.append(Fault(start, message, hint))

    def _nest(self) -> None:
        """What follows a construct is also outside those in it."""
        changed = True
        while changed:
            changed = False
            for inner in self._members:
                for members in self._members.values():
                    if inner[0] in members and not self._members[inner] <= members:
                        self._members[inner] &= members
                        changed = True

    def members(self, construct: int, branch: int = 0) -> frozenset[int]:
        """The nodes of a body or a branch, and those of the constructs inside it."""
        return self._members[construct, branch]

    def _place(self, node: int, seen: Sequence[int]) -> Place:
        if node in self._places:
            return self._places[node]
        around = sorted(
            (key for key, members in self._members.items() if node in members),
            key=lambda key: len(self._members[key]),
        )
        for inner, outer in pairwise(around):
            if not self._members[inner] <= self._members[outer]:
                hint = "let each node belong to one of them, or one lie inside the other"
                self.faults.append(Fault(node, "it lies in two bodies or branches at once", hint))
                around = []
                break
        if not around or around[0][0] in seen:
            self._places[node] = ()
        else:
            self._places[node] = (*self._place(around[0][0], (*seen, node)), around[0])
        return self._places[node]

    def _reach(self, starts: Iterable[int], avoid: int) -> frozenset[int]:
        seen = {start for start in starts if start != avoid}
        queue = list(seen)
        while queue:
            for node in self._successors[queue.pop()]:
                if node not in seen and node != avoid:
                    seen.add(node)
                    queue.append(node)
        return frozenset(seen)
