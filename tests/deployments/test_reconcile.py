"""The reconciler with the local engine: real processes that are killed and frozen."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from mirror_realm.core.process import Identity
from mirror_realm.core.settings import settings
from mirror_realm.core.status import InstanceStatus
from mirror_realm.flows import journal as journals
from mirror_realm.flows import presence
from mirror_realm.flows.recovery import reconcile
from mirror_realm.flows.recovery.liveness import Liveness
from mirror_realm.flows.results import instance_result
from mirror_realm.store import NewInstance, Store
from tests.deployments import places
from tests.deployments.places import reconciler, serving
from tests.store.histories import assert_history_agrees

pytestmark = pytest.mark.slow

quick, place = places.quick, places.place

S = InstanceStatus


def decided(store):
    def look():
        (instance,) = store.instances.list()
        return instance if instance.status.terminal else None

    return look


def killed(place, word="start"):
    """Kill the child in the middle of its second node."""

    async def kill():
        child = place.start()
        await place.until(lambda: word in place.words(), child)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()

    return kill()


async def test_a_flow_process_killed_is_carried_on_by_whoever_serves(place):
    place.define(seconds=1.0)
    await killed(place)
    with Store.open(settings().database) as store:
        async with serving():
            instance = await place.until(decided(store))
        result = instance_result(store, instance.id)
        assert (result["status"], result["output"]) == ("completed", {"three": {"line": "three"}})
        assert {name: node["attempts"] for name, node in result["nodes"].items()} == {
            "one": 1,
            "two": 2,
            "three": 1,
        }
        assert place.words() == {"one": 1, "start": 2, "end": 1, "three": 1}
        assert (instance.epoch, instance.requested) == (2, None)
        assert_history_agrees(store, instance.id)


@pytest.mark.parametrize("undo", [False, True])
async def test_a_request_to_end_that_the_process_did_not_live_to_hear_is_heard(place, undo):
    from mirror_realm.flows import control

    place.define(seconds=30)
    child = place.start()
    await place.until(lambda: "start" in place.words(), child)
    os.kill(child.pid, signal.SIGSTOP)
    with Store.open(settings().database) as store:
        (instance,) = store.instances.list()
        assert not control.cancel(store, instance.id, undo=undo).done
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        async with reconciler(store) as one:
            report = await one.once()
        assert [(f.subject, f.action) for f in report.findings] == [(instance.id, "canceled")]
        assert store.instances.get(instance.id).status is S.CANCELED
        assert_history_agrees(store, instance.id)


async def test_a_frozen_process_is_replaced_and_writes_nothing_when_it_wakes(place):
    place.define(seconds=2)
    child = place.start()
    await place.until(lambda: "start" in place.words(), child)
    os.kill(child.pid, signal.SIGSTOP)
    configured = settings().model_copy(update={"lease": 2.0})
    with Store.open(settings().database) as store:
        async with serving(configured):
            instance = await place.until(decided(store))
        assert instance.status is S.COMPLETED
        before = [event.sequence for event in store.history.of(instance.id)]
        os.kill(child.pid, signal.SIGCONT)
        # It shows what came of the instance, to which it could add nothing.
        said, _ = await asyncio.to_thread(child.communicate, timeout=60)
        assert said == b"completed\n"
        assert [event.sequence for event in store.history.of(instance.id)] == before
        words = place.words()
        assert (words["one"], words["three"]) == (1, 1)
        assert instance.epoch == 2
        assert_history_agrees(store, instance.id)


async def test_two_reconcilers_at_once_take_each_instance_once(place):
    """Ten instances of a dead process, two reconcilers in turns and at once, then one who serves."""
    place.define()
    child = place.start()
    assert await asyncio.to_thread(child.wait, 60) == 0
    with Store.open(settings().database) as store:
        (pattern,) = store.instances.list()
        gone = store.runners.get(pattern.runner_id)
        ids = []
        for _ in range(10):
            new = NewInstance(
                workflow="chain",
                version=pattern.version,
                input={},
                trigger_type="manual",
                definition_hash=pattern.definition_hash,
                claimed_by=gone.owner,
            )
            ids.append(store.instances.create(new)[0].id)
            store.instances.transition(ids[-1], S.RUNNING, claimed_by=gone.owner, runner_id=gone.id)
            store.executions.begin(ids[-1], "one", "test/note", attempt=1)
        async with reconciler(store) as one, reconciler(store) as other:
            reports = await asyncio.gather(one.once(), other.once(), one.once(), other.once())
        found = Counter(f.subject for report in reports for f in report.findings)
        assert found == dict.fromkeys(ids, 1)
        async with serving():
            await place.until(lambda: all(store.instances.get(id).status.terminal for id in ids))
        for id in ids:
            row = store.instances.get(id)
            assert (row.status, row.epoch) == (S.COMPLETED, 2)
            assert_history_agrees(store, id)
        assert place.words() == {"one": 11, "start": 11, "end": 11, "three": 11}


async def test_one_that_nobody_carried_on_for_a_week_is_failed_with_the_reason(place, home):
    with Store.open(settings().database) as store:
        dead = Identity(2**22 + 1, "another boot")
        long_ago = datetime.now(UTC) - timedelta(days=8)
        rows = {}
        for name, at in (("old", long_ago), ("young", long_ago + timedelta(days=2))):
            runner = store.runners.begin(f"run:here:{name}", presence.here(), dead, at=at)
            new = NewInstance(workflow="gone", version="1", input={}, trigger_type="manual")
            rows[name] = store.instances.create(new)[0].id
            store.instances.transition(
                rows[name], S.RUNNING, claimed_by=runner.owner, runner_id=runner.id, at=at
            )
            store.executions.begin(rows[name], "n", "test/note", attempt=1, started_at=at)
        database = home / "realm.db"
        _created(database, rows["old"], long_ago)
        async with reconciler(store) as one:
            rehearsed = await one.once(dry_run=True)
            assert store.instances.get(rows["old"]).status is S.RUNNING
            report = await one.once()
        assert report.findings == rehearsed.findings
        assert {f.subject: f.action for f in report.findings} == {
            rows["old"]: "failed",
            rows["young"]: "resumed",
        }
        failed = store.instances.get(rows["old"])
        assert failed.status is S.FAILED
        assert "is gone, and it was not carried on within 7d" in failed.error["message"]
        assert f"realm instances retry {rows['old']}" in failed.error["hint"]
        assert str(store.executions.for_instance(rows["old"])[0].status) == "canceled"
        assert_history_agrees(store, rows["old"])


def _created(database, id, at):
    """Let an instance have been accepted at a moment of the past, which no call of ours does."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        moment = at.replace(tzinfo=None).isoformat(" ")
        connection.execute("UPDATE workflow_instances SET created_at = ? WHERE id = ?", (moment, id))


