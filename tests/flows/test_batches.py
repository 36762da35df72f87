"""A foreach in batches: the same as item by item, to whoever looks at it, only in fewer tasks."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze
from mirror_realm.core.errors import Superseded
from mirror_realm.flows import control
from mirror_realm.flows.batches.items import Batches
from mirror_realm.flows.batches.steps import Unfit, steps_of
from mirror_realm.flows.batches.worker import Done
from mirror_realm.flows.declarations import node
from mirror_realm.flows.rerun import Rerun
from mirror_realm.flows.runners import ThreadRunner
from mirror_realm.tasks.artifacts import ArtifactStore

HERE = str(Path(__file__).parent)


def foreach(body, *, edges=(), output=None, **parameters):
    """A definition with one foreach of ten items, in batches of four at most."""
    parameters = {"items": list(range(10)), "max_concurrent": 1, "batch_size": 4, **parameters}
    part = {"nodes": body, "edges": list(edges)} | ({"output": output} if output else {})
    each = {"node_id": "each", "type": "control/foreach", "parameters": parameters, "body": part}
    return f"nodes: {json.dumps([each])}\n"


def added(node_id="one", **more):
    return {"node_id": node_id, "type": "test/add", "input": {"value": "{{ item }}"}, **more}


def failing(bad, node_id="one", **more):
    parameters = {"value": "{{ item }}", "bad": bad}
    return {"node_id": node_id, "type": "test/fail-on", "input": {}, "parameters": parameters, **more}


def row_of(lab, result, node_id, iteration):
    rows = lab.store.executions.for_instance(result["instance_id"], iteration)
    return next(row for row in rows if row.node_id == node_id)


@pytest.fixture
def sent(monkeypatch):
    """How the items of each batch that was sent came back."""
    came = []
    run = Batches.run

    async def noted(self, items):
        results = await run(self, items)
        came.append("".join("d" if isinstance(result, Done) else "l" for result in results))
        return results

    monkeypatch.setattr(Batches, "run", noted)
    return came


async def test_items_go_in_batches_and_come_back_in_order(lab, sent):
    result = await lab(
        foreach(
            [added(), added("two", input={"value": "{{ nodes.one.value * 10 + input.x }}"})],
            edges=[{"source": "one", "target": "two"}],
            output={"at": "{{ loop.index }}", "of": "{{ loop.length }}", "two": "{{ nodes.two.value }}"},
        ),
        x=3,
    )
    assert result["status"] == "completed"
    expected = [{"at": i, "of": 10, "two": (i + 1) * 10 + 4} for i in range(10)]
    assert result["output"] == {"each": expected}
    assert sent == ["dddd", "dddd", "dd"]
    rows = result["nodes"]
    assert len(rows) == 21
    row = row_of(lab, result, "each/two", "7")
    assert (row.input, row.output) == ({"value": 83}, {"value": 84})
    (attempt,) = row.attempts
    assert attempt.status == "completed"
    assert attempt.resource_usage["wall_seconds"] >= 0


async def test_the_journal_tells_of_them_without_a_gap(lab):
    result = await lab(foreach([added(), added("two", when="{{ item > 4 }}")]))
    events = lab.store.history.of(result["instance_id"])
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    told = Counter((event.node_id, event.type) for event in events)
    assert told["each/one", "node.began"] == told["each/one", "node.ended"] == 10
    assert told["each/two", "node.skipped"] == told["each/two", "node.ended"] == 5
    assert result["nodes"]["each/two[0]"]["reason"] == "its guard does not hold: item > 4"
    state = lab.store.history.state_at(result["instance_id"])
    assert Counter(str(node.status) for node in state.nodes.values()) == {"completed": 16, "skipped": 5}


async def test_many_share_the_workers(lab, sent):
    result = await lab(foreach([added()], items=list(range(1000)), max_concurrent=8, batch_size=100))
    assert [one["one"]["value"] for one in result["output"]["each"]] == list(range(1, 1001))
    assert len(sent) == 10


async def test_items_that_are_few_are_spread(lab, sent):
    await lab(foreach([added()], max_concurrent=5, batch_size=1000))
    assert sent == ["dd"] * 5


async def test_a_failed_item_ends_the_foreach_and_nothing_begins_after_it(lab, sent):
    result = await lab(foreach([failing(5)]))
    assert result["status"] == "failed"
    assert result["error"]["message"] == "node 'each/one[5]': 5 is bad"
    assert sent == ["dddd", "dl"]
    rows = {label: row["status"] for label, row in result["nodes"].items() if "[" in label}
    assert Counter(rows.values()) == {"completed": 5, "failed": 1}
    (attempt,) = row_of(lab, result, "each/one", "5").attempts
    assert attempt.error["message"] == "5 is bad"


async def test_failed_items_are_collected(lab, sent):
    text = foreach([failing(5)], on_item_error="collect", max_concurrent=2)
    result = await lab(text)
    assert result["status"] == "completed"
    outputs = result["output"]["each"]
    assert outputs[5]["error"]["message"] == "node 'each/one[5]': 5 is bad"
    assert [one["one"]["value"] for one in outputs if "one" in one] == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert "".join(sent).count("l") == 1


async def test_an_attempt_of_a_worker_counts_and_is_retried_in_the_run(lab, sent, tmp_path):
    ledger = str(tmp_path / "ledger")
    body = {
        "node_id": "one",
        "type": "test/flaky",
        "input": {},
        "parameters": {"ledger": ledger, "line": "{{ string(item) }}", "bad": "7", "times": 2},
        "retry": {"max_attempts": 3, "initial": "10ms"},
    }
    result = await lab(foreach([body, added("two")], edges=[{"source": "one", "target": "two"}]))
    assert result["status"] == "completed"
    row = row_of(lab, result, "each/one", "7")
    assert [attempt.status for attempt in row.attempts] == ["failed", "failed", "completed"]
    assert Counter(Path(ledger).read_text().split()) == Counter(
        {"7": 3} | {str(i): 1 for i in range(10) if i != 7}
    )
    assert result["nodes"]["each/two[7]"]["status"] == "completed"
    assert sent == ["dddd", "dddl", "dd"]


async def test_it_goes_on_at_the_item_that_failed(lab, sent, tmp_path):
    ledger = str(tmp_path / "ledger")
    body = {
        "node_id": "one",
        "type": "test/flaky",
        "input": {},
        "parameters": {"ledger": ledger, "line": "{{ string(item) }}", "bad": "5", "times": 1},
        "retry": {"max_attempts": 1},
    }
    text = foreach([body])
    failed = await lab(text)
    assert failed["status"] == "failed"
    id = failed["instance_id"]
    before = lab.store.history.of(id)[-1].sequence
    definition = analyze("test.yaml", text="name: test\n" + text).definition
    assert definition is not None
    control.retry(lab.store, id, Rerun(definition=definition))
    result = await lab(text, instance_id=id)
    assert result["status"] == "completed"
    assert [one["one"]["line"] for one in result["output"]["each"]] == [str(i) for i in range(10)]
    began = [
        e.iteration for e in lab.store.history.of(id, after=before) if e.type == "node.began" and e.iteration
    ]
    assert began == ["5", "6", "7", "8", "9"]
    assert Counter(Path(ledger).read_text().split()) == Counter(
        {"5": 2} | {str(i): 1 for i in range(10) if i != 5}
    )
    # Those that had completed were looked up, the one that had failed went through the run.
    assert sent == ["dddd", "dl", "dd", "dd"]


async def test_what_an_expression_gets_wrong_is_told_by_the_run(lab, sent):
    body = [added(input={"value": "{{ [1, 2, 3, 4, 5, 6, 7][item] }}"})]
    result = await lab(foreach(body, on_item_error="ignore"))
    assert result["status"] == "completed"
    assert len(result["output"]["each"]) == 7
    error = result["nodes"]["each/one[8]"]["error"]
    assert error["code"] == "INVALID_ARGUMENT"
    assert "there is no item 8" in error["message"]
    assert "".join(sent).count("l") == 3


async def test_a_node_may_end_the_instance(lab, sent):
    ends = {
        "node_id": "ends",
        "type": "control/terminate",
        "when": "{{ item == 6 }}",
        "parameters": {"status": "completed", "output": {"at": "{{ item }}"}},
    }
    result = await lab(foreach([ends]))
    assert result["status"] == "completed"
    assert result["output"] == {"at": 6}
    assert sent == ["dddd", "ddl"]


async def test_outer_nodes_and_loops_are_in_reach(lab, sent):
    inner = {
        "node_id": "inner",
        "type": "control/foreach",
        "parameters": {"items": [1, 2, 3], "item": "low", "batch_size": 3, "max_concurrent": 1},
        "body": [added("sum", input={"value": "{{ item * 100 + low * 10 + nodes.base_01.value }}"})],
    }
    outer = {
        "node_id": "outer",
        "type": "control/foreach",
        "parameters": {"items": [1, 2], "batch_size": 2},
        "body": [inner],
    }
    base = {"node_id": "base-01", "type": "test/add", "input": {"value": 4}}
    text = f"nodes: {json.dumps([base, outer])}\nedges: [{{source: base-01, target: outer}}]\n"
    result = await lab(text)
    values = [[one["sum"]["value"] for one in item["inner"]] for item in result["output"]["outer"]]
    assert values == [[116, 126, 136], [216, 226, 236]]
    assert sent == ["ddd", "ddd"]  # The outer foreach holds a construct: it goes item by item.
    assert result["nodes"]["outer/inner/sum[1.2]"]["status"] == "completed"


async def test_results_as_a_file_and_not_at_all(lab, sent):
    result = await lab(foreach([added()], results="file"))
    assert (result["output"]["each"]["count"], result["output"]["each"]["failed"]) == (10, 0)
    result = await lab(foreach([added()], results="none"))
    assert result["output"]["each"] == {"count": 10, "failed": 0}


async def test_a_cancelled_batch_ends_soon(lab, sent):
    body = {"node_id": "one", "type": "test/patient", "input": {}, "parameters": {"seconds": 30}}

    async def cancel():
        while not (found := lab.store.instances.list()):
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        control.cancel(lab.store, found[0].id)

    loop = asyncio.get_running_loop()
    began = loop.time()
    canceling = asyncio.create_task(cancel())
    result = await lab(foreach([body]))
    await canceling
    assert result["status"] == "canceled"
    assert loop.time() - began < 10


async def test_a_node_past_its_timeout_is_that_node_s_failure(lab, sent):
    body = {
        "node_id": "one",
        "type": "test/patient",
        "input": {},
        "parameters": {"seconds": "{{ item == 2 ? 30.0 : 0.0 }}"},
        "timeout": "300ms",
        "retry": {"max_attempts": 1},
    }
    result = await lab(foreach([body]))
    assert result["status"] == "failed"
    assert result["error"]["code"] == "NODE_EXECUTION_TIMEOUT"
    assert result["nodes"]["each/one[2]"]["status"] == "failed"
    assert result["nodes"]["each/one[1]"]["status"] == "completed"


async def test_pictures_are_recorded_in_the_library(lab, sent):
    """What the library records of an item is written with its nodes."""
    body = {
        "node_id": "one",
        "type": "test/picture",
        "input": {},
        "parameters": {"number": "{{ item }}"},
    }
    result = await lab(foreach([body]))
    assert result["status"] == "completed"
    assert sent == ["dddd", "dddd", "dd"]
    assert len(lab.store.media.list()) == 10
    assert all(row["attempts"] == 1 for label, row in result["nodes"].items() if "[" in label)


async def test_a_lost_batch_goes_again_in_smaller_ones(lab, sent, monkeypatch):
    lost = []
    run = ThreadRunner.run

    async def loses(self, call, *rest):
        outcome = await run(self, call, *rest)
        items = getattr(call, "items", ())
        if any(item.index == 6 for item in items) and len(items) > 1:
            lost.append(len(items))
            from mirror_realm.flows.runners import failed, worker_died

            return failed(call, worker_died(RuntimeError(), None))
        return outcome

    monkeypatch.setattr(ThreadRunner, "run", loses)
    result = await lab(foreach([added()], batch_size=100))
    assert [one["one"]["value"] for one in result["output"]["each"]] == list(range(1, 11))
    assert lost[0] == 10
    assert Counter(label for label in result["nodes"] if "[" in label) == {
        f"each/one[{i}]": 1 for i in range(10)
    }


def parts():
    plain = node("a", "test/add")

    def reads_all(run):
        run.start(node("a", "test/add", input={"value": "{{ size(nodes) }}"}))

    def reads_by_name(run):
        run.start(node("a", "test/add", input={"value": "{{ nodes[item].value }}"}))

    def a_secret(run):
        run.start(node("a", "test/add", input={"value": "{{ secret('x') }}"}))

    def a_construct(run):
        run.start(node("a", "control/foreach"), body=lambda run: None)

    def an_effect(run):
        run.start(node("a", "test/echo"))

    def a_cache(run):
        run.start(node("a", "test/add", cache={"ttl": 1}))

    def does_more(run):
        run.start(plain)
        run.names["item"]

    def elsewhere(run):
        run.start(plain)
        run.start(node("b", "test/gpu-sum"))

    return [
        (reads_all, "as a whole"),
        (reads_by_name, "as a whole"),
        (a_secret, "secret"),
        (a_construct, "a: the run itself drives it"),
        (an_effect, "a: it is not idempotent"),
        (a_cache, "a: its results are cached"),
        (does_more, "more than starting nodes"),
        (elsewhere, "different workers"),
    ]


@pytest.mark.parametrize(("part", "because"), parts(), ids=lambda one: getattr(one, "__name__", ""))
def test_what_no_worker_can_go_through(part, because):
    with pytest.raises(Unfit, match=because):
        steps_of(part)


async def test_the_same_batch_is_recorded_once_and_by_the_present_life_only(lab, sent):
    result = await lab(foreach([added()]))
    id = result["instance_id"]
    recorded = []
    journal = lab.environment.journal
    real = lab.store.decided.record

    def keep(*arguments, **options):
        recorded.append((arguments, options))
        return real(*arguments, **options)

    lab.store.decided.record = keep
    id = (await lab(foreach([added()])))["instance_id"]
    count = len(lab.store.history.of(id))
    for arguments, options in recorded:
        assert real(*arguments, **options) == []
    assert len(lab.store.history.of(id)) == count
    with pytest.raises(Superseded):
        real(*recorded[0][0], epoch=99)
    assert journal.epoch is None


async def test_a_file_of_outputs_waits_for_room(lab, monkeypatch):
    """A disk that is full for a moment costs a moment, not the foreach with all that its items did."""
    put, full = ArtifactStore.put, []

    def refuses(self, path, **options):
        if len(full) < 2:
            full.append(path)
            raise OSError(28, "No space left on device")
        return put(self, path, **options)

    monkeypatch.setattr(ArtifactStore, "put", refuses)
    retry = {"max_attempts": 3, "initial": "10ms", "on": ["RESOURCE_EXHAUSTED"]}
    text = foreach([added()], results="file").replace('"body"', f'"retry": {json.dumps(retry)}, "body"', 1)
    result = await lab(text)
    assert result["status"] == "completed"
    assert result["output"]["each"]["count"] == 10
    assert len(full) == 2
    assert all(row["attempts"] == 1 for row in result["nodes"].values())


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("items", ["{{ nodes.scan.files }}", "{{ nodes.scan.files.filter(f, f.n >= 0) }}"])
async def test_no_item_gets_the_list(lab, items, batch_size):
    """Ten thousand files handed to each of ten thousand would be a hundred million in the journal."""
    scan = {
        "node_id": "scan",
        "type": "control/set",
        "parameters": {
            "values": {"files": "{{ range(10).map(n, {'n': n}) }}", "tags": ["a"], "folder": "raw"}
        },
    }
    each = {
        "node_id": "each",
        "type": "control/foreach",
        "parameters": {"items": items, "batch_size": batch_size},
        "body": [{"node_id": "one", "type": "test/add"}],
    }
    result = await lab(f"nodes: {json.dumps([scan, each])}\nedges: [{{source: scan, target: each}}]\n")
    assert result["status"] == "completed"
    row = row_of(lab, result, "each/one", "7")
    assert row.input == {"tags": ["a"], "folder": "raw", "n": 7, "item": {"n": 7}}


@pytest.mark.parametrize("kind", ["test/add", "test/picture"])
async def test_a_batch_ends_by_time_whatever_becomes_of_its_items(lab, sent, monkeypatch, kind):
    monkeypatch.setattr("mirror_realm.flows.batches.worker.SECONDS", -1.0)
    body = {"node_id": "one", "type": kind, "input": {}}
    body |= {"parameters": {"number": "{{ item }}"}} if kind == "test/picture" else {}
    result = await lab(foreach([body], on_item_error="collect", max_concurrent=2, batch_size=100))
    assert result["status"] == "completed"
    assert len(result["output"]["each"]) == 10
    assert [len(one) for one in sent] == [1] * 10


async def test_bodies_with_chains_go_in_batches_in_bulk(lab, sent):
    """There the compiler fuses the chain inside the body, which is nothing to a worker that goes through all of it."""
    body = [added(), added("two", input={"value": "{{ nodes.one.value }}"})]
    text = foreach(body, edges=[{"source": "one", "target": "two"}])
    result = await lab("execution: {profile: bulk}\n" + text)
    assert [one["two"]["value"] for one in result["output"]["each"]] == list(range(2, 12))
    assert sent == ["dddd", "dddd", "dd"]
