"""Cancel, pause, resume, retry and signal, on instances that run, wait, rest and are over; and twice in a row."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from mirror_realm.compiler import analyze, compile_workflow
from mirror_realm.compiler.library import Folder
from mirror_realm.core.errors import Code, RealmError, Superseded
from mirror_realm.core.status import InstanceStatus
from mirror_realm.flows import control, requests
from mirror_realm.flows.environment import use
from mirror_realm.flows.rerun import plan_rerun
from mirror_realm.flows.results import instance_result
from tests.store.histories import assert_history_agrees


@pytest.fixture(autouse=True)
def attentive(monkeypatch):
    monkeypatch.setattr(requests, "LOOK", 0.02)


async def soon(look):
    async with asyncio.timeout(20):
        while not (found := await asyncio.to_thread(look)):
            await asyncio.sleep(0.01)
    return found


async def running(lab, text, node):
    """Start an instance, and wait until a node of it runs; its id and the task."""
    known = {i.id for i in lab.store.instances.list()}
    task = asyncio.create_task(lab(text))
    instance = await soon(lambda: next((i for i in lab.store.instances.list() if i.id not in known), None))
    await soon(lambda: any(r.node_id == node for r in lab.store.executions.for_instance(instance.id)))
    return instance.id, task


def analysed(text, lab=None):
    library = Folder(lab.beside) if lab and lab.beside else None
    analysis = analyze("test.yaml", text="name: test\n" + text, library=library)
    assert analysis.ok, analysis.render()
    return analysis


async def retry(lab, text, id, *, start=None, newer=None, changed=None, **more):
    """Retry and run to the end; the result."""
    rows = lab.store.executions.for_instance(id)
    plans = {"newer": newer and analysed(newer, lab), "changed": changed and analysed(changed, lab)}
    rerun = plan_rerun(rows, analysed(text, lab), start=start, **plans)
    control.retry(lab.store, id, rerun, owner=lab.environment.owner, **more)
    assert_history_agrees(lab.store, id)
    result = await lab(changed or newer or text, instance_id=id)
    assert_history_agrees(lab.store, id)
    return result


def attempts(result):
    return {name: node["attempts"] for name, node in result["nodes"].items()}


SLOW = """
nodes:
  - {node_id: first, type: test/add}
  - {node_id: slow, type: test/sleep, depends_on: first, parameters: {seconds: %s}}
  - {node_id: last, type: test/add, depends_on: slow}
"""


async def test_a_running_instance_is_canceled(lab):
    id, task = await running(lab, SLOW % 60, "slow")
    assert not control.cancel(lab.store, id, by="li").done
    assert not control.cancel(lab.store, id).done
    result = await task
    assert (result["status"], result["error"]["code"]) == ("canceled", "CANCELLED")
    assert result["nodes"]["slow"]["status"] == "canceled"
    assert "last" not in result["nodes"]
    assert control.cancel(lab.store, id).message == "was canceled before"
    asked = [event.data for event in lab.store.history.of(id) if event.type == "instance.asked"]
    assert asked == [{"request": "cancel", "by": "li"}]
    assert_history_agrees(lab.store, id)


async def test_a_pause_lets_finish_what_runs_and_a_resume_goes_on(lab):
    id, task = await running(lab, SLOW % 0.3, "slow")
    for _ in range(2):
        assert not control.pause(lab.store, id).done
    paused = await task
    assert paused["status"] == "paused"
    assert {name: node["status"] for name, node in paused["nodes"].items()} == dict.fromkeys(
        ("first", "slow"), "completed"
    )
    assert control.pause(lab.store, id).message == "was paused before"
    assert (await lab(SLOW % 0.3, instance_id=id))["status"] == "paused"  # Only a resume lets it go on.
    for _ in range(2):
        control.resume(lab.store, id, owner=lab.environment.owner)
    result = await lab(SLOW % 0.3, instance_id=id)
    assert result["status"] == "completed"
    assert attempts(result) == {"first": 1, "slow": 1, "last": 1}
    for verb in (control.resume, control.pause, control.cancel):
        with pytest.raises(RealmError, match="is completed") as caught:
            verb(lab.store, id)
        assert caught.value.code is Code.FAILED_PRECONDITION
    assert_history_agrees(lab.store, id)


EACH = """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: [0, 1, 2, 3], max_concurrent: 1}
    body:
      - {node_id: a, type: test/sleep, parameters: {seconds: 0.1}}
      - {node_id: b, type: test/add, depends_on: a}
