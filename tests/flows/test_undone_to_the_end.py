"""Undoing goes on to its end: past its transaction's time limit, past what fails or is canceled around."""

import asyncio
import json

import pytest

from mirror_realm.flows import control, requests
from tests.flows.test_control import running


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger"


def lines(ledger):
    return ledger.read_text().split() if ledger.exists() else []


def step(ledger, id, undoing, **more):
    compensate = {"compensate": undoing} if undoing else {}
    return {"node_id": id, "type": "test/step", "parameters": says(ledger, id), **compensate, **more}


def says(ledger, line, **more):
    return {"ledger": str(ledger), "say": line, "fails": False, "gives": {}, **more}


def undo(ledger, line, **more):
    return {"type": "test/step", "parameters": says(ledger, line, **more)}


def nap(seconds, **more):
    return {"node_id": "nap", "type": "test/sleep", "parameters": {"seconds": seconds}, **more}


def instance_of(*body, **more):
    node = {"node_id": "tx", "type": "control/transaction", "body": list(body), "timeout": "1s", **more}
    return f"nodes: {json.dumps([node])}\n"


@pytest.mark.parametrize("stuck", [False, True])
async def test_its_error_names_the_limit_and_what_was_undone(lab, ledger, stuck):
    result = await lab(
        instance_of(step(ledger, "a", undo(ledger, "undo-a", fails=stuck)), nap(30, depends_on=["a"]))
    )
    assert lines(ledger) == ["a", "undo-a"]
    error = result["error"]
    assert error["code"] == "NODE_EXECUTION_TIMEOUT"
    assert "ran past its timeout of 1 s" in error["message"]
    told = error["details"]["compensation"]
    if stuck:
        assert told["status"] == "compensation_failed"
        assert [one["node"] for one in told["failed"]] == ["tx/a"]
        assert error["hint"] == "undo by hand: tx/a"
    else:
        assert told == {"status": "compensated", "undone": ["tx/a"], "failed": []}


async def test_undoing_may_take_longer_than_what_is_left_of_the_limit(lab, ledger):
    slow = {"type": "test/sleep", "parameters": {"seconds": 2}}
    result = await lab(
        instance_of(
            step(ledger, "a", undo(ledger, "undo-a")),
            step(ledger, "b", slow, depends_on=["a"]),
            step(ledger, "c", None, depends_on=["b"], parameters=says(ledger, "c", fails=True)),
        )
    )
    assert lines(ledger) == ["a", "b", "c", "undo-a"]
    assert result["error"]["code"] == "FAILED_PRECONDITION", "what failed it, not the limit"
    told = result["error"]["details"]["compensation"]
    assert told == {"status": "compensated", "undone": ["tx/b", "tx/a"], "failed": []}


async def test_it_is_tried_again_after_the_limit(lab, ledger):
    result = await lab(
        instance_of(
            step(ledger, "a", undo(ledger, "undo-a")),
            nap(30, depends_on=["a"]),
            retry={"max_attempts": 2, "initial": "10ms"},
        )
    )
    assert lines(ledger) == ["a", "undo-a", "a", "undo-a"]
    assert result["error"]["code"] == "NODE_EXECUTION_TIMEOUT"
    assert result["error"]["details"]["compensation"]["undone"] == ["tx/a"]


def undone_slowly(ledger, id):
    """A transaction whose last step takes long to undo, and which fails."""
    slow = {"type": "test/sleep", "parameters": {"seconds": 2}}
    return {
        "node_id": id,
        "type": "control/transaction",
        "body": [
            step(ledger, "a", undo(ledger, "undo-a")),
            step(ledger, "b", slow, depends_on=["a"]),
            step(ledger, "c", None, depends_on=["b"], parameters=says(ledger, "c", fails=True)),
        ],
    }


async def test_what_fails_beside_it_does_not_cut_it_short(lab, ledger):
    beside = [nap(1), step(ledger, "d", None, depends_on=["nap"], parameters=says(ledger, "d", fails=True))]
    branches = [{"name": "one", "nodes": [undone_slowly(ledger, "tx")]}, {"name": "two", "nodes": beside}]
    node = {"node_id": "both", "type": "control/parallel", "branches": branches}
    result = await lab(f"nodes: {json.dumps([node])}\n")
    assert lines(ledger) == ["a", "b", "c", "d", "undo-a"]
    assert result["status"] == "failed"


async def test_who_cancels_it_does_not_cut_it_short(lab, ledger, monkeypatch):
    monkeypatch.setattr(requests, "LOOK", 0.02)
    id, task = await running(lab, f"nodes: {json.dumps([undone_slowly(ledger, 'tx')])}\n", "tx/b!compensate")
    control.cancel(lab.store, id)
    await asyncio.sleep(0.1)
    assert not task.done()
    result = await task
    assert lines(ledger) == ["a", "b", "c", "undo-a"]
    assert result["status"] in ("canceled", "failed")


def around(kind, body):
    """A construct with a time limit around ``body``."""
    node = {"node_id": "outer", "type": f"control/{kind}", "timeout": "1s"}
    if kind == "foreach":
        return {**node, "parameters": {"items": [1, 2], "max_concurrent": 2}, "body": body}
    if kind == "loop":
        return {**node, "parameters": {"condition": "true", "max_iterations": 2}, "body": body}
    if kind == "parallel":
        return {**node, "branches": [{"name": "one", "nodes": body}]}
    return {**node, "body": body}


@pytest.mark.parametrize("kind", ["foreach", "loop", "parallel", "transaction"])
async def test_the_limit_of_what_is_around_it_leaves_no_half_of_it(lab, ledger, kind):
    slow = {"type": "test/sleep", "parameters": {"seconds": 1.5}}
    steps = [
        step(ledger, "a", undo(ledger, "undo-a")),
        step(ledger, "b", slow, depends_on=["a"]),
        nap(30, depends_on=["b"]),
    ]
    inner = {"node_id": "tx", "type": "control/transaction", "body": steps}
    result = await lab(f"nodes: {json.dumps([around(kind, [inner])])}\n")
    rounds = 2 if kind == "foreach" else 1
    assert sorted(lines(ledger)) == sorted(["a", "b", "undo-a"] * rounds)
    assert (result["status"], result["error"]["code"]) == ("failed", "NODE_EXECUTION_TIMEOUT")


async def test_the_limit_of_the_instance_leaves_no_half_of_it(lab, ledger):
    steps = [step(ledger, "a", undo(ledger, "undo-a")), nap(30, depends_on=["a"])]
    node = {"node_id": "tx", "type": "control/transaction", "body": steps}
    result = await lab(f"timeout: 1s\nnodes: {json.dumps([node])}\n")
    assert lines(ledger) == ["a", "undo-a"]
    assert result["status"] == "failed"
