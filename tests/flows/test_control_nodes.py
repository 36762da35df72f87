"""Nodes that decide, gather and transform, in definitions that are compiled and run: what runs, and what comes out."""

import contextlib
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze, compile_workflow
from mirror_realm.core.errors import RealmError
from mirror_realm.core.settings import settings
from mirror_realm.core.termination import Termination
from mirror_realm.flows.engines import engine_choice
from mirror_realm.flows.environment import Environment, use
from mirror_realm.flows.journal import Journal
from mirror_realm.flows.results import instance_result
from mirror_realm.flows.runners import ThreadRunner
from mirror_realm.store import Store

ROUTES = (Path(__file__).parents[1] / "compiler" / "fixtures" / "valid" / "routes.yaml").read_text(
    encoding="utf-8"
)


@pytest.fixture
async def run(home):
    """A function that compiles a definition, runs it with an input under the local engine, and gives its result."""
    token = engine_choice.set("local")
    with Store.open(settings().database) as store:
        journal, runner = Journal(store), ThreadRunner(4)

        async def run(text, **input):
            flow = compile_workflow(analyze("w.yaml", text=text).raise_for_errors()).flow
            with contextlib.suppress(RealmError):
                await flow(input=input)
            result = instance_result(store, store.instances.list(limit=1)[0].id)
            result["store"] = store
            return result

        with use(Environment(journal, runner, settings(), (Path(home.parent),))):
            yield run
        await runner.close()
        journal.close()
    engine_choice.reset(token)


def completed(result) -> set[str]:
    return {name for name, node in result["nodes"].items() if node["status"] == "completed"}


EITHER = {"enhance", "probe", "转码", "keep", "shrink", "enlarge", "leave"}


@pytest.mark.parametrize(
    ("kind", "size", "ways", "gathered"),
    [
        ("photo", 5000, {"enhance", "shrink"}, {"enhance", "shrink"}),
        ("picture", 300, {"enhance", "enlarge"}, {"enhance"}),
        ("video", 1000, {"probe", "转码", "leave"}, {"probe"}),
        ("sound", 1000, {"keep", "leave"}, {"keep"}),
    ],
)
async def test_every_value_goes_its_own_way(run, kind, size, ways, gathered):
    result = await run(ROUTES, kind=kind, size=size)
    assert result["status"] == "completed"
    assert completed(result) & EITHER == ways
    aggregate = result["nodes"]["all"]["output"]
    assert set(aggregate["results"]) == gathered
    assert set(aggregate["results"]) | set(aggregate["missing"]) == {"enhance", "probe", "shrink", "keep"}
    assert aggregate["complete"] is False
    assert result["nodes"]["told"]["output"]["case"] == "end"
    assert "end" in completed(result)


GATHER = """
name: gather
nodes:
  - {node_id: a, type: control/set, parameters: {values: {n: 1}}}
  - {node_id: b, type: control/set, when: "input.with_b", parameters: {values: {n: 2}}}
  - node_id: c
    type: control/set
    fail_on_error: false
    parameters: {values: {n: "{{ 1 / input.divisor }}"}}
  - {node_id: all, type: control/aggregate, parameters: {required: [a, b], optional: [c], on_missing: %s}}
output: {all: "{{ nodes.all }}"}
"""


async def test_what_was_skipped_or_failed_is_missing(run):
    result = await run(GATHER % "partial", with_b=False, divisor=0)
    assert result["status"] == "completed"
    found = result["output"]["all"]
    assert found["results"] == {"a": {"n": 1}}
    assert found["missing"] == ["b", "c"]
    assert found["errors"]["c"]["code"] == "INVALID_ARGUMENT"
    whole = (await run(GATHER % "partial", with_b=True, divisor=1))["output"]["all"]
    assert whole == {
        "results": {"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 1}},
        "missing": [],
        "errors": {},
        "complete": True,
    }


async def test_without_a_required_source_the_instance_fails(run):
    result = await run(GATHER % "fail", with_b=False, divisor=1)
    assert result["status"] == "failed"
    assert "'b' gave no result" in result["error"]["message"]


async def test_an_aggregate_of_nothing_that_ran_is_skipped(run):
    text = GATHER.replace("required: [a, b], optional: [c]", "required: [b]") % "fail"
    text = text.replace("nodes.all }}", "default(nodes.all, null) }}")
    result = await run(text, with_b=False, divisor=1)
    assert result["nodes"]["all"]["status"] == "skipped"


TRANSFORM = """
name: totals
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.rows }}"}
    body:
      nodes: [{node_id: row, type: control/set, parameters: {values: {n: "{{ item.n * 10 }}"}}}]
      output: {n: "{{ nodes.row.n }}", kind: "{{ item.kind }}"}
  - node_id: totals
    type: control/transform
    depends_on: [each]
    parameters:
      operations:
        - {op: filter, where: "{{ item.n >= input.least && index < size(nodes.each) }}"}
        - {op: aggregate, by: kind, compute: {total: {sum: n}}}
        - {op: map, to: "{{ item.kind + '=' + string(item.total) }}"}
output: {totals: "{{ nodes.totals.data }}"}
"""


async def test_a_transform_reads_the_run_and_takes_a_loops_list(run):
    rows = [{"n": n, "kind": "odd" if n % 2 else "even"} for n in range(6)]
    result = await run(TRANSFORM, rows=rows, least=20)
    assert result["output"] == {"totals": ["even=60", "odd=80"]}


NESTED = """
name: nested
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.kinds }}"}
    body:
      nodes:
        - {node_id: kind, type: control/switch, parameters: {value: "{{ item }}", cases: {a: one, b: two}}}
        - {node_id: one, type: control/set, parameters: {values: {n: 1}}}
        - {node_id: two, type: control/set, parameters: {values: {n: 2}}}
        - {node_id: all, type: control/aggregate, parameters: {optional: [one, two]}}
      output: {kind: "{{ nodes.kind.case }}", found: "{{ default(nodes.all.results, {}) }}"}
output: {all: "{{ nodes.each }}"}
"""


async def test_every_item_of_a_loop_goes_its_own_way(run):
    assert (await run(NESTED, kinds=["b", "a", "c"]))["output"]["all"] == [
        {"kind": "two", "found": {"two": {"n": 2}}},
        {"kind": "one", "found": {"one": {"n": 1}}},
        {"kind": None, "found": {}},
    ]


async def test_how_an_instance_ends_is_in_the_journal(run):
    result = await run(
        "name: w\nnodes:\n  - node_id: stop\n    type: control/terminate\n"
        "    parameters: {status: failed, message: '{{ input.why }}'}\n",
        why="没有配额",
    )
    (row,) = result["store"].executions.for_instance(result["instance_id"])
    assert Termination.noted(row.attempts[-1].notes) == Termination("failed", "没有配额")