"""


async def test_a_pause_inside_a_foreach(lab):
    id, task = await running(lab, EACH, "each/a")
    control.pause(lab.store, id)
    paused = await task
    assert (paused["status"], paused["nodes"]["each"]["status"]) == ("paused", "running")
    assert len(paused["nodes"]) < 9
    control.resume(lab.store, id, owner=lab.environment.owner)
    result = await lab(EACH, instance_id=id)
    assert result["status"] == "completed"
    assert set(attempts(result).values()) == {1}


async def test_one_that_fails_while_it_is_to_be_paused_fails(lab):
    text = """
nodes:
  - {node_id: slow, type: test/sleep, parameters: {seconds: 0.3}}
  - {node_id: bad, type: test/fail, depends_on: slow, when: "false"}
  - {node_id: fails, type: test/fail, parameters: {code: NOT_FOUND, times: 9}}
  - {node_id: last, type: test/add, depends_on: [slow]}
"""
    id, task = await running(lab, text, "slow")
    control.pause(lab.store, id)
    assert (await task)["status"] == "failed"


WAIT = """
nodes:
  - node_id: wait
    type: control/wait-event
    parameters: {type: paid, correlation: order-7%s}
  - {node_id: after, type: control/set, depends_on: wait, parameters: {values: {n: "{{ nodes.wait.event.payload.n }}"}}}
"""


@contextlib.contextmanager
def impatient(lab):
    with use(replace(lab.environment, patience=0.05, resumable=True)) as environment:
        yield environment


async def test_a_waiting_instance_is_canceled_at_once(lab):
    with impatient(lab):
        aside = await lab(WAIT % "")
    assert aside["status"] == "waiting"
    assert control.cancel(lab.store, aside["instance_id"]).done
    result = instance_result(lab.store, aside["instance_id"])
    assert (result["status"], result["nodes"]["wait"]["status"]) == ("canceled", "canceled")
    assert lab.store.waiting.open_waits() == []
    assert control.cancel(lab.store, aside["instance_id"]).done


async def test_a_waiting_instance_that_is_paused_stays_so_when_its_event_comes(lab):
    with impatient(lab) as environment:
        id = (await lab(WAIT % ""))["instance_id"]
        with pytest.raises(RealmError, match="is waiting"):
            control.resume(lab.store, id)
        assert control.pause(lab.store, id).done
        event = control.signal(lab.store, id, payload={"n": 3})
        assert (event.type, event.correlation) == ("paid", "order-7")
        assert (await lab(WAIT % "", instance_id=id))["status"] == "paused"
        control.resume(lab.store, id, owner=environment.owner)
        result = await lab(WAIT % "", instance_id=id)
    assert result["output"] == {"after": {"n": 3}}
    with pytest.raises(RealmError, match="waits for nothing"):
        control.signal(lab.store, id, "paid")


async def test_a_signal_reaches_a_running_instance(lab):
    with pytest.raises(RealmError, match="waits for no event"):
        control.signal(lab.store, pending(lab).id)
    id, task = await running(lab, WAIT % "", "wait")
    await soon(lambda: lab.store.waiting.open_waits(id))
    control.signal(lab.store, id, "paid", {"n": 1})
    assert (await task)["output"] == {"after": {"n": 1}}


def pending(lab):
    from mirror_realm.store import NewInstance

    new = NewInstance(workflow="test", version="1.0.0", input={}, trigger_type="manual")
    return lab.store.instances.create(new)[0]


async def test_a_pending_instance_is_canceled_but_neither_paused_nor_resumed(lab):
    id = pending(lab).id
    for verb in (control.pause, control.resume):
        with pytest.raises(RealmError, match="is pending"):
            verb(lab.store, id)
    assert control.cancel(lab.store, id).done
    assert lab.store.instances.claim(1, "me") == []


FAILS = """
nodes:
  - {node_id: a, type: test/add}
  - {node_id: b, type: test/fail, depends_on: a, parameters: {times: %d, code: NOT_FOUND}}
  - {node_id: c, type: test/add, depends_on: b, parameters: {amount: %d}}
