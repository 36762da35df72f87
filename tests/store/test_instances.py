"""Instances: accepted once, claimed once, moved along the table only."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mirror_realm.core.errors import Code, ErrorRecord, RealmError
from mirror_realm.core.status import INSTANCE_TRANSITIONS, InstanceStatus
from mirror_realm.store import NewInstance, Store

NEW = NewInstance(workflow="photos", version="1.0.0", input={"n": 1}, trigger_type="manual")


def test_an_accepted_instance(store):
    instance, created = store.instances.create(
        replace(NEW, trigger_payload={"path": "/nas/照片 1.jpg"}, timeout=86400, definition_hash="sha256:1")
    )
    assert created
    assert instance.status is InstanceStatus.PENDING
    assert instance.input == {"n": 1}
    assert instance.trigger_payload == {"path": "/nas/照片 1.jpg"}
    assert instance.timeout == 86400
    assert store.instances.get(instance.id) == instance
    with pytest.raises(FrozenInstanceError):
        instance.status = InstanceStatus.RUNNING  # pyright: ignore[reportAttributeAccessIssue]


def test_a_key_is_accepted_once_per_workflow(store):
    first, _ = store.instances.create(replace(NEW, idempotency_key="sha"))
    again, created = store.instances.create(replace(NEW, idempotency_key="sha", input={"n": 2}))
    assert (again, created) == (first, False)
    _, created = store.instances.create(replace(NEW, idempotency_key="sha", workflow="other"))
    assert created
    for _ in range(2):
        _, created = store.instances.create(NEW)
        assert created


def test_threads_with_one_key_make_one_instance(store):
    new = replace(NEW, idempotency_key="k")
    with ThreadPoolExecutor(6) as threads:
        made = list(threads.map(lambda _: store.instances.create(new), range(24)))
    assert sum(created for _, created in made) == 1
    assert len({instance.id for instance, _ in made}) == 1


def _accept(url, barrier, outcome):
    with Store.open(url) as store:
        barrier.wait()
        outcome.put([store.instances.create(replace(NEW, idempotency_key=f"k{n}"))[1] for n in range(50)])


def test_processes_with_the_same_keys_make_one_instance_each(database_url):
    spawn = multiprocessing.get_context("spawn")
    barrier, outcome = spawn.Barrier(2), spawn.Queue()
    processes = [spawn.Process(target=_accept, args=(database_url, barrier, outcome)) for _ in range(2)]
    for process in processes:
        process.start()
    first, second = (outcome.get(timeout=150) for _ in processes)
    for process in processes:
        process.join(30)
    assert [one + other for one, other in zip(first, second, strict=True)] == [1] * 50
    with Store.open(database_url) as store:
        assert store.instances.count() == 50


def test_listing(store):
    made = [store.instances.create(replace(NEW, workflow=name))[0] for name in ("a", "b", "a")]
    store.instances.transition(made[0].id, InstanceStatus.RUNNING)
    newest_first = [one.id for one in reversed(made)]
    assert [one.id for one in store.instances.list()] == newest_first
    assert [one.id for one in store.instances.list(limit=1, offset=1)] == newest_first[1:2]
    assert [one.id for one in store.instances.list(InstanceStatus.RUNNING)] == [made[0].id]
    assert [one.id for one in store.instances.list(workflow="b")] == [made[1].id]
    assert store.instances.list(trigger_type="schedule") == []
    assert [one.id for one in store.instances.list(since=made[1].created_at, until=made[2].created_at)] == [
        made[1].id
    ]
    assert store.instances.count() == 3
    assert store.instances.count(workflow="a", status=InstanceStatus.PENDING) == 1


def test_moments_are_utc_whatever_zone_they_came_in(store, accept):
    instance = accept()
    beijing = datetime(2026, 11, 21, 20, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    running = store.instances.transition(instance.id, InstanceStatus.RUNNING, at=beijing)
    assert running.started_at == beijing
    assert running.started_at.tzinfo is UTC
    assert store.instances.get(instance.id).started_at == beijing
    with pytest.raises(RealmError, match="time zone"):
        store.instances.transition(instance.id, InstanceStatus.COMPLETED, at=datetime(2026, 11, 21))


def test_a_life(store, accept):
    instance = accept()
    start = datetime(2026, 11, 21, 12, tzinfo=UTC)
    running = store.instances.transition(instance.id, InstanceStatus.RUNNING, flow_run_id="run-1", at=start)
    assert (running.started_at, running.flow_run_id) == (start, "run-1")
    failed = store.instances.transition(
        instance.id,
        InstanceStatus.FAILED,
        error=ErrorRecord(Code.NOT_FOUND, "no file", details={"path": "x"}),
        at=start + timedelta(seconds=1.5),
    )
    assert failed.error == {"code": "NOT_FOUND", "message": "no file", "details": {"path": "x"}}
    assert (failed.duration, failed.completed_at) == (1.5, start + timedelta(seconds=1.5))
    retrying = store.instances.transition(instance.id, InstanceStatus.RETRYING)
    assert (retrying.error, retrying.completed_at, retrying.duration, retrying.retry_count) == (
        None,
        None,
        None,
        1,
    )
    store.instances.transition(instance.id, InstanceStatus.RUNNING, at=start + timedelta(seconds=9))
    done = store.instances.transition(
        instance.id, InstanceStatus.COMPLETED, output={"tags": ["猫"]}, at=start + timedelta(seconds=10)
    )
    assert (done.started_at, done.duration, done.output, done.error) == (start, 10, {"tags": ["猫"]}, None)


def test_running_again_is_another_life(store, accept):
    instance = accept(InstanceStatus.RUNNING)
    again = store.instances.transition(instance.id, InstanceStatus.RUNNING, flow_run_id="second")
    assert again == replace(instance, flow_run_id="second", epoch=2)
    last = store.instances.transition(instance.id, InstanceStatus.RUNNING)
    assert last == replace(again, epoch=3)


def test_requests(store, accept):
    instance = accept(InstanceStatus.RUNNING, claimed_by="me")
    assert store.instances.requests() == {}
    store.instances.ask(instance.id, "pause", by="li")
    assert store.instances.requests() == {instance.id: "pause"}
    paused = store.instances.transition(instance.id, InstanceStatus.PAUSED)
    assert paused.requested is None
    assert store.instances.claim(1, "other") == []
    store.instances.ask(instance.id, "resume")
    store.instances.ask(instance.id, "resume")
    assert [one.id for one in store.instances.claim(1, "other")] == [instance.id]
    assert store.instances.claim(1, "third") == []
    assert store.instances.release("other") == 1
    (claimed,) = store.instances.claim(2, "third")
    running = store.instances.transition(claimed.id, InstanceStatus.RUNNING)
    assert (running.requested, running.claimed_by, running.epoch) == (None, "third", 2)
    store.instances.ask(instance.id, "cancel")
    assert store.instances.ask(instance.id, "pause").requested == "cancel"
    assert store.instances.transition(instance.id, InstanceStatus.PAUSED).requested == "cancel"
    assert store.instances.transition(instance.id, InstanceStatus.CANCELED).requested is None


@pytest.mark.parametrize("old", InstanceStatus)
def test_only_the_table_moves_an_instance(store, accept, old):
    """Every pair of statuses, legal and not; an illegal one changes nothing."""
    for new in InstanceStatus:
        instance = accept()
        for step in _way_to(old):
            instance = store.instances.transition(instance.id, step)
        taken_up = old is new and new in (InstanceStatus.RUNNING, InstanceStatus.COMPENSATING)
        if taken_up or new in INSTANCE_TRANSITIONS[old]:
            assert store.instances.transition(instance.id, new).status is new
        else:
            with pytest.raises(RealmError) as caught:
                store.instances.transition(instance.id, new, output={"never": 1})
            assert caught.value.code is Code.FAILED_PRECONDITION
            assert store.instances.get(instance.id) == instance


def _way_to(status):
    if status is InstanceStatus.PENDING:
        return ()
    if status is InstanceStatus.RETRYING:
        return (InstanceStatus.FAILED, status)
    return (InstanceStatus.RUNNING,) if status is InstanceStatus.RUNNING else (InstanceStatus.RUNNING, status)


def test_of_two_ends_at_once_one_counts(store, accept):
    for _ in range(5):
        instance = accept(InstanceStatus.RUNNING)

        def end(status, id=instance.id):
            try:
                return store.instances.transition(id, status).status
            except RealmError as error:
                return error.code

        with ThreadPoolExecutor(2) as threads:
            outcomes = list(threads.map(end, (InstanceStatus.COMPLETED, InstanceStatus.CANCELED)))
        assert outcomes.count(Code.FAILED_PRECONDITION) == 1
        assert store.instances.get(instance.id).status in outcomes


def test_unknown_instances(store):
    for call in (store.instances.get, lambda id: store.instances.transition(id, InstanceStatus.RUNNING)):
        with pytest.raises(RealmError) as caught:
            call("inst-none")
        assert caught.value.code is Code.NOT_FOUND


def test_claims_go_by_priority_then_age(store):
    made = [store.instances.create(replace(NEW, priority=p))[0].id for p in (5, 9, 0, 5)]
    claimed = store.instances.claim(3, "me")
    assert [one.id for one in claimed] == [made[2], made[0], made[3]]
    assert {(one.status, one.claimed_by) for one in claimed} == {(InstanceStatus.PENDING, "me")}
    assert [one.id for one in store.instances.claim(3, "other")] == [made[1]]
    assert store.instances.claim(3, "other") == []


def test_released_claims_can_be_claimed_again(store):
    ids = {store.instances.create(NEW)[0].id for _ in range(3)}
    running = store.instances.claim(1, "me")[0].id
    store.instances.transition(running, InstanceStatus.RUNNING)
    store.instances.claim(1, "me")
    store.instances.claim(1, "other")
    assert store.instances.release("me") == 1  # the running one is past claims
    assert store.instances.release() == 0
    assert {one.id for one in store.instances.claim(9, "third")} < ids
    assert store.instances.release(lease=0) == 2
    assert len(store.instances.claim(9, "fourth")) == 2


def _claim_all(url, owner, barrier, outcome):
    with Store.open(url) as store:
        barrier.wait()
        mine = []
        while claimed := store.instances.claim(3, owner):
            mine += [one.id for one in claimed]
        outcome.put(mine)


def test_two_dispatchers_never_claim_the_same(store, database_url):
    ids = {store.instances.create(NEW)[0].id for _ in range(60)}
    spawn = multiprocessing.get_context("spawn")
    barrier, outcome = spawn.Barrier(2), spawn.Queue()
    processes = [
        spawn.Process(target=_claim_all, args=(database_url, n, barrier, outcome)) for n in ("a", "b")
    ]
    for process in processes:
        process.start()
    first, second = (outcome.get(timeout=150) for _ in processes)
    for process in processes:
        process.join(30)
    assert len(first) + len(second) == 60
    assert set(first) | set(second) == ids
    assert not set(first) & set(second)


@pytest.mark.parametrize(
    ("field", "value"),
    [("priority", 10), ("project_id", "none"), ("workflow_id", "wf-none"), ("workflow", "x" * 256)],
)
def test_a_wrong_field_is_refused_and_nothing_kept(store, field, value):
    with pytest.raises(RealmError) as caught:
        store.instances.create(replace(NEW, **{field: value}))
    assert caught.value.code in (Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.INVALID_ARGUMENT)
    assert store.instances.count() == 0
