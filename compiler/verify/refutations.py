"""Executions that refute a claim: whether there really is one, and what happens in it, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..diagnostics import Verdict
from ..graph import Edge
from .diagrams import TooLarge
from .logic import Is, every, read
from .logic.prover import MOST_CONDITIONS
from .net import TERMINATE, Net, Nets

if TYPE_CHECKING:
    from ..scopes import Scope

_WORK = 20_000
_TRIES = 6
_NEAR = 100
"""Nodes upstream whose conditions are looked at."""
_MOST_CAUSES = 3

Place = tuple["Scope", str]
"""A node, by its scope and id."""


@dataclass(frozen=True)
class Refutation:
    """An execution in which a claim fails. An ``unknown`` one is possible as far as each condition is taken for
    itself."""

    nets: Nets
    verdict: Verdict
    values: Mapping[int, bool]

    def holds(self, function: int) -> bool:
        """Whether ``function`` holds in this execution."""
        return self.nets.diagrams.holds(function, self.values, False) is True

    def causes(self, net: Net, node_id: str) -> list[str]:
        """Why the node is skipped: the conditions with which it begins, nearest first."""
        found: dict[str, None] = {}
        for skipped, edge in self._skips(net, node_id):
            found[self._cause(net, skipped, edge)] = None
        return list(found)[:_MOST_CAUSES]

    def trace(self, net: Net, node_id: str) -> str:
        """A shortest way to the node's being skipped: ``check → (nodes.check.result is false) → a skipped``."""
        came_from: dict[str, str] = {}
        skipped, edge = next(self._skips(net, node_id, came_from))
        steps = [] if edge is None else [edge.source]
        steps.append(f"({self._cause(net, skipped, edge)})")
        while True:
            steps.append(f"{skipped} skipped")
            if skipped == node_id:
                return " → ".join(steps)
            skipped = came_from[skipped]

    def _skips(
        self, net: Net, node_id: str, came_from: dict[str, str] | None = None
    ) -> Iterator[tuple[str, Edge | None]]:
        """The skipped nodes in which a node's being skipped begins, nearest first, each with the edge that was not
        taken, or ``None`` for its guard."""
        came_from = {} if came_from is None else came_from
        seen, queue = {node_id}, [node_id]
        for skipped in queue:
            if self.holds(net.joins[skipped]):
                yield skipped, None
                continue
            for edge in net.incoming(skipped):
                if self.holds(net.taken(edge)):
                    continue
                if self.holds(net.runs[edge.source]):
                    yield skipped, edge
                elif edge.source not in seen:
                    seen.add(edge.source)
                    came_from[edge.source] = skipped
                    queue.append(edge.source)

    def _cause(self, net: Net, skipped: str, edge: Edge | None) -> str:
        if edge is None:
            return f"{shown(net.guard(skipped))} is false"
        if net.scope.graph.by_id[edge.source].type == TERMINATE:
            return f"{edge.source!r} ends the instance"
        if edge.codes is not None:
            return f"{edge.source!r} has not failed"
        failing = net.failing.get(edge.source)
        if failing is not None and not self.holds(failing.passes):
            return f"{edge.source!r} has failed"
        if edge.condition != "else":
            return f"{shown(edge.condition)} is false"
        siblings = net.scope.graph.outgoing(edge.source)
        others = [one for one in siblings if one.condition not in (None, "else")]
        taken = next((one for one in others if self.holds(net.holds(one))), None)
        return (
            f"{shown(taken.condition)} is true" if taken else f"another edge out of {edge.source!r} is taken"
        )


def shown(condition: str | None) -> str:
    """A condition in a message."""
    text = " ".join((condition or "").split()).removeprefix("{{").removesuffix("}}").strip()
    return f"`{text if len(text) <= 60 else text[:59] + '…'}`"


def refute(nets: Nets, function: int, places: Sequence[Place]) -> Refutation | None:
    """An execution in which ``function``, which is about ``places`` (the innermost first), holds; ``None`` where there
    is none.

    What the decisions allow is tried and proved with the conditions' own values; those that cannot fall together are
    excluded, and another execution is looked for.
    """
    asked: list[tuple[str, int]] | None = None
    values: dict[int, bool] = {}
    for _ in range(_TRIES):
        found = nets.diagrams.witness(function)
        if found is None:
            return None
        values, nets.questions = found, nets.questions - 1
        if nets.questions < 0:
            break
        asked = list(_conditions(nets, places)) if asked is None else asked
        outcomes = [
            (one, holds) for one in asked if (holds := nets.diagrams.holds(one[1], values)) is not None
        ]
        verdict = _confirmed(nets, places[0][0], {(one[0], holds) for one, holds in outcomes})
        if verdict is not None:
            return Refutation(nets, verdict, values)
        try:
            with nets.diagrams.within(_WORK):
                together = nets.diagrams.every(one[1] ^ (not holds) for one, holds in outcomes)
                function = nets.diagrams.both(function, together ^ 1)
        except TooLarge:
            break
    return Refutation(nets, "unknown", values)


def _confirmed(nets: Nets, scope: Scope, outcomes: set[tuple[str, bool]]) -> Verdict | None:
    """Whether conditions can have these outcomes together; ``None`` where they cannot."""
    known = [(read(text), holds) for text, holds in sorted(outcomes)]
    parts = [Is(condition, holds) for condition, holds in known if condition is not None]
    if not parts:
        return "refuted"
    if len(parts) > MOST_CONDITIONS:
        return "unknown"
    answer = nets.facts(scope).prover(switches=True, far=True).possible(every(*parts))
    return None if answer.verdict == "no" else "refuted" if answer.verdict == "yes" else "unknown"


def _conditions(nets: Nets, places: Iterable[Place]) -> Iterator[tuple[str, int]]:
    """The conditions on the ways to ``places``, nearest first: text and function."""
    queue, seen = list(places), set[tuple[int, str]]()
    for scope, node_id in queue:
        net = nets.of(scope)
        if net is None or node_id not in net.runs or (id(scope), node_id) in seen or len(seen) >= _NEAR:
            continue
        seen.add((id(scope), node_id))
        if (guard := net.guard(node_id)) is not None:
            yield guard, net.guards[node_id]
        for edge in net.incoming(node_id):
            queue.append((scope, edge.source))
            for one in scope.graph.outgoing(edge.source) if edge.condition == "else" else (edge,):
                if one.condition not in (None, "else"):
                    yield one.condition or "", net.holds(one)
        if scope.owner is not None and scope.parent is not None:
            queue.append((scope.parent, scope.owner.id))
