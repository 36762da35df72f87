"""`realm instances`: steering instances that run in another process, rest, wait and are over; and their past."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mirror_realm.cli.app import run
from mirror_realm.core.settings import settings
from mirror_realm.store import Store

SLOW = """
name: slow
version: 1.0.0
nodes:
  - {node_id: first, type: control/set, parameters: {values: {n: 1}}}
  - {node_id: wait, type: control/delay, depends_on: first, parameters: {duration: %s}}
  - {node_id: last, type: control/set, depends_on: wait, parameters: {values: {n: "{{ nodes.first.n + %d }}"}}}
output: {n: "{{ nodes.last.n }}"}
"""
FAILS = """
name: fails
version: 1.0.0
nodes:
  - {node_id: first, type: control/set, parameters: {values: {n: %d}}}
  - node_id: check
    type: control/terminate
    depends_on: first
    when: "!default(input.ok, false)"
    parameters: {status: failed, message: 照片不行}
  - node_id: last
    type: control/set
    depends_on: [first, check]
    parameters: {values: {n: "{{ nodes.first.n + %d }}"}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store():
    with Store.open(settings().database) as opened:
        yield opened


def shown(capsys, *arguments, code=0):
    assert run(["instances", *arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def soon(look):
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.fixture
def elsewhere(folder, store):
    """Start an instance in another process, and wait until its node ``wait`` runs."""
    started = []

    def start(duration):
        (folder / "slow.yaml").write_text(SLOW % (duration, 1), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "mirror_realm.cli",
            "run",
            "slow.yaml",
            "--engine",
            "local",
            "--json",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        instance = soon(lambda: next(iter(store.instances.list(limit=1)), None))
        soon(lambda: any(r.node_id == "wait" for r in store.executions.for_instance(instance.id)))
        return instance.id, process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_run_in_another_process_is_canceled(elsewhere, capsys):
    id, process = elsewhere("60s")
    assert shown(capsys, "cancel", id)["status"] == "canceled"
    out, _ = process.communicate(timeout=30)
    assert json.loads(out)["status"] == "canceled"
    assert process.returncode == 1
    assert run(["instances", "cancel", id]) == 0
    assert "was canceled before" in capsys.readouterr().out
    assert run(["instances", "pause", id]) == 1
    assert "is canceled" in capsys.readouterr().err


def test_a_run_in_another_process_is_paused_and_resumed_here(elsewhere, capsys):
    id, process = elsewhere("2s")
    assert shown(capsys, "pause", id)["status"] == "paused"
    out, _ = process.communicate(timeout=30)
    assert json.loads(out)["status"] == "paused"
    assert process.returncode == 0
    assert run(["instances", "show", id]) == 0
    assert f"instances resume {id}" in capsys.readouterr().out
    result = shown(capsys, "resume", id, "--engine", "local")
    assert (result["status"], result["output"]) == ("completed", {"n": 2})
    assert {node["attempts"] for node in result["nodes"].values()} == {1}
    assert run(["instances", "resume", id, "--engine", "local"]) == 1
    assert "--from NODE" in capsys.readouterr().err


def test_an_instance_whose_process_was_killed_is_resumed(elsewhere, store, capsys):
    id, process = elsewhere("1s")
    assert run(["instances", "resume", id]) == 1
    assert "--force" in capsys.readouterr().err
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert str(store.instances.get(id).status) == "running"
    result = shown(capsys, "resume", id, "--engine", "local")
    assert (result["status"], result["output"]) == ("completed", {"n": 2})
    assert result["nodes"]["first"]["attempts"] == 1


def test_an_instance_whose_process_was_killed_is_canceled_at_once(elsewhere, capsys):
    id, process = elsewhere("60s")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert shown(capsys, "cancel", id)["status"] == "canceled"


@pytest.fixture
def failed(folder, capsys):
    (folder / "fails.yaml").write_text(FAILS % (1, 1), encoding="utf-8")
    assert run(["run", "fails.yaml", "--engine", "local", "--json"]) == 3
    return json.loads(capsys.readouterr().out)["instance_id"]


def test_a_failure_says_how_to_go_on(failed, capsys):
    assert run(["instances", "show", failed]) == 0
    assert f"instances retry {failed}" in capsys.readouterr().out


def test_a_retry_with_another_input(failed, capsys):
    assert shown(capsys, "retry", failed, "--engine", "local", code=3)["status"] == "failed"
    result = shown(capsys, "retry", failed, "--input", "ok=true", "--engine", "local")
    assert (result["status"], result["nodes"]["check"]["status"]) == ("completed", "skipped")
    assert result["input"] == {"ok": True}
    assert run(["instances", "retry", failed, "--engine", "local"]) == 1
    assert "nothing failed" in capsys.readouterr().err


def test_a_retry_with_another_parameter(failed, capsys):
    options = ("--input", "ok=true", "--set", 'first.values={"n": 5}', "--engine", "local")
    result = shown(capsys, "retry", failed, *options)
    assert (result["status"], result["output"]["last"]) == ("completed", {"n": 6})
    assert result["nodes"]["first"]["attempts"] == 2
    assert shown(capsys, "replay", failed)["differences"] == []


def test_a_retry_onto_another_definition(failed, folder, capsys):
    newer = (FAILS % (1, 7)).replace("1.0.0", "1.1.0")
    (folder / "newer.yaml").write_text(newer, encoding="utf-8")
    options = ("--onto", "newer.yaml", "--input", "ok=true", "--engine", "local")
    result = shown(capsys, "retry", failed, *options)
    assert (result["version"], result["output"]["last"]) == ("1.1.0", {"n": 8})
    (folder / "other.yaml").write_text(newer.replace("n: 1}", "n: 9}"), encoding="utf-8")
    assert run(["instances", "retry", failed, "--onto", "other.yaml", "--engine", "local"]) == 1
    assert "first: its parameters changed" in capsys.readouterr().err


def test_what_is_not_registered_is_not_left_to_serve(failed, capsys):
    assert run(["instances", "retry", failed, "--detach"]) == 1
    assert "registered" in capsys.readouterr().err
    assert run(["register", "fails.yaml"]) == 0
    capsys.readouterr()
    assert shown(capsys, "retry", failed, "--detach") == {
        "instance_id": failed,
        "status": "retrying",
        "requested": "resume",
    }
    assert run(["instances", "retry", failed, "--detach"]) == 0
    assert "already" in capsys.readouterr().out


def test_the_past_of_an_instance(failed, capsys):
    assert run(["instances", "timeline", failed]) == 0
    assert "✗ failed" in capsys.readouterr().out
    entries = shown(capsys, "timeline", failed, "--node", "first")
    assert [entry["after"] for entry in entries] == ["running", "completed"]
    then = shown(capsys, "timeline", failed, "--at", str(entries[0]["sequence"]))
    assert then["nodes"] == {"first": {"status": "running", "attempts": {"1": "running"}}}
    assert (
        shown(capsys, "timeline", failed, "--at", entries[1]["at"])["nodes"]["first"]["status"] == "completed"
    )
    assert run(["instances", "timeline", failed, "--at", "+1h"]) == 0
    assert f"{failed} was failed" in capsys.readouterr().out
    assert run(["instances", "timeline", failed, "--at", "2020-01-01"]) == 1
    assert "NOT_FOUND" in capsys.readouterr().err
    assert run(["instances", "timeline", failed, "--at", "noon"]) == 1
    assert "no moment" in capsys.readouterr().err
    assert run(["instances", "explain", failed, "check"]) == 0
    assert "follows first, which is completed" in capsys.readouterr().out
    assert shown(capsys, "explain", failed, "first")["explanation"]
    assert run(["instances", "explain", failed, "chek"]) == 1
    assert "NOT_FOUND" in capsys.readouterr().err
    assert run(["instances", "replay", failed]) == 0
    assert "as it was" in capsys.readouterr().out


def test_a_signal(store, capsys):
    from mirror_realm.core.status import InstanceStatus
    from mirror_realm.flows.journal import now
    from mirror_realm.store import NewInstance

    new = NewInstance(workflow="w", version="1.0.0", input={}, trigger_type="manual")
    id = store.instances.create(new)[0].id
    store.instances.transition(id, InstanceStatus.RUNNING)
    assert run(["instances", "signal", id]) == 1
    assert "waits for no event" in capsys.readouterr().err
    store.events.wait(id, "n", "order.paid", since=now(), correlation={"order": 7})
    event = shown(capsys, "signal", id, "--payload", "amount=3")
    assert (event["type"], event["payload"], event["correlation"]) == (
        "order.paid",
        {"amount": 3},
        {"order": 7},
    )


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry", "signal", "replay"])
def test_an_unknown_instance_is_the_askers_fault(verb, capsys):
    assert run(["instances", verb, "inst-zzz"]) == 1
    assert "NOT_FOUND" in capsys.readouterr().err
