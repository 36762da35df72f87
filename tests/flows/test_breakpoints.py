"""Breakpoints on real runs: standing, stepping, changed variables; in the process, put aside, and after a death."""

import asyncio
import json
from contextlib import contextmanager
from dataclasses import replace

import pytest

from mirror_realm.compiler import analyze, compile_workflow
from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings
from mirror_realm.core.status import InstanceStatus
from mirror_realm.flows import control, stepping
from mirror_realm.flows.alarm import Alarm
from mirror_realm.flows.environment import use
from mirror_realm.flows.replay import replay
from mirror_realm.flows.timeline import explain, timeline

LINE = """
variables: {limit: 10, name: 甲}
nodes:
  - {node_id: first, type: control/set, parameters: {values: {n: "{{ input.n * 2 }}"}}}
  - node_id: second
    type: control/set
    breakpoint: true
    when: "nodes.first.n < vars.limit"
    parameters: {values: {n: "{{ nodes.first.n + vars.limit }}"}}
  - {node_id: third, type: control/set, parameters: {values: {n: "{{ default(nodes.second.n, -1) }}"}}}
edges: [{source: first, target: second}, {source: first, target: third}, {source: second, target: third}]
"""

ROUNDS = """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.items }}", max_concurrent: 2}
    body:
      nodes: [{node_id: double, type: control/set, parameters: {values: {n: "{{ item * 2 }}"}}}]
  - node_id: fork
    type: control/parallel
    depends_on: each
    branches:
      - {name: left, nodes: [{node_id: one, type: control/set, parameters: {values: {n: 1}}}]}
      - {name: right, nodes: [{node_id: two, type: control/set, parameters: {values: {n: 2}}}]}
"""


async def soon(look):
    async with asyncio.timeout(20):
        while not (found := await asyncio.to_thread(look)):
            await asyncio.sleep(0.01)
    return found


def standing(lab, instance_id=None):
    """Where an instance stands."""
    newest = lab.store.instances.list(limit=1)
    if not newest:
        return None
    return [stop.label for stop in lab.store.debugging.stops(instance_id or newest[0].id, "open")]


async def debugged(lab, text, instance_id=None, *, given=None, **change):
    """Run with debugging asked for beforehand, as ``realm run --step`` does; the run is in every detail the same."""
    from mirror_realm.store import NewInstance

    if instance_id is None:
        new = NewInstance(workflow="test", version="1.0.0", input=given or {}, trigger_type="manual")
        instance_id = lab.store.instances.create(new)[0].id
        lab.store.debugging.change(instance_id, by="me", **change)
    return await lab(text, instance_id=instance_id)


def went_on(lab, result, *, stepping_on, node=None):
    """Let it go on, as another process does."""
    return stepping.go_on(lab.store, result["instance_id"], stepping=stepping_on, node=node, by="me")


async def test_a_breakpoint_of_the_definition_stops_before_its_node_and_the_instance_is_a_row(lab):
    aside = await lab(LINE, n=1)
    assert aside["status"] == "waiting"
    assert [stop["node"] for stop in aside["stops"]] == ["second"]
    assert aside["stops"][0]["because"] == "breakpoint"
    assert set(aside["nodes"]) == {"first"}
    (stop,) = lab.store.debugging.stops(aside["instance_id"], "open")
    assert (stop.parameters, stop.input) == ({"values": {"n": 12}}, {"n": 2})
    assert lab.store.instances.get(aside["instance_id"]).wake_at is None, "it has no timeout while it stands"

    # A next life that was not let go on stands there again, and it is one stop.
    again = await lab(LINE, instance_id=aside["instance_id"])
    assert again["status"] == "waiting"
    assert len(lab.store.debugging.stops(aside["instance_id"])) == 1

    assert went_on(lab, aside, stepping_on=False).released[0].label == "second"
    done = await lab(LINE, instance_id=aside["instance_id"])
    assert done["status"] == "completed"
    assert done["output"] == {"third": {"n": 12}}
    assert done["nodes"]["first"]["attempts"] == 1
    assert [s.state for s in lab.store.debugging.stops(aside["instance_id"])] == ["passed"]


async def test_steps_one_node_at_a_time(lab):
    result = await debugged(lab, LINE, given={"n": 1}, stepping=True)
    seen = []
    while result["status"] == "waiting":
        seen.append([stop["node"] for stop in result["stops"]])
        went_on(lab, result, stepping_on=True)
        result = await lab(LINE, instance_id=result["instance_id"])
    assert seen == [["first"], ["second"], ["third"]]
    assert result["output"] == {"third": {"n": 12}}


