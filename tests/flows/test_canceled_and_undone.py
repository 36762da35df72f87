"""Canceling, and undoing what was done: of instances that run, wait, and were left in the middle of undoing."""

import asyncio

import pytest

from mirror_realm.flows import control, requests
from mirror_realm.flows.results import instance_result
from tests.flows.test_control import impatient, running
from tests.flows.test_sagas import each, instance_of, ledger, lines, nap, step, transaction
from tests.store.histories import assert_history_agrees

__all__ = ["ledger"]


@pytest.fixture(autouse=True)
def attentive(monkeypatch):
    monkeypatch.setattr(requests, "LOOK", 0.02)


def wait(**more):
    parameters = {"type": "paid", "correlation": "order-7"}
    return {"node_id": "wait", "type": "control/wait-event", "parameters": parameters, **more}


def two_steps(ledger, *then):
    steps = step(ledger, "a", undo="undo-a"), step(ledger, "b", undo="undo-b", after="a")
    return instance_of(*steps, *then)


async def test_a_running_instance_is_undone_when_it_is_asked_for(lab, ledger):
    id, task = await running(lab, two_steps(ledger, nap(60, after="b")), "nap")
    assert not control.cancel(lab.store, id, undo=True, by="li").done
    assert not control.pause(lab.store, id).done  # It does not take the place of the request to undo.
    assert lab.store.instances.get(id).requested == "undo"
    result = await task
    assert lines(ledger) == ["a", "b", "undo-b", "undo-a"]
    assert (result["status"], result["error"]["code"]) == ("canceled", "CANCELLED")
    assert result["error"]["details"]["compensation"]["undone"] == ["b", "a"]
    assert control.cancel(lab.store, id, undo=True).message == "was canceled before"
    statuses = [e["status"] for e in lab.events if e["type"] == "instance"]
    assert statuses == ["running", "compensating", "canceled"]
    assert_history_agrees(lab.store, id)


async def test_without_it_what_completed_stays(lab, ledger):
    id, task = await running(lab, two_steps(ledger, nap(60, after="b")), "nap")
    control.cancel(lab.store, id)
    assert (await task)["status"] == "canceled"
    assert lines(ledger) == ["a", "b"]


async def test_a_waiting_instance_is_taken_up_to_be_undone(lab, ledger):
    text = two_steps(ledger, wait(depends_on=["b"]))
    with impatient(lab):
        id = (await lab(text))["instance_id"]
        owner = lab.environment.owner
        answer = control.cancel(lab.store, id, undo=True, owner=owner)
        assert (answer.done, answer.instance.status) == (False, "compensating")
        assert lab.store.waiting.open_waits() == []
        result = await lab(text, instance_id=id)
    assert lines(ledger) == ["a", "b", "undo-b", "undo-a"]
    assert (result["status"], result["error"]["code"]) == ("canceled", "CANCELLED")
    assert_history_agrees(lab.store, id)


@pytest.mark.parametrize("undo", [False, True])
async def test_what_waits_in_a_transaction_leaves_no_half_of_it(lab, ledger, undo):
    """Without being asked, only the transaction is undone."""
    inside = step(ledger, "in", undo="undo-in")
    text = instance_of(
        step(ledger, "out", undo="undo-out"),
        transaction(inside, wait(depends_on=["in"]), after="out"),
    )
    with impatient(lab):
        id = (await lab(text))["instance_id"]
        answer = control.cancel(lab.store, id, undo=undo, owner=lab.environment.owner)
        assert not answer.done
        result = await lab(text, instance_id=id)
    assert lines(ledger) == ["out", "in", "undo-in", *(["undo-out"] if undo else [])]
    assert result["status"] == "canceled"
    assert_history_agrees(lab.store, id)


async def test_with_nothing_to_undo_it_is_canceled_at_once(lab, ledger):
    with impatient(lab):
        id = (await lab(instance_of(step(ledger, "a"), wait(depends_on=["a"]))))["instance_id"]
    assert control.cancel(lab.store, id, undo=True).done
    assert instance_result(lab.store, id)["status"] == "canceled"


async def test_what_cannot_be_undone_is_told_and_it_is_canceled_all_the_same(lab, ledger):
    text = instance_of(
        step(ledger, "a", undo="undo-a"),
        step(ledger, "b", undo="undo-b", stuck=True, after="a"),
        nap(60, after="b"),
    )
    id, task = await running(lab, text, "nap")
    control.cancel(lab.store, id, undo=True)
    result = await task
    assert lines(ledger) == ["a", "b", "undo-b", "undo-a"]
    assert result["status"] == "canceled"
    told = result["error"]["details"]["compensation"]
    assert (told["status"], told["undone"], told["failed"][0]["node"]) == ("compensation_failed", ["a"], "b")
    assert result["error"]["hint"] == "undo by hand: b"


async def test_a_request_to_undo_outlives_the_process_that_was_to_hear_it(lab, ledger):
    """Somebody carries the instance on meanwhile: it must not go on as if nothing had been asked."""
    text = two_steps(ledger, nap(60, after="b"))
    with impatient(lab):
        id, task = await running(lab, text, "nap")
        task.cancel()  # Its process goes away.
        await asyncio.gather(task, return_exceptions=True)
        lab.store.instances.ask(id, "undo")
        control.resume(lab.store, id, owner=lab.environment.owner, force=True)
        assert lab.store.instances.get(id).requested == "undo"
        result = await lab(text, instance_id=id)
    assert lines(ledger) == ["a", "b", "undo-b", "undo-a"]
    assert result["status"] == "canceled"
    assert_history_agrees(lab.store, id)


async def test_what_a_stopped_server_left_half_done_is_undone_when_it_is_canceled(lab, ledger):
    """Its rows are canceled with the server, and the instance is to be carried on."""
    text = instance_of(transaction(step(ledger, "a", undo="undo-a"), nap(60, after="a")))
    with impatient(lab):
        id, task = await running(lab, text, "tx/nap")
        lab.store.instances.ask(id, "cancel")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        answer = control.cancel(lab.store, id, force=True)
        assert (answer.done, answer.instance.status) == (False, "compensating")
        assert [one.id for one in lab.store.instances.claim(10, "home:other")] == [id]
        result = await lab(text, instance_id=id)
    assert lines(ledger) == ["a", "undo-a"]
    assert result["status"] == "canceled"


async def test_what_an_earlier_life_left_half_done_is_undone_although_this_one_did_not_get_there(lab, ledger):
    body = transaction(step(ledger, "a", undo="undo-a"), nap(60, after="a"))
    text = instance_of(each(body, items=(1,)))
    with impatient(lab):
        id, task = await running(lab, text, "each/tx/nap")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        lab.store.instances.ask(id, "cancel")
        ended = {"node_id": "stop", "type": "control/terminate", "parameters": {"status": "canceled"}}
        waits = {**nap(5), "node_id": "before"}
        each_after = {**each(body, items=(1,)), "depends_on": ["before"]}
        result = await lab(instance_of(waits, each_after, ended), instance_id=id)
    assert lines(ledger) == ["a", "undo-a"]
    assert result["status"] == "canceled"
    assert_history_agrees(lab.store, id)
