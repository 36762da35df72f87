"""What a definition must come to: a plain simulation of its blocks with the drawn outcomes, without faults.

It shares no code with the runtime. What depends on timing (what runs beside something that fails) is told as several
possible statuses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .blocks import (
    ALWAYS,
    Asking,
    Block,
    Branch,
    Delay,
    Diamond,
    Each,
    Fork,
    Inlined,
    Meeting,
    Part,
    Registered,
    Rescue,
    Rounds,
    Transaction,
    Work,
    parts_of,
    works_of,
)

Place = tuple[str, str]
"""A node's id in the journal and its iteration."""
Verdict = Literal["ok", "skipped", "failed"]
ABSENT = "absent"
NEVER = frozenset({ABSENT, "canceled"})
"""A node that something before kept from starting."""
ANY = frozenset({ABSENT, "canceled", "completed", "failed", "skipped"})


@dataclass
class Expected:
    """How the instance ends, and how each of its nodes may; nodes that are not named must not be there."""

    status: Literal["completed", "failed"] = "completed"
    nodes: dict[Place, frozenset[str]] = field(default_factory=dict)


def expected(part: Part) -> Expected:
    """Simulate a definition."""
    simulation = _Simulation()
    verdict = simulation.part(part, "", "")
    simulation.found.status = "failed" if verdict == "failed" else "completed"
    return simulation.found


