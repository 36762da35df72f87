"""Runs under the local engine: order, joins, skipping, retries, timeouts, failure, resume. Real store, real threads."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from mirror_realm.core.errors import RealmError
from mirror_realm.core.settings import settings
from mirror_realm.core.status import InstanceStatus
from mirror_realm.flows import Retry, Run, edge, node, workflow
from mirror_realm.flows.environment import Environment, home_id, use
from mirror_realm.flows.journal import Journal
from mirror_realm.flows.results import instance_result
from mirror_realm.flows.runners import ThreadRunner
from mirror_realm.store import NewInstance, Store

FAST = Retry(max_attempts=3, initial=0.01, jitter=0)


@pytest.fixture
async def env(home):
    with Store.open(settings().database) as store:
        journal, runner, events = Journal(store), ThreadRunner(4), []
        environment = Environment(journal, runner, settings(), (Path(home.parent),), events.append)
        environment_and_more = type("Env", (), {"store": store, "events": events, "environment": environment})
        with use(environment):
            yield environment_and_more
        await runner.close()
        journal.close()


def declare(**options):
    return workflow("test-flow", "1.0.0", **options)


async def run(env, build, input=None, **options):
    """Run ``build(run)``; the instance's result as JSON."""
    made = Run(declare(**options), input)
    with contextlib.suppress(RealmError):
        async with made:
            build(made)
    return instance_result(env.store, made.instance_id)


def statuses(result):
    return {name: row["status"] for name, row in result["nodes"].items()}


async def test_a_chain_passes_values_on(env):
    def build(r):
        one = r.start(node("one", "test/add", parameters={"amount": 2}))
        r.start(node("two", "test/add", parameters={"amount": "{{ nodes.one.value * 10 }}"}), after=one)

    result = await run(env, build, {"value": 1})
    assert result["status"] == "completed"
    assert result["output"] == {"two": {"value": 33}}
    assert result["nodes"]["one"]["attempts"] == 1


async def test_a_diamond_with_one_branch_not_taken_completes(env):
    def build(r):
        top = r.start(node("top", "test/add"))
        high = r.start(node("high", "test/add"), after=edge(top, when="nodes.top.value > 100"))
        low = r.start(node("low", "test/add"), after=edge(top, when="else"))
        beyond = r.start(node("beyond", "test/add"), after=high)
        r.start(node("join", "test/add"), after=[beyond, low])

    result = await run(env, build, {"value": 1})
    assert result["status"] == "completed"
    assert statuses(result) == {
        "top": "completed", "high": "skipped", "low": "completed", "beyond": "skipped", "join": "completed",
    }  # fmt: skip
    assert "no edge into it was taken" in result["nodes"]["beyond"]["reason"]
    assert result["output"] == {"join": {"value": 4}}


async def test_join_all_of_exclusive_branches_is_skipped_never_hangs(env):
    def build(r):
        top = r.start(node("top", "test/add"))
        a = r.start(node("a", "test/add"), after=edge(top, when="nodes.top.value > 0"))
        b = r.start(node("b", "test/add"), after=edge(top, when="else"))
        r.start(node("both", "test/add", join="all"), after=[a, b])

    result = await run(env, build)
    assert statuses(result)["both"] == "skipped"
    assert result["status"] == "completed"


async def test_a_guard_skips_its_node(env):
    result = await run(
        env, lambda r: r.start(node("n", "test/add", when="{{ input.value > 5 }}")), {"value": 1}
    )
    assert statuses(result) == {"n": "skipped"}
    assert "guard" in result["nodes"]["n"]["reason"]


async def test_mapping_moves_fields_and_input_replaces_merging(env):
    def build(r):
        a = r.start(node("a", "test/echo", parameters={"k": [1, {"x": 2}]}))
        b = r.start(
            node("b", "test/echo"),
            after=edge(a, mapping={"deep.er": "$.parameters.k[1].x", "kind": "premium"}),
        )
        r.start(node("c", "test/echo", input={"only": "{{ nodes.b.input.deep.er + 1 }}"}), after=b)

    result = await run(env, build)
    assert result["nodes"]["b"]["output"]["input"] == {"deep": {"er": 2}, "kind": "premium"}
    assert result["output"]["c"]["input"] == {"only": 3}