UNDO = """
name: undone
nodes:
  - node_id: all
    type: control/transaction
    body:
      - node_id: a
        type: test/step
        parameters: {{ledger: {ledger}, say: a}}
        compensate: {{type: test/step, parameters: {{ledger: {ledger}, say: undo-a}}}}
      - node_id: b
        type: test/step
        depends_on: a
        parameters: {{ledger: {ledger}, say: b}}
        compensate: {{type: test/pause-once, parameters: {{ledger: {ledger}, seconds: 60}}}}
      - {{node_id: c, type: test/step, depends_on: b, parameters: {{ledger: {ledger}, say: c, fails: true}}}}
"""

UNDO_ALL = """
name: undone
nodes:
  - node_id: a
    type: test/step
    parameters: {{ledger: {ledger}, say: a}}
    compensate: {{type: test/step, parameters: {{ledger: {ledger}, say: undo-a}}}}
  - node_id: b
    type: test/step
    depends_on: a
    parameters: {{ledger: {ledger}, say: b}}
    compensate: {{type: test/pause-once, parameters: {{ledger: {ledger}, seconds: 60}}}}
  - {{node_id: c, type: test/step, depends_on: b, parameters: {{ledger: {ledger}, say: c, fails: true}}}}
"""


@pytest.mark.parametrize("text", [UNDO, UNDO_ALL], ids=["a transaction", "the instance"])
async def test_one_that_died_compensating_goes_on_compensating(place, text):
    place.define(text)
    await killed(place, "paused")
    with Store.open(settings().database) as store:
        async with serving():
            instance = await place.until(decided(store))
        result = instance_result(store, instance.id)
        assert result["status"] == "failed"
        assert result["error"]["details"]["compensation"]["status"] == "compensated"
        assert place.lines() == ["a", "b", "c", "paused", "undo-b", "undo-a"]
        assert_history_agrees(store, instance.id)


