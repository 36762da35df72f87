"""Runs as Prefect shows them, on a real server and a real Dask cluster: names, edges, states, retries, artifacts."""

import asyncio
import base64
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze
from mirror_realm.core.settings import settings
from mirror_realm.deployments.deploy import deploy
from mirror_realm.deployments.registration import register
from mirror_realm.deployments.run import run_workflow
from mirror_realm.deployments.serve import serve
from mirror_realm.deployments.surroundings import prefect_at
from mirror_realm.flows.results import instance_result
from mirror_realm.flows.stopping import heard_by
from mirror_realm.store import Store
from mirror_realm.tasks.registry import registry

pytestmark = pytest.mark.slow

FLOWS = str(Path(__file__).parents[1] / "flows")

DEFINITION = """
name: {name}
display_name: 试运行
version: 1.2.3
tags: [photos, 测试]
input: {{type: object, properties: {{value: {{type: number, description: A number}}}}}}
triggers: {triggers}
nodes:
  - {{node_id: 起点, type: test/add}}
  - {{node_id: flaky, type: test/fail, parameters: {{times: 1}}, retry: {{max_attempts: 3, initial: 50ms}}}}
  - {{node_id: never, type: test/add}}
  - {{node_id: end, type: test/add}}
edges:
  - {{source: 起点, target: flaky}}
  - {{source: flaky, target: never, condition: "{{{{ nodes.flaky.value > 1000 }}}}"}}
  - {{source: flaky, target: end, condition: else}}
  - {{source: never, target: end}}
"""


@pytest.fixture(autouse=True)
def nodes_of_the_tests(home, monkeypatch):
    monkeypatch.setenv("MIRROR_REALM_NODES", "realm_test_nodes")
    monkeypatch.setenv("PYTHONPATH", FLOWS)
    monkeypatch.setenv("MIRROR_REALM_WORKERS", "2")
    if FLOWS not in sys.path:
        monkeypatch.syspath_prepend(FLOWS)
    settings.cache_clear()
    registry.cache_clear()


def definition(folder, name="shown", triggers="[]"):
    path = folder / f"{name}.yaml"
    path.write_text(DEFINITION.format(name=name, triggers=triggers), encoding="utf-8")
    return path


async def ask(prefect, method, path, **body):
    import httpx

    async with httpx.AsyncClient(base_url=prefect, timeout=30) as client:
        answer = await client.request(method, path.lstrip("/"), json=body or None)
        answer.raise_for_status()
        return answer.json()


async def eventually(question, good, seconds=30.0):
    """Prefect's states travel as events: ask until they have arrived."""
    deadline = time.monotonic() + seconds
    while not good(answer := await question()):
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.2)
    return answer


async def task_runs(prefect, flow_run_id):
    return await ask(prefect, "POST", "/task_runs/filter", task_runs={"flow_run_id": {"any_": [flow_run_id]}})


async def test_a_run_is_visible_in_prefect(prefect, tmp_path):
    result = await run_workflow(definition(tmp_path), input={"value": 1})
    assert result["status"] == "completed"
    assert result["output"] == {"end": {"value": 3}}
    flow_run_id = result["flow_run_id"]
    assert result["prefect_url"].endswith(f"/runs/flow-run/{flow_run_id}")

    flow_run = await ask(prefect, "GET", f"/flow_runs/{flow_run_id}")
    assert flow_run["state"]["type"] == "COMPLETED"
    assert flow_run["name"].startswith(result["instance_id"])

    runs = await eventually(
        lambda: task_runs(prefect, flow_run_id),
        lambda rows: len(rows) == 4 and all(r["state_type"] == "COMPLETED" for r in rows),
    )
    named = {r["name"]: r for r in runs}
    assert set(named) == {"起点", "flaky", "never", "end"}
    assert named["never"]["state"]["name"] == "Skipped"
    assert named["flaky"]["run_count"] == 2

    graph = await ask(prefect, "GET", f"/flow_runs/{flow_run_id}/graph-v2")
    labels = {id: node["label"] for id, node in graph["nodes"]}
    arrows = {(labels[parent["id"]], labels[id]) for id, node in graph["nodes"] for parent in node["parents"]}
    assert arrows == {("起点", "flaky"), ("flaky", "never"), ("flaky", "end"), ("never", "end")}

    artifacts = await ask(
        prefect, "POST", "/artifacts/filter", artifacts={"flow_run_id": {"any_": [flow_run_id]}}
    )
    by_key = {a["key"]: a["data"] for a in artifacts}
    assert "data:image/svg+xml;base64," in by_key["realm-graph"]
    assert "| never | " in by_key["realm-result"]
    assert "skipped" in by_key["realm-result"]

    logs = await eventually(
        lambda: ask(prefect, "POST", "/logs/filter", logs={"flow_run_id": {"any_": [flow_run_id]}}),
        lambda rows: any(
            r["task_run_id"] == named["end"]["id"] and "end completed in" in r["message"] for r in rows
        ),
    )
    assert any("TRANSIENT_ERROR: attempt 1 fails" in row["message"] for row in logs)
    assert not any("Traceback" in row["message"] for row in logs)


