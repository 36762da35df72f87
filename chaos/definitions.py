"""Random definitions: what blocks look like as nodes and edges, and the definitions that others name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mirror_realm.core.errors import Code

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
    Rounds,
    Transaction,
    Work,
    parts_of,
    works_of,
)

_INPUT = {"type": "object", "properties": {"never": {"type": "boolean"}}}


RIGHT = "1.1.0"
"""The version of a registered workflow that the definition that names it wants."""


def document(name: str, part: Part, ledger: str, version: str = "1.0.0") -> dict[str, Any]:
    """The definition, as a person would write it."""
    return {"name": name, "version": version, "input": _INPUT, **_part(part, ledger, "")}


def inner_documents(part: Part, ledger: str) -> Iterator[dict[str, Any]]:
    """The definitions beside a definition that it names, and those that they name."""
    for block in part:
        if isinstance(block, Inlined) and not isinstance(block, Registered):
            yield document(block.id, block.body, ledger)
        for inner in parts_of(block):
            yield from inner_documents(inner, ledger)


def registered_documents(part: Part, ledger: str) -> Iterator[dict[str, Any]]:
    """The registered definitions that a definition names, those that they name before them; each with versions that
    nobody wants."""
    for block in part:
        for inner in parts_of(block):
            yield from registered_documents(inner, ledger)
        if isinstance(block, Registered):
            yield _decoy(block, "1.0.0", ledger)
            yield document(block.id, block.body, ledger, RIGHT)
            if block.wanted:
                yield _decoy(block, "2.0.0", ledger)


def later_documents(part: Part, ledger: str) -> Iterator[dict[str, Any]]:
    """Versions that fit what a definition names, but are registered only while it runs, and must not run."""
    for block in part:
        for inner in parts_of(block):
            yield from later_documents(inner, ledger)
        if isinstance(block, Registered):
            yield _decoy(block, "1.2.0" if block.wanted else "3.0.0", ledger)


def _decoy(block: Registered, version: str, ledger: str) -> dict[str, Any]:
    return document(block.id, [Work(f"{block.id}-decoy", Outcome(ALWAYS))], ledger, version)


def followings(part: Part, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The edges, by the ids that the nodes have in the journal."""
    for edge in _part(part, "", "")["edges"]:
        yield prefix + edge["source"], prefix + edge["target"]
    for block in part:
        if isinstance(block, Fork):
            for name, inner in block.branches.items():
                yield from followings(inner, f"{prefix}{block.id}/{name}/")
        elif isinstance(block, Each | Rounds | Transaction | Inlined):
            yield from followings(block.body, f"{prefix}{block.id}/")


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
    if isinstance(block, Asking):
        return _asking(block, nodes)
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
        parameters: dict[str, Any] = {"name": block.id, "input": {"never": False}}
        node = {"node_id": block.id, "type": "control/subworkflow", "parameters": parameters}
        if isinstance(block, Registered):
            parameters |= {"version": block.wanted} if block.wanted else {}
            node |= _again(block.tries)
        return node
    if isinstance(block, Each):
        parameters = {
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
    if block.stop:
        node["parameters"] = {"on_compensation_error": "stop"}
    return {**node, **_again(block.tries), **({"fail_on_error": False} if block.tolerated else {})}


def _again(tries: int) -> dict[str, Any]:
    """The rule by which what is around other nodes is tried again, whatever failed inside it."""
    codes = [code.value for code in Code]
    return {"retry": {**_retry(Outcome(attempts=tries)), "on": codes}} if tries > 1 else {}


def _asking(
    block: Asking, nodes: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str, str]:
    asks = {"node_id": block.id, "type": "control/human-task", "parameters": block.question.parameters()}
    asking = replace(block.high, id=block.id)
    ways = [
        _edge(asking, block.high, condition=f"nodes['{block.id}'].outcome == 'approved'"),
        _edge(asking, block.low, condition="else"),
        _edge(block.high, block.last),
        _edge(block.low, block.last),
    ]
    return [asks, *nodes], ways, block.id, block.last.id


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