async def test_continue_stops_stepping_but_not_at_breakpoints(lab):
    result = await debugged(lab, LINE, given={"n": 1}, stepping=True)
    went_on(lab, result, stepping_on=False)
    result = await lab(LINE, instance_id=result["instance_id"])
    assert [stop["node"] for stop in result["stops"]] == ["second"]
    went_on(lab, result, stepping_on=False)
    assert (await lab(LINE, instance_id=result["instance_id"]))["status"] == "completed"


async def test_the_definitions_breakpoints_can_be_passed(lab):
    result = await debugged(lab, LINE, given={"n": 1}, ignoring=True)
    assert result["status"] == "completed"


async def test_rounds_and_branches_say_which(lab):
    given = {"items": [1, 2, 3, 4]}
    result = await debugged(lab, ROUNDS, given=given, breakpoints=["each/double[2]", "fork/left/one"])
    assert [stop["node"] for stop in result["stops"]] == ["each/double[2]"]
    view = stepping.view(lab.store, result["instance_id"], {})
    assert view.evaluate("item * 10 + loop.index") == 32
    went_on(lab, result, stepping_on=False)
    result = await lab(ROUNDS, instance_id=result["instance_id"])
    assert [stop["node"] for stop in result["stops"]] == ["fork/left/one"]
    assert result["nodes"]["fork/right/two"]["status"] == "completed", "the other branch goes on"
    went_on(lab, result, stepping_on=False)
    result = await lab(ROUNDS, instance_id=result["instance_id"])
    assert result["output"]["fork"] == {"left": {"one": {"n": 1}}, "right": {"two": {"n": 2}}}
    assert all(node["attempts"] == 1 for node in result["nodes"].values())


async def test_all_rounds_at_once_and_one_of_them_let_go(lab):
    given = {"items": [1, 2, 3]}
    result = await debugged(lab, ROUNDS, given=given, breakpoints=["each/double"])
    assert [stop["node"] for stop in result["stops"]] == ["each/double[0]", "each/double[1]"]
    went_on(lab, result, stepping_on=True, node="each/double[1]")
    lab.store.debugging.change(result["instance_id"], stepping=False)
    result = await lab(ROUNDS, instance_id=result["instance_id"])
    assert [stop["node"] for stop in result["stops"]] == ["each/double[0]", "each/double[2]"]
    assert result["nodes"]["each/double[1]"]["output"] == {"n": 4}
    with pytest.raises(RealmError) as refused:
        went_on(lab, result, stepping_on=True, node="each/double[1]")
    assert refused.value.code is Code.NOT_FOUND
    assert "each/double[0], each/double[2]" in refused.value.hint


async def test_a_variable_that_is_set_counts_from_here_on_and_is_told(lab):
    aside = await lab(LINE, n=1)
    id = aside["instance_id"]
    assert stepping.set_variable(lab.store, id, "limit", 100, {"limit": 10, "name": "甲"}, by="ann") == 10
    assert stepping.view(lab.store, id, {"limit": 10}).evaluate("vars.limit + nodes.first.n") == 102
    went_on(lab, aside, stepping_on=False)
    done = await lab(LINE, instance_id=id)
    assert done["output"] == {"third": {"n": 102}}
    (event,) = [event for event in lab.store.history.of(id) if event.type == "instance.set"]
    assert dict(event.data) == {"name": "limit", "old": 10, "new": 100, "by": "ann"}
    assert lab.store.history.state_at(id).status.value == "completed"
    notes = [entry.note for entry in timeline(lab.store, id)]
    assert "vars.limit was 10, is 100, set by ann" in notes
    assert any(note.startswith("stopped before it (breakpoint)") for note in notes)
    said = " ".join(explain(lab.store, id, "second"))
    assert "stopped before it at" in said
    assert "let go on at" in said

    # Decided again, the nodes before the change see the value of then.
    flow = compile_workflow(analyze("test.yaml", text="name: test\n" + LINE), optimised=False).flow
    found = await replay(flow, lab.store, id, settings())
    assert found.differences == []
    assert found.output == done["output"]


async def test_a_variable_can_change_whether_the_node_runs_at_all(lab):
    aside = await lab(LINE, n=1)
    stepping.set_variable(lab.store, aside["instance_id"], "vars.limit", 1, {"limit": 10}, by="me")
    went_on(lab, aside, stepping_on=False)
    done = await lab(LINE, instance_id=aside["instance_id"])
    assert done["nodes"]["second"]["status"] == "skipped"
    assert done["output"] == {"third": {"n": -1}}