"""


async def test_a_retry_runs_what_failed_and_what_follows(lab):
    failed = await lab(FAILS % (1, 1))
    assert failed["status"] == "failed"
    id = failed["instance_id"]
    with pytest.raises(RealmError, match="is failed"):
        control.resume(lab.store, id)
    result = await retry(lab, FAILS % (1, 1), id)
    assert (result["status"], attempts(result)) == ("completed", {"a": 1, "b": 2, "c": 1})
    with pytest.raises(RealmError, match="nothing failed"):
        await retry(lab, FAILS % (1, 1), id)
    again = await retry(lab, FAILS % (1, 1), id, start="b")
    assert (again["status"], attempts(again)) == ("completed", {"a": 1, "b": 3, "c": 2})


async def test_a_retry_with_other_parameters(lab):
    failed = await lab(FAILS % (9, 1))
    result = await retry(lab, FAILS % (9, 1), failed["instance_id"], changed=FAILS % (0, 1))
    assert (result["status"], attempts(result)) == ("completed", {"a": 1, "b": 2, "c": 1})
    again = await retry(lab, FAILS % (0, 1), failed["instance_id"], changed=FAILS % (0, 5))
    assert attempts(again) == {"a": 1, "b": 2, "c": 2}


async def test_a_retry_onto_a_newer_version(lab):
    failed = await lab("version: 1.0.0" + FAILS % (9, 1))
    old, new = "version: 1.0.0" + FAILS % (9, 1), "version: 1.1.0" + FAILS % (0, 7)
    result = await retry(lab, old, failed["instance_id"], newer=new)
    assert (result["status"], result["version"]) == ("completed", "1.1.0")
    assert attempts(result) == {"a": 1, "b": 2, "c": 1}
    other = new.replace(
        "{node_id: a, type: test/add}", "{node_id: a, type: test/add, parameters: {amount: 2}}"
    )
    again = await lab(old)
    with pytest.raises(RealmError, match=r"a: its parameters changed[\s\S]*amount") as caught:
        await retry(lab, old, again["instance_id"], newer=other)
    assert caught.value.code is Code.FAILED_PRECONDITION
    result = await retry(lab, old, again["instance_id"], newer=other, start="a")
    assert attempts(result) == {"a": 2, "b": 2, "c": 1}


ROUNDS = """
nodes:
  - {node_id: before, type: test/add}
  - node_id: each
    type: %s
    depends_on: before
    parameters: {%s}
    body:
      - {node_id: a, type: test/add}
      - {node_id: b, type: test/add, depends_on: a}
  - {node_id: beside, type: test/add, depends_on: before}
  - {node_id: after, type: test/add, depends_on: each}
