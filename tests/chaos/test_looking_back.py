"""What the campaign checks of undoing, of people and of order: that it can fail."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from chaos.blocks import Asking, Outcome, Transaction, Work
from chaos.evidence import Evidence
from chaos.invariants import check
from chaos.ledger import Ledger
from chaos.people import Answer, People
from chaos.questions import BOSS, Question
from mirror_realm.core.errors import Code, ErrorRecord
from mirror_realm.core.status import InstanceStatus, NodeStatus
from mirror_realm.store import NewHumanTask, NewInstance, Store
from mirror_realm.store.sagas import NewStep

FAILURE = ErrorRecord(Code.ABORTED, "it fails as drawn")


class Past:
    """An instance whose journal is written by hand, as a runtime with faults might."""

    def __init__(self, folder, part):
        self.part, self.ledger = part, Ledger(folder / "ledger")
        self.store = Store.open(f"sqlite:///{folder / 'past.db'}")
        new = NewInstance(workflow="past", version="1.0.0", input={}, trigger_type="manual")
        self.id = self.store.instances.create(new)[0].id
        self.store.instances.transition(self.id, InstanceStatus.RUNNING)
        self.answers = []

    def begin(self, node_id, type="chaos/work", attempt=1):
        return self.store.executions.begin(self.id, node_id, type, attempt=attempt).id

    def end(self, row, status=NodeStatus.COMPLETED, attempt=1, output=None):
        error = None if status is NodeStatus.COMPLETED else FAILURE
        self.store.executions.finish(row, attempt, status=status, error=error, output=output)

    def ran(self, node_id, attempt=1, key=None):
        """A node that begins, has its effect, and completes; how to undo it is registered."""
        row = self.begin(node_id, attempt=attempt)
        label = key or node_id
        self.ledger.write("begin", f"{self.id}/{label}", attempt)
        self.ledger.write("effect", f"{self.id}/{label}", attempt)
        self.end(row, attempt=attempt)
        if not node_id.endswith("!compensate"):
            step = NewStep(
                instance_id=self.id, node_id=node_id, iteration="", node_type="chaos/work", parameters={},
                input={}, retry=None, error=None,
            )  # fmt: skip
            self.store.sagas.register(step)

    def undo(self, node_id, attempt, *nodes):
        """Undo nodes inside another, in this order."""
        saga = self.store.sagas.begin(self.id, node_id, "", attempt, FAILURE)
        steps = {step.node_id: step for step in self.store.sagas.of(saga.id)}
        for node in nodes:
            self.ran(f"{node}!compensate")
            self.store.sagas.decide(steps[node], None)

    def wrong(self, status=InstanceStatus.COMPLETED):
        if not self.store.instances.get(self.id).status.terminal:
            self.store.instances.transition(self.id, status, error=FAILURE if status == "failed" else None)
        evidence = Evidence(self.store, self.id, self.part, self.ledger, answers=self.answers)
        return check(evidence, None).wrong


@pytest.fixture
def past(tmp_path):
    made = []

    def make(*part):
        made.append(Past(tmp_path, list(part)))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def work(id, **more):
    return Work(id, Outcome(attempts=2), **more)


def undoable(id):
    return work(id, undo=Outcome())


TRANSACTION = Transaction("tx", [undoable("a"), undoable("b"), work("c")], False, tries=2)


def tried(past, *undone):
    """The first try of the transaction, of which these were undone."""
    tx = past.begin("tx", "control/transaction")
    past.ran("tx/a")
    past.ran("tx/b")
    past.end(past.begin("tx/c"), NodeStatus.FAILED)
    past.undo("tx", 1, *undone)
    past.end(tx, NodeStatus.RETRYING)
    return past.begin("tx", "control/transaction", attempt=2)


def test_what_still_stands_when_a_transaction_begins_again_is_found(past):
    one = past(TRANSACTION)
    tried(one, "tx/b")
    assert any("before the next" in wrong and "('tx/a', '')" in wrong for wrong in one.wrong())


def test_undoing_in_another_order_is_found(past):
    one = past(TRANSACTION)
    tried(one, "tx/a", "tx/b")
    assert any("was undone after what had completed before it" in wrong for wrong in one.wrong())


def test_a_completed_transaction_that_was_undone_is_found(past):
    one = past(Transaction("tx", [undoable("a")], False))
    tx = one.begin("tx", "control/transaction")
    one.ran("tx/a")
    one.undo("tx", 1, "tx/a")
    one.end(tx)
    wrong = one.wrong()
    assert any("('tx', '') completed, and" in one for one in wrong)
    assert any("although nothing around it failed" in one for one in wrong)


def test_a_failed_transaction_that_was_undone_is_right(past):
    one = past(TRANSACTION)
    tx = tried(one, "tx/b", "tx/a")
    one.end(tx, NodeStatus.FAILED, attempt=2)
    assert one.wrong(InstanceStatus.FAILED) == []


def test_a_node_older_than_what_is_before_it_is_found(past):
    one = past(work("a"), work("b"))
    for node in ("b", "a"):
        one.ran(node)
    assert any("('a'" not in wrong and "b[] began before a had ended" in wrong for wrong in one.wrong())


def test_a_cancel_that_is_not_heard_is_found(past):
    one = past(work("a"))
    one.store.instances.ask(one.id, "cancel")
    late = datetime.now(UTC) + timedelta(seconds=10)
    row = one.store.executions.begin(one.id, "a", "chaos/work", attempt=1, started_at=late)
    one.end(row.id)
    assert any("a cancel is heard: a began 10.0 s after" in wrong for wrong in one.wrong())


QUESTION = Question("all", {"li": True, "wang": True})
ASKING = Asking("ask", QUESTION, work("yes"), work("no"), work("last"))


def asked(past):
    row = past.begin("ask", "control/human-task")
    new = NewHumanTask(
        instance_id=past.id, node_id="ask", title="?", assignees=["li", "wang"], approval="all"
    )
    return row, past.store.human_tasks.ask(new)


def answered(past, task, *people):
    for person in people:
        past.answers.append(Answer(task.id, person, True, 1, "", ("",)))


def test_an_answer_that_was_accepted_and_is_lost_is_found(past):
    one = past(ASKING)
    row, task = asked(one)
    answered(one, task, "li", "wang")
    one.store.human_tasks.decide(task.id, "li", "approve")
    one.end(row, output={})
    wrong = one.wrong()
    assert any("'wang', True) was accepted, and is there 0 times" in found for found in wrong)
    assert any("is still open" in found for found in wrong)
    assert any("is open, and its node completed" in found for found in wrong)


def test_an_answer_that_nobody_gave_is_found(past):
    one = past(ASKING)
    row, task = asked(one)
    answered(one, task, "li")
    for person in ("li", "wang"):
        task = one.store.human_tasks.decide(task.id, person, "approve")
    one.end(row, output=task.result())
    assert [found for found in one.wrong() if "every decision" in found] == [
        "every decision counts once: ask: (1, 'wang', True) is there, and nobody gave it"
    ]


def test_an_outcome_that_was_not_drawn_is_found(past):
    one = past(ASKING)
    row, task = asked(one)
    one.answers.append(Answer(task.id, "li", False, 1, "", ("",)))
    task = one.store.human_tasks.decide(task.id, "li", "reject")
    one.end(row, output=task.result())
    assert any("is rejected, drawn approved" in found for found in one.wrong())


def test_a_refusal_that_does_not_fit_is_found(past):
    one = past(ASKING)
    _, task = asked(one)
    one.answers.append(Answer(task.id, "stranger", True, 1, "", ("PERMISSION_DENIED",)))
    assert any("was to be one of ('PERMISSION_DENIED',)" in found for found in one.wrong())


@pytest.mark.parametrize(
    ("question", "approved", "before"),
    [
        (Question("any", {"a": False, "b": True}), True, {"a": False, "b": True}),
        (Question("any", {"a": False, "b": False}, withheld=True), False, {"a": False}),
        (Question("all", {"a": True, "b": False}, withheld=True), False, {"a": True}),
        (
            Question("quorum", {"a": True, "b": False, "c": True}, 2, withheld=True),
            True,
            {"a": True, "b": False},
        ),
        (Question("sequential", {"a": True, "b": True}, withheld=True), True, {"a": True}),
        (Question("any", {"a": True}, role=True, withheld=True, on_timeout="reject"), False, {}),
        (Question("all", {"a": True}, withheld=True, on_timeout="escalate", boss=False), False, {}),
    ],
)
def test_what_a_question_comes_to(question, approved, before):
    assert question.approved is approved
    assert question.before() == before
    assert question.told([BOSS], timed_out=True) == {BOSS: question.boss}


def test_people_answer_until_it_is_decided(past):
    one = past(ASKING)
    _, task = asked(one)
    people = People(one.store, one.ledger, {"ask": QUESTION}, 7, often=1.0)
    people.start()
    try:
        end = time.monotonic() + 30
        while one.store.human_tasks.get(task.id).status == "open" and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        people.stop()
    assert one.store.human_tasks.get(task.id).outcome == "approved"
    refused = {answer.got for answer in people.answers}
    assert {"", "PERMISSION_DENIED", "ALREADY_EXISTS"} <= refused
    assert all(answer.got in answer.fitting for answer in people.answers)
    assert {line.what for line in one.ledger.lines()} == {"asked", "answered"}