@pytest.mark.parametrize(
    ("name", "value", "code", "words"),
    [
        ("limti", 1, Code.NOT_FOUND, "did you mean 'limit'?"),
        ("limit", "many", Code.INVALID_ARGUMENT, "give a value of the same"),
        ("deep.y", 1, Code.NOT_FOUND, "its fields: x"),
        ("limit.x", 1, Code.NOT_FOUND, "it has none"),
    ],
)
async def test_what_cannot_be_set_is_said(lab, name, value, code, words):
    aside = await lab(LINE, n=1)
    known = {"limit": 10, "deep": {"x": 1}}
    with pytest.raises(RealmError) as refused:
        stepping.set_variable(lab.store, aside["instance_id"], name, value, known, by="me")
    assert refused.value.code is code
    assert words in (refused.value.hint or "")
    assert lab.store.debugging.get(aside["instance_id"]).revision == 0


async def test_a_field_of_a_variable_can_be_set(lab):
    aside = await lab(LINE, n=1)
    known = {"deep": {"x": {"y": 1}, "z": 2}}
    assert stepping.set_variable(lab.store, aside["instance_id"], "deep.x.y", 5, known, by="me") == 1
    assert lab.store.debugging.get(aside["instance_id"]).variables == {"deep": {"x": {"y": 5}, "z": 2}}


async def test_nothing_can_be_done_to_an_instance_that_is_over(lab):
    result = await debugged(lab, LINE, given={"n": 1}, ignoring=True)
    for _ in range(2):
        with pytest.raises(RealmError) as refused:
            went_on(lab, result, stepping_on=True)
        assert refused.value.code is Code.FAILED_PRECONDITION
    with pytest.raises(RealmError):
        stepping.set_variable(lab.store, result["instance_id"], "limit", 1, {"limit": 10}, by="me")


@contextmanager
def patient(lab, **changes):
    """Runs that stay in this process while they stand."""

    class Nobody:
        async def at(self, standing):
            """A debugger that is never answered."""

    with use(replace(lab.environment, debugger=Nobody(), **changes)) as environment:
        yield environment


async def test_an_instance_that_runs_is_stepped_and_changed_from_elsewhere(lab):
    with patient(lab):
        running = asyncio.create_task(debugged(lab, LINE, given={"n": 1}, stepping=True))
        await soon(lambda: standing(lab) == ["first"])
        id = lab.store.instances.list(limit=1)[0].id
        going = stepping.go_on(lab.store, id, stepping=True, by="me")
        assert not going.here, "its process does it"
        await soon(lambda: standing(lab) == ["second"])
        stepping.set_variable(lab.store, id, "limit", 50, {"limit": 10}, by="me")
        for _ in range(2):  # Twice in a row.
            stepping.go_on(lab.store, id, stepping=False, by="me")
        result = await running
    assert result["output"] == {"third": {"n": 52}}


async def test_an_instance_that_runs_freely_begins_to_step(lab, tmp_path):
    text = """
nodes:
  - {node_id: a, type: test/sleep, parameters: {ledger: '%s', seconds: 1.5}}
  - {node_id: b, type: control/set, parameters: {values: {n: 1}}, depends_on: a}
""" % (tmp_path / "ledger")
    running = asyncio.create_task(lab(text))
    await soon(lambda: [i for i in lab.store.instances.list(limit=1) if i.started_at])
    id = lab.store.instances.list(limit=1)[0].id
    going = stepping.go_on(lab.store, id, stepping=True, by="me")
    assert going.answer.message == "stops before its next node"
    result = await running
    assert result["status"] == "waiting"
    assert [stop["node"] for stop in result["stops"]] == ["b"]


async def test_the_time_stands_still_at_a_breakpoint(lab):
    text = "timeout: 2s\n" + LINE
    with patient(lab):
        running = asyncio.create_task(lab(text, n=1))
        await soon(lambda: standing(lab) == ["second"])
        await asyncio.sleep(2.5)
        id = lab.store.instances.list(limit=1)[0].id
        stepping.go_on(lab.store, id, stepping=False)
        result = await running
    assert result["status"] == "completed"


async def test_a_construct_has_the_time_that_it_stood_too(lab):
    text = ROUNDS.replace("depends_on: each", "depends_on: each\n    timeout: 2s")
    result = await debugged(lab, text, given={"items": []}, breakpoints=["fork/left/one"])
    await asyncio.sleep(2.2)
    went_on(lab, result, stepping_on=False)
    assert (await lab(text, instance_id=result["instance_id"]))["status"] == "completed"


