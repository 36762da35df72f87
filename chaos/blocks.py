"""What random definitions are made of: trees of blocks. What a block looks like in a definition is in
:mod:`.definitions`, what it must come to in :mod:`.oracle`.

A part is a list of blocks, one after the other; each block begins at one node and ends at one node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mirror_realm.core.errors import POLICIES, Code

from .questions import Question

ALWAYS = 99
"""Failures of a node that never succeeds."""
Part = Sequence["Block"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was drawn for a node. It has ``attempts``; its first ``fails`` ones fail with ``code``. Where that is all of
    them, and what is around it is tried again, it may succeed then."""

    fails: int = 0
    code: str = "TRANSIENT_ERROR"
    attempts: int = 1
    before: float = 0.0
    after: float = 0.0
    kilobytes: int = 0

    @property
    def succeeds(self) -> bool:
        """Whether it completes in the end."""
        return self.fails < self.attempts

    @property
    def at_once(self) -> int:
        """The failures after which it has failed, each time that it is run."""
        return self.attempts if POLICIES[Code(self.code)].retryable else 1


@dataclass(frozen=True, slots=True)
class Work:
    """One node. ``by_round`` are outcomes of single rounds of the loop or foreach that it stands in."""

    id: str
    outcome: Outcome
    once: bool = True
    guarded: bool = False
    """Whether its guard does not hold."""
    passes: str = ""
    """How a failure is let pass: ``ignore``, ``fail_on_error``, ``fallback``, or not at all."""
    undo: Outcome | None = None
    by_round: Mapping[int, int] = field(default_factory=dict)
    score: int = 0


@dataclass(frozen=True, slots=True)
class Diamond:
    """One node, some side by side, one node after them."""

    first: Work
    sides: Sequence[Work]
    last: Work
    join: str | int = "all"


@dataclass(frozen=True, slots=True)
class Branch:
    """One node whose score decides which of two follows."""

    first: Work
    high: Work
    low: Work
    last: Work


@dataclass(frozen=True, slots=True)
class Rescue:
    """A node that hands over to another when it fails."""

    first: Work
    then: Work
    rescue: Work
    last: Work


@dataclass(frozen=True, slots=True)
class Each:
    """A foreach over ``count`` items."""

    id: str
    count: int
    body: Part
    on_item_error: str
    max_concurrent: int
    results: str = "list"
    batch_size: int = 1


@dataclass(frozen=True, slots=True)
class Rounds:
    """A loop of ``count`` rounds."""

    id: str
    count: int
    body: Part
    break_on_error: bool = False


@dataclass(frozen=True, slots=True)
class Fork:
    """Parts side by side, all of which must complete."""

    id: str
    branches: Mapping[str, Part]
    fail_fast: bool


@dataclass(frozen=True, slots=True)
class Transaction:
    """A part that is undone when it fails, and then begins again until it was tried ``tries`` times; ``tolerated``: the
    rest goes on when it has failed for good. ``stop``: what is left is not undone once undoing has failed."""

    id: str
    body: Part
    tolerated: bool
    tries: int = 1
    stop: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """A wait."""

    id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Inlined:
    """A part that is a workflow of its own, named by its ``id``."""

    id: str
    body: Part


@dataclass(frozen=True, slots=True)
class Registered(Inlined):
    """A part that is a registered workflow, of the ``wanted`` versions (``""``: the newest), tried ``tries`` times."""

    wanted: str = ""
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Asking:
    """A node that asks people; what they decide says which of two nodes follows."""

    id: str
    question: Question
    high: Work
    low: Work
    last: Work


@dataclass(frozen=True, slots=True)
class Meeting:
    """A node that waits for an event, beside a pause of so many seconds after which it is emitted."""

    id: str
    seconds: float


Block = (
    Work
    | Diamond
    | Branch
    | Rescue
    | Each
    | Rounds
    | Fork
    | Transaction
    | Delay
    | Inlined
    | Registered
    | Asking
    | Meeting
)


def constructs(part: Part) -> Iterator[str]:
    """What the definition is made of, by name."""
    for block in part:
        yield type(block).__name__.lower()
        for inner in parts_of(block):
            yield from constructs(inner)
        yield from _traits(block)


def parts_of(block: Block) -> list[Part]:
    """The parts inside a block."""
    if isinstance(block, Fork):
        return list(block.branches.values())
    return [block.body] if isinstance(block, Each | Rounds | Transaction | Inlined) else []


def works_of(block: Block) -> list[Work]:
    """The nodes of a block itself."""
    if isinstance(block, Work):
        return [block]
    if isinstance(block, Diamond):
        return [block.first, *block.sides, block.last]
    if isinstance(block, Branch):
        return [block.first, block.high, block.low, block.last]
    if isinstance(block, Asking):
        return [block.high, block.low, block.last]
    return [block.first, block.then, block.rescue, block.last] if isinstance(block, Rescue) else []


def all_works(part: Part) -> Iterator[Work]:
    """Every node that works, inside others too."""
    for block in part:
        yield from works_of(block)
        for inner in parts_of(block):
            yield from all_works(inner)


def batched(part: Part) -> Iterator[str]:
    """The ids of the nodes that work inside a foreach which goes in batches: what is lost with a worker begins again
    there under the same number, and an instance that ends meanwhile knows nothing of it."""
    for block in part:
        for inner in parts_of(block):
            if isinstance(block, Each) and block.batch_size > 1:
                yield from (work.id for work in all_works(inner))
            else:
                yield from batched(inner)


def all_blocks(part: Part) -> Iterator[Block]:
    """Every block, inside others too."""
    for block in part:
        yield block
        for inner in parts_of(block):
            yield from all_blocks(inner)


def changed(part: Part, change: Callable[[Work], Work]) -> list[Block]:
    """The part with each of its nodes changed, inside others too."""
    return [_changed(block, change) for block in part]


def _changed(block: Block, change: Callable[[Work], Work]) -> Block:
    if isinstance(block, Work):
        return change(block)
    if isinstance(block, Fork):
        return replace(block, branches={name: changed(one, change) for name, one in block.branches.items()})
    if isinstance(block, Each | Rounds | Transaction | Inlined):
        return replace(block, body=changed(block.body, change))
    if isinstance(block, Diamond):
        sides = [change(side) for side in block.sides]
        return replace(block, first=change(block.first), sides=sides, last=change(block.last))
    if isinstance(block, Asking):
        return replace(block, high=change(block.high), low=change(block.low), last=change(block.last))
    if isinstance(block, Branch):
        ways = {"high": change(block.high), "low": change(block.low)}
        return replace(block, first=change(block.first), **ways, last=change(block.last))
    if isinstance(block, Rescue):
        ways = {"then": change(block.then), "rescue": change(block.rescue)}
        return replace(block, first=change(block.first), **ways, last=change(block.last))
    return block


def _traits(block: Block) -> Iterator[str]:
    if isinstance(block, Transaction | Registered) and block.tries > 1:
        yield f"{type(block).__name__.lower()} tried again"
    for work in works_of(block):
        if work.outcome.fails and work.outcome.succeeds:
            yield "retry"
        if work.undo is not None:
            yield "compensate"
        if work.passes:
            yield f"on_error {work.passes}"
        if work.outcome.kilobytes:
            yield "artifact"
