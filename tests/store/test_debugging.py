"""Where instances stop and what a person changes of them, on both databases."""

import pytest

from mirror_realm.core.errors import Code, RealmError, Superseded
from mirror_realm.core.status import InstanceStatus
from mirror_realm.store import NewInstance


@pytest.fixture
def instance(store):
    made = store.instances.create(
        NewInstance(workflow="w", version="1.0.0", input={}, trigger_type="manual")
    )[0]
    return store.instances.transition(made.id, InstanceStatus.RUNNING, claimed_by="home:x")


def stop(store, instance, node="a", iteration="", **options):
    given = {"parameters": {"p": 1}, "input": {"i": 2}, "names": {"item": 3}, "scopes": [("", "")]}
    return store.debugging.stop(
        instance.id, node, iteration, "control/set", because="step", **{**given, **options}
    )


def events(store, instance):
    return [event.type for event in store.history.of(instance.id)][2:]


def test_an_instance_that_is_not_debugged_has_nothing(store, instance):
    state = store.debugging.get(instance.id)
    assert (state.stepping, state.breakpoints, state.variables, state.revision) == (False, (), {}, 0)
    assert store.debugging.revisions([instance.id, "inst-none"]) == {}
    with pytest.raises(RealmError) as refused:
        store.debugging.change("inst-none", stepping=True)
    assert refused.value.code is Code.NOT_FOUND


def test_each_change_is_a_revision_and_what_changes_nothing_is_no_event(store, instance):
    store.debugging.change(instance.id, stepping=True, by="ann")
    state = store.debugging.change(instance.id, stepping=True, breakpoints=["each/a[2]"])
    assert (state.stepping, state.breakpoints, state.revision) == (True, ["each/a[2]"], 2)
    store.debugging.change(instance.id, stepping=True)
    assert store.debugging.get(instance.id).revision == 3
    assert events(store, instance) == ["instance.debugged"] * 2
    store.debugging.set(instance.id, "x", None, {"deep": [1]}, by="ann")
    assert store.debugging.get(instance.id).variables == {"x": {"deep": [1]}}
    assert store.debugging.revisions([instance.id]) == {instance.id: 4}


def test_a_long_value_is_whole_in_the_row_and_cut_in_the_event(store, instance):
    store.debugging.set(instance.id, "x", "a", "b" * 5000, by="ann")
    assert store.debugging.get(instance.id).variables["x"] == "b" * 5000
    data = store.history.of(instance.id)[-1].data
    assert (data["old"], len(data["new"]) < 1100) == ("a", True)


def test_a_stop_is_one_until_it_was_passed(store, instance):
    first = stop(store, instance)
    assert stop(store, instance, input={"i": 9}).number == first.number
    assert store.debugging.stops(instance.id)[0].input == {"i": 9}, "as the node would be run now"
    other = stop(store, instance, "each/a", "2")
    assert (other.number, other.label) == (2, "each/a[2]")
    assert [one.number for one in store.debugging.release(instance.id, [1], by="ann")] == [1]
    assert store.debugging.release(instance.id, [1]) == [], "twice in a row"
    store.debugging.passed(instance.id, 1)
    again = stop(store, instance)
    assert (again.number, again.state) == (3, "open"), "a node that is run again stops again"
    store.debugging.drop(instance.id)
    assert [one.state for one in store.debugging.stops(instance.id)] == ["passed", "dropped", "dropped"]
    assert events(store, instance).count("node.stopped") == 3
    assert events(store, instance).count("node.released") == 1
    assert store.history.state_at(instance.id).nodes == {}, "standing is no status"


def test_an_older_life_cannot_stop(store, instance):
    store.instances.transition(instance.id, InstanceStatus.RUNNING)
    with pytest.raises(Superseded):
        stop(store, instance, epoch=instance.epoch)
    assert store.debugging.stops(instance.id) == []


def test_what_was_let_go_is_due_once(store, instance):
    stop(store, instance)
    store.instances.transition(instance.id, InstanceStatus.WAITING)
    assert store.waiting.due("home:x") == []
    store.debugging.release(instance.id)
    assert [one.id for one in store.waiting.due("home:x")] == [instance.id]
    assert store.waiting.due("home:y") == []
    store.debugging.passed(instance.id, 1)
    assert store.waiting.due("home:x") == []