async def test_a_transient_failure_is_retried_and_journaled(env):
    result = await run(env, lambda r: r.start(node("f", "test/fail", parameters={"times": 2}, retry=FAST)))
    row = result["nodes"]["f"]
    assert row["status"] == "completed"
    assert [a["status"] for a in row["history"]] == ["failed", "failed", "completed"]
    assert row["history"][0]["error"]["code"] == "TRANSIENT_ERROR"


async def test_a_final_failure_fails_the_instance_and_starts_nothing_more(env):
    def build(r):
        bad = r.start(node("bad", "test/fail", parameters={"code": "INVALID_ARGUMENT"}, at="flow.yaml:3:1"))
        r.start(node("never", "test/add"), after=bad)

    result = await run(env, build)
    assert result["status"] == "failed"
    assert result["error"]["code"] == "INVALID_ARGUMENT"
    assert result["error"]["message"].startswith("node 'bad': attempt 1 fails")
    assert result["error"]["details"]["at"] == "flow.yaml:3:1"
    assert "never" not in result["nodes"]


async def test_fail_on_error_false_goes_on_and_shows_the_failure(env):
    def build(r):
        bad = r.start(node("bad", "test/fail", parameters={"code": "NOT_FOUND"}, fail_on_error=False))
        r.start(node("after", "test/echo"), after=bad)

    result = await run(env, build)
    assert result["status"] == "completed"
    assert result["nodes"]["after"]["output"]["input"]["error"]["code"] == "NOT_FOUND"


async def test_a_fault_of_a_node_keeps_its_traceback_in_the_journal_only(env):
    result = await run(env, lambda r: r.start(node("c", "test/crash", retry=Retry(max_attempts=1))))
    assert result["error"]["code"] == "INTERNAL_ERROR"
    assert "ZeroDivisionError" in result["error"]["exception"]
    assert "traceback" not in result["error"]
    stored = env.store.instances.get(result["instance_id"]).error
    assert "a fault of the node" in stored["traceback"]


async def test_a_bad_template_fails_its_node_with_a_sentence(env):
    result = await run(
        env, lambda r: r.start(node("n", "test/add", parameters={"amount": "{{ input.nothing + 1 }}"}))
    )
    assert result["status"] == "failed"
    assert result["nodes"]["n"]["status"] == "failed"
    assert result["error"]["code"] == "INVALID_ARGUMENT"


async def test_node_timeout(env):
    declared = node("s", "test/sleep", parameters={"seconds": 30}, timeout=0.2, retry=Retry(max_attempts=1))
    result = await run(env, lambda r: r.start(declared))
    assert result["error"]["code"] == "NODE_EXECUTION_TIMEOUT"


async def test_instance_timeout_ends_everything(env):
    result = await run(
        env, lambda r: r.start(node("s", "test/sleep", parameters={"seconds": 30})), timeout=0.3
    )
    assert result["status"] == "failed"
    assert result["error"]["code"] == "DEADLINE_EXCEEDED"
    assert result["nodes"]["s"]["status"] == "canceled"


async def test_independent_nodes_run_at_the_same_time(env, tmp_path):
    ledger = str(tmp_path / "ledger")

    def build(r):
        for name in "ab":
            r.start(node(name, "test/sleep", parameters={"seconds": 0.3, "ledger": ledger}))

    await run(env, build)
    words = [line.split()[-1] for line in Path(ledger).read_text().splitlines()]
    assert words == ["start", "start", "end", "end"]


async def test_cancelling_the_run_cancels_the_instance(env):
    made = Run(declare())

    async def flow():
        async with made:
            made.start(node("s", "test/sleep", parameters={"seconds": 30}))

    task = asyncio.create_task(flow())
    while not any(e["type"] == "node" and e["status"] == "running" for e in env.events):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    result = instance_result(env.store, made.instance_id)
    assert result["status"] == "canceled"
    assert statuses(result) == {"s": "canceled"}


