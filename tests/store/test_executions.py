"""Node executions and attempts: the journal of a run, of its retries and of its accidents."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from mirror_realm.core.errors import Code, ErrorRecord, RealmError
from mirror_realm.core.status import NODE_TRANSITIONS, InstanceStatus, NodeStatus

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def running(accept):
    return accept(InstanceStatus.RUNNING)


@pytest.fixture
def journal(store, running):
    """``begin(node, attempt)`` and ``finish(execution, attempt, status)`` a second apart."""

    class Journal:
        def begin(self, node="enhance-01", attempt=1, **more):
            more.setdefault("started_at", START + timedelta(minutes=attempt))
            return store.executions.begin(running.id, node, "ai/image-enhance", attempt=attempt, **more)

        def finish(self, execution, attempt=1, status=NodeStatus.COMPLETED, **more):
            more.setdefault("completed_at", START + timedelta(minutes=attempt, seconds=1.5))
            store.executions.finish(execution.id, attempt, status=status, **more)

        def one(self, node="enhance-01"):
            (found,) = [one for one in store.executions.for_instance(running.id) if one.node_id == node]
            return found

    return Journal()


def test_a_node_that_runs_well(journal):
    begun = journal.begin(input={"image": "a"}, max_attempts=4, execution_key="inst/enhance-01/")
    assert begun.id.startswith("node-")
    assert (begun.status, begun.max_retries, begun.execution_key) == (
        NodeStatus.RUNNING,
        3,
        "inst/enhance-01/",
    )
    assert begun == journal.one()
    usage, notes = {"cpu_seconds": 1.25}, {"backend": "classical"}
    journal.finish(
        begun, output={"w": 1}, worker="tcp://w:1", device="cuda:0", resource_usage=usage, notes=notes
    )
    done = journal.one()
    assert (done.id, done.status, done.output, done.resource_usage) == (
        begun.id,
        NodeStatus.COMPLETED,
        {"w": 1},
        usage,
    )
    assert (done.started_at, done.duration) == (begun.started_at, 1.5)
    (attempt,) = done.attempts
    assert (attempt.attempt, attempt.status, attempt.duration) == (1, NodeStatus.COMPLETED, 1.5)
    assert (attempt.worker, attempt.device, attempt.notes) == ("tcp://w:1", "cuda:0", notes)


def test_retries_are_attempts_of_one_execution(journal):
    first = journal.begin(max_attempts=3)
    error = ErrorRecord(Code.TRANSIENT_ERROR, "worker died")
    journal.finish(first, status=NodeStatus.RETRYING, error=error, worker="w1")
    waiting = journal.one()
    assert (waiting.status, waiting.completed_at, waiting.duration) == (NodeStatus.RETRYING, None, None)
    second = journal.begin(attempt=2, max_attempts=3)
    assert second.id == first.id
    assert (second.status, second.retry_count, second.error) == (NodeStatus.RUNNING, 1, None)
    journal.finish(second, 2, output={"ok": True}, worker="w2")
    done = journal.one()
    assert [one.status for one in done.attempts] == [NodeStatus.FAILED, NodeStatus.COMPLETED]
    assert [one.worker for one in done.attempts] == ["w1", "w2"]
    assert done.attempts[0].error == error.to_dict()
    assert (done.started_at, done.duration) == (first.started_at, 61.5)


def test_an_attempt_that_a_dead_process_left_open_is_closed(journal):
    journal.begin()
    second = journal.begin(attempt=2)
    assert [one.status for one in second.attempts] == [NodeStatus.FAILED, NodeStatus.RUNNING]
    assert second.attempts[0].error["code"] == "TRANSIENT_ERROR"
    with pytest.raises(RealmError) as caught:  # the dead one was only slow
        journal.finish(second, 1)
    assert caught.value.code is Code.FAILED_PRECONDITION
    journal.finish(second, 2)
    assert journal.one().status is NodeStatus.COMPLETED


def test_a_completed_node_never_runs_again(journal):
    execution = journal.begin()
    journal.finish(execution, output={"n": 1})
    before = journal.one()
    with pytest.raises(RealmError) as caught:
        journal.begin(attempt=2)
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert journal.one() == before


def test_a_reopened_node_runs_again(store, running, journal):
    journal.finish(journal.begin(), output={"n": 1})
    journal.finish(journal.begin("other"))
    assert store.executions.reopen(running.id, ["enhance-01", "unknown"]) == 1
    assert journal.one().status is NodeStatus.RETRYING
    journal.finish(journal.begin(attempt=2), 2, output={"n": 2})
    assert journal.one().output == {"n": 2}
    assert len(journal.one().attempts) == 2


def test_the_same_call_twice_changes_nothing(journal):
    """A caller that lost the connection at commit cannot know, and asks again."""
    first, again = journal.begin(), journal.begin()
    assert first == again
    for _ in range(2):
        journal.finish(first, output={"n": 1})
    assert len(journal.one().attempts) == 1


def test_two_processes_cannot_begin_one_attempt(journal):
    journal.begin(started_at=START)
    with pytest.raises(RealmError, match="two processes") as caught:
        journal.begin(started_at=START + timedelta(microseconds=1))
    assert caught.value.code is Code.ABORTED


def test_an_attempt_ends_once(journal):
    execution = journal.begin()
    journal.finish(execution)
    for status in (NodeStatus.FAILED, NodeStatus.CANCELED, NodeStatus.RETRYING):
        with pytest.raises(RealmError, match="has ended as completed"):
            journal.finish(execution, status=status)
    with pytest.raises(RealmError, match="no attempt 2"):
        journal.finish(execution, 2)
    with pytest.raises(RealmError, match="does not end as skipped"):
        journal.finish(execution, status=NodeStatus.SKIPPED)


def test_iterations_are_executions_of_their_own(store, running, journal):
    for iteration in ("", "0", "1"):
        journal.finish(journal.begin(iteration=iteration), output={"i": iteration})
    outputs = [(one.iteration, one.output["i"]) for one in store.executions.for_instance(running.id)]
    assert sorted(outputs) == [("", ""), ("0", "0"), ("1", "1")]


def test_skipping(store, running, journal):
    def skip(reason):
        store.executions.skip(running.id, "enhance-01", "ai/image-enhance", reason=reason, at=START)

    skip("no edge fired")
    skip("no edge fired: width is 10")
    skipped = journal.one()
    assert (skipped.status, skipped.reason) == (NodeStatus.SKIPPED, "no edge fired: width is 10")
    assert skipped.attempts == ()
    execution = journal.begin()  # a resume decided otherwise
    assert execution.reason is None
    for _ in ("running", "completed"):
        with pytest.raises(RealmError):
            skip("too late")
        if journal.one().status is NodeStatus.RUNNING:
            journal.finish(execution)


def test_cancelling_what_is_open(store, running, journal):
    journal.finish(journal.begin("done"))
    journal.begin("open")
    journal.finish(journal.begin("waiting"), status=NodeStatus.RETRYING)
    at = START + timedelta(minutes=1, seconds=30)
    assert store.executions.cancel_open(running.id, "canceled by a person", at=at) == 2
    found = {one.node_id: one for one in store.executions.for_instance(running.id)}
    assert [found[name].status for name in ("done", "open", "waiting")] == [
        NodeStatus.COMPLETED,
        NodeStatus.CANCELED,
        NodeStatus.CANCELED,
    ]
    assert (found["open"].reason, found["open"].duration) == ("canceled by a person", 30)
    assert found["open"].attempts[0].status is NodeStatus.CANCELED
    assert found["waiting"].attempts[0].status is NodeStatus.FAILED
    assert store.executions.cancel_open(running.id, "again") == 0


def test_an_unknown_instance_has_no_nodes(store):
    with pytest.raises(RealmError) as caught:
        store.executions.begin("inst-none", "a", "x/y", attempt=1)
    assert caught.value.code is Code.NOT_FOUND
    assert store.executions.for_instance("inst-none") == []


@pytest.mark.parametrize("status", [s for s in NodeStatus if s is not NodeStatus.PENDING])
def test_the_store_moves_nodes_as_the_table_says(store, running, journal, status):
    """Whatever the store allows is a step of the table, or two over retrying (an explicit resume)."""

    def arrange():
        if status is NodeStatus.SKIPPED:
            store.executions.skip(running.id, "enhance-01", "ai/image-enhance", reason="r")
        else:
            execution = journal.begin()
            if status is not NodeStatus.RUNNING:
                journal.finish(execution, status=status)
        return journal.one()

    before = arrange()
    attempts = len(before.attempts)
    tries = {
        NodeStatus.RUNNING: lambda: journal.begin(attempt=attempts + 1),
        NodeStatus.SKIPPED: lambda: store.executions.skip(
            running.id, "enhance-01", "ai/image-enhance", reason="r"
        ),
        NodeStatus.RETRYING: lambda: store.executions.reopen(running.id, ["enhance-01"]),
    }
    steps = {status, *NODE_TRANSITIONS[status]}
    if NodeStatus.RETRYING in steps:
        steps |= NODE_TRANSITIONS[NodeStatus.RETRYING]
    for new, attempt in tries.items():
        with contextlib.suppress(RealmError):
            attempt()
        now = journal.one().status
        assert now in steps, (status, new, now)
        if now is not status:
            return


def test_errors_of_any_shape_are_journaled(journal):
    execution = journal.begin()
    details = {"object": object, "bytes": b"\x00", "nan": float("nan"), "path": "\udcff", "set": {1, 2}}
    journal.finish(
        execution,
        status=NodeStatus.FAILED,
        error=ErrorRecord(Code.INTERNAL_ERROR, "NUL \x00 and \udcff", details=details, traceback="t"),
        notes={"odd": object()},
    )
    error = journal.one().error
    assert error["message"] == "NUL \\u0000 and \\udcff"
    assert error["details"]["nan"] == "NaN"
    assert error["details"]["set"] == [1, 2]
    assert error["details"]["path"] == "\\udcff"


def test_an_output_that_is_no_json_is_refused(journal):
    execution = journal.begin()
    with pytest.raises(RealmError, match="not a JSON value") as caught:
        journal.finish(execution, output={"image": object()})
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert journal.one().status is NodeStatus.RUNNING
    assert journal.one().attempts[0].status is NodeStatus.RUNNING