async def test_under_a_server_it_is_put_aside_and_carried_on_when_it_was_let_go(lab):
    with use(replace(lab.environment, patience=0.05, resumable=True)) as environment:
        aside = await lab(LINE, n=1)
        assert aside["status"] == "waiting"
        assert Alarm().due(lab.store, environment.owner) == []
        going = went_on(lab, aside, stepping_on=False)
        assert not going.here, "the server does it"
        assert [i.id for i in Alarm().due(lab.store, environment.owner)] == [aside["instance_id"]]
        done = await lab(LINE, instance_id=aside["instance_id"])
        assert done["status"] == "completed"
        assert Alarm().due(lab.store, environment.owner) == []


async def test_resume_goes_on_from_where_it_stands_or_stays_for_a_debugger(lab):
    aside = await lab(LINE, n=1)
    id = aside["instance_id"]
    control.resume(lab.store, id, owner="run:x:1", stay=True)
    assert standing(lab, id) == ["second"]
    control.resume(lab.store, id, owner="run:x:1")
    assert standing(lab, id) == []
    assert (await lab(LINE, instance_id=id))["status"] == "completed"


async def test_a_canceled_instance_stands_nowhere_and_stands_again_when_it_is_retried(lab):
    aside = await lab(LINE, n=1)
    control.cancel(lab.store, aside["instance_id"])
    assert standing(lab, aside["instance_id"]) == []
    lab.store.instances.transition(aside["instance_id"], InstanceStatus.RETRYING)
    again = await lab(LINE, instance_id=aside["instance_id"])
    assert [stop["node"] for stop in again["stops"]] == ["second"]


async def test_pausing_an_instance_that_stands(lab):
    aside = await lab(LINE, n=1)
    assert control.pause(lab.store, aside["instance_id"]).instance.status.value == "paused"
    control.resume(lab.store, aside["instance_id"], owner="run:x:1")
    assert (await lab(LINE, instance_id=aside["instance_id"]))["status"] == "completed"


async def test_what_stands_in_a_branch_that_fails_is_dropped(lab):
    text = """
nodes:
  - {node_id: stands, type: control/set, parameters: {values: {n: 1}}, breakpoint: true}
  - {node_id: fails, type: test/fail, parameters: {times: 9, code: NOT_FOUND}}
"""
    with patient(lab):
        running = asyncio.create_task(lab(text))
        await soon(lambda: standing(lab) == ["stands"])
        id = lab.store.instances.list(limit=1)[0].id
        await soon(lambda: "fails" in {r.node_id for r in lab.store.executions.for_instance(id)})
        control.cancel(lab.store, id)
        result = await running
    assert result["status"] == "canceled"
    assert [stop.state for stop in lab.store.debugging.stops(id)] == ["dropped"]


class Answers:
    """A person who was told what to answer."""

    def __init__(self, *answers):
        self.answers, self.seen = list(answers), []

    async def at(self, standing):
        self.seen.append((standing.stop.label, standing.stop.input))
        verb, *rest = self.answers.pop(0)
        if verb == "set":
            await standing.set(*rest)
            self.seen.append(standing.evaluate("vars.limit"))
            verb = "go_on"
        if verb == "leave":
            standing.leave()
        else:
            await getattr(standing, verb)()


async def test_a_debugger_is_asked_one_stop_after_the_other(lab):
    answers = Answers(["step"], ["set", "limit", 20], ["leave"])
    with use(replace(lab.environment, debugger=answers)):
        result = await debugged(lab, LINE, given={"n": 1}, stepping=True, breakpoints=["third"])
        assert result["status"] == "waiting"
        assert answers.seen == [
            ("first", {"n": 1, "trigger": answers.seen[0][1]["trigger"]}),
            ("second", {"n": 2}),
            20,
            ("third", {"n": 22}),
        ]
        answers.answers = [["go_on"]]
        done = await lab(LINE, instance_id=result["instance_id"])
    assert done["output"] == {"third": {"n": 22}}


async def test_steps_of_the_state_at_any_moment(lab):
    """Standing changes no status, so the fold of the events is the rows."""
    result = await debugged(lab, LINE, given={"n": 1}, stepping=True)
    state = lab.store.history.state_at(result["instance_id"])
    assert state.nodes == {}
    assert json.dumps([entry.to_dict() for entry in timeline(lab.store, result["instance_id"])])
