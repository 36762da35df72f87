"""Waiting on real runs: delays, events, people; in the process, and put aside and carried on from the journal."""

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mirror_realm.flows.alarm import Alarm
from mirror_realm.flows.environment import use


@contextmanager
def impatient(lab):
    """Runs that only wait are put aside almost at once."""
    with use(replace(lab.environment, patience=0.05, resumable=True)) as environment:
        yield environment


def due(lab, environment, at=None):
    return [instance.id for instance in Alarm().due(lab.store, environment.owner, at)]


async def soon(look):
    async with asyncio.timeout(20):
        while not (found := await asyncio.to_thread(look)):
            await asyncio.sleep(0.01)
    return found


DELAY = "nodes: [{node_id: wait, type: control/delay, parameters: {%s}%s}]\n"


async def test_a_delay_waits_and_passes_its_input_on(lab):
    result = await lab(DELAY % ("duration: 20ms", ""), a=1)
    output = result["output"]["wait"]
    assert output["a"] == 1
    assert output["waited_seconds"] >= 0.02


@pytest.mark.parametrize("moment", ["2020-01-01T00:00:00", "2020-01-01T00:00:00+08:00"])
async def test_a_moment_that_is_past_is_no_wait(lab, moment):
    assert (await lab(DELAY % (f"until: '{moment}'", "")))["status"] == "completed"


async def test_a_delay_ends_at_the_nodes_timeout(lab):
    result = await lab(DELAY % ("duration: 1h", ", timeout: 50ms"))
    assert result["error"]["code"] == "NODE_EXECUTION_TIMEOUT"


async def test_a_long_delay_is_put_aside_and_ends_when_it_would_have(lab):
    text = DELAY % ("duration: 1500ms", "")
    with impatient(lab) as environment:
        aside = await lab(text)
        assert aside["status"] == "waiting"
        assert due(lab, environment) == []
        began = datetime.fromisoformat(aside["nodes"]["wait"]["started_at"])
        assert due(lab, environment, began + timedelta(seconds=2)) == [aside["instance_id"]]
        await soon(lambda: due(lab, environment))
        result = await lab(text, instance_id=aside["instance_id"])
    assert result["status"] == "completed"
    assert 1.5 <= result["output"]["wait"]["waited_seconds"] < 6
    assert result["nodes"]["wait"]["attempts"] == 1


WAIT = """
nodes:
  - {node_id: before, type: control/set, parameters: {values: {order: 7}}}
  - node_id: wait
    type: control/wait-event
    parameters: {type: order.paid, correlation: "{{ nodes.before.order }}", filter: "event.payload.amount > 100"%s}
  - node_id: after
    type: control/set
    parameters: {values: {paid: "{{ default(nodes.wait.event.payload.amount, 0) }}"}}
edges: [{source: before, target: wait}, {source: wait, target: after}]
"""


async def test_an_event_that_fits_is_waited_for(lab):
    running = asyncio.create_task(lab(WAIT % ""))
    await soon(lambda: lab.store.waiting.open_waits())
    for amount, order in ((50, 7), (200, 8), (300, 7), (400, 7)):
        lab.store.events.emit("order.paid", {"amount": amount}, source="test", correlation=order)
    result = await running
    assert result["output"] == {"after": {"paid": 300}}


async def test_no_event_in_time(lab):
    assert (await lab(WAIT % ", timeout: 50ms"))["error"]["code"] == "DEADLINE_EXCEEDED"
    result = await lab(WAIT % ", timeout: 50ms, on_timeout: continue")
    assert result["output"] == {"after": {"paid": 0}}
    assert result["nodes"]["wait"]["output"] == {"event": None, "timed_out": True}


async def test_one_node_emits_what_another_waits_for(lab):
    result = await lab(
        """
nodes:
  - {node_id: tell, type: control/emit-event, parameters: {type: done, payload: {n: 3}}}
  - {node_id: hear, type: control/wait-event, parameters: {type: done}}
  - {node_id: again, type: control/set, parameters: {values: {n: "{{ nodes.hear.event.payload.n }}"}}, depends_on: hear}
"""
    )
    assert result["output"]["again"] == {"n": 3}


async def test_an_instance_that_waits_is_a_row_until_its_event_comes(lab):
    text = WAIT % ""
    with impatient(lab) as environment:
        aside = await lab(text)
        assert aside["status"] == "waiting"
        assert aside["nodes"]["wait"]["status"] == "running"
        alarm = Alarm()
        assert alarm.due(lab.store, environment.owner) == []
        lab.store.events.emit("order.paid", {"amount": 99}, source="test", correlation=7)
        assert alarm.due(lab.store, environment.owner) == []
        lab.store.events.emit("order.paid", {"amount": 101}, source="test", correlation=7)
        assert [i.id for i in alarm.due(lab.store, environment.owner)] == [aside["instance_id"]]
        assert due(lab, environment) == [aside["instance_id"]]  # Also an alarm that begins only now.
        result = await lab(text, instance_id=aside["instance_id"])
    assert result["output"] == {"after": {"paid": 101}}
    assert [row["attempts"] for row in result["nodes"].values()] == [1, 1, 1]


