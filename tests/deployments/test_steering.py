"""Instances that a dispatcher runs, steered from beside it: paused, left to it again, canceled."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from mirror_realm.core.settings import settings
from mirror_realm.deployments.dispatch import Dispatcher
from mirror_realm.deployments.surroundings import surroundings
from mirror_realm.flows import Run, control, node, requests, workflow
from mirror_realm.store import NewInstance

WORKFLOW = workflow("steered", "1.0.0")
DELAY = {"duration": "2s"}


async def flow(input=None, trigger=None, instance_id=None):
    async with Run(WORKFLOW, input, trigger, instance_id) as run:
        wait = run.start(node("wait", "control/delay", parameters=DELAY))
        run.start(node("last", "control/set", parameters={"values": {"a": 1}}), after=wait)
    return run.output


@pytest.fixture(autouse=True)
def attentive(monkeypatch):
    monkeypatch.setattr(requests, "LOOK", 0.02)


@asynccontextmanager
async def dispatching():
    """A dispatcher at work, an instance that it runs, and how to wait for a status of it."""
    async with surroundings(settings(), engine="local", resumable=True) as around:
        new = NewInstance(workflow="steered", version="1.0.0", input={}, trigger_type="manual")
        instance, _ = around.store.instances.create(new)
        task = asyncio.create_task(Dispatcher(around, lambda name, version: flow).run())

        async def until(*statuses):
            async with asyncio.timeout(30):
                while str((row := around.store.instances.get(instance.id)).status) not in statuses:
                    await asyncio.sleep(0.02)
            return row

        await until("running")
        yield around.store, instance.id, until
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_paused_instance_is_left_to_the_dispatcher_again():
    async with dispatching() as (store, id, until):
        control.pause(store, id)
        await until("paused")
        assert store.instances.get(id).epoch == 1
        for _ in range(2):
            control.resume(store, id)
        row = await until("completed")
    assert (row.epoch, row.requested, row.output) == (2, None, {"last": {"a": 1}})


async def test_a_dispatched_instance_is_canceled_and_retried():
    from mirror_realm.compiler import Definition
    from mirror_realm.flows.rerun import Rerun

    document = {"name": "steered", "version": "1.0.0", "nodes": [{"node_id": "last", "type": "control/set"}]}
    async with dispatching() as (store, id, until):
        control.cancel(store, id)
        await until("canceled")
        control.retry(store, id, Rerun(Definition.model_validate(document)))
        row = await until("completed")
    assert (row.epoch, row.retry_count, row.output) == (2, 1, {"last": {"a": 1}})