NESTED = """
name: nested
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: [1, 2]}
    body:
      - node_id: fork
        type: control/parallel
        branches:
          left: [{node_id: add, type: test/add, input: {value: "{{ item }}"}}]
          right: [{node_id: pause, type: control/delay, parameters: {duration: 10ms}}]
  - {node_id: stop, type: control/terminate, depends_on: each, parameters: {status: canceled, message: enough}}
"""


async def test_nodes_inside_nodes_are_task_runs_too(prefect, tmp_path):
    path = tmp_path / "nested.yaml"
    path.write_text(NESTED, encoding="utf-8")
    result = await run_workflow(path)
    assert (result["status"], result["error"]["message"]) == ("canceled", "enough")
    inside = {"fork", "fork/left/add", "fork/right/pause"}
    names = {f"each/{name}[{index}]" for name in inside for index in (0, 1)} | {"each", "stop"}
    assert {name for name, row in result["nodes"].items() if row["status"] == "completed"} == names
    assert result["nodes"]["each"]["output"][1]["fork"]["left"] == {"add": {"value": 3}}

    flow_run = await ask(prefect, "GET", f"/flow_runs/{result['flow_run_id']}")
    assert flow_run["state"]["type"] == "CANCELLED"
    runs = await eventually(
        lambda: task_runs(prefect, result["flow_run_id"]),
        lambda rows: names <= {row["name"] for row in rows if row["state_type"] == "COMPLETED"},
    )
    assert len([row for row in runs if row["name"] in names]) == len(names)

    # The picture shows what is inside, with the rounds counted.
    found = await ask(
        prefect, "POST", "/artifacts/filter", artifacts={"flow_run_id": {"any_": [result["flow_run_id"]]}}
    )
    (drawn,) = (one["data"] for one in found if one["key"] == "realm-graph")
    svg = base64.b64decode(drawn.partition("base64,")[2].partition(")")[0]).decode()
    assert all(f">{word}<" in svg for word in ("each", "fork", "left", "right", "add", "pause", "stop"))
    assert svg.count(">completed · 2 done<") == len(inside)


async def states(prefect, runs):
    """The states that Prefect was told of each of these task runs, by their names."""
    told = {r["name"]: await ask(prefect, "GET", f"/task_run_states/?task_run_id={r['id']}") for r in runs}
    return {
        name: [s["name"] for s in sorted(rows, key=lambda s: s["timestamp"])] for name, rows in told.items()
    }


async def test_prefect_is_told_of_what_lasts_and_of_how_it_ended(prefect, tmp_path):
    path = tmp_path / "told.yaml"
    path.write_text("""
name: told
nodes:
  - {node_id: brief, type: control/delay, parameters: {duration: 1ms}}
  - {node_id: long, type: control/delay, parameters: {duration: 300ms}}
  - {node_id: again, type: test/fail, parameters: {times: 1}, retry: {max_attempts: 2, initial: 200ms}}
  - {node_id: bad, type: test/fail, depends_on: again, parameters: {code: INVALID_ARGUMENT, times: 9}}
  - {node_id: after, type: control/delay, depends_on: bad, parameters: {duration: 1ms}}
""")
    result = await run_workflow(path)
    assert result["status"] == "failed"
    runs = await eventually(
        lambda: task_runs(prefect, result["flow_run_id"]),
        lambda rows: {"brief", "long", "bad"} <= {r["name"] for r in rows if r["end_time"]},
    )
    told = await states(prefect, runs)
    assert told["brief"][-1] == "Completed"
    assert told["long"] == ["Running", "Completed"]
    assert told["bad"][-1] == "Failed"
    assert "AwaitingRetry" in told["again"]
    assert told["again"][-1] == "Completed"
    by_name = {r["name"]: r for r in runs}
    assert 0.3 <= by_name["long"]["total_run_time"] < 5
    assert by_name["brief"]["start_time"] <= by_name["brief"]["end_time"]
    assert "after" not in by_name


