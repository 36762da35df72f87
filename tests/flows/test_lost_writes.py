"""What a killed process or a lost answer leaves: no files, and no row that contradicts itself."""

import asyncio
import errno
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace

import pytest

from mirror_realm.compiler import analyze, compile_workflow
from mirror_realm.core.errors import Code, RealmError, Superseded
from mirror_realm.core.status import InstanceStatus, NodeStatus
from mirror_realm.flows import control
from mirror_realm.flows.environment import use
from mirror_realm.store import NewInstance
from mirror_realm.store.engine import STORE_AWAY


async def test_a_foreach_at_work_has_no_file_that_a_kill_would_leave(lab, home, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    ledger = tmp_path / "ledger"
    seen = {}
    for results in ("list", "file"):
        body = [
            {
                "node_id": "nap",
                "type": "test/sleep",
                "input": {},
                "parameters": {"seconds": 0.2, "ledger": str(ledger)},
            }
        ]
        parameters = {"items": [1, 2], "results": results}
        each = {"node_id": "each", "type": "control/foreach", "parameters": parameters, "body": body}
        run = asyncio.create_task(lab(f"nodes: {json.dumps([each])}\n"))
        while not ledger.exists():
            await asyncio.sleep(0.01)
        seen[results] = [path.name for path in folder.rglob("*") if path.is_file()]
        held = list((home / "tmp").rglob("outputs.jsonl"))
        assert bool(held) == (results == "file"), "a file of the process's own folder, which is swept"
        assert (await run)["status"] == "completed"
        ledger.unlink()
    assert seen == {"list": [], "file": []}


async def test_an_end_whose_answer_was_lost_is_told_again_in_the_same_words(lab, monkeypatch):
    journal = lab.environment.journal
    really, lost = type(journal)._finish, []

    def finish(self, *arguments):
        really(self, *arguments)
        if not lost:
            lost.append(True)
            raise RealmError(
                Code.UNAVAILABLE, "the answer to the commit was lost", details={STORE_AWAY: True}
            )

    monkeypatch.setattr(type(journal), "_finish", finish)
    result = await lab("nodes: [{node_id: one, type: test/add}]\n", value=1)
    assert lost
    assert result["status"] == "completed"
    (row,) = lab.store.executions.for_instance(result["instance_id"])
    assert [attempt.status for attempt in row.attempts] == [NodeStatus.COMPLETED]


async def test_what_a_process_that_was_taken_for_dead_began_last_is_known_to_the_next_life(lab, monkeypatch):
    """It was frozen, and woke up while its instance was taken over: just before it could write nothing any more."""
    text = "nodes: [{node_id: one, type: test/add}, {node_id: two, type: test/add, depends_on: [one]}]\n"
    store, journal = lab.store, lab.environment.journal
    new = NewInstance(workflow="test", version="0.0.0", input={"value": 1}, trigger_type="manual")
    instance, _ = store.instances.create(new)
    first = store.instances.transition(instance.id, InstanceStatus.RUNNING)
    really = type(journal).transition

    async def move(self, instance_id, status, **changes):
        if status is InstanceStatus.RUNNING:
            store.executions.begin(instance.id, "one", "test/add", attempt=1, epoch=first.epoch)
        return await really(self, instance_id, status, **changes)

    monkeypatch.setattr(type(journal), "transition", move)
    result = await lab(text, instance_id=instance.id)
    assert result["status"] == "completed", result["error"]
    row = store.executions.for_instance(instance.id)[0]
    assert [(one.attempt, one.status) for one in row.attempts] == [
        (1, NodeStatus.FAILED),
        (2, NodeStatus.COMPLETED),
    ]


async def test_what_a_process_accepted_and_never_began_can_be_resumed(lab):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    owners = [f"run:{socket.gethostname()}:{pid}" for pid in (gone.pid, os.getpid())]
    ids = []
    for owner in owners:
        new = NewInstance(
            workflow="test", version="0.0.0", input={"value": 1}, trigger_type="manual", claimed_by=owner
        )
        ids.append(lab.store.instances.create(new)[0].id)
    control.resume(lab.store, ids[0], owner=owners[1])
    result = await lab("nodes: [{node_id: one, type: test/add}]\n", instance_id=ids[0])
    assert result["status"] == "completed"
    assert lab.store.instances.get(ids[0]).requested is None
    with pytest.raises(RealmError, match="is pending"):
        control.resume(lab.store, ids[1])


async def test_a_transaction_in_a_server_that_stops_goes_on_and_is_not_undone(lab, tmp_path):
    ledger = tmp_path / "ledger"
    says = {"ledger": str(ledger), "say": "a"}
    undo = {"type": "test/step", "parameters": {**says, "say": "undo-a"}}
    step = {"node_id": "a", "type": "test/step", "parameters": says, "compensate": undo}
    nap = {
        "node_id": "nap",
        "type": "test/sleep",
        "parameters": {"seconds": 0.5, "ledger": str(ledger)},
        "depends_on": ["a"],
    }
    tx = {"node_id": "tx", "type": "control/transaction", "body": [step, nap]}
    text = f"nodes: {json.dumps([tx])}\n"
    with use(replace(lab.environment, resumable=True)):
        run = asyncio.create_task(lab(text))
        while not ledger.exists() or "start" not in ledger.read_text():
            await asyncio.sleep(0.01)
        run.cancel()  # As a server does with what it runs when it is told to stop.
        await asyncio.gather(run, return_exceptions=True)
    (instance,) = lab.store.instances.list()
    assert instance.status is InstanceStatus.RUNNING
    assert [one.status for one in lab.store.sagas.steps(instance.id)] == ["registered"]
    result = await lab(text, instance_id=instance.id)
    assert result["status"] == "completed"
    lines = [line for line in ledger.read_text().splitlines() if len(line.split()) == 1]
    assert lines == ["a"], "it was neither undone nor run again"


async def test_a_life_that_is_over_decides_nothing_of_what_was_inside(lab, tmp_path):
    """An older life that can write no more neither counts an item as failed nor undoes its half."""
    ledger = tmp_path / "ledger"
    says = {"ledger": str(ledger), "say": "a"}
    undo = {"type": "test/step", "parameters": {**says, "say": "undo-a"}}
    step = {"node_id": "a", "type": "test/step", "parameters": says, "compensate": undo}
    nap = {
        "node_id": "nap",
        "type": "test/sleep",
        "parameters": {"seconds": 0.5, "ledger": str(ledger)},
        "depends_on": ["a"],
    }
    tx = {"node_id": "tx", "type": "control/transaction", "body": [step, nap]}
    parameters = {"items": [1], "on_item_error": "collect"}
    each = {"node_id": "each", "type": "control/foreach", "parameters": parameters, "body": [tx]}
    text = f"nodes: {json.dumps([each])}\n"
    flow = compile_workflow(analyze("test.yaml", text=f"name: test\n{text}")).flow
    run = asyncio.create_task(flow())
    while not ledger.exists() or "start" not in ledger.read_text():
        await asyncio.sleep(0.01)
    (instance,) = lab.store.instances.list()
    lab.store.instances.transition(instance.id, InstanceStatus.RUNNING)
    with pytest.raises(Superseded):
        await run
    assert [one.status for one in lab.store.sagas.steps(instance.id)] == ["registered"]
    result = await lab(text, instance_id=instance.id)
    assert result["status"] == "completed"
    assert "undo-a" not in ledger.read_text()
    assert "error" not in json.dumps(result["nodes"]["each"]["output"])


async def test_a_full_disk_under_the_results_of_a_foreach_fails_the_foreach(lab, tmp_path, monkeypatch):
    """And what is around it, as any node does: the steps before it are undone."""

    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *how, **more: Full())
    ledger = tmp_path / "ledger"
    says = {"ledger": str(ledger), "say": "a"}
    undo = {"type": "test/step", "parameters": {**says, "say": "undo-a"}}
    step = {"node_id": "a", "type": "test/step", "parameters": says, "compensate": undo}
    body = [{"node_id": "one", "type": "control/set", "parameters": {"values": {"n": 1}}}]
    each = {
        "node_id": "each",
        "type": "control/foreach",
        "parameters": {"items": [1, 2]},
        "body": body,
        "depends_on": ["a"],
    }
    result = await lab(f"nodes: {json.dumps([step, each])}\n")
    assert (result["status"], result["nodes"]["each"]["status"]) == ("failed", "failed")
    assert result["error"]["code"] == "RESOURCE_EXHAUSTED"
    assert ledger.read_text().split() == ["a", "undo-a"]