async def test_an_interrupted_instance_is_carried_on_without_repeating_what_completed(env, tmp_path):
    ledger = str(tmp_path / "ledger")
    new = NewInstance(workflow="test-flow", version="1.0.0", input={"value": 1}, trigger_type="manual")
    instance, _ = env.store.instances.create(new)

    def build(r, seconds):
        first = r.start(node("first", "test/sleep", parameters={"seconds": 0.01, "ledger": ledger}))
        r.start(node("second", "test/sleep", parameters={"seconds": seconds, "ledger": ledger}), after=first)

    async def flow(seconds):
        async with Run(declare(), instance_id=instance.id) as r:
            build(r, seconds)
        return r.output

    resumable = Environment(
        env.environment.journal,
        env.environment.runner,
        settings(),
        env.environment.roots,
        env.events.append,
        True,
    )
    with use(resumable):
        task = asyncio.create_task(flow(30))
        while not Path(ledger).exists() or "second" not in Path(ledger).read_text():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert env.store.instances.get(instance.id).status is InstanceStatus.RUNNING
        assert await flow(0.01) == {"second": {"value": 0.01}}
    lines = Path(ledger).read_text().splitlines()
    assert sum(line.startswith("first") and line.endswith("start") for line in lines) == 1
    result = instance_result(env.store, instance.id)
    assert result["status"] == "completed"
    assert [a["status"] for a in result["nodes"]["second"]["history"]] == ["canceled", "completed"]


async def test_an_instance_that_completed_gives_its_output_again_without_running(env, tmp_path):
    ledger = str(tmp_path / "ledger")

    async def flow(instance_id=None):
        async with Run(declare(), instance_id=instance_id) as r:
            r.start(node("n", "test/sleep", parameters={"ledger": ledger}))
        return r

    first = await flow()
    second = await flow(first.instance_id)
    assert second.output == first.output
    assert Path(ledger).read_text().count("start") == 1


async def test_input_is_checked_against_the_schema(env):
    schema = {"type": "object", "required": ["value"], "properties": {"value": {"type": "number"}}}
    result = await run(env, lambda r: r.start(node("n", "test/add")), {"value": "x"}, input_schema=schema)
    assert result["status"] == "failed"
    assert result["error"]["details"]["field_violations"][0]["field"] == "value"
    assert result["nodes"] == {}


async def test_declared_output_is_rendered(env):
    result = await run(
        env, lambda r: r.start(node("n", "test/add")), {"value": 2}, output={"answer": "{{ nodes.n.value }}"}
    )
    assert result["output"] == {"answer": 3}


async def test_a_required_gpu_is_refused_not_awaited(env):
    result = await run(env, lambda r: r.start(node("g", "test/gpu")))
    assert result["error"]["code"] == "INSUFFICIENT_RESOURCES"
    assert len(result["nodes"]["g"]["history"]) == 1


async def test_too_large_an_input_is_refused(env):
    result = await run(env, lambda r: r.start(node("n", "test/echo")), {"blob": "x" * (1 << 21)})
    assert result["error"]["code"] == "OUT_OF_RANGE"


async def test_progress_reaches_the_listener(env):
    await run(env, lambda r: r.start(node("s", "test/sleep", parameters={"seconds": 0.6})))
    fractions = [e["progress"] for e in env.events if e["type"] == "node" and e["progress"]]
    assert fractions
    assert fractions == sorted(fractions)


async def test_on_error_ignore_goes_on_for_its_codes_only(env):
    def build(code):
        def make(r):
            rule = [{"codes": ["NOT_FOUND"], "ignore": True}]
            bad = r.start(node("bad", "test/fail", parameters={"code": code}, on_error=rule))
            r.start(node("after", "test/add"), after=bad)

        return make

    assert (await run(env, build("NOT_FOUND")))["status"] == "completed"
    assert (await run(env, build("INVALID_ARGUMENT")))["status"] == "failed"


