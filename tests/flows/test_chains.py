"""The bulk profile of one instance: a chain of nodes in one task, and no task run for each."""

import asyncio
import json
from collections import Counter
from itertools import pairwise

import pytest

from mirror_realm.compiler import analyze, emit
from mirror_realm.flows import control
from mirror_realm.flows.batches.worker import SECONDS, Chain
from mirror_realm.flows.runners import ThreadRunner

FAST = {"max_attempts": 3, "initial": "10ms"}


def chain(*nodes, edges=None, **more):
    """A definition of nodes one after another."""
    ids = [one["node_id"] for one in nodes]
    if edges is None:
        edges = [{"source": a, "target": b} for a, b in pairwise(ids)]
    definition = {"execution": {"profile": "bulk"}, "nodes": list(nodes), "edges": edges, **more}
    return "\n".join(f"{name}: {json.dumps(value)}" for name, value in definition.items()) + "\n"


def add(node_id, **more):
    return {"node_id": node_id, "type": "test/add", **more}


@pytest.fixture
def tasks(monkeypatch):
    """The nodes of each task that a runner got."""
    seen = []
    run = ThreadRunner.run

    async def noted(self, call, *rest):
        after = [node.id for node, _ in call.steps.nodes] if isinstance(call, Chain) else []
        seen.append([call.node_id, *after])
        return await run(self, call, *rest)

    monkeypatch.setattr(ThreadRunner, "run", noted)
    return seen


async def test_a_chain_is_one_task_and_each_node_has_its_rows(lab, tasks):
    result = await lab(
        chain(
            add("a"),
            add("b", parameters={"amount": "{{ nodes.a.value + vars.n }}"}),
            add("c"),
            variables={"n": 5},
        ),
        value=1,
    )
    assert result["status"] == "completed"
    assert result["output"] == {"c": {"value": 2 + 7 + 1}}
    assert tasks == [["a", "b", "c"]]
    rows = result["nodes"]
    assert {label: (row["status"], row["attempts"]) for label, row in rows.items()} == dict.fromkeys(
        "abc", ("completed", 1)
    )
    events = lab.store.history.of(result["instance_id"])
    began = [event.node_id for event in events if event.type == "node.began"]
    assert began == ["a", "b", "c"]


async def test_conditions_guards_and_nodes_of_the_flow_are_within_it(lab, tasks):
    nodes = [
        add("a"),
        {"node_id": "s", "type": "control/set", "parameters": {"values": {"v": "{{ nodes.a.value }}"}}},
        add("b", input={"value": "{{ nodes.s.v }}"}, when="{{ nodes.s.v > 1 }}"),
        add("c"),
    ]
    edges = [
        {"source": "a", "target": "s"},
        {"source": "s", "target": "b", "condition": "nodes.s.v < 5"},
        {"source": "b", "target": "c"},
    ]
    result = await lab(chain(*nodes, edges=edges), value=1)
    assert tasks == [["a", "s", "b", "c"]]
    assert result["output"] == {"c": {"value": 4}}
    del tasks[:]
    result = await lab(chain(*nodes, edges=edges), value=7)
    assert tasks == [["a", "s", "b", "c"]]
    assert [result["nodes"][one]["status"] for one in "asbc"] == [
        "completed",
        "completed",
        "skipped",
        "skipped",
    ]


async def test_the_failed_attempt_of_one_is_its_own_and_is_retried_alone(lab, tasks, tmp_path):
    ledger = tmp_path / "ledger"
    flaky = {"ledger": str(ledger), "line": "x", "bad": "x"}
    result = await lab(
        chain(add("a"), {"node_id": "b", "type": "test/flaky", "parameters": flaky, "retry": FAST}, add("c"))
    )
    assert result["status"] == "completed"
    assert [result["nodes"][one]["attempts"] for one in "abc"] == [1, 2, 1]
    assert ledger.read_text().split() == ["x", "x"]
    assert tasks == [["a", "b", "c"], ["b"], ["c"]]


async def test_a_head_that_is_tried_again_takes_them_along(lab, tasks, tmp_path):
    flaky = {"ledger": str(tmp_path / "ledger"), "line": "x", "bad": "x"}
    result = await lab(
        chain({"node_id": "a", "type": "test/flaky", "parameters": flaky, "retry": FAST}, add("b"))
    )
    assert result["status"] == "completed"
    assert [result["nodes"][one]["attempts"] for one in "ab"] == [2, 1]
    assert tasks == [["a", "b"], ["a", "b"]]


async def test_what_takes_its_time_is_not_held_up_by_what_follows(lab, tasks):
    slow = {"node_id": "a", "type": "test/patient", "parameters": {"seconds": SECONDS + 0.3}}
    more = {"node_id": "b", "type": "test/patient", "parameters": {"seconds": SECONDS + 0.3}}
    result = await lab(chain(slow, more, add("c"), add("d")))
    assert result["status"] == "completed"
    # What begins in time is done within the task; the rest has tasks of its own.
    assert tasks == [["a", "b", "c", "d"], ["c"], ["d"]]