async def test_an_instance_is_carried_on_when_its_wait_is_over(lab):
    text = WAIT % ", timeout: 2s, on_timeout: continue"
    with impatient(lab) as environment:
        aside = await lab(text)
        assert aside["status"] == "waiting"
        assert due(lab, environment, datetime.now(UTC) + timedelta(seconds=3)) == [aside["instance_id"]]
        await soon(lambda: due(lab, environment))
        result = await lab(text, instance_id=aside["instance_id"])
    assert result["output"] == {"after": {"paid": 0}}


async def test_a_branch_that_lost_waits_no_more(lab):
    result = await lab(
        """
nodes:
  - node_id: first
    type: control/parallel
    parameters: {wait_for: any}
    branches:
      event: [{node_id: e, type: control/wait-event, parameters: {type: never}}]
      person: [{node_id: p, type: control/human-task, parameters: {title: T, assignees: [wang]}}]
      time: [{node_id: t, type: control/delay, parameters: {duration: 100ms}}]
"""
    )
    assert list(result["output"]["first"]) == ["time"]
    assert lab.store.waiting.open_waits() == []
    (task,) = lab.store.human_tasks.list()
    assert task.status == "canceled"


async def test_an_instance_that_waits_ends_at_its_own_timeout(lab):
    text = "timeout: 1s\n" + WAIT % ""
    with impatient(lab) as environment:
        aside = await lab(text)
        assert aside["status"] == "waiting"
        await soon(lambda: due(lab, environment))
        result = await lab(text, instance_id=aside["instance_id"])
    assert (result["status"], result["error"]["code"]) == ("failed", "DEADLINE_EXCEEDED")
    assert lab.store.waiting.open_waits() == []


ASK = """
nodes:
  - node_id: ask
    type: control/human-task
    parameters: {title: "Publish 照片?", assignees: [wang, li], approval: all%s}
  - {node_id: yes, type: control/set, parameters: {values: {v: 1}}}
  - {node_id: no, type: control/set, parameters: {values: {v: 0}}}
edges:
  - {source: ask, target: yes, condition: "nodes.ask.outcome == 'approved'"}
  - {source: ask, target: no, condition: else}
"""


async def test_people_decide(lab):
    running = asyncio.create_task(lab(ASK % ""))
    (task,) = await soon(lambda: lab.store.human_tasks.list("open"))
    lab.store.human_tasks.decide(task.id, "wang", "approve")
    lab.store.human_tasks.decide(task.id, "li", "approve", comment="好")
    result = await running
    assert result["output"] == {"yes": {"v": 1}}
    assert [d["by"] for d in result["nodes"]["ask"]["output"]["decisions"]] == ["wang", "li"]


async def test_nobody_decides_in_time(lab):
    result = await lab(ASK % ", timeout: 100ms, on_timeout: reject")
    assert result["output"] == {"no": {"v": 0}}
    assert result["nodes"]["ask"]["output"]["timed_out"] is True


async def test_a_task_outlives_the_process_that_asked(lab):
    with impatient(lab) as environment:
        aside = await lab(ASK % "")
        (task,) = lab.store.human_tasks.list("open")
        lab.store.human_tasks.decide(task.id, "wang", "reject")
        assert due(lab, environment) == [aside["instance_id"]]
        result = await lab(ASK % "", instance_id=aside["instance_id"])
    assert result["output"] == {"no": {"v": 0}}
    assert len(lab.store.human_tasks.list()) == 1


async def test_waiting_twice_and_inside_a_foreach(lab):
    text = """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: ["甲", "乙"]}
    body:
      - {node_id: ask, type: control/human-task, parameters: {title: "{{ item }}", role: boss}}
      - node_id: note
        type: control/set
        depends_on: ask
        parameters: {values: {by: "{{ nodes.ask.decisions[0].by }}"}}
output: {by: "{{ nodes.each.map(one, one.note.by) }}"}
"""
    with impatient(lab) as environment:
        result = await lab(text)
        for person in ("chen", "zhao"):
            assert result["status"] == "waiting"
            assert due(lab, environment) == []
            task = min(lab.store.human_tasks.list("open"), key=lambda one: one.iteration)
            lab.store.human_tasks.decide(task.id, person, "approve", roles=["boss"])
            assert due(lab, environment) == [result["instance_id"]]
            result = await lab(text, instance_id=result["instance_id"])
    assert result["output"] == {"by": ["chen", "zhao"]}


TERMINATE = """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: [1, 2, 3], max_concurrent: 1}
    body:
      - {node_id: check, type: control/condition, parameters: {condition: "{{ item == 2 }}", true_path: stop}}
      - {node_id: stop, type: control/terminate, parameters: {%s}}
  - {node_id: slow, type: test/sleep, parameters: {seconds: 30}}
  - {node_id: never, type: control/set, depends_on: each, parameters: {values: {v: 1}}}
"""


@pytest.mark.parametrize(
    ("parameters", "status", "output", "message"),
    [
        ("output: {n: '{{ item }}'}", "completed", {"n": 2}, None),
        ("status: failed, message: 'no more'", "failed", None, "no more"),
        ("status: canceled, message: enough", "canceled", None, "enough"),
    ],
)
async def test_a_node_ends_the_instance(lab, parameters, status, output, message):
    result = await lab(TERMINATE % parameters)
    assert (result["status"], result["output"]) == (status, output)
    assert (result["error"] or {}).get("message") == message
    assert result["nodes"]["slow"]["status"] == "canceled"
    assert "never" not in result["nodes"] or result["nodes"]["never"]["status"] == "canceled"
    assert "each/check[2]" not in result["nodes"]
