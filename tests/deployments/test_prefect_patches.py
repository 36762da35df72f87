"""The changes to Prefect. This fails when Prefect changes what we change."""

import json
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.deployments import prefect_patches


def test_the_installed_prefect_is_shaped_as_the_change_expects():
    prefect_patches.check_shape()


def test_every_transaction_begins_immediate_in_the_process_that_asks_for_it():
    code = """
import json
from mirror_realm.deployments import prefect_patches
before = prefect_patches.begin_modes()
prefect_patches.begin_immediately()
prefect_patches.begin_immediately()
print(json.dumps([before, prefect_patches.begin_modes()]))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == [["DEFERRED", "IMMEDIATE"], ["IMMEDIATE", "IMMEDIATE"]]


@asynccontextmanager
async def another_signature(self, session):
    yield session


@asynccontextmanager
async def another_behaviour(self, session, with_for_update=False):
    async with session.begin() as transaction:
        yield transaction


@pytest.mark.parametrize("changed", [another_signature, another_behaviour, None])
def test_a_prefect_that_changed_is_left_as_it_is_and_says_so(monkeypatch, changed):
    from prefect.server.database.configurations import AioSqliteConfiguration

    if changed is None:
        monkeypatch.delattr(AioSqliteConfiguration, "begin_transaction")
    else:
        monkeypatch.setattr(AioSqliteConfiguration, "begin_transaction", changed)
    with pytest.raises(RealmError) as raised:
        prefect_patches.begin_immediately()
    assert raised.value.code is Code.FAILED_PRECONDITION
    assert "prefect_patches.py" in (raised.value.hint or "")
    assert changed is None or AioSqliteConfiguration.begin_transaction is changed


BULK = """
import json
from datetime import timedelta
from uuid import uuid4
from prefect.server.database import orm_models
from sqlalchemy import create_engine, exc, insert
from sqlalchemy.orm import Session
from mirror_realm.deployments import prefect_patches

engine = create_engine("sqlite://")
orm_models.FlowRun.__table__.create(engine)

def add(name):
    row = {"id": uuid4(), "flow_id": uuid4(), "name": name, "estimated_run_time": timedelta(0)}
    try:
        with Session(engine) as session, session.begin():
            session.execute(insert(orm_models.FlowRun), [row])
            return [one for one, in session.query(orm_models.FlowRun.name)]
    except exc.InvalidRequestError:
        return "refused"

before = add("before")
prefect_patches.let_estimates_pass()
prefect_patches.let_estimates_pass()
print(json.dumps([before, add("after")]))
"""


def test_scheduled_runs_can_be_inserted():
    """When Prefect or SQLAlchemy takes the row as it is, the change is not needed any more."""
    answer = subprocess.run([sys.executable, "-c", BULK], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == ["refused", ["after"]]


RECORDED = """
import asyncio, json
from datetime import datetime, timezone
from uuid import uuid4
from prefect.server.services import task_run_recorder as recorder
from prefect.server.utilities.messaging.memory import MemoryMessage
from mirror_realm.deployments import prefect_patches

sets = []

async def record(events):
    sets.append(len(events))

recorder.record_bulk_task_run_events = record

def message():
    run = {"prefect.resource.id": f"prefect.task-run.{uuid4()}", "prefect.orchestration": "client"}
    event = {"id": str(uuid4()), "event": "prefect.task-run.Running", "resource": run, "related": [], "payload": {}}
    times = {"occurred": datetime.now(timezone.utc).isoformat(), "received": datetime.now(timezone.utc).isoformat()}
    return MemoryMessage(data=json.dumps(event | times), attributes={})

async def send(count, **settings):
    sets.clear()
    async with recorder.consumer(**settings) as handle:
        for _ in range(count):
            await handle(message())
        at_once = list(sets)
        await asyncio.sleep(0.5)
        return at_once, list(sets)

prefect = asyncio.run(send(3, write_batch_size=1, flush_every=5))
prefect_patches.record_in_sets()
prefect_patches.record_in_sets()
few = asyncio.run(send(3, write_batch_size=1, flush_every=5))
many = asyncio.run(send(150, write_batch_size=1, flush_every=5))
chosen = asyncio.run(send(5, write_batch_size=2, flush_every=5))
print(json.dumps([prefect, few, many, chosen]))
"""


def test_task_runs_are_recorded_in_sets_of_a_moment():
    answer = subprocess.run([sys.executable, "-c", RECORDED], capture_output=True, text=True, check=True)
    prefect, few, many, chosen = json.loads(answer.stdout)
    assert prefect == [[1, 1, 1], [1, 1, 1]], "Prefect itself writes each by itself"
    assert few == [[], [3]], "within half a second, without a full set"
    assert many == [[100], [100, 50]], "a full set at once"
    assert chosen == [[2, 2], [2, 2]], "what somebody has chosen stays"


@pytest.mark.parametrize("changed", [lambda size, every: None, None])
def test_a_recorder_that_changed_is_left_as_it_is_and_says_so(monkeypatch, changed):
    from prefect.server.services import task_run_recorder

    if changed is None:
        monkeypatch.delattr(task_run_recorder, "consumer")
    else:
        monkeypatch.setattr(task_run_recorder, "consumer", changed)
    with pytest.raises(RealmError) as raised:
        prefect_patches.record_in_sets()
    assert raised.value.code is Code.FAILED_PRECONDITION
    assert changed is None or task_run_recorder.consumer is changed
