"""Replaying: a past instance is decided again without running a node, and what differs is told."""

import asyncio

import pytest

from mirror_realm.compiler import analyze, compile_workflow
from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings
from mirror_realm.flows.replay import replay


async def again(lab, text, result):
    flow = compile_workflow(analyze("test.yaml", text="name: test\n" + text)).flow
    before = lab.store.history.of(result["instance_id"])
    found = await replay(flow, lab.store, result["instance_id"], settings())
    assert lab.store.history.of(result["instance_id"]) == before
    return found


BRANCHES = """
nodes:
  - {node_id: first, type: test/sleep, parameters: {ledger: '%s', seconds: 0}}
  - {node_id: add, type: test/add, depends_on: first, parameters: {amount: "{{ input.n }}"}}
  - {node_id: high, type: test/echo}
  - {node_id: low, type: test/echo}
  - {node_id: tolerated, type: test/fail, fail_on_error: false, parameters: {times: 9, code: NOT_FOUND}}
  - {node_id: end, type: control/set, join: any, parameters: {values: {v: "{{ nodes.add.value }}"}}}
edges:
  - {source: add, target: high, condition: "nodes.add.value > 10"}
  - {source: add, target: low, condition: "%s"}
  - {source: high, target: end}
  - {source: low, target: end}
  - {source: tolerated, target: end}
"""


@pytest.mark.parametrize("n", [3, 30])
async def test_what_is_as_it_was_differs_in_nothing(lab, tmp_path, n):
    ledger = tmp_path / "ledger"
    text = BRANCHES % (ledger, "else")
    result = await lab(text, n=n)
    assert result["status"] == "completed"
    written = ledger.read_text()
    found = await again(lab, text, result)
    assert found.differences == []
    assert found.output == result["output"]
    assert found.decisions == {name: node["status"] for name, node in result["nodes"].items()}
    assert ledger.read_text() == written


async def test_another_condition_is_found(lab, tmp_path):
    result = await lab(BRANCHES % (tmp_path / "l", "else"), n=3)
    found = await again(lab, BRANCHES % (tmp_path / "l", "nodes.add.value > 99"), result)
    assert any(
        "low is skipped in the replay" in line and "but completed" in line for line in found.differences
    )


async def test_another_mapping_is_found(lab):
    text = """
nodes:
  - {node_id: a, type: test/add}
  - {node_id: b, type: test/echo, depends_on: a, input: {x: "{{ nodes.a.value %s }}"}}
"""
    result = await lab(text % "", value=1)
    assert (await again(lab, text % "", result)).differences == []
    assert (await again(lab, text % "+ 1.0", result)).differences == ["b gets another input in the replay"]


ROUNDS = """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: [1, 2, 3]}
    body:
      - {node_id: a, type: test/add, parameters: {amount: "{{ item }}"}}
      - {node_id: odd, type: test/echo}
      edges_go_here
  - node_id: loop
    type: control/loop
    depends_on: each
    parameters: {condition: 'loop.index < 2', max_iterations: 9}
    body: [{node_id: b, type: test/add}]
  - node_id: fork
    type: control/parallel
    depends_on: loop
    branches:
      left: [{node_id: x, type: test/add}]
      right: [{node_id: y, type: test/add, when: "false"}]
  - {node_id: wait, type: control/delay, depends_on: fork, parameters: {duration: 10ms}}
"""


async def test_rounds_and_branches_are_gone_through(lab):
    text = ROUNDS.replace("      edges_go_here\n", "")
    result = await lab(text)
    assert result["status"] == "completed"
    found = await again(lab, text, result)
    assert found.differences == []
    assert found.decisions == {name: node["status"] for name, node in result["nodes"].items()}
    other = text.replace("loop.index < 2", "loop.index < 1")
    assert any("loop gives something else" in line for line in (await again(lab, other, result)).differences)


async def test_an_instance_that_failed_fails_again(lab):
    text = """
nodes:
  - {node_id: a, type: test/add}
  - {node_id: b, type: test/fail, depends_on: a, parameters: {times: 9, code: NOT_FOUND}}
  - {node_id: c, type: test/add, depends_on: b}
"""
    result = await lab(text)
    assert result["status"] == "failed"
    found = await again(lab, text, result)
    assert (found.differences, found.decisions) == ([], {"a": "completed", "b": "failed"})


async def test_an_instance_that_was_cut_off_is_replayed_as_far_as_it_came(lab):
    text = """
nodes:
  - {node_id: a, type: test/add}
  - {node_id: b, type: test/sleep, depends_on: a, parameters: {seconds: 30}}
timeout: 1s
"""
    result = await lab(text)
    assert (result["status"], result["error"]["code"]) == ("failed", "DEADLINE_EXCEEDED")
    found = await again(lab, text, result)
    assert (found.differences, found.decisions) == ([], {"a": "completed"})


async def test_only_what_is_over_can_be_replayed(lab):
    text = "nodes: [{node_id: a, type: test/sleep, parameters: {seconds: 30}}]"
    task = asyncio.create_task(lab(text))
    async with asyncio.timeout(10):
        while not lab.store.instances.list():
            await asyncio.sleep(0.01)
    id = lab.store.instances.list()[0].id
    with pytest.raises(RealmError, match="only what is over") as caught:
        await again(lab, text, {"instance_id": id})
    assert caught.value.code is Code.FAILED_PRECONDITION
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
