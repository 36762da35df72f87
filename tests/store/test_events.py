"""Events: recorded once, found by everyone who waits for them, taken once by a node that waits in a loop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.store.correlation import fits, key_of
from mirror_realm.store.events import MAX_EVENT_BYTES

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def emit(store):
    """A function that emits an event of type ``paid`` so many seconds after the start."""

    def emit(seconds=10, type="paid", payload=None, **more):
        return store.events.emit(type, payload, source="test", at=at(seconds), **more)[0]

    return emit


@pytest.fixture
def wait(store, accept):
    """A function that lets a node of one instance wait for ``paid`` since the start."""
    instance = accept()

    def wait(iteration="", node_id="wait", instance_id=instance.id, type="paid", **more):
        return store.events.wait(instance_id, node_id, type, iteration=iteration, **({"since": START} | more))

    return wait


def test_an_event_is_recorded_as_it_is(store):
    payload, correlation = {"amount": 12.5, "谁": ["王"], "n": None}, {"order": 17}
    event, new = store.events.emit("order.paid", payload, source="inst-1/pay", correlation=correlation)
    assert new
    assert event.id.startswith("evt-")
    assert store.events.get(event.id) == event
    assert event.public() == {
        "id": event.id,
        "type": "order.paid",
        "payload": payload,
        "correlation": correlation,
        "source": "inst-1/pay",
        "created_at": event.created_at.isoformat(),
    }


def test_a_key_counts_once(store):
    first, new = store.events.emit("a", 1, source="x", idempotency_key="k")
    second, again = store.events.emit("a", 2, source="x", idempotency_key="k")
    assert (new, again) == (True, False)
    assert second == first
    assert store.events.emit("a", source="x")[0] != store.events.emit("a", source="x")[0]


def test_the_list_is_newest_first_and_can_be_narrowed(store, emit):
    events = [emit(1), emit(2, type="shipped"), emit(3, correlation={"b": 1, "a": 2}), emit(4, correlation=1)]
    assert store.events.list() == events[::-1]
    assert store.events.list("shipped") == [events[1]]
    assert store.events.list(correlation={"a": 2, "b": 1}) == [events[2]]
    assert store.events.list(since=at(3), limit=1) == [events[3]]


@pytest.mark.parametrize(
    "what", [{"payload": "长" * MAX_EVENT_BYTES}, {"correlation": "x" * MAX_EVENT_BYTES}]
)
def test_an_event_is_small(store, what):
    with pytest.raises(RealmError) as caught:
        store.events.emit("a", source="x", **what)
    assert caught.value.code is Code.OUT_OF_RANGE


def test_what_is_not_there_is_not_found(store, emit):
    for ask in (
        lambda: store.events.get("evt-0"),
        lambda: store.events.matching("wait-0"),
        lambda: store.events.satisfy("wait-0", emit().id),
        lambda: store.events.wait("inst-0", "n", "paid", since=START),
    ):
        with pytest.raises(RealmError) as caught:
            ask()
        assert caught.value.code is Code.NOT_FOUND


# correlation

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text()
MAPPINGS = st.dictionaries(st.text(max_size=3), SCALARS, max_size=4)


@given(SCALARS | MAPPINGS)
def test_everything_fits_itself_and_whoever_wants_anything(correlation):
    assert fits(correlation, correlation)
    assert fits(correlation, None)


@given(MAPPINGS, MAPPINGS)
def test_a_mapping_may_have_more_than_is_wanted(wanted, more):
    assert fits({**more, **wanted}, wanted)


@given(SCALARS, SCALARS)
def test_equal_correlations_share_their_key(left, right):
    if left is not None and right is not None:
        assert fits(left, right) == (key_of(left) == key_of(right))


# waiting


def test_a_wait_finds_what_came_and_an_event_finds_who_waits(store, emit, wait):
    fitting, other = emit(1, correlation="o-1"), emit(2, correlation="o-2")
    one, two, anything = (
        wait(node_id=name, correlation=wanted) for name, wanted in (("1", "o-1"), ("2", "o-2"), ("3", None))
    )
    assert store.events.matching(one.id) == [fitting]
    assert store.events.matching(anything.id) == [fitting, other]
    assert store.events.waiting(fitting) == [one, anything]
    assert store.events.waiting(other) == [two, anything]
    assert store.events.waiting(emit(correlation="o-3")) == [anything]
    assert store.events.waiting(emit(type="shipped")) == []


def test_a_mapping_is_wanted_in_part(store, emit, wait):
    whole, part = emit(1, correlation={"order": 1, "site": "b"}), emit(2, correlation={"order": 1})
    waiting = wait(correlation={"order": 1.0, "site": "b"})
    assert store.events.matching(waiting.id) == [whole]
    assert store.events.waiting(whole) == [waiting]
    assert store.events.waiting(part) == []


def test_only_what_came_since_counts(store, emit, wait):
    early, late = emit(1), emit(3)
    waiting = wait(since=at(2))
    assert store.events.matching(waiting.id) == [late]
    assert store.events.waiting(early) == []
    assert store.events.matching(waiting.id, after=late) == []


def test_matches_are_found_behind_any_number_of_others(store, emit, wait):
    with store.transaction():
        for number in range(450):
            emit(1, correlation={"n": number % 150})
    waiting = wait(correlation={"n": 149})
    found = store.events.matching(waiting.id)
    assert len(found) == 3
    assert store.events.matching(waiting.id, limit=1) == found[:1]
    assert store.events.matching(waiting.id, after=found[0]) == found[1:]


def test_whoever_comes_second_sees_what_the_first_did(store, emit, wait):
    first, second, waiting = emit(1), emit(2), wait()
    satisfied = store.events.satisfy(waiting.id, first.id)
    assert (satisfied.state, satisfied.event_id) == ("satisfied", first.id)
    assert satisfied.decided_at is not None
    assert store.events.satisfy(waiting.id, first.id) == satisfied
    assert store.events.satisfy(waiting.id, second.id) == satisfied
    assert store.events.time_out(waiting.id) == satisfied
    assert wait() == satisfied
    assert store.events.waiting(first) == []


def test_an_event_goes_to_everyone_but_to_a_loop_once(store, emit, wait, accept):
    event = emit()
    rounds, other = [wait(str(number)) for number in range(2)], wait(instance_id=accept().id)
    assert store.events.satisfy(rounds[0].id, event.id).state == "satisfied"
    assert store.events.satisfy(rounds[1].id, event.id).state == "waiting"
    assert store.events.matching(rounds[1].id) == []
    assert store.events.satisfy(other.id, event.id).state == "satisfied"
    again = emit()
    assert store.events.matching(rounds[1].id) == [again]


def test_a_wait_ends_at_its_deadline_and_not_before(store, wait):
    soon, later, ever = wait("1", deadline=at(5)), wait("2", deadline=at(9)), wait("3")
    assert store.events.due(at(4)) == []
    assert store.events.due(at(9)) == [soon, later]
    assert store.events.time_out(soon.id, at=at(4)).state == "waiting"
    assert store.events.time_out(soon.id, at=at(5)).state == "timed_out"
    assert store.events.time_out(ever.id, at=at(5)).state == "waiting"
    assert store.events.due(at(9)) == [later]


def test_a_cancelled_wait_can_be_taken_up_again(store, emit, wait):
    waiting = wait(deadline=at(1))
    assert store.events.cancel(waiting.instance_id) == 1
    assert store.events.cancel(waiting.instance_id) == 0
    assert store.events.waiting(emit()) == []
    again = wait(deadline=at(7))
    assert (again.id, again.state, again.deadline, again.decided_at) == (waiting.id, "waiting", at(7), None)


def test_waits_end_with_their_instance(store, emit, wait):
    waiting = wait()
    with store._database.write() as connection:
        connection.exec_driver_sql("DELETE FROM workflow_instances")
    assert store.events.waiting(emit()) == []
    with pytest.raises(RealmError, match=waiting.id):
        store.events.matching(waiting.id)
