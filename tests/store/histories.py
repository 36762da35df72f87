"""What must always be true of an instance's events."""

from itertools import pairwise

from mirror_realm.store.history import fold


def assert_history_agrees(store, instance_id):
    """The events count without a gap, each move begins where the last one ended, and folded they are the rows."""
    events = store.history.of(instance_id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    state = store.history.state_at(instance_id)
    row = store.instances.get(instance_id)
    assert (state.status, state.epoch) == (row.status, row.epoch)
    rows = store.executions.for_instance(instance_id)
    assert {key: node.status for key, node in state.nodes.items()} == {
        (one.node_id, one.iteration): one.status for one in rows
    }
    for one in rows:
        attempts = state.nodes[one.node_id, one.iteration].attempts
        assert attempts == {attempt.attempt: attempt.status for attempt in one.attempts}
    moves = [event for event in events if event.node_id is None and event.after]
    assert all(one.after == other.before for one, other in pairwise(moves))


def assert_every_past_agrees(store, instance_id):
    """Each moment of the past is what the events up to it come to."""
    events = store.history.of(instance_id)
    for length in range(1, len(events) + 1):
        assert store.history.state_at(instance_id, sequence=length) == fold(events[:length])