def test_a_clock_that_jumps_makes_nobody_dead():
    """Counts of signs of life are compared, by a clock that only goes on."""
    elapsed = [0.0]
    liveness = Liveness(60.0, clock=lambda: elapsed[0])

    def look(beat, alive_at, seconds):
        elapsed[0] += seconds
        runner = presence_of("elsewhere", beat, alive_at)
        return liveness.look([runner]).dead

    now = datetime.now(UTC)
    assert not look(1, now, 0)
    assert not look(2, now - timedelta(days=9), 5)  # Its clock went back by days,
    assert not look(3, now + timedelta(days=9), 5)  # and forward.
    for _ in range(11):
        assert not look(3, now, 5)
    assert "gave no sign of life for 60 s" in look(3, now, 5)["runner-1"]
    assert not look(4, now, 5)
    assert not look(4, now, 3600)  # Our machine slept: that proves nothing.
    assert not look(4, now, 5)


def presence_of(host, beat, alive_at):
    from mirror_realm.store.runners import Runner

    return Runner(
        id="runner-1",
        owner="home:there",
        host=host,
        pid=1,
        process="boot:1",
        roots=[],
        beat=beat,
        began_at=alive_at,
        alive_at=alive_at,
        ended_at=None,
    )


async def test_a_pass_whose_clock_is_a_month_ahead_takes_no_living_instance(place, monkeypatch):
    place.define(seconds=3)
    child = place.start()
    await place.until(lambda: "start" in place.words(), child)
    monkeypatch.setattr(journals, "now", lambda: datetime.now(UTC) + timedelta(days=30))
    monkeypatch.setattr(reconcile, "BEAT", presence.BEAT / 4)
    with Store.open(settings().database) as store:
        async with reconciler(store) as one:
            assert (await one.once()).findings == []
            assert not await one.glance()
        assert await asyncio.to_thread(child.wait, 60) == 0
        (instance,) = store.instances.list()
        assert (instance.status, instance.epoch) == (S.COMPLETED, 1)


async def test_what_a_dead_server_had_claimed_and_what_waited_there_finds_another(place):
    with Store.open(settings().database) as store:
        dead = Identity(2**22 + 1, "another boot")
        runner = store.runners.begin("home:there", presence.here(), dead)
        new = NewInstance(workflow="w", version="1", input={}, trigger_type="manual")
        waiting = store.instances.create(new)[0].id
        store.instances.transition(waiting, S.RUNNING, claimed_by=runner.owner, runner_id=runner.id)
        store.instances.transition(waiting, S.WAITING)
        claimed = store.instances.create(new)[0].id
        assert [one.id for one in store.instances.claim(9, runner.owner)] == [claimed]
        async with reconciler(store) as one:
            report = await one.once()
        assert {f.subject: f.action for f in report.findings} == {claimed: "released", waiting: "adopted"}
        assert store.instances.get(claimed).claimed_by is None
        assert store.instances.get(waiting).claimed_by == "home:test"
        assert [one.id for one in store.instances.claim(9, "home:test")] == [claimed]


def test_the_command_says_what_it_found_and_changes_nothing_when_dry(place):
    place.define(seconds=30)
    asyncio.run(killed(place))

    def realm(*arguments):
        command = [sys.executable, "-m", "mirror_realm.cli", "instances", "reconcile", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    with Store.open(settings().database) as store:
        (instance,) = store.instances.list()
        told = json.loads(realm("--dry-run", "--format", "json"))
        assert told["dry_run"] is True
        assert [(f["subject"], f["action"]) for f in told["findings"]] == [(instance.id, "resumed")]
        assert store.instances.get(instance.id).requested is None
        assert "is gone: left to `realm serve` to carry on" in realm()
        assert store.instances.get(instance.id).requested == "resume"
        assert "all as it should be" in realm()