"""


@pytest.mark.parametrize(
    ("kind", "parameters", "later"),
    [
        ("control/foreach", "items: [0, 1, 2]", {}),
        ("control/loop", "condition: 'loop.index < 3', max_iterations: 9", {"each/a[2]": 2, "each/b[2]": 2}),
    ],
)
async def test_a_retry_from_a_node_of_one_round(lab, kind, parameters, later):
    text = ROUNDS % (kind, parameters)
    first = await lab(text)
    assert first["status"] == "completed"
    result = await retry(lab, text, first["instance_id"], start="each/b[1]")
    assert result["status"] == "completed"
    again = {name: count for name, count in attempts(result).items() if count > 1}
    assert again == {"each": 2, "each/b[1]": 2, "after": 2, **later}


async def test_a_node_that_is_not_there(lab):
    failed = await lab(FAILS % (9, 1))
    for start, message in (("bb", "has no node bb"), ("b[x]", "names no node")):
        with pytest.raises(RealmError, match=message):
            await retry(lab, FAILS % (9, 1), failed["instance_id"], start=start)


async def test_a_retry_with_another_input(lab):
    text = "nodes: [{node_id: echo, type: test/fail-on, parameters: {value: '{{ input.v }}', bad: 1}}]"
    failed = await lab(text, v=1)
    assert failed["status"] == "failed"
    rerun = plan_rerun([], analysed(text))
    control.retry(lab.store, failed["instance_id"], rerun, input={"v": 2})
    flow = compile_workflow(analyze("test.yaml", text="name: test\n" + text)).flow
    await flow(instance_id=failed["instance_id"])
    assert lab.store.instances.get(failed["instance_id"]).output == {"echo": {"value": 2}}


async def test_a_zombie_writes_nothing_after_a_resume(lab):
    """A run that was thought dead goes on beside its successor: only one of them counts."""
    id, zombie = await running(lab, SLOW % 0.4, "slow")
    with pytest.raises(RealmError, match="is running") as caught:
        control.resume(lab.store, id)
    assert "--force" in (caught.value.hint or "")
    control.resume(lab.store, id, owner=lab.environment.owner, force=True)
    result = await lab(SLOW % 0.4, instance_id=id)
    assert result["status"] == "completed"
    await zombie
    assert attempts(instance_result(lab.store, id)) == {"first": 1, "slow": 2, "last": 1}
    state = lab.store.history.state_at(id)
    assert (state.status, state.epoch) == (InstanceStatus.COMPLETED, 2)
    assert_history_agrees(lab.store, id)


async def test_a_cancel_by_force_takes_the_instance_away(lab):
    id, task = await running(lab, SLOW % 0.3, "slow")
    assert control.cancel(lab.store, id, force=True).done
    await task
    result = instance_result(lab.store, id)
    assert (result["status"], result["nodes"]["slow"]["status"]) == ("canceled", "canceled")
    assert "last" not in result["nodes"]


async def test_a_superseded_run_says_so(lab):
    flow = compile_workflow(analyze("test.yaml", text="name: test\n" + SLOW % 0.3)).flow
    task = asyncio.create_task(flow())
    instance = await soon(lambda: next(iter(lab.store.instances.list()), None))
    await soon(lambda: len(lab.store.executions.for_instance(instance.id)) > 1)
    lab.store.instances.transition(instance.id, InstanceStatus.RUNNING)
    with pytest.raises(Superseded, match="run by somebody else"):
        await task


async def test_an_instance_whose_process_is_gone_needs_nobodys_answer(lab):
    """Its rows are left as they were; whoever resumes it goes on from them."""
    import socket
    import subprocess
    import sys

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    owner = f"run:{socket.gethostname()}:{gone.pid}"
    ids = [pending(lab).id for _ in range(3)]
    for id in ids:
        lab.store.instances.transition(id, InstanceStatus.RUNNING, claimed_by=owner)
        lab.store.executions.begin(id, "slow", "test/sleep", attempt=1)
    assert control.pause(lab.store, ids[0]).instance.status is InstanceStatus.PAUSED
    assert control.cancel(lab.store, ids[1]).instance.status is InstanceStatus.CANCELED
    for id in (ids[0], ids[2]):
        control.resume(lab.store, id, owner=lab.environment.owner)
        result = await lab(SLOW % 0, instance_id=id)
        assert (result["status"], attempts(result)["slow"]) == ("completed", 2)
        assert_history_agrees(lab.store, id)