async def test_a_node_that_is_over_soon_is_told_of_once(prefect, tmp_path, monkeypatch):
    from mirror_realm.flows import task_runs as told_runs

    monkeypatch.setattr(told_runs, "BRIEF", 60.0)  # This machine may be busy.
    result = await run_workflow(definition(tmp_path), input={"value": 1})
    runs = await eventually(
        lambda: task_runs(prefect, result["flow_run_id"]),
        lambda rows: len(rows) == 4 and all(r["state_type"] == "COMPLETED" for r in rows),
    )
    told = await states(prefect, runs)
    assert told == {"起点": ["Completed"], "flaky": ["Completed"], "never": ["Skipped"], "end": ["Completed"]}


async def test_a_node_inside_another_names_it_as_its_parent(prefect, tmp_path):
    path = tmp_path / "nested.yaml"
    path.write_text(NESTED, encoding="utf-8")
    result = await run_workflow(path)
    runs = await eventually(
        lambda: task_runs(prefect, result["flow_run_id"]),
        lambda rows: {"each", "each/fork[0]"} <= {r["name"] for r in rows if r["end_time"]},
    )
    by_name = {r["name"]: r for r in runs}
    (parent,) = by_name["each/fork[0]"]["task_inputs"]["__parents__"]
    assert parent["id"] == by_name["each"]["id"]


async def test_sigterm_is_for_whoever_runs_the_flow(prefect, tmp_path):
    """Prefect would raise it in the middle of the run, and the instance would fail by it."""
    path = tmp_path / "slow.yaml"
    path.write_text("name: slow\nnodes:\n  - {node_id: w, type: control/delay, parameters: {duration: 2s}}\n")
    heard = []
    before = signal.getsignal(signal.SIGTERM)
    with heard_by(lambda *_: heard.append(True)), Store.open(settings().database) as store:
        task = asyncio.create_task(run_workflow(path))

        async def at_work():
            instances = store.instances.list()
            return bool(instances and store.executions.for_instance(instances[0].id))

        await eventually(at_work, bool)
        os.kill(os.getpid(), signal.SIGTERM)
        result = await task
    assert (result["status"], heard) == ("completed", [True])
    assert signal.getsignal(signal.SIGTERM) is before


