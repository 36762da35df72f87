"""Any sequence of calls keeps an instance on the table of transitions, and what it says true."""

import uuid

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from mirror_realm.core.errors import Code, RealmError, Superseded
from mirror_realm.core.status import INSTANCE_TRANSITIONS, InstanceStatus, NodeStatus
from mirror_realm.store import NewInstance, Store
from tests.store.histories import assert_history_agrees


class Lifecycle(RuleBasedStateMachine):
    """A model of one instance with two nodes beside the store's."""

    store: Store

    @initialize()
    def accept(self):
        new = NewInstance(workflow=uuid.uuid4().hex, version="1.0.0", input={}, trigger_type="manual")
        self.instance, _ = self.store.instances.create(new)
        self.status, self.retries, self.output = InstanceStatus.PENDING, 0, None
        self.nodes = {}
        self.attempts = {"a": 0, "b": 0}

    @rule(new=st.sampled_from(InstanceStatus), output=st.none() | st.integers())
    def move(self, new, output):
        legal = new in INSTANCE_TRANSITIONS[self.status]
        repeat = self.status is new and new in (InstanceStatus.RUNNING, InstanceStatus.COMPENSATING)
        try:
            self.store.instances.transition(self.instance.id, new, output=output)
        except RealmError as error:
            assert error.code is Code.FAILED_PRECONDITION  # noqa: PT017 - both outcomes are checked
            assert not legal
            assert not repeat
            return
        assert legal or repeat
        if repeat:
            return
        if new is InstanceStatus.RETRYING:
            self.retries, self.output = self.retries + 1, None
        self.output = self.output if output is None else output
        self.status = new

    @rule(request=st.sampled_from(["cancel", "pause", "resume"]))
    def ask(self, request):
        self.store.instances.ask(self.instance.id, request)

    @rule(nodes=st.sets(st.sampled_from("ab")))
    def reopen(self, nodes):
        decided = {node for node in nodes if self.nodes.get(node) and self.nodes[node].terminal}
        assert self.store.executions.reopen(self.instance.id, [(node, "") for node in nodes]) == len(decided)
        self.nodes |= dict.fromkeys(decided, NodeStatus.RETRYING)

    @rule(behind=st.integers(1, 3), node=st.sampled_from("ab"))
    def a_zombie_writes_nothing(self, behind, node):
        epoch = self.store.instances.get(self.instance.id).epoch - behind
        before = self.store.history.of(self.instance.id)
        attempt = self.attempts[node] + 1
        for write in (
            lambda: self.store.executions.begin(self.instance.id, node, "x/y", attempt=attempt, epoch=epoch),
            lambda: self.store.executions.skip(self.instance.id, node, "x/y", reason="r", epoch=epoch),
            lambda: self.store.executions.cancel_open(self.instance.id, "r", epoch=epoch),
            lambda: self.store.instances.transition(self.instance.id, InstanceStatus.FAILED, epoch=epoch),
        ):
            with pytest.raises(Superseded):
                write()
        assert self.store.history.of(self.instance.id) == before

    @rule(owner=st.sampled_from("xy"), limit=st.integers(0, 3))
    def claim(self, owner, limit):
        taken = {one.id for one in self.store.instances.claim(limit, owner)}
        if self.instance.id in taken:
            assert self.status is InstanceStatus.PENDING or self.before.requested == "resume"
            assert self.before.claimed_by is None

    @rule(owner=st.sampled_from("xy"))
    def release(self, owner):
        self.store.instances.release(owner)
        now = self.store.instances.get(self.instance.id)
        assert self.status is not InstanceStatus.PENDING or now.claimed_by != owner

    @rule(node=st.sampled_from("ab"))
    def begin(self, node):
        try:
            self.store.executions.begin(self.instance.id, node, "x/y", attempt=self.attempts[node] + 1)
        except RealmError:
            assert self.nodes.get(node) is NodeStatus.COMPLETED
        else:
            assert self.nodes.get(node) is not NodeStatus.COMPLETED
            self.nodes[node] = NodeStatus.RUNNING
            self.attempts[node] += 1

    @rule(node=st.sampled_from("ab"), status=st.sampled_from(NodeStatus))
    def finish(self, node, status):
        found = {one.node_id: one for one in self.store.executions.for_instance(self.instance.id)}
        if node not in found or not self.attempts[node]:
            return
        ends = (NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.CANCELED, NodeStatus.RETRYING)
        try:
            self.store.executions.finish(found[node].id, self.attempts[node], status=status)
        except RealmError:
            assert self.nodes[node] is not NodeStatus.RUNNING or status not in ends
        else:
            assert self.nodes[node] is NodeStatus.RUNNING
            self.nodes[node] = status

    @rule(node=st.sampled_from("ab"))
    def skip(self, node):
        try:
            self.store.executions.skip(self.instance.id, node, "x/y", reason="no edge fired")
        except RealmError:
            assert self.nodes[node] in (NodeStatus.RUNNING, NodeStatus.COMPLETED)
        else:
            self.nodes[node] = NodeStatus.SKIPPED

    @rule()
    def cancel(self):
        open_nodes = [node for node, status in self.nodes.items() if not status.terminal]
        assert self.store.executions.cancel_open(self.instance.id, "enough") == len(open_nodes)
        self.nodes |= dict.fromkeys(open_nodes, NodeStatus.CANCELED)

    @invariant()
    def the_journal_agrees(self):
        now = self.before = self.store.instances.get(self.instance.id)
        assert (now.status, now.retry_count, now.output) == (self.status, self.retries, self.output)
        assert (now.completed_at is not None) == now.status.terminal
        assert now.duration is None or now.duration >= 0
        assert_history_agrees(self.store, self.instance.id)
        executions = {one.node_id: one for one in self.store.executions.for_instance(self.instance.id)}
        assert {node: one.status for node, one in executions.items()} == self.nodes
        for node, one in executions.items():
            assert [attempt.attempt for attempt in one.attempts] == list(range(1, self.attempts[node] + 1))
            running = [attempt for attempt in one.attempts if attempt.status is NodeStatus.RUNNING]
            assert len(running) == (one.status is NodeStatus.RUNNING)
            assert (one.completed_at is not None) == one.status.terminal


EXAMPLES = {"sqlite": 50, "postgresql": 12}


@pytest.mark.slow
def test_any_life_stays_on_the_table(database_url):
    with Store.open(database_url) as store:
        Lifecycle.store = store
        run_state_machine_as_test(
            Lifecycle,
            settings=settings(
                max_examples=EXAMPLES[database_url.partition(":")[0]],
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
