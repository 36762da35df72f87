"""Tasks of people: who may decide, when, with which form, and what happens when nobody does."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.store.human_tasks import MAX_FORM_BYTES, NewHumanTask

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600.0
FORM = {
    "type": "object",
    "required": ["amount"],
    "properties": {"amount": {"type": "number", "maximum": 100}},
    "additionalProperties": False,
}


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


@pytest.fixture
def ask(store, accept):
    """A function that asks 王 and li; options replace what is asked."""
    instance = accept()

    def ask(**options):
        given = {"instance_id": instance.id, "node_id": "ask", "title": "发布?", "assignees": ["王", "li"]}
        return store.human_tasks.ask(NewHumanTask(**(given | options)), at=START)

    return ask


def refused(call, *arguments, **options) -> RealmError:
    with pytest.raises(RealmError) as caught:
        call(*arguments, **options)
    return caught.value


def test_a_task_is_asked_once(store, ask):
    task = ask(timeout=HOUR, form=FORM, description="**bold**")
    assert task.id.startswith("ht-")
    assert (task.status, task.outcome, task.deadline, task.round) == ("open", None, at(1), 1)
    assert store.human_tasks.get(task.id) == task
    assert ask(title="another") == task
    assert ask(iteration="1").id != task.id
    assert refused(ask, instance_id="inst-0").code is Code.NOT_FOUND
    assert refused(store.human_tasks.get, "ht-0").code is Code.NOT_FOUND


def test_the_decision_that_counts_decides(store, ask):
    task = ask(approval="all")
    decide = store.human_tasks.decide
    open_ = decide(task.id, "王", "approve", comment="好", at=at(1))
    assert (open_.status, len(open_.decisions)) == ("open", 1)
    done = decide(task.id, "li", "approve", form={"n": 1}, at=at(2))
    assert (done.status, done.outcome, done.decided_at) == ("decided", "approved", at(2))
    assert done.result() == {
        "task_id": task.id,
        "outcome": "approved",
        "timed_out": False,
        "form": {"n": 1},
        "decisions": [
            {
                "by": "王",
                "decision": "approve",
                "comment": "好",
                "form": None,
                "at": at(1).isoformat(),
                "round": 1,
            },
            {
                "by": "li",
                "decision": "approve",
                "comment": None,
                "form": {"n": 1},
                "at": at(2).isoformat(),
                "round": 1,
            },
        ],
    }
    assert ask() == done


def test_the_same_decision_again_changes_nothing_a_second_thought_is_refused(store, ask):
    task, decide = ask(approval="all"), store.human_tasks.decide
    once = decide(task.id, "li", "approve", comment="ok")
    assert decide(task.id, "li", "approve", comment="ok") == once
    assert refused(decide, task.id, "li", "reject").code is Code.ALREADY_EXISTS
    done = decide(task.id, "王", "approve")
    assert decide(task.id, "li", "approve", comment="ok") == done
    assert refused(decide, task.id, "li", "approve").code is Code.ALREADY_EXISTS


def test_only_those_who_are_asked_decide(store, ask):
    decide = store.human_tasks.decide
    error = refused(decide, ask().id, "mallory", "approve")
    assert error.code is Code.PERMISSION_DENIED
    assert "王" in (error.hint or "")
    of_role = ask(iteration="2", assignees=None, role="editor")
    assert refused(decide, of_role.id, "li", "approve", roles=["reader"]).code is Code.PERMISSION_DENIED
    assert decide(of_role.id, "li", "reject", roles=["reader", "editor"]).outcome == "rejected"


def test_a_task_that_is_over_takes_no_decision(store, ask):
    decide = store.human_tasks.decide
    decided, canceled = ask(iteration="1"), ask(iteration="2")
    decide(decided.id, "li", "approve")
    assert store.human_tasks.cancel(canceled.instance_id) == 1
    for task in (decided, canceled):
        assert refused(decide, task.id, "王", "approve").code is Code.FAILED_PRECONDITION
    again = ask(iteration="2", timeout=HOUR)
    assert (again.id, again.status, again.round, again.deadline) == (canceled.id, "open", 2, at(1))


def test_people_take_turns_where_the_order_matters(store, ask):
    task, decide = ask(approval="sequential"), store.human_tasks.decide
    error = refused(decide, task.id, "li", "approve")
    assert error.code is Code.FAILED_PRECONDITION
    assert "王" in error.record.message
    assert store.human_tasks.list(person="li") == []
    decide(task.id, "王", "approve")
    assert [one.id for one in store.human_tasks.list(person="li")] == [task.id]
    assert decide(task.id, "li", "reject").outcome == "rejected"


@pytest.mark.parametrize(
    ("form", "field"),
    [(None, "form"), ({}, "form"), ({"amount": 101}, "form.amount"), ({"amount": 1, "x": 2}, "form")],
)
def test_an_approval_fills_in_the_form(store, ask, form, field):
    task, decide = ask(form=FORM), store.human_tasks.decide
    error = refused(decide, task.id, "li", "approve", form=form)
    assert error.code is Code.INVALID_ARGUMENT
    assert [one["field"] for one in error.record.details["field_violations"]] == [field]
    assert store.human_tasks.get(task.id).decisions == []
    assert decide(task.id, "li", "approve", form={"amount": 99.5}).result()["form"] == {"amount": 99.5}


def test_a_rejection_need_not_fill_it_in(store, ask):
    assert store.human_tasks.decide(ask(form=FORM).id, "li", "reject").status == "open"
    large = {"text": "长" * MAX_FORM_BYTES}
    error = refused(store.human_tasks.decide, ask(iteration="2").id, "li", "approve", form=large)
    assert error.code is Code.OUT_OF_RANGE


# the timeout


@pytest.mark.parametrize("on_timeout", ["approve", "reject", "retry", "escalate"])
def test_after_the_deadline_it_is_too_late(store, ask, on_timeout):
    task = ask(timeout=HOUR, on_timeout=on_timeout, escalate_to=["boss"])
    error = refused(store.human_tasks.decide, task.id, "li", "approve", at=at(1.1))
    assert error.code is Code.FAILED_PRECONDITION
    assert on_timeout in (error.hint or "")
    assert store.human_tasks.decide(task.id, "li", "approve", at=at(1)).status == "decided"


@pytest.mark.parametrize("on_timeout", ["approve", "reject"])
def test_a_timeout_may_decide(store, ask, on_timeout):
    task = ask(timeout=HOUR, on_timeout=on_timeout)
    assert store.human_tasks.time_out(task.id, at=at(0.9)) == (task, None)
    assert [one.id for one in store.human_tasks.due(at(1))] == [task.id]
    done, action = store.human_tasks.time_out(task.id, at=at(1))
    assert action == on_timeout
    assert (done.status, done.timed_out) == ("decided", True)
    assert done.result() == {
        "task_id": task.id,
        "outcome": {"approve": "approved", "reject": "rejected"}[on_timeout],
        "timed_out": True,
        "decisions": [],
        "form": None,
    }
    assert store.human_tasks.time_out(task.id, at=at(2)) == (done, None)
    assert store.human_tasks.due(at(9)) == []


def test_a_reminder_goes_on_waiting(store, ask):
    task = ask(timeout=HOUR, approval="all")
    store.human_tasks.decide(task.id, "li", "approve", at=at(0.5))
    reminded, action = store.human_tasks.time_out(task.id, at=at(1))
    assert (action, reminded.deadline, reminded.round) == ("notify", at(2), 1)
    assert store.human_tasks.time_out(task.id, at=at(1.5)) == (reminded, None)
    assert [step["action"] for step in reminded.escalations] == ["notify"]
    assert store.human_tasks.decide(task.id, "王", "approve", at=at(9)).outcome == "approved"


def test_an_escalation_hands_it_over(store, ask):
    task = ask(timeout=HOUR, approval="all", on_timeout="escalate", escalate_to=["boss", "chief"])
    store.human_tasks.decide(task.id, "li", "approve", at=at(0.5))
    escalated, action = store.human_tasks.time_out(task.id, at=at(1))
    assert (action, escalated.assignees, escalated.approval) == ("escalate", ["boss", "chief"], "any")
    assert (escalated.round, escalated.deadline) == (2, at(2))
    assert {key: escalated.escalations[0][key] for key in ("from", "to")} == {
        "from": ["王", "li"],
        "to": ["boss", "chief"],
    }
    assert refused(store.human_tasks.decide, task.id, "王", "approve").code is Code.PERMISSION_DENIED
    assert store.human_tasks.time_out(task.id, at=at(2))[1] == "notify"
    done = store.human_tasks.decide(task.id, "chief", "approve", at=at(9))
    assert done.outcome == "approved"
    assert [one["by"] for one in done.decisions] == ["li", "chief"]


def test_a_retry_asks_everybody_anew(store, ask):
    task = ask(timeout=HOUR, approval="all", on_timeout="retry")
    store.human_tasks.decide(task.id, "li", "reject", at=at(0.5))
    task = ask(iteration="2", timeout=HOUR, approval="all", on_timeout="retry")
    store.human_tasks.decide(task.id, "li", "approve", at=at(0.5))
    again, action = store.human_tasks.time_out(task.id, at=at(1))
    assert (action, again.round, again.deadline, again.present) == ("retry", 2, at(2), [])
    store.human_tasks.decide(task.id, "li", "approve", at=at(1.5))
    done = store.human_tasks.decide(task.id, "王", "approve", at=at(1.6))
    assert (done.outcome, len(done.decisions)) == ("approved", 3)


# finding, and racing


def test_lists_are_of_a_status_an_instance_or_a_person(store, ask, accept):
    mine, role = ask(iteration="1"), ask(iteration="2", assignees=None, role="editor")
    other = ask(instance_id=accept().id, assignees=["chen"])

    def ids(**options):
        return {task.id for task in store.human_tasks.list(**options)}

    assert ids() == {mine.id, role.id, other.id}
    assert ids(person="王") == {mine.id}
    assert ids(person="王", roles=["editor"]) == {mine.id, role.id}
    assert ids(instance_id=other.instance_id) == {other.id}
    assert len(store.human_tasks.list(limit=1)) == 1
    store.human_tasks.decide(mine.id, "王", "reject")
    assert ids(person="王") == set()
    assert ids(status="open") == {mine.id, role.id, other.id}
    store.human_tasks.decide(mine.id, "li", "reject")
    assert ids(status="decided") == {mine.id}


def test_decisions_at_the_same_time_all_count(store, ask):
    people = [f"p{number}" for number in range(8)]
    task = ask(assignees=people, approval="all")
    barrier, failures = threading.Barrier(len(people)), []

    def decide(person):
        barrier.wait()
        try:
            store.human_tasks.decide(task.id, person, "approve")
        except RealmError as error:
            failures.append(error)

    threads = [threading.Thread(target=decide, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    done = store.human_tasks.get(task.id)
    assert {one["by"] for one in done.decisions} == set(people)
    assert done.outcome == "approved"
