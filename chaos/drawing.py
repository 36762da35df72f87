"""Drawing definitions and the outcomes of their nodes from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from mirror_realm.core.errors import POLICIES, Code

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
    Outcome,
    Part,
    Registered,
    Rescue,
    Rounds,
    Transaction,
    Work,
    changed,
)
from .oracle import expected
from .questions import FOREVER, Question

RETRYABLE = [code.value for code in Code if POLICIES[code].retryable]
CODES = [code.value for code in Code]
DEEPEST = 2
MOST_NODES = 45


class Drawer:
    """Draws one definition. ``slack`` are the attempts that a node has beyond those that were drawn to fail, for faults
    that cost a node an attempt; ``failing`` is how often a node fails for good."""

    def __init__(self, random: random.Random, *, slack: int = 0, failing: float = 0.05) -> None:
        self._random = random
        self._slack = slack
        self._failing = failing
        self._number = 0

    def definition(self) -> Part:
        """The workflow's own nodes: three to five blocks, that come to :data:`MOST_NODES` executions at most."""
        while True:
            part = [self._block(0) for _ in range(self._random.randint(3, 5))]
            if len(expected(part).nodes) <= MOST_NODES:
                return part

    def _id(self, word: str) -> str:
        self._number += 1
        return f"{word}-{self._number}"

    def _block(self, depth: int, *, rounds: int = 0) -> Block:
        simple: list[Callable[[int, int], Block]] = [
            self._any_work,
            self._diamond,
            self._branch,
            self._rescue,
        ]
        deep: list[Callable[[int, int], Block]] = [
            self._each,
            self._loop,
            self._fork,
            self._transaction,
            self._inlined,
        ]
        weights = [3, 2, 2, 1] + ([2, 2, 2, 4, 2] if depth < DEEPEST else [0] * len(deep))
        if depth == 0 and self._random.random() < 0.1:
            make_waiting = self._random.choice([Delay, Meeting])
            return make_waiting(self._id("wait"), round(self._random.uniform(0.1, 0.6), 2))
        if rounds <= 3 and self._random.random() < (0.2 if depth == 0 else 0.08):
            return self._asking(rounds)
        make = self._random.choices([*simple, *deep], weights)[0]
        return make(depth, rounds)

    def _part(self, depth: int, rounds: int) -> Part:
        most = 2 if depth > 1 or rounds > 3 else 3
        return [self._block(depth, rounds=rounds) for _ in range(self._random.randint(1, most))]

    def _outcome(self, *, may_fail: bool = True, quick: bool = False) -> Outcome:
        draw = self._random
        attempts = draw.randint(1, 3) + self._slack
        longest = 0.02 if quick else 0.08
        outcome = Outcome(
            attempts=attempts,
            before=round(draw.uniform(0, longest), 3),
            after=round(draw.uniform(0, longest), 3),
            kilobytes=draw.choice([0, 0, 0, 0, 1, 64, 400]),
        )
        if may_fail and draw.random() < self._failing:
            return replace(outcome, fails=ALWAYS, code=draw.choice(CODES))
        most = attempts - 1 - self._slack
        if most > 0 and draw.random() < 0.3:
            return replace(outcome, fails=draw.randint(1, most), code=draw.choice(RETRYABLE))
        return outcome

    def _work(self, word: str, rounds: int, *, may_fail: bool = True) -> Work:
        draw = self._random
        by_round: dict[int, int] = {}
        outcome = self._outcome(may_fail=may_fail and not rounds, quick=rounds > 3)
        if rounds and may_fail and draw.random() < self._failing * 2:
            by_round = {draw.randrange(rounds): ALWAYS}
        undo = None
        if draw.random() < 0.25:
            undo = self._outcome(may_fail=draw.random() < 0.2, quick=True)
            undo = replace(undo, kilobytes=0, attempts=outcome.attempts)
            if undo.fails != ALWAYS:  # The step's retry rule is that of undoing it.
                undo = replace(undo, fails=min(undo.fails, max(0, outcome.attempts - 1 - self._slack)))
        passes = draw.choice(["", "", "", "", "ignore", "fail_on_error", "fallback"])
        score = draw.choice([10, 59, 60, 90])
        return Work(
            self._id(word),
            outcome,
            draw.random() < 0.8,
            may_fail and draw.random() < 0.03,
            passes,
            undo,
            by_round,
            score,
        )

    def _any_work(self, depth: int, rounds: int) -> Work:
        return self._work("work", rounds)

    def _diamond(self, depth: int, rounds: int) -> Diamond:
        sides = [
            replace(self._work("side", rounds), guarded=False) for _ in range(self._random.randint(2, 3))
        ]
        first = replace(self._work("first", rounds), guarded=False)
        join = self._random.choice(["all", "any", 2])
        return Diamond(first, sides, self._work("last", rounds), join)

    def _branch(self, depth: int, rounds: int) -> Branch:
        first = replace(self._work("ask", rounds, may_fail=False), guarded=False, passes="")
        last = self._work("last", rounds)
        return Branch(first, self._way("high", rounds), self._way("low", rounds), last)

    def _way(self, word: str, rounds: int) -> Work:
        return replace(self._work(word, rounds), guarded=False)

    def _rescue(self, depth: int, rounds: int) -> Rescue:
        first = replace(
            self._work("try", 0, may_fail=False), guarded=False, passes="", undo=None, by_round={}
        )
        if self._random.random() < 0.6:
            first = replace(
                first, outcome=replace(first.outcome, fails=ALWAYS, code=self._random.choice(CODES))
            )
        return Rescue(
            first, self._way("then", rounds), self._way("rescue", rounds), self._work("last", rounds)
        )

    def _each(self, depth: int, rounds: int) -> Each:
        count = self._random.randint(1, 6)
        body = self._part(depth + 1, count)
        mode = self._random.choice(["fail", "fail", "collect", "ignore"])
        results = self._random.choice(["list", "list", "file", "none"])
        id = self._id("each")
        most = self._random.randint(1, 4)
        # Of its own, so that what else is drawn is the same as before there were batches.
        draw = random.Random(f"{id}/{count}/{mode}")
        batch = draw.choice([1, 2, 4])
        if batch > 1 and draw.random() < 0.7:
            body = [_plain(block) for block in body]
        return Each(id, count, body, mode, most, results, batch)

    def _loop(self, depth: int, rounds: int) -> Rounds:
        count = self._random.randint(1, 4)
        return Rounds(self._id("loop"), count, self._part(depth + 1, count), self._random.random() < 0.3)

    def _fork(self, depth: int, rounds: int) -> Fork:
        branches = {f"way_{n}": self._part(depth + 1, rounds) for n in range(self._random.randint(2, 3))}
        return Fork(self._id("fork"), branches, self._random.random() < 0.5)

    def _inlined(self, depth: int, rounds: int) -> Inlined:
        # Expressions inside see nothing of the loop around.
        id, body = self._id("inner"), self._part(depth + 1, 0)
        if self._random.random() < 0.4:
            return Inlined(id, body)
        tries, body = self._tries(body)
        wanted = self._random.choice(["", "1.1.0", "^1.0", ">=1,<2"])
        return Registered(id, body, wanted, tries)

    def _transaction(self, depth: int, rounds: int) -> Transaction:
        tries, body = self._tries([*self._part(depth + 1, rounds), self._work("step", rounds)])
        tolerated, stop = self._random.random() < 0.4, self._random.random() < 0.3
        return Transaction(self._id("tx"), body, tolerated, tries, stop)

    def _tries(self, body: Part) -> tuple[int, Part]:
        """How often a part is tried; then mostly one of its nodes succeeds only in a later try, if all else goes well.
        Undoing goes well then, for what cannot be undone is not tried again."""
        tries = self._random.choice([1, 2, 2, 3])
        direct = [place for place, block in enumerate(body) if isinstance(block, Work | Diamond)]
        if tries == 1 or not direct or self._random.random() < 0.15:
            return tries, body
        body = changed(body, _undoable)
        place = self._random.choice(direct)
        chosen = body[place]
        if isinstance(chosen, Diamond):
            late = self._late(chosen.sides[0], tries)
            body[place] = replace(chosen, sides=[late, *chosen.sides[1:]])
        elif isinstance(chosen, Work):
            body[place] = self._late(chosen, tries)
        return tries, body

    def _late(self, work: Work, tries: int) -> Work:
        """A node that fails for good at least once, and succeeds when it is run for the last time at the latest."""
        draw, outcome = self._random, work.outcome
        code = draw.choice(RETRYABLE if self._slack else CODES)
        rounds = draw.randint(1, tries - 1)
        if code in RETRYABLE:  # What a fault costs must not cost it a try.
            spare = draw.randint(0, max(0, outcome.attempts - 1 - self._slack))
            outcome = replace(outcome, fails=rounds * outcome.attempts + spare, code=code)
        else:
            # Never as few as it has attempts, which would make it one that is tried again by itself.
            outcome = replace(outcome, fails=rounds, attempts=1, code=code)
        return replace(
            work, outcome=outcome, passes="", guarded=False, by_round={}, undo=_plenty(work.undo, outcome)
        )

    def _asking(self, rounds: int) -> Asking:
        high, low = self._way("yes", rounds), self._way("no", rounds)
        return Asking(self._id("ask"), self._question(), high, low, self._work("last", rounds))

    def _question(self) -> Question:
        draw = self._random
        approval = draw.choice(["any", "all", "quorum", "sequential"])
        people = ["wang", "li", "chen"][: draw.randint(1, 3)]
        role = approval in ("any", "quorum") and draw.random() < 0.3
        alike = draw.random() < 0.7
        votes = dict.fromkeys(people, alike)
        if not role:
            votes = {person: draw.random() < 0.7 for person in people}
        quorum = draw.randint(1, len(people)) if approval == "quorum" else None
        question = Question(approval, votes, quorum, role, draw.random() < 0.25, boss=draw.random() < 0.6)
        question = replace(question, delay=round(draw.uniform(0.05, 1.2), 2))
        if draw.random() < 0.4:
            return question
        on_timeout = draw.choice(["notify", "escalate", "approve", "reject", "retry"])
        withheld = draw.random() < 0.7
        long = not withheld and on_timeout in ("escalate", "approve", "reject")
        timeout = FOREVER if long else round(draw.uniform(0.3, 1.5), 2)
        return replace(question, timeout=timeout, on_timeout=on_timeout, withheld=withheld)


