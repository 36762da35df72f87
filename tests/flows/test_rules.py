"""Joins, retries and placement: the pure rules of the runtime."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.core.errors import POLICIES, Code, ErrorRecord, RealmError
from mirror_realm.core.resources import Gpu, Resources
from mirror_realm.core.status import NodeStatus
from mirror_realm.flows.declarations import Edge, Node, Retry
from mirror_realm.flows.joins import decide, fired
from mirror_realm.flows.placement import place
from mirror_realm.flows.retries import attempts_allowed, next_delay
from mirror_realm.flows.scope import Handle, Scope


def handle(status, *, fail_on_error=True, id="a"):
    scope = Scope(None, None)
    made = Handle(Node(id, "test/add", fail_on_error=fail_on_error), scope)
    made.status = status
    return made


class TestJoins:
    @given(st.integers(0, 6), st.integers(0, 6), st.sampled_from(["any", "all", 1, 2, 3]))
    def test_a_node_runs_exactly_when_enough_edges_fired(self, live, dead, join):
        done = Edge(handle(NodeStatus.COMPLETED))
        edges = [done] * (live + dead)
        verdict = decide(Node("n", "test/add", join=join), edges, edges[:live])
        needed = {"any": 1, "all": live + dead}.get(join, join)
        assert verdict.runs == (not edges or live >= needed)
        assert verdict.runs or verdict.reason

    @pytest.mark.parametrize("status", [NodeStatus.SKIPPED, NodeStatus.CANCELED, NodeStatus.FAILED])
    def test_an_edge_out_of_a_node_that_gave_nothing_is_dead(self, status):
        edge = Edge(handle(status))
        assert not fired(edge, [edge], lambda _: True)

    def test_a_failure_that_may_be_ignored_still_fires(self):
        edge = Edge(handle(NodeStatus.FAILED, fail_on_error=False))
        assert fired(edge, [edge], lambda _: True)

    def test_else_fires_when_no_sibling_did(self):
        source = handle(NodeStatus.COMPLETED)
        yes, other = Edge(source, when="a"), Edge(source, when="else")
        for holds in (True, False):
            assert fired(other, [yes, other], lambda _, h=holds: h) is not holds


class TestRetries:
    @pytest.mark.parametrize("code", list(Code))
    def test_the_taxonomy_decides_without_a_rule(self, code):
        delays = POLICIES[code].delays
        for attempt in range(1, 8):
            delay = next_delay(ErrorRecord(code, ""), attempt)
            if attempt <= len(delays):
                assert delay == pytest.approx(delays[attempt - 1], rel=0.11)
                assert delay <= 60
            else:
                assert delay is None

    def test_a_rule_replaces_it(self):
        rule = Retry(max_attempts=3, initial=0.5, multiplier=10, max=3, jitter=0, on=("INVALID_ARGUMENT",))
        error = ErrorRecord(Code.INVALID_ARGUMENT, "")
        assert [next_delay(error, n, rule) for n in (1, 2, 3)] == [0.5, 3, None]
        assert next_delay(ErrorRecord(Code.TRANSIENT_ERROR, ""), 1, rule) is None

    def test_a_rule_without_codes_never_retries_what_is_final(self):
        assert next_delay(ErrorRecord(Code.NOT_FOUND, ""), 1, Retry(max_attempts=9)) is None

    def test_final_and_retry_after_and_the_types_limit(self):
        transient = Code.TRANSIENT_ERROR
        assert next_delay(ErrorRecord(transient, "", details={"final": True}), 1) is None
        assert next_delay(ErrorRecord(transient, "", details={"retry_after": 7}), 1) == 7
        assert next_delay(ErrorRecord(transient, "", details={"retry_after": 7000}), 1) == 60
        assert next_delay(ErrorRecord(transient, ""), 1, max_attempts=1) is None
        assert attempts_allowed(Retry(max_attempts=5), 2) == 2

    def test_an_absurd_rule_does_not_overflow(self):
        rule = Retry(max_attempts=10**6, initial=1, multiplier=1e9, max=5, jitter=0)
        assert next_delay(ErrorRecord(Code.TRANSIENT_ERROR, ""), 999_999, rule) == 5


CPU = {"tcp://a": {"CPU_MILLIS": 1000.0}, "tcp://b": {"CPU_MILLIS": 1000.0}}
BOTH = {**CPU, "tcp://g": {"CPU_MILLIS": 1000.0, "GPU": 1.0, "VRAM_MB": 8000.0}}


class TestPlacement:
    def test_soft_resources_count_only_where_they_are_declared(self):
        assert place(Resources(memory_mb=10**9), CPU).request == {"CPU_MILLIS": 1000.0}

    def test_preferred_takes_a_gpu_where_there_is_one(self):
        wish = Resources(gpu=Gpu.PREFERRED, gpu_memory_mb=4000)
        assert place(wish, BOTH).gpu
        assert place(wish, BOTH).request["VRAM_MB"] == 4000
        assert not place(wish, CPU).gpu
        assert "GPU" not in place(wish, CPU).request

    def test_preferred_that_fits_no_gpu_runs_on_a_cpu(self):
        assert not place(Resources(gpu=Gpu.PREFERRED, gpu_memory_mb=16_000), BOTH).gpu

    def test_the_impossible_is_refused_with_what_is_missing(self):
        with pytest.raises(RealmError) as caught:
            place(Resources(gpu=Gpu.REQUIRED, gpu_memory_mb=16_000), BOTH)
        assert caught.value.code is Code.INSUFFICIENT_RESOURCES
        assert "VRAM_MB 16000 (it has 8000)" in str(caught.value)
        assert next_delay(caught.value.record, 1) is None

    def test_no_workers_at_all(self):
        with pytest.raises(RealmError, match="no workers"):
            place(Resources(), {})

    def test_custom_resources(self):
        with pytest.raises(RealmError, match="LICENCE 1"):
            place(Resources(custom={"LICENCE": 1}), CPU)
