"""Sagas, cached results and circuit breakers, on both databases."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from mirror_realm.core.errors import Code, ErrorRecord
from mirror_realm.core.status import InstanceStatus
from mirror_realm.store.cache import LEASE, Computer
from mirror_realm.store.sagas import NewStep

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = ErrorRecord(Code.UNAVAILABLE, "the payment service is down")


def after(seconds):
    return NOW + timedelta(seconds=seconds)


# --- sagas ---


@pytest.fixture
def instance(accept):
    return accept(InstanceStatus.RUNNING)


def register(store, instance, node_id, iteration="", **more):
    store.sagas.register(
        NewStep(
            instance_id=instance.id,
            node_id=node_id,
            iteration=iteration,
            node_type="test/undo",
            parameters={"of": node_id},
            input={"id": 1},
            **more,
        )
    )


def test_steps_are_undone_from_the_last_one_on(store, instance):
    for node_id in ("a", "b", "c"):
        register(store, instance, node_id)
    saga = store.sagas.begin(instance.id, "", "", 1, ERROR)
    steps = store.sagas.of(saga.id)
    assert [step.node_id for step in steps] == ["c", "b", "a"]
    for step in steps:
        store.sagas.undoing(step)
        store.sagas.decide(step, None)
    assert store.sagas.finish(saga.id).status == "compensated"
    assert store.sagas.unfinished(instance.id) == []


def test_a_saga_takes_only_what_is_inside_its_node_and_round(store, instance):
    register(store, instance, "each/pay", "1")
    register(store, instance, "each/pay", "2")
    register(store, instance, "each/inner/ship", "2.0")
    register(store, instance, "each-other", "2")
    register(store, instance, "each_/pay", "2")
    saga = store.sagas.begin(instance.id, "each", "2", 1, ERROR)
    assert [step.label for step in store.sagas.of(saga.id)] == ["each/inner/ship[2.0]", "each/pay[2]"]
    rest = store.sagas.begin(instance.id, "", "", 1, ERROR)
    assert [step.label for step in store.sagas.of(rest.id)] == [
        "each_/pay[2]",
        "each-other[2]",
        "each/pay[1]",
    ]


def test_nothing_to_undo_is_no_saga(store, instance):
    assert store.sagas.begin(instance.id, "", "", 1, ERROR) is None


def test_beginning_again_is_the_same_saga_and_a_crash_leaves_it_unfinished(store, instance):
    register(store, instance, "a")
    saga = store.sagas.begin(instance.id, "tx", "", 1, ERROR)
    assert saga is None
    register(store, instance, "tx/a")
    saga = store.sagas.begin(instance.id, "tx", "", 1, ERROR)
    assert store.sagas.begin(instance.id, "tx", "", 1, ERROR) == saga
    assert store.sagas.unfinished(instance.id) == [saga]
    assert store.sagas.find(instance.id, "tx", "", 1) == saga
    assert saga.error["message"] == "the payment service is down"


def test_a_step_that_cannot_be_undone_fails_the_saga(store, instance):
    register(store, instance, "a")
    register(store, instance, "b")
    saga = store.sagas.begin(instance.id, "", "", 1, ERROR)
    last, first = store.sagas.of(saga.id)
    store.sagas.decide(last, ERROR)
    store.sagas.decide(first, None)
    assert store.sagas.finish(saga.id).status == "compensation_failed"
    assert [(step.node_id, step.status) for step in store.sagas.steps(instance.id)] == [
        ("a", "undone"),
        ("b", "failed"),
    ]


def test_a_step_that_completes_again_can_be_undone_again(store, instance):
    register(store, instance, "a")
    register(store, instance, "b")
    saga = store.sagas.begin(instance.id, "", "", 1, ERROR)
    for step in store.sagas.of(saga.id):
        store.sagas.decide(step, None)
    store.sagas.finish(saga.id)
    register(store, instance, "a")
    again = store.sagas.begin(instance.id, "", "", 2, ERROR)
    assert [step.node_id for step in store.sagas.of(again.id)] == ["a"]
    assert [step.node_id for step in store.sagas.steps(instance.id)] == ["b", "a"]


# --- cached results ---


def computer(owner):
    return Computer(owner=owner, node_type="test/add", workflow="w", node_id="n", instance_id=f"inst-{owner}")


def test_one_computes_and_the_others_wait(store):
    assert store.cache.claim("k", computer("a"), at=NOW).owner == "a"
    waiting = store.cache.claim("k", computer("b"), at=after(1))
    assert (waiting.state, waiting.owner) == ("computing", "a")
    assert store.cache.fill("k", "a", {"value": 1}, at=after(2))
    ready = store.cache.claim("k", computer("b"), at=after(3))
    assert (ready.state, ready.output, ready.instance_id) == ("ready", {"value": 1}, "inst-a")


def test_many_that_ask_at_once_have_one_computer(store):
    owners, barrier = set(), threading.Barrier(6)

    def ask(name):
        barrier.wait()
        owners.add(store.cache.claim("k", computer(name)).owner)

    threads = [threading.Thread(target=ask, args=(f"owner-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(owners) == 1


def test_the_lease_of_a_dead_computer_is_taken_over_and_it_writes_nothing_more(store):
    store.cache.claim("k", computer("a"), at=NOW)
    assert store.cache.beat("k", "a", after(LEASE - 1))
    assert store.cache.claim("k", computer("b"), at=after(2 * LEASE - 2)).owner == "a"
    assert store.cache.claim("k", computer("b"), at=after(2 * LEASE)).owner == "b"
    assert not store.cache.beat("k", "a", after(2 * LEASE))
    assert not store.cache.fill("k", "a", {"value": "old"}, at=after(2 * LEASE))
    store.cache.give_up("k", "a")
    assert store.cache.fill("k", "b", {"value": "new"}, at=after(2 * LEASE))


def test_who_gives_up_leaves_it_to_the_next(store):
    store.cache.claim("k", computer("a"))
    store.cache.give_up("k", "a")
    assert store.cache.claim("k", computer("b")).owner == "b"


def test_a_result_lives_as_long_as_it_was_given_and_as_the_reader_likes(store):
    store.cache.claim("k", computer("a"), at=NOW)
    store.cache.fill("k", "a", 1, ttl=100, at=NOW)
    assert store.cache.claim("k", computer("b"), at=after(99)).state == "ready"
    assert store.cache.claim("k", computer("b"), max_age=50, at=after(49)).state == "ready"
    assert store.cache.claim("k", computer("b"), max_age=50, at=after(51)).owner == "b"
    store.cache.give_up("k", "b")
    store.cache.claim("k", computer("a"), at=NOW)
    store.cache.fill("k", "a", 1, ttl=100, at=NOW)
    assert store.cache.claim("k", computer("c"), at=after(101)).owner == "c"


def test_results_that_are_over_are_removed_when_others_are_kept(store):
    store.cache.claim("old", computer("a"), at=NOW)
    store.cache.fill("old", "a", 1, ttl=10, at=NOW)
    store.cache.claim("new", computer("a"), at=after(11))
    store.cache.fill("new", "a", 1, at=after(11))
    assert store.cache.clear() == 1


def test_clearing_by_workflow_and_node_type_leaves_what_is_being_computed(store):
    for key, workflow, node_type in (("1", "w", "x/a"), ("2", "w", "x/b"), ("3", "v", "x/a")):
        who = Computer(owner="o", node_type=node_type, workflow=workflow, node_id="n", instance_id="i")
        store.cache.claim(key, who)
        store.cache.fill(key, "o", key)
    store.cache.claim("4", computer("o"))
    assert store.cache.clear(workflow="w", node_type="x/a") == 1
    assert store.cache.clear(workflow="v") == 1
    assert store.cache.clear() == 1
    assert store.cache.fill("4", "o", 4)


def test_a_discarded_result_does_not_take_a_newer_one_along(store):
    store.cache.claim("k", computer("a"))
    store.cache.fill("k", "a", 1)
    old = store.cache.claim("k", computer("x"))
    store.cache.discard(old)
    store.cache.claim("k", computer("b"))
    store.cache.fill("k", "b", 2)
    store.cache.discard(old)
    assert store.cache.claim("k", computer("y")).output == 2


# --- circuit breakers ---


def fail(store, at, threshold=3):
    return store.breakers.failed("api", "GET", "503", threshold=threshold, pause=30, at=at)


def test_a_breaker_opens_after_so_many_failures_in_a_row(store):
    assert store.breakers.find("api", "GET") is None
    assert [fail(store, after(n)).state for n in range(3)] == ["closed", "closed", "open"]
    found = store.breakers.find("api", "GET")
    assert found.refuses(after(10))
    assert found.retry_at == after(32)
    assert store.breakers.find("api", "PUT") is None
    assert [one.operation for one in store.breakers.list()] == ["GET"]


def test_a_success_in_between_begins_the_count_anew(store):
    fail(store, NOW)
    fail(store, NOW)
    store.breakers.succeeded("api", "GET", NOW)
    assert fail(store, NOW).state == "closed"


def test_failures_of_calls_under_way_do_not_prolong_the_pause(store):
    for _ in range(3):
        fail(store, NOW)
    assert fail(store, after(20)).retry_at == after(30)


def test_after_the_pause_one_call_probes(store):
    for _ in range(3):
        fail(store, NOW)
    assert store.breakers.probe("api", "GET", 30, after(10)).state == "open"
    assert store.breakers.probe("api", "GET", 30, after(31)) is None
    assert store.breakers.probe("api", "GET", 30, after(32)).state == "half_open"
    store.breakers.succeeded("api", "GET", after(33))
    assert store.breakers.probe("api", "GET", 30, after(33)) is None
    assert store.breakers.find("api", "GET").state == "closed"


def test_a_probe_that_fails_opens_it_again_and_one_that_is_lost_does_not_block(store):
    for _ in range(3):
        fail(store, NOW)
    store.breakers.probe("api", "GET", 30, after(31))
    assert fail(store, after(32)).retry_at == after(62)
    assert store.breakers.probe("api", "GET", 30, after(63)) is None
    assert store.breakers.probe("api", "GET", 30, after(94)) is None
    store.breakers.give_up("api", "GET", after(95))
    assert store.breakers.probe("api", "GET", 30, after(95)) is None


def test_of_many_callers_one_probes(store):
    for _ in range(3):
        fail(store, NOW)
    allowed, barrier = [], threading.Barrier(6)

    def ask():
        barrier.wait()
        allowed.append(store.breakers.probe("api", "GET", 30, after(31)) is None)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert allowed.count(True) == 1
