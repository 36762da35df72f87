"""Undoing on real runs: in reverse, nested, per iteration, after a crash, past what cannot be undone."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

from mirror_realm.core.status import InstanceStatus
from mirror_realm.flows import control


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger"


def lines(ledger):
    return ledger.read_text().split() if ledger.exists() else []


def step(ledger, id, *, say=None, undo=None, undo_input=None, stuck=False, fails=False, gives=None, **more):
    """A node that writes a line; ``undo`` is the line that its compensation writes (and fails, if ``stuck``)."""
    says = {"ledger": str(ledger), "say": say or id, "fails": fails, "gives": gives or {}}
    node = {"node_id": id, "type": "test/step", "parameters": says, **after_of(more)}
    if undo:
        undoing = {"ledger": str(ledger), "say": undo, "fails": stuck}
        node["compensate"] = {"type": "test/step", "parameters": undoing}
        if undo_input:
            node["compensate"]["input"] = undo_input
    return node


def flaky(ledger, id, **more):
    """A node that fails the first time."""
    line = {"ledger": str(ledger), "line": id, "break_at": id}
    once = {"max_attempts": 1}
    return {"node_id": id, "type": "test/note", "parameters": line, "retry": once, **after_of(more)}


def nap(seconds, id="nap", **more):
    return {"node_id": id, "type": "test/sleep", "parameters": {"seconds": seconds}, **after_of(more)}


def transaction(*body, id="tx", **more):
    return {"node_id": id, "type": "control/transaction", "body": list(body), **after_of(more)}


def each(*body, items=(1, 2, 3), **parameters):
    parameters = {"items": list(items), "max_concurrent": 1, **parameters}
    return {"node_id": "each", "type": "control/foreach", "parameters": parameters, "body": list(body)}


def keys_of(lab, result):
    """The execution keys under which nodes ran last."""
    rows = lab.store.executions.for_instance(result["instance_id"])
    return {row.node_id: row.execution_key for row in rows}


def after_of(more):
    after = more.pop("after", None)
    return {**more, **({"depends_on": [after]} if after else {})}


def instance_of(*nodes):
    return f"nodes: {json.dumps(nodes)}\n"


async def test_when_an_instance_fails_its_steps_are_undone_from_the_last_one_on(lab, ledger):
    result = await lab(
        instance_of(
            step(ledger, "a", undo="undo-a"),
            step(ledger, "b", undo="undo-b", after="a"),
            step(ledger, "plain", after="b"),
            step(ledger, "c", undo="undo-c", fails=True, after="plain"),
        )
    )
    assert lines(ledger) == ["a", "b", "plain", "c", "undo-b", "undo-a"]
    assert result["status"] == "failed"
    assert result["error"]["code"] == "FAILED_PRECONDITION"
    assert result["error"]["details"]["compensation"] == {
        "status": "compensated",
        "undone": ["b", "a"],
        "failed": [],
    }
    assert result["nodes"]["a!compensate"]["status"] == "completed"
    statuses = [e["status"] for e in lab.events if e["type"] == "instance"]
    assert statuses == ["running", "compensating", "failed"]


async def test_an_undoing_call_gets_the_steps_own_input_and_output(lab, ledger):
    result = await lab(
        instance_of(
            step(ledger, "a", undo="default", gives={"id": 7, "keep": 1}),
            step(
                ledger,
                "b",
                undo="own",
                undo_input={
                    "of": "{{ nodes.b.id }}",
                    "out": "{{ output.id }}",
                    "given": "{{ input.keep }}",
                    "first": "{{ input.order }}",
                },
                gives={"id": 8},
                after="a",
            ),
            step(ledger, "c", fails=True, after="b"),
        ),
        order=5,
    )
    undone = {name: result["nodes"][f"{name}!compensate"]["output"] for name in "ab"}
    assert (undone["a"]["order"], undone["a"]["id"], undone["a"]["keep"]) == (5, 7, 1)
    assert undone["b"] == {"of": 8, "out": 8, "given": 1, "first": 5}


async def test_what_steps_give_is_not_evaluated_again_when_they_are_undone(lab, ledger):
    result = await lab(
        instance_of(
            step(ledger, "a", undo="undo-a", gives={"text": "{{ input.words }}"}),
            step(ledger, "b", fails=True, after="a"),
        ),
        words="{{ execution.id }}",
    )
    assert result["nodes"]["a!compensate"]["output"]["text"] == "{{ execution.id }}"


async def test_a_transaction_is_undone_and_the_instance_may_go_on(lab, ledger):
    result = await lab(
        instance_of(
            step(ledger, "before", undo="undo-before"),
            transaction(
                step(ledger, "a", undo="undo-a"),
                step(ledger, "b", fails=True, after="a"),
                after="before",
                fail_on_error=False,
            ),
            step(ledger, "after", after="tx"),
        )
    )
    assert result["status"] == "completed", result["error"]
    assert lines(ledger) == ["before", "a", "b", "undo-a", "after"]
    assert result["nodes"]["tx"]["error"]["details"]["compensation"]["undone"] == ["tx/a"]


async def test_what_an_inner_transaction_has_undone_is_not_undone_again(lab, ledger):
    inner = transaction(
        step(ledger, "i", undo="undo-i"),
        step(ledger, "j", fails=True, after="i"),
        id="inner",
        after="a",
        fail_on_error=False,
    )
    good = transaction(step(ledger, "g", undo="undo-g"), id="good", after="inner")
    result = await lab(
        instance_of(
            transaction(
                step(ledger, "a", undo="undo-a"), inner, good, step(ledger, "z", fails=True, after="good")
            )
        )
    )
    assert lines(ledger) == ["a", "i", "j", "undo-i", "g", "z", "undo-g", "undo-a"]
    assert result["error"]["details"]["compensation"]["undone"] == ["tx/good/g", "tx/a"]


async def test_each_item_of_a_foreach_in_a_transaction_is_undone(lab, ledger):
    pay = step(ledger, "pay", say="pay-{{ item }}", undo="refund-{{ item }}", fails="{{ item == 3 }}")
    result = await lab(instance_of(transaction(each(pay))))
    assert lines(ledger) == ["pay-1", "pay-2", "pay-3", "refund-2", "refund-1"]
    assert result["nodes"]["tx/each/pay!compensate[1]"]["status"] == "completed"


async def test_a_transaction_in_a_foreach_undoes_its_own_item_only(lab, ledger):
    tx = transaction(
        step(ledger, "a", say="a-{{ item }}", undo="undo-{{ item }}"),
        step(ledger, "b", fails="{{ item == 2 }}", say="b-{{ item }}", after="a"),
    )
    result = await lab(instance_of(each(tx, on_item_error="ignore")))
    assert result["status"] == "completed"
    assert lines(ledger) == ["a-1", "b-1", "a-2", "b-2", "undo-2", "a-3", "b-3"]


async def test_undoing_goes_on_past_what_cannot_be_undone_and_says_so(lab, ledger):
    result = await lab(
        instance_of(
            step(ledger, "a", undo="undo-a"),
            step(ledger, "b", undo="undo-b", stuck=True, after="a"),
            step(ledger, "c", fails=True, after="b"),
        )
    )
    assert lines(ledger) == ["a", "b", "c", "undo-b", "undo-a"]
    told = result["error"]["details"]["compensation"]
    assert (told["status"], told["undone"]) == ("compensation_failed", ["a"])
    (left,) = told["failed"]
    assert (left["node"], left["error"]["message"]) == ("b", "undo-b fails as asked")
    assert "undo by hand: b" in result["error"]["hint"]


async def test_undoing_stops_where_the_transaction_says_so(lab, ledger):
    result = await lab(
        instance_of(
            transaction(
                step(ledger, "a", undo="undo-a"),
                step(ledger, "b", undo="undo-b", stuck=True, after="a"),
                step(ledger, "c", fails=True, after="b"),
                parameters={"on_compensation_error": "stop"},
            )
        )
    )
    assert lines(ledger) == ["a", "b", "c", "undo-b"]
    assert [one["node"] for one in result["error"]["details"]["compensation"]["failed"]] == ["tx/b", "tx/a"]


async def test_a_compensation_that_cannot_be_worked_out_is_left_to_a_person(lab, ledger):
    result = await lab(
        instance_of(
            step(ledger, "a", undo="undo", undo_input={"x": "{{ output.nothing.at.all }}"}),
            step(ledger, "b", fails=True, after="a"),
        )
    )
    assert lines(ledger) == ["a", "b"]
    assert result["error"]["details"]["compensation"]["status"] == "compensation_failed"


async def test_a_transaction_that_is_tried_again_begins_anew(lab, ledger):
    again = {"max_attempts": 2, "initial": "10ms", "on": ["INTERNAL_ERROR"]}
    tx = transaction(step(ledger, "a", undo="undo-a"), flaky(ledger, "b", after="a"), retry=again)
    result = await lab(instance_of(tx))
    assert result["status"] == "completed", result["error"]
    assert lines(ledger) == ["a", "b!", "undo-a", "a", "b"]
    assert result["nodes"]["tx/a"]["attempts"] == 2
    # What was undone has its effect again, also where effects are told apart by these.
    keys = keys_of(lab, result)
    assert keys["tx/a"] == f"{result['instance_id']}/tx/a~1"
    assert keys["tx/a!compensate"] == f"{result['instance_id']}/tx/a!compensate~1"
    assert keys["tx/b"] == f"{result['instance_id']}/tx/b"


async def test_a_retried_instance_runs_what_was_undone_and_what_follows_it_again(lab, ledger):
    text = instance_of(
        step(ledger, "free"),
        step(ledger, "a", undo="undo-a", after="free"),
        step(ledger, "b", after="a"),
        flaky(ledger, "c", after="b"),
    )
    first = await lab(text)
    assert lines(ledger) == ["free", "a", "b", "c!", "undo-a"]
    lab.store.instances.transition(first["instance_id"], InstanceStatus.RETRYING)
    second = await lab(text, instance_id=first["instance_id"])
    assert second["status"] == "completed", second["error"]
    assert lines(ledger)[5:] == ["a", "b", "c"]
    keys = keys_of(lab, second)
    assert keys["a"] == f"{second['instance_id']}/a~1"
    assert keys["free"] == f"{second['instance_id']}/free"


async def test_a_half_done_transaction_of_a_branch_that_nobody_needs_is_undone(lab, ledger):
    slow = transaction(step(ledger, "a", undo="undo-a"), nap(30, after="a"))
    branches = {"slow": [slow], "quick": [nap(0.4)]}
    fork = {
        "node_id": "fork",
        "type": "control/parallel",
        "parameters": {"wait_for": "any"},
        "branches": branches,
    }
    result = await lab(instance_of(fork))
    assert result["status"] == "completed", result["error"]
    assert lines(ledger) == ["a", "undo-a"]


async def test_nothing_is_undone_of_an_instance_that_completes(lab, ledger):
    result = await lab(instance_of(step(ledger, "a", undo="undo-a")))
    assert (result["status"], lines(ledger)) == ("completed", ["a"])
    assert lab.store.sagas.steps(result["instance_id"])[0].status == "registered"


@pytest.mark.parametrize("by", ["request", "task"])
async def test_a_canceled_instance_leaves_no_half_of_a_transaction_among_others(lab, ledger, by):
    slow = {"ledger": str(ledger), "say": "undo-a", "fails": False, "seconds": 0.3}
    undoing = {"type": "test/step", "parameters": slow}
    body = transaction(step(ledger, "a", compensate=undoing), nap(60, after="a"))
    beside = [nap(60, id=f"beside-{n}", after="each") for n in range(3)]
    text = instance_of(each(body, nap(60, id="other"), items=(1,)), *beside)
    running = asyncio.create_task(lab(text))
    async with asyncio.timeout(30):
        while lines(ledger) != ["a"]:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)
    (instance,) = lab.store.instances.list()
    if by == "task":
        running.cancel()
    else:
        control.cancel(lab.store, instance.id)
    await asyncio.gather(running, return_exceptions=True)
    assert lab.store.instances.get(instance.id).status is InstanceStatus.CANCELED
    assert lines(ledger) == ["a", "undo-a"]
    assert lab.store.sagas.unfinished(instance.id) == []


CRASH = """
import asyncio, sys
from pathlib import Path
from mirror_realm.compiler import analyze, compile_workflow
from mirror_realm.core.settings import settings
from mirror_realm.flows.engines import engine_choice
from mirror_realm.flows.environment import Environment, use
from mirror_realm.flows.journal import Journal
from mirror_realm.flows.runners import ThreadRunner
from mirror_realm.store import Store

