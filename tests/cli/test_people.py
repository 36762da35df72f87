"""`realm tasks` and `realm events`: people answer, and the world reports, from the command line."""

from __future__ import annotations

import getpass
import json

import pytest

from mirror_realm.cli.app import run
from mirror_realm.core.settings import settings
from mirror_realm.store import NewInstance, Store
from mirror_realm.store.human_tasks import NewHumanTask


@pytest.fixture
def store():
    with Store.open(settings().database) as store:
        yield store


@pytest.fixture
def ask(store):
    """A function that asks 王 and li; options replace what is asked."""
    new = NewInstance(workflow="照片", version="1.0.0", input={}, trigger_type="manual")
    instance = store.instances.create(new)[0].id

    def ask(node_id="ask", **options):
        given = {"instance_id": instance, "node_id": node_id, "title": "发布?", "assignees": ["王", "li"]}
        return store.human_tasks.ask(NewHumanTask(**(given | options)))

    return ask


def test_what_is_open_is_listed_and_can_be_narrowed(ask, capsys):
    mine, _, role = ask("one"), ask("two", assignees=["chen"]), ask("three", assignees=None, role="editor")
    assert run(["tasks", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(part in shown for part in (mine.id, "发布?", "王, li", "role editor", "open"))
    assert run(["tasks", "list", "--as", "王", "--role", "editor", "--json"]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == [role.id, mine.id]
    assert run(["tasks", "list", "--status", "decided"]) == 0
    assert "nobody" in capsys.readouterr().err


def test_one_task_with_its_form_and_decisions(ask, store, capsys):
    form = {"type": "object", "required": ["price"]}
    task = ask(form=form, timeout=3600.0, on_timeout="retry", description="**Look** first", approval="all")
    store.human_tasks.decide(task.id, "li", "approve", comment="好", form={"price": 3})
    assert run(["tasks", "show", task.id[3:9]]) == 0
    shown = capsys.readouterr().out
    for part in (
        task.id,
        "open",
        "发布?",
        "**Look**",
        "王, li",
        "all",
        "then retry",
        '"price"',
        "li approves: 好",
    ):
        assert part in shown
    assert run(["tasks", "show", task.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["decisions"][0]["form"] == {"price": 3}


def test_people_decide(ask, store, tmp_path, capsys):
    task = ask(approval="all", form={"type": "object", "properties": {"price": {"type": "integer"}}})
    file = tmp_path / "form.yaml"
    file.write_text("price: 1\nnote: 好\n", encoding="utf-8")
    assert (
        run(["tasks", "approve", task.id, "--as", "li", "--form-file", str(file), "--form", "price=7"]) == 0
    )
    assert "still open" in capsys.readouterr().out
    assert run(["tasks", "approve", task.id, "--as", "王", "--form", "price=cheap"]) == 1
    assert "form.price" in capsys.readouterr().err
    assert run(["tasks", "reject", task.id, "--as", "王", "--comment", "no", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "rejected"
    decisions = store.human_tasks.get(task.id).decisions
    assert [one["form"] for one in decisions] == [{"price": 7, "note": "好"}, None]


def test_without_a_name_it_is_whoever_is_logged_in(ask, store, monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "li")
    task = ask()
    assert run(["tasks", "approve", task.id]) == 0
    assert store.human_tasks.get(task.id).decisions[0]["by"] == "li"


@pytest.mark.parametrize("command", [["show"], ["approve", "--as", "li"], ["reject", "--as", "mallory"]])
def test_what_cannot_be_is_said_without_a_traceback(ask, capsys, command):
    ask()
    ask("other")
    assert run(["tasks", *command, "ht-none"]) == 1
    assert "ht-none" in capsys.readouterr().err
    assert run(["tasks", *command, "ht-"]) == 1
    assert "more than one" in capsys.readouterr().err


def test_somebody_who_is_not_asked_is_refused(ask, capsys):
    assert run(["tasks", "approve", ask().id, "--as", "mallory"]) == 1
    assert "asked are: 王, li" in capsys.readouterr().err


# events


def test_an_event_is_recorded_once_for_its_key(store, capsys):
    line = [
        "events",
        "emit",
        "order.paid",
        "--payload",
        "order.id=17",
        "--payload",
        "谁=王",
        "--key",
        "k",
        "--json",
    ]
    assert run(line) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["payload"], first["source"], first["new"]) == (
        {"order": {"id": 17}, "谁": "王"},
        "cli",
        True,
    )
    assert run(line[:-1]) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert len(store.events.list()) == 1


def test_events_are_listed_newest_first_and_can_be_narrowed(capsys):
    for type, correlation in (("a", "o-1"), ("b", '{"order": 17}'), ("b", "18")):
        assert run(["events", "emit", type, "--correlation", correlation]) == 0
    capsys.readouterr()
    assert run(["events", "list", "--type", "b"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("18") < shown.index('{"order": 17}')
    assert run(["events", "list", "--correlation", '{"order": 17.0}', "--json"]) == 0
    assert [row["type"] for row in json.loads(capsys.readouterr().out)] == ["b"]


def test_an_event_needs_a_name_and_a_readable_payload(capsys):
    assert run(["events", "list"]) == 0
    assert "realm events emit" in capsys.readouterr().err
    assert run(["events", "emit", "order paid"]) == 1
    assert run(["events", "emit", "a", "--payload", "nothing"]) == 1
    assert "--payload" in capsys.readouterr().err