def _undoable(work: Work) -> Work:
    """A node whose undoing succeeds."""
    return work if work.undo is None else replace(work, undo=_plenty(work.undo, work.outcome))


def _plenty(undo: Outcome | None, outcome: Outcome) -> Outcome | None:
    """How a node is undone, with fewer failures than the node has attempts, whose number is that of undoing it too."""
    if undo is None:
        return None
    fails = 0 if undo.fails == ALWAYS else min(undo.fails, outcome.attempts - 1)
    return replace(undo, fails=fails, attempts=outcome.attempts)


def _plain(block: Block) -> Block:
    """A block that a worker can go through by itself, as far as its nodes are concerned."""
    if isinstance(block, Work):
        return _bare(block)
    if isinstance(block, Diamond):
        sides = [_bare(side) for side in block.sides]
        return replace(block, first=_bare(block.first), sides=sides, last=_bare(block.last))
    if isinstance(block, Branch):
        ways = {"high": _bare(block.high), "low": _bare(block.low)}
        return replace(block, first=_bare(block.first), **ways, last=_bare(block.last))
    if isinstance(block, Rescue):
        then, rescue = _bare(block.then), _bare(block.rescue)
        return replace(block, first=_bare(block.first), then=then, rescue=rescue, last=_bare(block.last))
    return block


def _bare(work: Work) -> Work:
    return replace(work, once=True, undo=None)