async def main():
    engine_choice.set("local")
    flow = compile_workflow(analyze("test.yaml", text=Path(sys.argv[1]).read_text())).flow
    with Store.open(settings().database) as store:
        with use(Environment(Journal(store), ThreadRunner(2), settings(), resumable=True)):
            await flow(input={}, instance_id=sys.argv[2] or None)

asyncio.run(main())
"""


async def test_killed_in_the_middle_of_undoing_it_goes_on_where_it_was(lab, ledger, tmp_path):
    pausing = {"type": "test/pause-once", "parameters": {"ledger": str(ledger), "seconds": 60}}
    text = instance_of(
        step(ledger, "a", undo="undo-a"),
        step(ledger, "b", after="a", compensate=pausing),
        step(ledger, "c", undo="undo-c", after="b"),
        step(ledger, "d", fails=True, after="c"),
    )
    file = tmp_path / "saga.yaml"
    file.write_text("name: test\n" + text)
    child = subprocess.Popen([sys.executable, "-c", CRASH, str(file), ""])
    async with asyncio.timeout(60):
        while "paused" not in lines(ledger):
            assert child.poll() is None
            await asyncio.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    (instance,) = lab.store.instances.list()
    assert instance.status is InstanceStatus.COMPENSATING
    assert lines(ledger) == ["a", "b", "c", "d", "undo-c", "paused"]
    result = await lab(text, instance_id=instance.id)
    assert lines(ledger)[6:] == ["undo-b", "undo-a"]
    assert result["status"] == "failed"
    assert result["error"]["message"] == "node 'd': d fails as asked"
    assert result["error"]["details"]["compensation"]["undone"] == ["c", "b", "a"]
    assert result["nodes"]["b!compensate"]["attempts"] == 2


async def killed_and_carried_on(lab, text, ledger, folder, until):
    """The instance of ``text``, killed once the ledger has the lines ``until``, and then carried on."""
    file = folder / "killed.yaml"
    file.write_text("name: test\n" + text)
    child = subprocess.Popen([sys.executable, "-c", CRASH, str(file), ""])
    async with asyncio.timeout(60):
        while not until <= set(lines(ledger)) or not a_transaction_is_over(lab):
            assert child.poll() is None
            await asyncio.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    (instance,) = lab.store.instances.list()
    assert instance.status is InstanceStatus.RUNNING
    return await lab(text, instance_id=instance.id)


def a_transaction_is_over(lab):
    rows = [row for one in lab.store.instances.list() for row in lab.store.executions.for_instance(one.id)]
    return any(row.node_type == "control/transaction" and row.status.terminal for row in rows)


def pause(ledger, **more):
    parameters = {"ledger": str(ledger), "seconds": 60}
    return {"node_id": "p", "type": "test/pause-once", "parameters": parameters, **after_of(more)}


async def test_a_transaction_that_failed_for_good_is_not_run_again_since_the_process_died(
    lab, ledger, tmp_path
):
    ledger.touch()
    failing = transaction(step(ledger, "a", undo="undo-a"), step(ledger, "d", fails=True, after="a"))
    fork = {
        "node_id": "fork",
        "type": "control/parallel",
        "parameters": {"fail_fast": False},
        "branches": {"x": [failing], "y": [pause(ledger)]},
    }
    result = await killed_and_carried_on(lab, instance_of(fork), ledger, tmp_path, {"undo-a", "paused"})
    assert sorted(lines(ledger)) == ["a", "d", "paused", "undo-a", "undo-b"]
    assert result["status"] == "failed"
    assert "d fails as asked" in result["error"]["message"]
    assert result["nodes"]["fork/x/tx/d"]["attempts"] == 1
    assert result["nodes"]["fork/y/p"]["status"] == "completed"


async def test_a_tolerated_transaction_is_not_run_again_since_the_process_died(lab, ledger, tmp_path):
    ledger.touch()
    body = step(ledger, "a", undo="undo-a"), step(ledger, "d", fails=True, after="a")
    failing = transaction(*body, fail_on_error=False)
    text = instance_of(failing, pause(ledger, after="tx"), step(ledger, "e", after="p"))
    result = await killed_and_carried_on(lab, text, ledger, tmp_path, {"undo-a", "paused"})
    assert lines(ledger) == ["a", "d", "undo-a", "paused", "undo-b", "e"]
    assert result["status"] == "completed"
    assert result["nodes"]["tx"]["status"] == "failed"


async def test_what_is_around_a_tolerated_transaction_is_not_run_again_either(lab, ledger, tmp_path):
    ledger.touch()
    body = step(ledger, "a", undo="undo-a"), step(ledger, "d", fails=True, after="a")
    inner = transaction(*body, id="inner", fail_on_error=False)
    outer = transaction(inner, step(ledger, "c", undo="undo-c", after="inner"), id="outer")
    text = instance_of(outer, pause(ledger, after="outer"), step(ledger, "e", after="p"))
    result = await killed_and_carried_on(lab, text, ledger, tmp_path, {"undo-a", "paused"})
    assert lines(ledger) == ["a", "d", "undo-a", "c", "paused", "undo-b", "e"]
    assert result["status"] == "completed"


async def test_what_failed_for_good_runs_again_when_the_instance_is_retried(lab, ledger):
    text = instance_of(transaction(step(ledger, "a", undo="undo-a"), flaky(ledger, "f", after="a")))
    failed = await lab(text)
    assert (failed["status"], lines(ledger)) == ("failed", ["a", "f!", "undo-a"])
    lab.store.instances.transition(failed["instance_id"], InstanceStatus.RETRYING)
    again = await lab(text, instance_id=failed["instance_id"])
    assert again["status"] == "completed", again["error"]
    assert lines(ledger)[3:] == ["a", "f"]
