"""Runs on a real Dask cluster of worker processes: placement, death of a worker, timeouts, progress."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

from mirror_realm.core.errors import RealmError
from mirror_realm.core.settings import settings
from mirror_realm.flows import Retry, Run, node, workflow
from mirror_realm.flows.environment import Environment, use
from mirror_realm.flows.journal import Journal
from mirror_realm.flows.results import instance_result
from mirror_realm.flows.runners import DaskRunner
from mirror_realm.store import Store

pytestmark = pytest.mark.slow
FAST = Retry(max_attempts=5, initial=0.05, jitter=0)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two worker processes, one of them tagged as a GPU worker; a death is reported at once."""
    here = str(Path(__file__).parent)
    with (
        pytest.MonkeyPatch.context() as patch,
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
    ):
        patch.syspath_prepend(here)  # the spawned workers take our path over
        patch.setenv("MIRROR_REALM_NODES", "realm_test_nodes")
        patch.setenv("MIRROR_REALM_HOME", str(tmp_path_factory.mktemp("workers")))
        with LocalCluster(  # It gives up a worker that dies while it starts; our own cluster does not.
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            resources={"MEMORY_MB": 2000},
        ) as cluster:
            yield cluster


@pytest.fixture
def scheduler(cluster):
    return cluster.scheduler_address


@pytest.fixture
async def env(home, cluster, scheduler, tmp_path):
    with Store.open(settings().database) as store:
        journal, events, listeners = Journal(store), [], []
        runner = await DaskRunner.connect(scheduler)
        keeper = asyncio.create_task(two_workers(cluster, runner.client))
        async with asyncio.timeout(60):
            while len((await runner.client.scheduler.identity(n_workers=-1))["workers"]) < 2:
                await asyncio.sleep(0.2)

        def heard(event):
            events.append(event)
            for listener in listeners:
                listener(event)

        environment = Environment(journal, runner, settings(), (tmp_path,), heard)
        bundle = type("Env", (), {"store": store, "events": events, "listeners": listeners})
        with use(environment):
            yield bundle
        keeper.cancel()
        await asyncio.wait([keeper])
        await runner.close()
        journal.close()


async def two_workers(cluster, client):
    """One that is killed while it starts is gone for good, some time after: another takes its place, as in ours."""
    while True:
        if len((await client.scheduler.identity(n_workers=-1))["workers"]) < 2:
            cluster.scale(2)
        await asyncio.sleep(0.2)


async def run(env, build):
    made = Run(workflow("dask-flow", "1.0.0"), {"value": 1})
    with contextlib.suppress(RealmError):
        async with made:
            build(made)
    return instance_result(env.store, made.instance_id)


async def test_nodes_run_on_worker_processes(env):
    def build(r):
        one = r.start(node("one", "test/add"))
        r.start(node("two", "test/add"), after=one)

    result = await run(env, build)
    assert result["output"] == {"two": {"value": 3}}
    assert result["nodes"]["one"]["worker"].startswith("tcp://127.0.0.1")


async def test_a_killed_worker_costs_an_attempt_not_the_instance(env, tmp_path):
    ledger = tmp_path / "ledger"
    result = await run(
        env,
        lambda r: r.start(
            node("die", "test/die", parameters={"ledger": str(ledger), "times": 1}, retry=FAST)
        ),
    )
    history = result["nodes"]["die"]["history"]
    assert result["status"] == "completed"
    assert [a["status"] for a in history] == ["failed", "completed"]
    assert history[0]["error"]["code"] == "TRANSIENT_ERROR"
    assert "worker process died" in history[0]["error"]["message"]
    pids = {line.split()[2] for line in ledger.read_text().splitlines()}
    assert len(pids) == 2


async def test_kill_9_from_outside_in_the_middle_of_a_node(env, tmp_path):
    ledger = tmp_path / "ledger"
    killed = []

    def strike(event):
        if event["type"] == "node" and event["progress"] and not killed:
            killed.append(int(ledger.read_text().split()[2]))
            os.kill(killed[0], signal.SIGKILL)

    env.listeners.append(strike)
    declared = node("s", "test/sleep", parameters={"seconds": 1.0, "ledger": str(ledger)}, retry=FAST)
    result = await run(env, lambda r: r.start(declared))
    assert result["status"] == "completed"
    assert len(result["nodes"]["s"]["history"]) == 2


async def test_a_node_that_kills_every_worker_is_held_responsible(env):
    declared = node("die", "test/die", parameters={"times": 99}, retry=FAST)
    result = await run(env, lambda r: r.start(declared))
    assert result["error"]["code"] == "INTERNAL_ERROR"
    assert "kills its workers" in result["error"]["message"]
    assert result["nodes"]["die"]["attempts"] == 3


