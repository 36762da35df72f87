"""Random definitions as trees of blocks. A block becomes nodes and edges here; what it must come to is in
:mod:`.oracle`.

A part is a list of blocks, one after the other; each block begins at one node and ends at one node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ALWAYS = 99
"""Failures of a node that never succeeds."""
Part = Sequence["Block"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was drawn for a node. It has ``attempts``; those before ``fails`` fail with ``code``."""

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
    """A part that is undone when it fails; ``tolerated``: the rest goes on then."""

    id: str
    body: Part
    tolerated: bool


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
class Meeting:
    """A node that waits for an event, beside a pause of so many seconds after which it is emitted."""

    id: str
    seconds: float


Block = Work | Diamond | Branch | Rescue | Each | Rounds | Fork | Transaction | Delay | Inlined | Meeting
_INPUT = {"type": "object", "properties": {"never": {"type": "boolean"}}}


def document(name: str, part: Part, ledger: str, round: str = "") -> dict[str, Any]:
    """The definition, as a person would write it."""
    return {"name": name, "version": "1.0.0", "input": _INPUT, **_part(part, ledger, round)}


def inner_documents(part: Part, ledger: str) -> Iterator[dict[str, Any]]:
    """The definitions that a definition names, and those that they name."""
    for block in part:
        if isinstance(block, Inlined):
            yield document(block.id, block.body, ledger)
        for inner in parts_of(block):
            yield from inner_documents(inner, ledger)


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


def _traits(block: Block) -> Iterator[str]:
    for work in works_of(block):
        if work.outcome.fails and work.outcome.succeeds:
            yield "retry"
        if work.undo is not None:
            yield "compensate"
        if work.passes:
            yield f"on_error {work.passes}"
        if work.outcome.kilobytes:
            yield "artifact"


def _part(part: Part, ledger: str, round: str) -> dict[str, Any]:
    nodes: list[dict[str, Any]] = []
    edges: list[dict[str, Any]] = []
    before: str | None = None
    for block in part:
        made, ways, first, last = _block(block, ledger, round)
        nodes += made
        edges += ways
        if before is not None:
            edges.append({"source": before, "target": first})
        before = last
    return {"nodes": nodes, "edges": edges}


def _block(
    block: Block, ledger: str, round: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str, str]:
    """The nodes and edges of a block, where it begins and where it ends."""
    if isinstance(block, Delay):
        node = {
            "node_id": block.id,
            "type": "control/delay",
            "parameters": {"duration": f"{block.seconds:g}s"},
        }
        return [node], [], block.id, block.id
    if isinstance(block, Each | Rounds | Fork | Transaction | Inlined | Meeting):
        return [_construct(block, ledger, round)], [], block.id, block.id
    nodes = [_work(work, ledger, round) for work in works_of(block)]
    if isinstance(block, Work):
        return nodes, [], block.id, block.id
    ways: list[dict[str, Any]] = []
    if isinstance(block, Diamond):
        nodes[-1]["join"] = block.join
        for side in block.sides:
            ways += [_edge(block.first, side), _edge(side, block.last)]
    elif isinstance(block, Branch):
        high = f"nodes['{block.first.id}'].score >= 60"
        ways = [
            _edge(block.first, block.high, condition=high),
            _edge(block.first, block.low, condition="else"),
        ]
        ways += [_edge(block.high, block.last), _edge(block.low, block.last)]
    else:
        nodes[0]["on_error"] = {"goto": block.rescue.id}
        ways = [
            _edge(block.first, block.then),
            _edge(block.then, block.last),
            _edge(block.rescue, block.last),
        ]
    return nodes, ways, block.first.id, block.last.id


def _edge(source: Work, target: Work, **more: Any) -> dict[str, Any]:
    return {"source": source.id, "target": target.id, **more}