class _Simulation:
    def __init__(self) -> None:
        self.found = Expected()
        self._failed: Counter[Place] = Counter()
        """How often each node has failed before, in what was tried again."""

    def part(self, part: Part, prefix: str, iteration: str) -> Verdict:
        """Run the blocks one after the other."""
        verdict: Verdict = "ok"
        for block in part:
            if verdict == "ok":
                verdict = self._block(block, prefix, iteration)
            elif verdict == "skipped":
                self._skip(block, prefix, iteration)
            else:
                self._mark([block], prefix, iteration, NEVER)
        return verdict

    def _block(self, block: Block, prefix: str, iteration: str) -> Verdict:
        if isinstance(block, Work):
            return self._work(block, prefix, iteration)
        if isinstance(block, Delay):
            return self._decide(prefix + block.id, iteration, "completed", "ok")
        if isinstance(block, Diamond):
            return self._diamond(block, prefix, iteration)
        if isinstance(block, Branch):
            self._work(block.first, prefix, iteration)
            taken, other = (block.high, block.low) if block.first.score >= 60 else (block.low, block.high)
            return self._one_way(taken, other, block.last, prefix, iteration)
        if isinstance(block, Rescue):
            first = self._work(block.first, prefix, iteration)
            taken, other = (block.rescue, block.then) if first == "failed" else (block.then, block.rescue)
            return self._one_way(taken, other, block.last, prefix, iteration)
        if isinstance(block, Each):
            return self._each(block, prefix, iteration)
        if isinstance(block, Rounds):
            return self._rounds(block, prefix, iteration)
        if isinstance(block, Meeting):
            for place in _meeting(block):
                self._decide(prefix + place, iteration, "completed", "ok")
            return "ok"
        if isinstance(block, Asking):
            self._decide(prefix + block.id, iteration, "completed", "ok")
            taken, other = (block.high, block.low) if block.question.approved else (block.low, block.high)
            return self._one_way(taken, other, block.last, prefix, iteration)
        if isinstance(block, Inlined):
            tries = block.tries if isinstance(block, Registered) else 1
            failed = self._tried(
                lambda: self.part(block.body, f"{prefix}{block.id}/", iteration) == "failed", tries
            )
            status = "failed" if failed else "completed"
            return self._decide(prefix + block.id, iteration, status, "failed" if failed else "ok")
        return (
            self._fork(block, prefix, iteration)
            if isinstance(block, Fork)
            else self._transaction(block, prefix, iteration)
        )

    def _work(self, work: Work, prefix: str, iteration: str) -> Verdict:
        place = prefix + work.id
        if work.guarded:
            return self._decide(place, iteration, "skipped", "skipped")
        fails = work.outcome.fails
        if work.by_round and iteration:
            fails = work.by_round.get(int(iteration.rpartition(".")[2]), fails)
        at_once = work.outcome.at_once if fails >= work.outcome.attempts else work.outcome.attempts
        before = self._failed[place, iteration]
        if fails < before + at_once or work.passes == "fallback":
            return self._decide(place, iteration, "completed", "ok")
        if fails != ALWAYS:
            self._failed[place, iteration] += at_once
        return self._decide(place, iteration, "failed", "ok" if work.passes else "failed")

    def _decide(self, place: str, iteration: str, status: str, verdict: Verdict) -> Verdict:
        self.found.nodes[place, iteration] = frozenset({status})
        return verdict

    def _diamond(self, block: Diamond, prefix: str, iteration: str) -> Verdict:
        first = self._work(block.first, prefix, iteration)
        if first != "ok":
            self._mark_works([*block.sides, block.last], prefix, iteration, NEVER)
            return first
        sides = [self._work(side, prefix, iteration) for side in block.sides]
        if "failed" in sides:
            self._mark_works([block.last], prefix, iteration, NEVER)
            return "failed"
        return self._work(block.last, prefix, iteration)

    def _one_way(self, taken: Work, other: Work, last: Work, prefix: str, iteration: str) -> Verdict:
        verdict = self._work(taken, prefix, iteration)
        self._mark_works([other], prefix, iteration, frozenset({"skipped"}))
        if verdict == "failed":
            self._mark_works([last], prefix, iteration, NEVER)
            return verdict
        return self._work(last, prefix, iteration)

    def _each(self, block: Each, prefix: str, iteration: str) -> Verdict:
        failed = False
        for index in range(block.count):
            own = f"{iteration}.{index}" if iteration else str(index)
            inside = f"{prefix}{block.id}/"
            if failed:  # Items after it may have begun.
                self._mark(block.body, inside, own, ANY)
                continue
            verdict = self.part(block.body, inside, own)
            failed = verdict == "failed" and block.on_item_error == "fail"
        status = "failed" if failed else "completed"
        return self._decide(prefix + block.id, iteration, status, "failed" if failed else "ok")

    def _rounds(self, block: Rounds, prefix: str, iteration: str) -> Verdict:
        for index in range(block.count):
            own = f"{iteration}.{index}" if iteration else str(index)
            if self.part(block.body, f"{prefix}{block.id}/", own) == "failed":
                if block.break_on_error:
                    break
                return self._decide(prefix + block.id, iteration, "failed", "failed")
        return self._decide(prefix + block.id, iteration, "completed", "ok")

    def _fork(self, block: Fork, prefix: str, iteration: str) -> Verdict:
        inside = {name: f"{prefix}{block.id}/{name}/" for name in block.branches}
        verdicts = {name: self.part(part, inside[name], iteration) for name, part in block.branches.items()}
        failed = [name for name, verdict in verdicts.items() if verdict == "failed"]
        if failed and block.fail_fast:
            for name, part in block.branches.items():
                if failed != [name]:
                    self._mark(part, inside[name], iteration, ANY)
        status = "failed" if failed else "completed"
        return self._decide(prefix + block.id, iteration, status, "failed" if failed else "ok")

    def _transaction(self, block: Transaction, prefix: str, iteration: str) -> Verdict:
        inside = f"{prefix}{block.id}/"
        if not self._tried(lambda: self.part(block.body, inside, iteration) == "failed", block.tries):
            return self._decide(prefix + block.id, iteration, "completed", "ok")
        return self._decide(prefix + block.id, iteration, "failed", "ok" if block.tolerated else "failed")

    def _tried(self, fails: Callable[[], bool], tries: int) -> bool:
        """Whether what is tried so often fails each time. What completed the last time is as it was then."""
        return all(fails() for _ in range(tries))

    def _skip(self, block: Block, prefix: str, iteration: str) -> None:
        """A block that is skipped with what was before it; what is inside a construct is not there at all."""
        skipped = frozenset({"skipped"})
        self._mark_works(works_of(block), prefix, iteration, skipped)
        if not isinstance(block, Work | Diamond | Branch | Rescue):
            self.found.nodes[prefix + block.id, iteration] = skipped

    def _mark_works(
        self, works: Sequence[Work], prefix: str, iteration: str, statuses: frozenset[str]
    ) -> None:
        for work in works:
            self.found.nodes[prefix + work.id, iteration] = statuses

    def _mark(self, part: Part, prefix: str, iteration: str, statuses: frozenset[str]) -> None:
        """Everything in a part, to any depth."""
        for block in part:
            self._mark_works(works_of(block), prefix, iteration, statuses)
            if isinstance(block, Delay | Each | Rounds | Fork | Transaction | Inlined | Asking):
                self.found.nodes[prefix + block.id, iteration] = statuses
            if isinstance(block, Meeting):
                for place in _meeting(block):
                    self.found.nodes[prefix + place, iteration] = statuses
            for name, inner in zip(_names(block), parts_of(block), strict=True):
                inside = f"{prefix}{_id(block)}/{name}"
                if isinstance(block, Each | Rounds):
                    for index in range(block.count):
                        own = f"{iteration}.{index}" if iteration else str(index)
                        self._mark(inner, inside, own, statuses)
                else:
                    self._mark(inner, inside, iteration, statuses)


def _meeting(block: Meeting) -> list[str]:
    """The places of its nodes."""
    inside = [f"one/{block.id}-wait", f"other/{block.id}-pause", f"other/{block.id}-emit"]
    return [block.id, *(f"{block.id}/{place}" for place in inside)]


def _names(block: Block) -> list[str]:
    """What the ids of nodes inside each part of a block begin with."""
    return [f"{name}/" for name in block.branches] if isinstance(block, Fork) else [""] * len(parts_of(block))


def _id(block: Block) -> str:
    return "" if isinstance(block, Diamond | Branch | Rescue) else block.id


__all__ = ["ABSENT", "Expected", "Place", "expected"]
