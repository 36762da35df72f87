"""Events of instances: the whole past, any moment of it, and only one writer."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from mirror_realm.core.errors import Code, RealmError, Superseded
from mirror_realm.core.status import InstanceStatus, NodeStatus
from mirror_realm.store import Store, history
from mirror_realm.store.history_models import InstanceSnapshotRow
from tests.store.histories import assert_every_past_agrees, assert_history_agrees

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


@pytest.fixture
def past(store, accept):
    """An instance of two nodes: the first fails once, the second is skipped."""
    instance = accept()
    running = store.instances.transition(instance.id, InstanceStatus.RUNNING, at=at(0))
    write = {"epoch": running.epoch}
    first = store.executions.begin(instance.id, "甲", "x/y", attempt=1, started_at=at(1), **write)
    failed = {"status": NodeStatus.RETRYING, "error": {"code": "TRANSIENT_ERROR", "message": "m"}}
    store.executions.finish(first.id, 1, completed_at=at(2), worker="w0", **failed, **write)
    store.executions.begin(instance.id, "甲", "x/y", attempt=2, started_at=at(3), **write)
    store.executions.finish(
        first.id, 2, completed_at=at(4), status=NodeStatus.COMPLETED, output={"secret": 1}, **write
    )
    store.executions.skip(instance.id, "乙", "x/y", iteration="3", reason="no edge" * 100, at=at(5), **write)
    store.instances.transition(instance.id, InstanceStatus.COMPLETED, output={"n": 1}, at=at(6), **write)
    return instance.id


def test_every_change_is_an_event(store, past):
    told = [
        (one.sequence, one.type, one.node_id, one.iteration, one.attempt, one.before, one.after)
        for one in store.history.of(past)
    ]
    assert told == [
        (1, "instance.accepted", None, None, None, None, "pending"),
        (2, "instance.moved", None, None, None, "pending", "running"),
        (3, "node.began", "甲", "", 1, None, "running"),
        (4, "node.ended", "甲", "", 1, "running", "retrying"),
        (5, "node.began", "甲", "", 2, "retrying", "running"),
        (6, "node.ended", "甲", "", 2, "running", "completed"),
        (7, "node.skipped", "乙", "3", None, None, "skipped"),
        (8, "instance.moved", None, None, None, "running", "completed"),
    ]
    events = store.history.of(past)
    assert events[3].data == {"worker": "w0", "code": "TRANSIENT_ERROR"}
    assert "secret" not in str(events)
    assert len(events[6].data["reason"]) == 300
    assert [one.sequence for one in store.history.of(past, after=5, limit=2)] == [6, 7]
    assert_history_agrees(store, past)
    assert_every_past_agrees(store, past)


@pytest.mark.parametrize(
    ("seconds", "status", "nodes"),
    [
        (0, "running", {}),
        (1.5, "running", {("甲", ""): "running"}),
        (2.5, "running", {("甲", ""): "retrying"}),
        (5, "running", {("甲", ""): "completed", ("乙", "3"): "skipped"}),
        (99, "completed", {("甲", ""): "completed", ("乙", "3"): "skipped"}),
    ],
)
def test_any_moment_can_be_rebuilt(store, past, seconds, status, nodes):
    state = store.history.state_at(past, moment=at(seconds))
    assert (state.status, {key: node.status for key, node in state.nodes.items()}) == (status, nodes)


@pytest.mark.parametrize("every", [1, 2, 3, 100])
def test_what_is_kept_of_a_long_past_changes_nothing(store, past, monkeypatch, every):
    monkeypatch.setattr(history, "SNAPSHOT_EVERY", every)
    events = store.history.of(past)
    for length in (8, 3, 7, 1, 5, 8):
        assert store.history.state_at(past, sequence=length) == history.fold(events[:length])
    with store.history._database.read() as connection:
        kept = list(connection.execute(select(InstanceSnapshotRow.sequence)).scalars())
    # Each after as many events as there are nodes, at least: eight events, two nodes.
    assert kept == {1: [1, 2, 3, 4, 5, 6, 7], 2: [2, 4, 6, 8], 3: [3, 6], 100: []}[every]


def test_a_long_past_is_read_once(store, accept, monkeypatch):
    """Later questions begin at what was kept, also two at once."""
    monkeypatch.setattr(history, "SNAPSHOT_EVERY", 50)
    instance = accept(InstanceStatus.RUNNING)
    for number in range(120):
        store.executions.skip(instance.id, "甲", "x/y", iteration=str(number), reason="no", at=at(number))
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(store.history.state_at, [instance.id] * 2)
    assert first == second
    read = []
    of = store.history.of

    def counted(*args, **more):
        found = of(*args, **more)
        read.append(len(found))
        return found

    monkeypatch.setattr(store.history, "of", counted)
    assert store.history.state_at(instance.id) == first
    assert sum(read) < 100 < len(of(instance.id))


def test_before_it_was_accepted_there_was_none(store, past):
    for when in ({"moment": at(-1)}, {"sequence": 0}):
        with pytest.raises(RealmError, match="no instance") as caught:
            store.history.state_at(past, **when)
        assert caught.value.code is Code.NOT_FOUND


def test_repeating_a_call_tells_nothing_new(store, accept):
    instance = accept(InstanceStatus.RUNNING)
    for _ in range(2):
        begun = store.executions.begin(instance.id, "a", "x/y", attempt=1, started_at=at(0))
    for _ in range(2):
        store.executions.finish(begun.id, 1, status=NodeStatus.COMPLETED, completed_at=at(1))
    assert len(store.history.of(instance.id)) == 4
    assert_history_agrees(store, instance.id)


def test_a_change_that_fails_tells_nothing(store, accept):
    instance = accept(InstanceStatus.RUNNING)
    begun = store.executions.begin(instance.id, "a", "x/y", attempt=1)
    with pytest.raises(RealmError):
        store.executions.finish(begun.id, 1, status=NodeStatus.COMPLETED, output={"image": object()})
    with pytest.raises(RealmError):
        store.instances.transition(instance.id, InstanceStatus.RETRYING)
    assert len(store.history.of(instance.id)) == 3


def test_a_life_that_is_over_writes_nothing(store, accept):
    zombie = accept(InstanceStatus.RUNNING)
    begun = store.executions.begin(zombie.id, "a", "x/y", attempt=1, epoch=zombie.epoch)
    present = store.instances.transition(zombie.id, InstanceStatus.RUNNING)
    for write in (
        lambda epoch: store.executions.finish(begun.id, 1, status=NodeStatus.COMPLETED, epoch=epoch),
        lambda epoch: store.executions.skip(zombie.id, "b", "x/y", reason="r", epoch=epoch),
        lambda epoch: store.executions.begin(zombie.id, "c", "x/y", attempt=1, epoch=epoch),
        lambda epoch: store.executions.cancel_open(zombie.id, "over", epoch=epoch),
        lambda epoch: store.instances.transition(zombie.id, InstanceStatus.COMPLETED, epoch=epoch),
    ):
        with pytest.raises(Superseded, match="life 1, the present one is 2") as caught:
            write(zombie.epoch)
        assert caught.value.code is Code.ABORTED
        write(present.epoch)
    assert_history_agrees(store, zombie.id)


def test_many_nodes_are_changed_at_once(store, accept):
    instance = accept(InstanceStatus.RUNNING)
    for n in range(600):
        store.executions.begin(instance.id, "each/a", "x/y", attempt=1, iteration=str(n))
    assert store.executions.cancel_open(instance.id, "over", under="each/") == 600
    assert store.executions.reopen(instance.id, ["each/a"]) == 600
    assert store.executions.cancel_open(instance.id, "over") == 600
    assert store.executions.reopen(instance.id, [("each/a", "7"), ("each/a", "none"), ("other", "")]) == 1
    events = store.history.of(instance.id)
    assert len(events) == 2 + 4 * 600 + 1
    assert [e.iteration for e in events[602:605]] == ["0", "1", "2"]
    state = store.history.state_at(instance.id)
    assert state.nodes["each/a", "7"].status is NodeStatus.RETRYING
    assert state.nodes["each/a", "8"].status is NodeStatus.CANCELED


def test_definitions_are_kept_once(store):
    assert store.definitions.get("sha256:1") is None
    store.definitions.keep("sha256:1", {"name": "照片"}, "/nas/photos.yaml")
    store.definitions.keep("sha256:1", {"name": "照片"}, "/elsewhere.yaml")
    kept = store.definitions.get("sha256:1")
    assert kept is not None
    assert (kept.document, kept.source_name) == ({"name": "照片"}, "/nas/photos.yaml")


def test_instances_from_before_the_events_get_theirs(empty_url):
    """A database of the revision before: its rows become events that agree with them."""
    from alembic import command

    from mirror_realm.store import NewInstance, migrate
    from mirror_realm.store.engine import Database

    with Store.open(empty_url) as store:
        new = NewInstance(workflow="w", version="1.0.0", input={}, trigger_type="manual")
        ids = [store.instances.create(new)[0].id for _ in range(3)]
        for id in ids[1:]:
            store.instances.transition(id, InstanceStatus.RUNNING)
            begun = store.executions.begin(id, "a", "x/y", attempt=1)
            store.executions.finish(begun.id, 1, status=NodeStatus.RETRYING)
            store.executions.begin(id, "a", "x/y", attempt=2)
            store.executions.skip(id, "b", "x/y", reason="r")
        store.executions.finish(begun.id, 2, status=NodeStatus.COMPLETED)
        store.instances.transition(ids[2], InstanceStatus.FAILED)
    database = Database(empty_url)
    with database.write() as connection:
        command.downgrade(migrate.config(connection), "0004")
    database.close()
    with Store.open(empty_url) as store:
        for id in ids:
            assert_history_agrees(store, id)


def test_a_failure_stands_until_what_is_around_it_begins_again(store, accept):
    instance = accept(InstanceStatus.RUNNING)
    around, inside = ("each", ""), ("each/a", "3")

    def begin(node, attempt):
        return store.executions.begin(instance.id, *node[:1], "x/y", attempt=attempt, iteration=node[1]).id

    def fail(execution, attempt, status=NodeStatus.FAILED):
        store.executions.finish(
            execution, attempt, status=status, error={"code": "TRANSIENT_ERROR", "message": "m"}
        )

    def stands(node, owner=None):
        return store.history.failures(instance.id).stands(node, owner)

    each = begin(around, 1)
    assert not stands(inside, around)
    fail(begin(inside, 1), 1)
    assert stands(inside, around)
    fail(each, 1, NodeStatus.RETRYING)
    begin(around, 2)
    assert not stands(inside, around)  # It failed the attempt before.
    fail(begin(inside, 2), 2)
    assert stands(inside, around)
    fail(each, 2)
    assert stands(around)
    store.instances.transition(instance.id, InstanceStatus.FAILED, error={"code": "ABORTED", "message": "m"})
    store.instances.transition(instance.id, InstanceStatus.RETRYING)
    assert not stands(around)
    assert not stands(inside, around)