async def test_a_deaf_node_is_given_up_and_its_worker_recycled(env, monkeypatch):
    monkeypatch.setattr("mirror_realm.flows.runners.GRACE", 0.5)
    declared = node("deaf", "test/deaf", parameters={"seconds": 60}, timeout=0.3, retry=Retry(max_attempts=1))
    result = await run(env, lambda r: r.start(declared))
    assert result["error"]["code"] == "NODE_EXECUTION_TIMEOUT"

    # Both workers take work again: neither is stuck in the deaf node.
    def both(r):
        for name in ("a", "b"):
            r.start(node(name, "test/sleep", parameters={"seconds": 0.2}))

    assert (await run(env, both))["status"] == "completed"


async def test_an_impossible_request_is_refused_at_once(env):
    result = await run(env, lambda r: r.start(node("n", "test/add", resources={"memory_mb": 64_000})))
    assert result["error"]["code"] == "INSUFFICIENT_RESOURCES"
    assert "MEMORY_MB 64000 (it has 2000)" in result["error"]["message"]
    result = await run(env, lambda r: r.start(node("g", "test/gpu")))
    assert "GPU 1 (it has 0)" in result["error"]["message"]


async def test_progress_comes_back_from_the_worker(env):
    await run(env, lambda r: r.start(node("s", "test/sleep", parameters={"seconds": 0.8})))
    fractions = [e["progress"] for e in env.events if e["type"] == "node" and e["progress"]]
    assert len(fractions) >= 2
    assert fractions == sorted(fractions)


async def test_a_result_that_is_lost_with_its_worker_is_not_computed_again(
    env, scheduler, tmp_path, monkeypatch
):
    """Dask would run the node again, although its result is in the journal."""
    monkeypatch.setattr("mirror_realm.flows.runners.RELEASE_AFTER", 600.0)  # The result stays on its worker.
    ledger = tmp_path / "ledger"

    def build(r):
        r.start(node("one", "test/sleep", parameters={"ledger": str(ledger), "seconds": 0.01}))

    result = await run(env, build)
    assert result["status"] == "completed"
    pid = int(ledger.read_text().split()[2])
    async with Client(scheduler, asynchronous=True) as client:

        async def workers():
            found = (await client.scheduler.identity(n_workers=-1))["workers"]
            return set(found)

        before = await workers()
        os.kill(pid, signal.SIGKILL)
        while not await workers() - before:  # It is gone, and another one is there in its place.
            await asyncio.sleep(0.05)
        keys = await client.run_on_scheduler(
            lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks]
        )
    assert [key for key in keys if key.startswith("node:one")] == []
    assert len(ledger.read_text().splitlines()) == 2, "it began once and ended once"


async def test_a_batch_whose_worker_dies_goes_again_without_what_was_journaled(env, tmp_path):
    ledger = tmp_path / "ledger"
    parameters = {"ledger": str(ledger), "line": "{{ string(item) }}", "bad": "17"}

    def body(r):
        r.start(node("one", "test/fatal", input={}, parameters=parameters))

    items = {"items": list(range(40)), "batch_size": 10, "max_concurrent": 2}
    each = node("each", "control/foreach", parameters=items)
    result = await run(env, lambda r: r.start(each, body=body))
    assert result["status"] == "completed"
    assert [one["one"]["line"] for one in result["output"]["each"]] == [str(number) for number in range(40)]
    assert result["rounds"] == {"each/one": {"completed": 40}}
    ran = Counter(ledger.read_text().split())
    assert ran["17"] == 2
    assert max(ran.values()) <= 2
    assert sum(ran.values()) <= 40 + 2 * 10  # The batches that were under way, at most.


async def test_a_node_that_kills_every_worker_of_its_batch_is_held_responsible(env, tmp_path):
    parameters = {
        "ledger": str(tmp_path / "ledger"),
        "line": "{{ string(item) }}",
        "bad": "3",
        "times": 99,
    }

    def body(r):
        r.start(node("one", "test/fatal", input={}, parameters=parameters, retry=FAST))

    items = {"items": list(range(8)), "batch_size": 8, "max_concurrent": 1, "on_item_error": "collect"}
    each = node("each", "control/foreach", parameters=items)
    result = await run(env, lambda r: r.start(each, body=body))
    assert result["status"] == "completed"
    outputs = result["output"]["each"]
    assert "kills its workers" in outputs[3]["error"]["message"]
    assert [one["one"]["line"] for one in outputs if "one" in one] == ["0", "1", "2", "4", "5", "6", "7"]
