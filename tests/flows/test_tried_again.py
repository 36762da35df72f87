"""Tried again: what is inside a transaction that begins anew, in the same process and after it died."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from mirror_realm.core.status import InstanceStatus
from tests.flows.test_sagas import CRASH, after_of, instance_of, ledger, lines, step, transaction

__all__ = ["ledger"]


def again(times):
    return {"max_attempts": times, "initial": "10ms", "on": ["INTERNAL_ERROR", "TRANSIENT_ERROR"]}


def breaking(ledger, id, times, **more):
    """A node that fails the first so many times."""
    line = {"ledger": str(ledger), "line": id, "bad": id, "times": times}
    once = {"max_attempts": 1}
    return {"node_id": id, "type": "test/flaky", "parameters": line, "retry": once, **after_of(more)}


def slow(ledger, id, *, seconds=1.0, **more):
    """A node that takes a while."""
    return step(ledger, id, **more) | {"parameters": {"ledger": str(ledger), "say": id, "seconds": seconds}}


def each(*body, **more):
    parameters = {"items": [1], "max_concurrent": 1}
    return {
        "node_id": "each",
        "type": "control/foreach",
        "parameters": parameters,
        "body": list(body),
        **more,
    }


async def test_what_completed_again_stays_when_a_part_inside_is_tried_again_by_itself(lab, ledger):
    """Its first completion was undone; that must not be taken for one of the second."""
    inside = each(step(ledger, "a", undo="undo-a"), breaking(ledger, "y", 3, after="a"), retry=again(2))
    result = await lab(instance_of(transaction(inside, retry=again(2))))
    assert result["status"] == "completed", result["error"]
    assert lines(ledger) == ["a", "y", "y", "undo-a", "a", "y", "y"]


async def test_what_was_not_undone_is_not_run_more_often_than_what_it_follows(lab, ledger):
    """The part follows what was undone, so that all of it runs anew; once, however often the part is tried."""
    inside = each(step(ledger, "b", undo="undo-b"), breaking(ledger, "y", 3, after="b"), retry=again(2))
    body = step(ledger, "a", undo="undo-a"), {**inside, "depends_on": ["a"]}
    result = await lab(instance_of(transaction(*body, retry=again(2))))
    assert result["status"] == "completed", result["error"]
    assert lines(ledger) == ["a", "b", "y", "y", "undo-b", "undo-a", "a", "b", "y", "y"]


async def test_what_follows_an_undone_node_runs_again_also_when_the_process_dies_in_between(
    lab, ledger, tmp_path
):
    """The step has run again when it dies, and what comes far after it has its output of the first try."""
    body = (
        step(ledger, "a", undo="undo-a"),
        slow(ledger, "m", after="a"),
        {**each(step(ledger, "b")), "depends_on": ["m"]},
        breaking(ledger, "late", 1, after="each"),
    )
    text = instance_of(transaction(*body, retry=again(2)))
    file = tmp_path / "again.yaml"
    file.write_text("name: test\n" + text)
    child = subprocess.Popen([sys.executable, "-c", CRASH, str(file), ""])
    first = ["a", "m", "b", "late", "undo-a", "a"]
    async with asyncio.timeout(60):
        while lines(ledger) != first or not ran_again(lab, "tx/m"):
            assert child.poll() is None
            await asyncio.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    (instance,) = lab.store.instances.list()
    result = await lab(text, instance_id=instance.id)
    assert result["status"] == "completed", result["error"]
    assert lines(ledger) == [*first, "m", "b", "late"]


def ran_again(lab, node_id):
    rows = [row for one in lab.store.instances.list() for row in lab.store.executions.for_instance(one.id)]
    return any(row.node_id == node_id and len(row.attempts) > 1 for row in rows)


async def test_what_was_to_run_again_and_did_not_get_to_it_does_not_stay_open(lab, ledger):
    """In the second try the one branch fails before the other, which begins anew, comes to its second node."""
    one = (
        slow(ledger, "a", undo="undo-a"),
        step(ledger, "b", after="a"),
        breaking(ledger, "late", 1, after="b"),
    )
    other = slow(ledger, "m", seconds=2.0), breaking(ledger, "x", 1, after="m")
    result = await lab(instance_of(transaction(*one, *other, retry=again(2), fail_on_error=False)))
    assert result["status"] == "completed", result["error"]
    assert result["nodes"]["tx/b"]["status"] == "canceled"
    assert lines(ledger) == ["a", "b", "late", "m", "undo-a", "x", "a", "undo-a"]


async def test_undoing_stops_where_the_transaction_says_so_also_in_a_later_life(lab, ledger, tmp_path):
    ledger.touch()
    pausing = {"type": "test/pause-once", "parameters": {"ledger": str(ledger), "seconds": 60}}
    body = (
        step(ledger, "a", undo="undo-a"),
        step(ledger, "stuck", undo="undo-stuck", stuck=True, after="a"),
        step(ledger, "c", after="stuck", compensate=pausing),
        step(ledger, "d", fails=True, after="c"),
    )
    text = instance_of(transaction(*body, parameters={"on_compensation_error": "stop"}))
    file = tmp_path / "stop.yaml"
    file.write_text("name: test\n" + text)
    child = subprocess.Popen([sys.executable, "-c", CRASH, str(file), ""])
    async with asyncio.timeout(60):
        while "paused" not in lines(ledger):
            assert child.poll() is None
            await asyncio.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    (instance,) = lab.store.instances.list()
    result = await lab(text, instance_id=instance.id)
    assert lines(ledger) == ["a", "stuck", "c", "d", "paused", "undo-b", "undo-stuck"]
    told = result["error"]["details"]["compensation"]
    assert (told["undone"], [one["node"] for one in told["failed"]]) == (["tx/c"], ["tx/stuck", "tx/a"])


@pytest.mark.parametrize("tries", [1, 2])
async def test_stopped_in_the_middle_of_undoing_it_is_not_tried_once_more(lab, ledger, tmp_path, tries):
    """As if the process had been killed: the transaction had failed."""
    ledger.touch()
    undoing = {"ledger": str(ledger), "say": "undo-b", "seconds": 2}
    body = (
        step(ledger, "a", undo="undo-a"),
        step(ledger, "b", after="a", compensate={"type": "test/step", "parameters": undoing}),
        breaking(ledger, "late", tries, after="b"),
    )
    text = instance_of(transaction(*body, retry=again(tries)))
    file = tmp_path / "stopped.yaml"
    file.write_text("name: test\n" + text)
    child = subprocess.Popen([sys.executable, "-c", CRASH, str(file), ""])
    async with asyncio.timeout(60):
        while not ran(lab, "tx/b!compensate"):
            assert child.poll() is None
            await asyncio.sleep(0.02)
    child.send_signal(signal.SIGINT)
    child.wait()
    (instance,) = lab.store.instances.list()
    assert instance.status is InstanceStatus.RUNNING
    result = await lab(text, instance_id=instance.id)
    assert result["status"] == "failed"
    rest = [line for line in lines(ledger) if line != "undo-b"]  # That one may have ended twice.
    assert rest == ["a", "b", "late", "undo-a"] * tries
    assert "late" in result["error"]["message"]


def ran(lab, node_id):
    rows = [row for one in lab.store.instances.list() for row in lab.store.executions.for_instance(one.id)]
    return any(row.node_id == node_id for row in rows)