async def test_on_error_fallback_is_one_more_try_with_its_parameters(env):
    rule = {"fallback": {"times": 0}}
    declared = node("n", "test/fail", parameters={"times": 99, "code": "NOT_FOUND"}, on_error=rule)
    result = await run(env, lambda r: r.start(declared))
    assert result["status"] == "completed"
    assert [a["status"] for a in result["nodes"]["n"]["history"]] == ["failed", "completed"]
    notes = env.store.executions.for_instance(result["instance_id"])[0].attempts[-1].notes
    assert notes == {"fallback": True}
    declared = node(
        "n", "test/fail", parameters={"times": 99, "code": "NOT_FOUND"}, on_error={"fallback": {}}
    )
    assert (await run(env, lambda r: r.start(declared)))["status"] == "failed"


async def test_an_output_that_only_looks_like_media_decides_nothing(env):
    original = {"sha256": "0" * 64, "name": "a.jpg", "size": "12 kB"}
    given = {"original": original, "image": {"source_sha256": "0" * 64}}
    result = await run(env, lambda r: r.start(node("n", "control/set", parameters={"values": given})))
    assert result["status"] == "completed"


async def test_waiting_for_a_free_thread_is_not_the_nodes_time(env, tmp_path):
    ledger = str(tmp_path / "ledger")

    def build(r):
        for number in range(6):  # four threads
            options = {"timeout": 0.5, "retry": Retry(max_attempts=1)}
            r.start(
                node(f"n{number}", "test/sleep", parameters={"seconds": 0.3, "ledger": ledger}, **options)
            )

    result = await run(env, build)
    assert result["status"] == "completed"
    assert Path(ledger).read_text().count("start") == 6


async def test_a_persons_run_is_not_taken_by_a_server(env):
    made = Run(declare())
    async with made:
        row = env.store.instances.get(made.instance_id)
        assert row.claimed_by.startswith("run:")
        made.start(node("n", "test/add"))
    new = NewInstance(workflow="x", version="1", input={}, trigger_type="manual", claimed_by="run:me:1")
    instance, _ = env.store.instances.create(new)
    assert env.store.instances.claim(9, "a server") == []
    assert env.store.instances.get(instance.id).claimed_at is not None


async def test_a_failure_that_was_let_pass_is_not_tried_again_in_a_second_life(env, tmp_path):
    ledger = str(tmp_path / "ledger")

    def build(r):
        bad = r.start(
            node(
                "bad",
                "test/fail",
                parameters={"times": 9, "ledger": ledger, "code": "NOT_FOUND"},
                fail_on_error=False,
            )
        )
        seen = r.start(
            node("seen", "test/echo", parameters={"code": "{{ nodes.bad.error.code }}"}), after=bad
        )
        r.start(node("breaks", "test/fail", parameters={"code": "NOT_FOUND"}), after=seen)

    first = await run(env, build)
    assert first["status"] == "failed"
    env.store.instances.transition(first["instance_id"], InstanceStatus.RETRYING)
    second = Run(declare(), instance_id=first["instance_id"])
    async with second:
        build(second)
    assert second.root.handles["bad"].restored
    assert second.output["breaks"] == {"value": 2}
    assert Path(ledger).read_text().count("bad") == 1


async def test_an_instance_of_another_workflow_is_not_run(env):
    new = NewInstance(workflow="other", version="1.0.0", input={}, trigger_type="manual")
    instance, _ = env.store.instances.create(new)
    with pytest.raises(RealmError, match="is an instance of other"):
        async with Run(declare(), instance_id=instance.id):
            pass


def test_a_home_keeps_its_identity_under_another_host_name(tmp_path, monkeypatch):
    first = home_id(tmp_path / "home")
    home_id.cache_clear()
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert home_id(tmp_path / "home") == first
    assert home_id(tmp_path / "other") != first