def _construct(
    block: Each | Rounds | Fork | Transaction | Inlined | Meeting, ledger: str, round: str
) -> dict[str, Any]:
    if isinstance(block, Meeting):
        return _meeting(block)
    if isinstance(block, Inlined):
        parameters = {"name": block.id, "input": {"never": False}}
        return {"node_id": block.id, "type": "control/subworkflow", "parameters": parameters}
    if isinstance(block, Each):
        parameters: dict[str, Any] = {
            "items": list(range(block.count)),
            "item": f"item_{block.id.replace('-', '_')}",
            "max_concurrent": block.max_concurrent,
            "on_item_error": block.on_item_error,
            "results": block.results,
            **({"batch_size": block.batch_size} if block.batch_size > 1 else {}),
        }
        body = _part(block.body, ledger, "loop.index")
        return {"node_id": block.id, "type": "control/foreach", "parameters": parameters, "body": body}
    if isinstance(block, Rounds):
        parameters = {"condition": f"loop.index < {block.count}", "break_on_error": block.break_on_error}
        body = _part(block.body, ledger, "loop.index")
        return {"node_id": block.id, "type": "control/loop", "parameters": parameters, "body": body}
    if isinstance(block, Fork):
        branches = {name: _part(part, ledger, round) for name, part in block.branches.items()}
        parameters = {"wait_for": "all", "fail_fast": block.fail_fast}
        return {
            "node_id": block.id,
            "type": "control/parallel",
            "parameters": parameters,
            "branches": branches,
        }
    node = {"node_id": block.id, "type": "control/transaction", "body": _part(block.body, ledger, round)}
    return {**node, **({"fail_on_error": False} if block.tolerated else {})}


def _meeting(block: Meeting) -> dict[str, Any]:
    told = {"type": "chaos.met", "correlation": f"{{{{ execution.id }}}}/{block.id}"}
    pause = _block(Delay(f"{block.id}-pause", block.seconds), "", "")[0][0]
    emit = {"node_id": f"{block.id}-emit", "type": "control/emit-event", "parameters": told}
    wait = {
        "node_id": f"{block.id}-wait",
        "type": "control/wait-event",
        "parameters": {**told, "timeout": "10m"},
    }
    branches = {
        "one": {"nodes": [wait]},
        "other": {"nodes": [pause, emit], "edges": [{"source": pause["node_id"], "target": emit["node_id"]}]},
    }
    parameters = {"wait_for": "all"}
    return {
        "node_id": block.id,
        "type": "control/parallel",
        "parameters": parameters,
        "branches": branches,
    }


def _work(work: Work, ledger: str, round: str) -> dict[str, Any]:
    outcome = work.outcome
    fails: Any = outcome.fails
    if round:
        # By the round that it is in; written for all of them, so that the text of every round is the same.
        for index, own in sorted(work.by_round.items()):
            fails = f"{round} == {index} ? {own} : ({fails})"
        fails = fails if isinstance(fails, int) else f"{{{{ {fails} }}}}"
    node: dict[str, Any] = {
        "node_id": work.id,
        "type": "chaos/work" if work.once else "chaos/act",
        "input": {"from": work.id},
        "parameters": {**_drawn(outcome, ledger), "fails": fails, "score": work.score},
        "retry": _retry(outcome),
    }
    if work.guarded:
        node["when"] = "input.never"
    if work.passes == "fail_on_error":
        node["fail_on_error"] = False
    elif work.passes == "ignore":
        node["on_error"] = {"ignore": True}
    elif work.passes == "fallback":
        node["on_error"] = {"fallback": {"fails": 0}}
    if work.undo is not None:
        node["compensate"] = {
            "type": "chaos/work",
            "parameters": {**_drawn(work.undo, ledger), "fails": work.undo.fails},
            "input": {"undoes": work.id},
        }
    return node


def _drawn(outcome: Outcome, ledger: str) -> dict[str, Any]:
    return {
        "ledger": ledger,
        "code": outcome.code,
        "before": outcome.before,
        "after": outcome.after,
        "kilobytes": outcome.kilobytes,
    }


def _retry(outcome: Outcome) -> dict[str, Any]:
    return {
        "max_attempts": outcome.attempts,
        "initial": "50ms",
        "multiplier": 1.5,
        "max": "500ms",
        "jitter": 0.1,
    }
