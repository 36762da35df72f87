"""`realm instances`: what ran, from a real journal."""

from __future__ import annotations

import json

import pytest

from mirror_realm.cli.app import run
from mirror_realm.core.settings import settings
from mirror_realm.core.status import InstanceStatus, NodeStatus
from mirror_realm.store import NewInstance, Store


@pytest.fixture
def journal():
    with Store.open(settings().database) as store:
        yield store


def instance(store: Store, workflow: str = "照片", *, fails: bool = False) -> str:
    """One finished instance of two nodes, the second skipped."""
    new = NewInstance(workflow=workflow, version="1.0.0", input={"n": 1}, trigger_type="manual")
    id = store.instances.create(new)[0].id
    store.instances.transition(id, InstanceStatus.RUNNING)
    begun = store.executions.begin(id, "first", "x/y", attempt=1)
    if fails:
        error = {
            "code": "DATA_CORRUPTED",
            "message": "cut off",
            "hint": "copy it again",
            "traceback": "secret trace",
        }
        store.executions.finish(begun.id, 1, status=NodeStatus.FAILED, error=error, worker="w0")
        store.instances.transition(id, InstanceStatus.FAILED, error=error)
        return id
    store.executions.finish(
        begun.id, 1, status=NodeStatus.COMPLETED, output={"width": 7}, worker="w0", device="cpu"
    )
    store.executions.skip(id, "second", "x/z", reason="its condition is false")
    store.instances.transition(id, InstanceStatus.COMPLETED, output={"width": 7})
    return id


def test_without_an_instance_it_says_how_to_make_one(capsys):
    assert run(["instances", "list"]) == 0
    assert "realm run" in capsys.readouterr().err
    assert run(["instances", "show"]) == 1
    assert "realm run" in capsys.readouterr().err


def test_the_list_is_newest_first_and_can_be_narrowed(journal, capsys):
    first, second = instance(journal), instance(journal, "other", fails=True)
    assert run(["instances", "list"]) == 0
    shown = capsys.readouterr().out
    assert shown.index(second) < shown.index(first)
    assert "✗ failed" in shown
    assert "DATA_CORRUPTED" in shown
    assert run(["instances", "list", "--status", "completed", "--json"]) == 0
    assert [row["instance_id"] for row in json.loads(capsys.readouterr().out)] == [first]
    assert run(["instances", "list", "--workflow", "other", "-n", "1", "--json"]) == 0
    assert [row["instance_id"] for row in json.loads(capsys.readouterr().out)] == [second]


def test_more_than_the_limit_is_said(journal, capsys):
    for _ in range(3):
        instance(journal)
    run(["instances", "list", "-n", "2"])
    assert "2 of 3" in capsys.readouterr().err


def test_one_instance_with_its_nodes(journal, capsys):
    id = instance(journal)
    assert run(["instances", "show", id]) == 0
    shown = capsys.readouterr().out
    for part in (id, "照片 1.0.0", "first", "w0 cpu", "second", "its condition is false", "width", "7"):
        assert part in shown


def test_the_newest_and_an_abbreviated_id_are_found(journal, capsys):
    instance(journal)
    newest = instance(journal)
    for arguments in ([], [newest[:10]], [newest.removeprefix("inst-")[:6]]):
        assert run(["instances", "show", *arguments, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["instance_id"] == newest


def test_an_ambiguous_or_unknown_id_is_the_askers_fault(journal, capsys):
    instance(journal)
    instance(journal)
    assert run(["instances", "show", "inst-"]) == 1
    assert "more than one" in capsys.readouterr().err
    assert run(["instances", "show", "inst-zzz"]) == 1
    assert "NOT_FOUND" in capsys.readouterr().err


def test_a_failure_shows_no_traceback(journal, capsys):
    id = instance(journal, fails=True)
    assert run(["instances", "show", id]) == 0
    assert "copy it again" in capsys.readouterr().out
    assert run(["instances", "show", id, "--json"]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown)["nodes"]["first"]["error"]["code"] == "DATA_CORRUPTED"
    assert "secret trace" not in shown
