"""The dispatcher when the engine is away: nothing is failed for it, and nothing is tried for ever."""

import asyncio

import pytest

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings
from mirror_realm.deployments import dispatch
from mirror_realm.deployments.dispatch import Dispatcher
from mirror_realm.deployments.surroundings import surroundings
from mirror_realm.flows import Run, node, workflow
from mirror_realm.store import NewInstance

WORKFLOW = workflow("dispatched", "1.0.0")


async def flow(input=None, trigger=None, instance_id=None):
    async with Run(WORKFLOW, input, trigger, instance_id) as run:
        run.start(node("n", "control/set", parameters={"values": {"a": 1}}))
    return run.output


async def verdict(load, monkeypatch):
    """Dispatch one instance with ``load`` until it is decided; its row and how often it was loaded."""
    monkeypatch.setattr(dispatch, "RETRY_AFTER", 0.02)
    calls = []

    def counted(name, version):
        calls.append(name)
        return load(len(calls))

    async with surroundings(settings(), engine="local", resumable=True) as around:
        new = NewInstance(workflow="dispatched", version="1.0.0", input={}, trigger_type="manual")
        instance, _ = around.store.instances.create(new)
        dispatcher = Dispatcher(around, counted)
        task = asyncio.create_task(dispatcher.run())
        async with asyncio.timeout(30):
            while not (row := around.store.instances.get(instance.id)).status.terminal:
                await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return row, len(calls)


async def test_an_engine_that_is_away_for_a_while_fails_nothing(monkeypatch):
    def load(attempt):
        if attempt < 4:
            raise ConnectionError("the Prefect server restarts")
        return flow

    row, tries = await verdict(load, monkeypatch)
    assert (str(row.status), row.output, tries) == ("completed", {"n": {"a": 1}}, 4)


async def test_one_that_stays_away_fails_it_with_the_last_fault(monkeypatch):
    def load(attempt):
        raise ConnectionError("gone")

    row, tries = await verdict(load, monkeypatch)
    assert (str(row.status), tries) == ("failed", dispatch.MOST_FAULTS)
    assert row.error["code"] == "INTERNAL_ERROR"


@pytest.mark.parametrize("code", [Code.NOT_FOUND, Code.FAILED_PRECONDITION])
async def test_a_definition_that_is_gone_fails_it_at_once(monkeypatch, code):
    def load(attempt):
        raise RealmError(code, "the workflow is gone")

    row, tries = await verdict(load, monkeypatch)
    assert (str(row.status), tries, row.error["code"]) == ("failed", 1, code)