async def test_a_chain_that_is_cancelled_ends_soon(lab, tasks):
    async def cancel():
        while not tasks:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        control.cancel(lab.store, lab.store.instances.list()[0].id)

    canceling = asyncio.create_task(cancel())
    began = asyncio.get_running_loop().time()
    patient = {"node_id": "b", "type": "test/patient", "parameters": {"seconds": 30}}
    result = await lab(chain(add("a"), patient))
    await canceling
    assert result["status"] == "canceled"
    assert asyncio.get_running_loop().time() - began < 10


def fused(text):
    analysis = analyze("test.yaml", text="name: test\n" + text)
    assert analysis.ok, analysis.render()
    source = emit(analysis)
    return [line.split("run.start(")[1].split(",")[0] for line in source.splitlines() if "fuse=True" in line]


def test_what_is_fused():
    nodes = [add(one) for one in "abcdef"]
    assert fused(chain(*nodes)) == list("bcdef")
    fork = [{"source": "a", "target": "b"}, {"source": "a", "target": "c"}, {"source": "c", "target": "d"}]
    assert fused(chain(*nodes, edges=fork)) == ["d"]
    join = [{"source": "a", "target": "c"}, {"source": "b", "target": "c"}, {"source": "c", "target": "d"}]
    assert fused(chain(*nodes, edges=join)) == ["d"]
    plain = chain(*nodes).replace("bulk", "interactive")
    assert fused(plain) == []


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "test/echo"},
        {"cache": {"ttl": 60}},
        {"breakpoint": True},
        {"resources": {"custom": {"LICENCE": 1}}},
        {"input": {"value": "{{ size(nodes) }}"}},
    ],
)
def test_what_stands_for_itself(odd):
    nodes = [add("a"), add("b"), add("c") | odd, add("d")]
    made = fused(chain(*nodes))
    assert made == ["b"]


async def test_the_same_with_and_without(lab, tasks):
    nodes = [add(one, fail_on_error=one != "c") for one in "abcde"]
    bulk, plain = chain(*nodes), chain(*nodes).replace("bulk", "interactive")
    one, other = await lab(bulk, value=3), await lab(plain, value=3)
    assert one["output"] == other["output"]
    assert Counter(map(len, tasks)) == {5: 1, 1: 5}


def test_the_source_says_that_it_is_bulk():
    source = emit(analyze("test.yaml", text="name: test\n" + chain(add("a"), add("b"))))
    assert 'profile="bulk"' in source


def test_a_foreach_gets_batches_in_bulk_and_a_note_where_it_cannot():
    each = {
        "node_id": "each",
        "type": "control/foreach",
        "parameters": {"items": [1, 2]},
        "body": [add("one")],
    }
    text = "name: test\n" + chain(each)
    assert '"batch_size": 500' in emit(analyze("test.yaml", text=text))
    each["body"] = [{"node_id": "one", "type": "test/echo"}]
    each["parameters"]["batch_size"] = 10
    analysis = analyze("test.yaml", text="name: test\n" + chain(each))
    (found,) = (one for one in analysis.diagnostics if one.code == "MR133")
    assert found.severity == "info"
    assert found.message.startswith("the items of each go one by one: one: it is not idempotent")


async def test_what_is_remembered_by_content_is_looked_up_along_the_chain(lab, tasks, tmp_path):
    """The run asks for the first node, the worker for those after it; each is recorded where it was made."""
    file, ledger = tmp_path / "a.raw", tmp_path / "ledger"
    file.write_bytes(b"a")

    def developed(node_id, **more):
        parameters = {"ledger": str(ledger), "how": node_id, "times": 0}
        return {
            "node_id": node_id,
            "type": "test/develop",
            "input": {"file_path": str(file)},
            "parameters": {**parameters, **more},
        }

    text = chain(developed("a"), developed("b"), developed("c"))
    first = await lab(text)
    assert first["status"] == "completed"
    assert tasks == [["a", "b", "c"]]
    assert not any(row["cached"] for row in first["nodes"].values())
    assert lab.store.stages.counts("test/develop") == {"done": 3}
    second = await lab(text)
    assert tasks == [["a", "b", "c"]]
    assert all(row["cached"] for row in second["nodes"].values())
    # A new first node takes the others along, and they are found there.
    third = await lab(chain(developed("x"), developed("b"), developed("c")))
    assert tasks == [["a", "b", "c"], ["x", "b", "c"]]
    assert [third["nodes"][one]["cached"] for one in "xbc"] == [False, True, True]
    assert ledger.read_text().split() == ["a"] * 4
    (original,) = lab.store.media.list()
    assert len(lab.store.media.tasks(original.id)) == 4, "one for each that was made"


async def test_a_chain_wants_what_the_largest_of_its_nodes_wants(lab, monkeypatch):
    wanted = []
    run = ThreadRunner.run

    async def noted(self, call, resources, *rest):
        wanted.append((resources.cpu_millis, resources.memory_mb))
        return await run(self, call, resources, *rest)

    monkeypatch.setattr(ThreadRunner, "run", noted)
    small, large = {"cpu_millis": 2000, "memory_mb": 100}, {"cpu_millis": 500, "memory_mb": 900}
    await lab(chain(add("a", resources=small), add("b", resources=large)))
    assert wanted == [(2000, 900)]