async def test_a_failure_is_a_sentence_in_prefect_too(prefect, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(
        "name: bad\nnodes:\n  - {node_id: n, type: test/fail, parameters: {code: INVALID_ARGUMENT, times: 9}}\n"
    )
    result = await run_workflow(path)
    assert result["status"] == "failed"
    assert result["error"]["details"]["at"].endswith("bad.yaml:3:5")
    flow_run = await ask(prefect, "GET", f"/flow_runs/{result['flow_run_id']}")
    assert flow_run["state"]["type"] == "FAILED"
    assert "INVALID_ARGUMENT: node 'n': attempt 1 fails as asked (expected)" in flow_run["state"]["message"]


async def test_a_fault_of_ours_fails_the_instance_and_never_passes_for_a_result(
    prefect, tmp_path, monkeypatch
):
    from mirror_realm.flows.runners import DaskRunner

    async def broken(*_):
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(DaskRunner, "run", broken)
    result = await run_workflow(definition(tmp_path), input={"value": 1})
    assert result["status"] == "failed"
    assert result["error"]["code"] == "INTERNAL_ERROR"
    assert "a fault of ours" in result["error"]["message"]
    await eventually(
        lambda: task_runs(prefect, result["flow_run_id"]),
        lambda rows: [r["state_type"] for r in rows if r["name"] == "起点"] == ["CRASHED"],
    )


async def test_a_fault_of_ours_on_a_retry_is_one_too(prefect, tmp_path, monkeypatch):
    from mirror_realm.flows.runners import DaskRunner

    whole = DaskRunner.run

    async def broken(self, call, *rest):
        if call.attempt > 1:
            raise OSError("a fault of ours")
        return await whole(self, call, *rest)

    monkeypatch.setattr(DaskRunner, "run", broken)
    result = await run_workflow(definition(tmp_path), input={"value": 1})
    assert result["status"] == "failed"
    assert "a fault of ours" in result["error"]["message"]


@pytest.mark.parametrize(
    "entrypoint",
    [
        None,
        "flow.py:flow",
        "mirror_realm.flows.compiled.x/../up/evil.py:f",
        "mirror_realm.flows.compiled.x.y.z",
        "os.system",
    ],
)
def test_only_compiled_workflows_are_loaded(entrypoint):
    from mirror_realm.core.errors import RealmError
    from mirror_realm.deployments.worker import load_entrypoint

    with pytest.raises(RealmError, match="not a compiled workflow"):
        load_entrypoint(entrypoint)


async def test_a_worker_killed_in_the_middle_costs_an_attempt(prefect, tmp_path):
    ledger = tmp_path / "ledger"
    path = tmp_path / "sleepy.yaml"
    path.write_text(
        "name: sleepy\nnodes:\n  - node_id: s\n    type: test/sleep\n"
        f"    parameters: {{seconds: 1.5, ledger: {ledger}}}\n    retry: {{max_attempts: 3, initial: 50ms}}\n"
    )
    killed = []

    def strike(event):
        if event["type"] == "node" and event["progress"] and not killed:
            killed.append(int(ledger.read_text().split()[2]))
            os.kill(killed[0], signal.SIGKILL)

    result = await run_workflow(path, on_event=strike)
    assert killed
    assert result["status"] == "completed"
    history = result["nodes"]["s"]["history"]
    assert [a["status"] for a in history] == ["failed", "completed"]
    assert history[0]["error"]["code"] == "TRANSIENT_ERROR"


async def test_the_runner_of_prefect_dask_gives_the_same_result(prefect, tmp_path):
    path = definition(tmp_path, "through")
    path.write_text(path.read_text() + "execution: {task_runner: prefect-dask}\n")
    result = await run_workflow(path, input={"value": 1})
    assert result["output"] == {"end": {"value": 3}}
    assert [a["status"] for a in result["nodes"]["flaky"]["history"]] == ["failed", "completed"]
    runs = await eventually(
        lambda: task_runs(prefect, result["flow_run_id"]),
        lambda rows: any("attempt" in r["name"] for r in rows),
    )
    assert any(r["name"] == "flaky attempt 2" for r in runs)


async def test_a_deployment_has_everything_and_runs_from_prefect(prefect, tmp_path, home):
    triggers = (
        "[{type: schedule, config: {cron: '0 2 * * *', timezone: Asia/Shanghai}},"
        " {type: schedule, config: {interval: 1h, input: {value: 7}}}]"
    )
    path = definition(tmp_path, "deployed", triggers)
    with Store.open(settings().database) as store:
        workflow = register(analyze(path), store, settings())
        assert register(analyze(path), store, settings()).created is False
    with prefect_at(prefect):
        made = await deploy(workflow, api_url=prefect)
        again = await deploy(workflow, api_url=prefect)
    assert made.id == again.id
    shown = await ask(prefect, "GET", f"/deployments/{made.id}")
    assert shown["entrypoint"] == "mirror_realm.flows.compiled.deployed_1_2_3.deployed"
    assert shown["version"] == "1.2.3"
    assert set(shown["tags"]) == {"photos", "测试"}
    assert "value" in shown["parameter_openapi_schema"]["properties"]["input"]["properties"]
    assert len(shown["schedules"]) == 2
    assert {s["schedule"].get("timezone") for s in shown["schedules"]} == {"Asia/Shanghai", "UTC"}

    task = asyncio.create_task(serve(settings()))
    try:
        given = {"input": {"value": 5}}
        run = await ask(prefect, "POST", f"/deployments/{made.id}/create_flow_run", parameters=given)
        ended = await eventually(
            lambda: ask(prefect, "GET", f"/flow_runs/{run['id']}"),
            lambda r: task.done() or r["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED"),
            90,
        )
        if task.done():
            task.result()
        assert ended["state"]["type"] == "COMPLETED", ended["state"]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    with Store.open(settings().database) as store:
        instance = store.instances.list()[0]
        assert instance.flow_run_id == run["id"]
        result = instance_result(store, instance.id)
        assert result["nodes"]["起点"]["output"] == {"value": 6}
        assert result["output"] == {"end": {"value": 3}}


async def test_serve_dispatches_files_as_runs_of_the_deployment(prefect, tmp_path, home):
    raw = tmp_path / "raw"
    raw.mkdir()
    trigger = f"[{{type: filesystem, config: {{path: {raw}, settle: 0.3s, poll_interval: 0.2s}}}}]"
    path = definition(tmp_path, "dropped", trigger)
    for number in range(3):
        (raw / f"照片 {number}.jpg").write_text(f"content {number}")
    task = asyncio.create_task(serve(settings(), files=[path]))

    def completed():
        with Store.open(settings().database) as store:
            return [i for i in store.instances.list() if str(i.status) == "completed"]

    try:
        rows = await eventually(
            lambda: asyncio.to_thread(completed), lambda rows: task.done() or len(rows) == 3, 90
        )
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for row in rows:
        flow_run = await ask(prefect, "GET", f"/flow_runs/{row.flow_run_id}")
        assert flow_run["deployment_id"]
        assert flow_run["state"]["type"] == "COMPLETED"
        assert "照片" in flow_run["name"] or row.id in flow_run["name"]
