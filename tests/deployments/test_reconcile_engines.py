"""Recovery with the engines: Dask's scheduler and workers, and Prefect's server, killed, frozen and made to forget.

One server and one cluster, embedded and real, serve all tests of this module, which each leaves working.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze
from mirror_realm.core.settings import settings
from mirror_realm.core.status import InstanceStatus
from mirror_realm.deployments import supervision
from mirror_realm.deployments.prefect_process import Files
from mirror_realm.deployments.serve import _until_stopped, serving
from mirror_realm.flows.recovery import workers
from mirror_realm.flows.results import instance_result
from mirror_realm.store import NewInstance
from mirror_realm.tasks.registry import registry
from tests.deployments.places import CHAIN
from tests.store.histories import assert_history_agrees

pytestmark = pytest.mark.slow

FLOWS = str(Path(__file__).parents[1] / "flows")
S = InstanceStatus


class Place:
    """What serves, and the ledgers of what it ran."""

    def __init__(self, folder, served):
        self.folder, self.served, self.around = folder, served, served.around
        self.store, self.runner = served.around.store, served.around.environment.runner
        self.names = 0

    def begin(self, seconds):
        """Accept an instance; its id and its ledger."""
        self.names += 1
        ledger, file = self.folder / f"ledger-{self.names}", self.folder / f"chain-{self.names}.yaml"
        file.write_text(CHAIN.format(ledger=ledger, seconds=seconds))
        analysis = analyze(file)
        digest = analysis.definition.hash.removeprefix("sha256:")
        self.store.definitions.keep(digest, analysis.definition.document(), str(file))
        new = NewInstance(
            workflow="chain", version="0.0.0", input={}, trigger_type="manual", definition_hash=digest
        )
        instance = self.store.instances.create(new)[0]
        self.served.dispatcher.wake()
        return instance.id, ledger

    async def until(self, condition, seconds=200.0):
        async with asyncio.timeout(seconds):
            while not (found := await asyncio.to_thread(condition)):
                await asyncio.sleep(0.05)
        return found

    async def at_work(self, seconds):
        """An instance whose second node runs."""
        id, ledger = self.begin(seconds)
        await self.until(lambda: "start" in words(ledger))
        return id, ledger

    async def end(self, id):
        return await self.until(lambda: (row := self.store.instances.get(id)).status.terminal and row)

    async def worker_of(self, ledger):
        """The process that runs the second node."""
        line = next(line for line in ledger.read_text().splitlines() if line.endswith("start"))
        return int(line.split()[2])


def words(ledger):
    return (
        Counter(line.split()[-1] for line in ledger.read_text().splitlines())
        if ledger.exists()
        else Counter()
    )


@pytest.fixture(scope="module")
def home_of_all(tmp_path_factory):
    return tmp_path_factory.mktemp("engines")


@pytest.fixture
def environment(home, home_of_all, monkeypatch):
    monkeypatch.setenv("MIRROR_REALM_HOME", str(home_of_all / "home"))
    monkeypatch.setenv("MIRROR_REALM_ROOTS", str(home_of_all))
    monkeypatch.setenv("MIRROR_REALM_NODES", "realm_test_nodes")
    monkeypatch.setenv("PYTHONPATH", FLOWS)
    monkeypatch.setenv("MIRROR_REALM_WORKERS", "2")
    monkeypatch.setenv("MIRROR_REALM_RECONCILE_INTERVAL", "2")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.syspath_prepend(FLOWS)
    monkeypatch.setattr(workers, "SILENT", 2.0)
    monkeypatch.setattr(supervision, "DEAF", 4.0)
    settings.cache_clear()
    registry.cache_clear()
    return home_of_all


@contextlib.asynccontextmanager
async def place_in(folder):
    async with serving(settings()) as served:
        task = asyncio.create_task(_until_stopped(served))
        try:
            yield Place(folder, served)
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def flow_run(place, id):
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        return await client.read_flow_run(place.store.instances.get(id).flow_run_id)


async def test_everything_that_can_die_under_a_server(environment):
    """One after the other, each with an instance at work that must complete, its completed nodes run once."""
    async with place_in(environment) as place:
        for trial in TRIALS:
            began = time.monotonic()
            await trial(place)
            print(f"{trial.__name__}: {time.monotonic() - began:.1f} s", flush=True)


async def completed(place, id, ledger, most=2):
    """The instance completed; what had completed ran once, the node that was at work again, ``most`` times in all."""
    row = await place.end(id)
    result = instance_result(place.store, id)
    assert row.status is S.COMPLETED, result["error"]
    attempts = {name: node["attempts"] for name, node in result["nodes"].items()}
    assert 2 <= attempts.pop("two") <= most
    assert attempts == {"one": 1, "three": 1}
    found = words(ledger)
    assert (found["one"], found["three"]) == (1, 1)
    assert 2 <= found["start"] <= most
    assert row.epoch == 1, "the flow process lived, so the instance had one life"
    assert_history_agrees(place.store, id)
    return result["nodes"]["two"]["history"][0]["error"]


async def a_worker_killed(place):
    id, ledger = await place.at_work(3)
    os.kill(await place.worker_of(ledger), signal.SIGKILL)
    error = await completed(place, id, ledger)
    assert error["details"]["worker_died"] is True


async def a_worker_frozen(place):
    id, ledger = await place.at_work(3)
    frozen = await place.worker_of(ledger)
    os.kill(frozen, signal.SIGSTOP)
    error = await completed(place, id, ledger)
    assert error["details"]["worker_died"] is True
    with pytest.raises(ProcessLookupError):
        os.kill(frozen, 0)


async def a_scheduler_killed(place):
    id, ledger = await place.at_work(3)
    before = place.runner.address
    identity = await place.runner.client.run_on_scheduler(os.getpid)
    os.kill(identity, signal.SIGKILL)
    # The next attempt may still meet workers of the old cluster, which end with it.
    error = await completed(place, id, ledger, most=3)
    assert error["details"]["scheduler_lost"] is True
    assert place.runner.address != before


def forget(dask_scheduler, keys):
    """As if the message that asked for the task had never come."""
    for client in list(dask_scheduler.clients):
        dask_scheduler.client_releases_keys(keys=keys, client=client, stimulus_id="test")


async def a_task_forgotten(place):
    id, ledger = await place.at_work(2)
    keys = list(place.runner.pending)
    assert len(keys) == 1
    await place.runner.client.run_on_scheduler(forget, keys=keys)
    error = await completed(place, id, ledger)
    assert "knows nothing of it" in error["message"]


async def a_prefect_server_killed(place):
    id, ledger = place.begin(4)
    await place.until(lambda: "start" in words(ledger))
    identity, port = Files(settings().home).running()
    os.kill(identity.pid, signal.SIGKILL)
    row = await place.end(id)
    assert row.status is S.COMPLETED
    assert words(ledger) == {"one": 1, "start": 1, "end": 1, "three": 1}
    running = await place.until(
        lambda: (found := Files(settings().home).running()) != (identity, port) and found
    )
    assert running[1] == port
    later, ledger = place.begin(0)  # It can be dispatched to again.
    assert (await place.end(later)).status is S.COMPLETED
    assert words(ledger)["three"] == 1
    async with asyncio.timeout(150):
        while not (await flow_run(place, id)).state.is_final():
            await asyncio.sleep(0.5)
    assert place.store.instances.get(id).epoch == 1


async def a_prefect_server_frozen(place):
    identity, port = Files(settings().home).running()
    os.kill(identity.pid, signal.SIGSTOP)
    id, ledger = place.begin(1)
    row = await place.end(id)
    assert row.status is S.COMPLETED
    assert words(ledger) == {"one": 1, "start": 1, "end": 1, "three": 1}
    running = Files(settings().home).running()
    assert running is not None
    assert (running[0] != identity, running[1]) == (True, port)


async def a_run_cancelled_in_prefect(place):
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelling

    id, ledger = await place.at_work(60)
    async with get_client() as client:
        run = await client.read_flow_run(place.store.instances.get(id).flow_run_id)
        await client.set_flow_run_state(run.id, Cancelling(), force=True)
    row = await place.end(id)
    assert (row.status, row.error["code"]) == (S.CANCELED, "CANCELLED")
    async with asyncio.timeout(150):
        while not (state := (await flow_run(place, id)).state).is_final():
            await asyncio.sleep(0.2)
    assert state.is_cancelled()
    assert words(ledger)["three"] == 0
    assert [
        event.data["by"] for event in place.store.history.of(id) if event.data and "request" in event.data
    ] == ["prefect"]


async def a_flow_run_that_prefect_shows_wrongly(place):
    """As a process leaves it that was killed between its verdict and telling Prefect."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import State, StateType

    from mirror_realm.flows.recovery import flow_runs

    id, _ = place.begin(0)
    assert (await place.end(id)).status is S.COMPLETED
    await place.until(lambda: id not in place.around.environment.journal.presence.live)
    await place.until(lambda: id not in place.served.dispatcher.busy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow_runs, "AFTERWARDS", 0.0)
        async with get_client() as client:
            run_id = place.store.instances.get(id).flow_run_id
            await client.set_flow_run_state(run_id, State(type=StateType.RUNNING), force=True)
        async with asyncio.timeout(150):
            while not (state := (await flow_run(place, id)).state).is_completed():
                await asyncio.sleep(0.2)
    assert state.message == "the journal has it as completed"


async def a_pass_is_a_flow_run(place):
    """The passes are flow runs of a deployment; of those that found nothing, the last ones only."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    async with get_client() as client:
        deployment = await client.read_deployment_by_name("realm-reconcile/realm")
        wanted = FlowRunFilter.model_validate({"deployment_id": {"any_": [deployment.id]}})
        seen = set()
        async with asyncio.timeout(150):
            while len(seen) < 4:
                runs = await client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.START_TIME_DESC)
                quiet = [run for run in runs if run.state_name == "Quiet"]
                seen |= {run.id for run in quiet}
                assert len(quiet) <= 20  # Those that end while others are deleted.
                await asyncio.sleep(0.3)
    assert any("all as it should be" in run.state.message for run in quiet)


TRIALS = (
    a_task_forgotten,
    a_run_cancelled_in_prefect,
    a_flow_run_that_prefect_shows_wrongly,
    a_pass_is_a_flow_run,
    a_scheduler_killed,
    a_prefect_server_killed,
    a_prefect_server_frozen,
    a_worker_killed,
    a_worker_frozen,
)
