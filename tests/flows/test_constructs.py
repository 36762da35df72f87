"""Constructs on real runs, from definitions: loops, foreach, forks, nested in each other, restored after a break."""

import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mirror_realm.cli.results import left_out
from mirror_realm.core.references import local_path
from mirror_realm.core.status import InstanceStatus
from mirror_realm.flows.results import instance_result

EACH = """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.items }}"%s}
    body:
      nodes:
        - {node_id: twice, type: control/set, parameters: {values: {v: "{{ item * 2 }}"}}}
        - {node_id: more, type: control/set, parameters: {values: {v: "{{ nodes.twice.v + loop.index }}"}}}
      edges: [{source: twice, target: more}]
      output: {v: "{{ nodes.more.v }}"}
output: {all: "{{ nodes.each }}"}
"""


async def test_foreach_keeps_the_order(lab):
    result = await lab(EACH % "", items=[5, 1, 3])
    assert result["status"] == "completed"
    assert result["output"] == {"all": [{"v": 10}, {"v": 3}, {"v": 8}]}
    assert result["nodes"]["each/more[2]"]["output"] == {"v": 8}


async def test_foreach_of_nothing_is_an_empty_list(lab):
    assert (await lab(EACH % "", items=[]))["output"] == {"all": []}


async def test_an_item_is_what_the_first_nodes_get(lab):
    result = await lab(
        """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.files }}", item: file}
    body: [{node_id: same, type: test/echo}]
""",
        files=[{"path": "a"}, "b"],
    )
    first, second = (result["nodes"][f"each/same[{i}]"]["output"]["input"] for i in range(2))
    assert (first["path"], first["file"]) == ("a", {"path": "a"})
    assert second["file"] == "b"
    assert "path" not in second


FAILING = """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.items }}", on_item_error: %s}
    body: [{node_id: check, type: test/fail-on, parameters: {value: "{{ item }}", bad: 2}, retry: {max_attempts: 1}}]
output: {all: "{{ nodes.each }}"}
"""


async def test_an_item_that_fails_fails_the_foreach_and_says_where(lab):
    result = await lab(FAILING % "fail", items=[1, 2, 3])
    assert result["status"] == "failed"
    assert result["error"]["details"]["node_id"] == "each/check"
    assert result["error"]["details"]["iteration"] == "1"
    assert "each/check[1]" in result["error"]["message"]
    assert result["nodes"]["each"]["status"] == "failed"


async def test_a_failed_item_is_collected_in_its_place(lab):
    result = await lab(FAILING % "collect", items=[1, 2, 3])
    first, second, third = result["output"]["all"]
    assert first == {"check": {"value": 1}}
    assert second["error"]["code"] == "INVALID_ARGUMENT"
    assert "traceback" not in second["error"]
    assert third == {"check": {"value": 3}}


async def test_a_failed_item_is_left_out(lab):
    result = await lab(FAILING % "ignore", items=[1, 2, 3])
    assert result["output"]["all"] == [{"check": {"value": 1}}, {"check": {"value": 3}}]


async def test_results_in_a_file(lab):
    result = await lab(EACH % ", results: file", items=[1, 2])
    output = result["output"]["all"]
    lines = local_path(output["file"]["uri"]).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"v": 2}, {"v": 5}]
    assert (output["count"], output["failed"]) == (2, 0)


async def test_results_nobody_wants(lab):
    result = await lab(EACH % ", results: none", items=[1, 2])
    assert result["output"]["all"] == {"count": 2, "failed": 0}


LOOP = """
nodes:
  - node_id: again
    type: control/loop
    parameters: {mode: %s, condition: "%s", max_iterations: 6}
    body: [{node_id: step, type: control/set, parameters: {values: {n: "{{ loop.index + 1 }}"}}}]
output: {rounds: "{{ nodes.again }}"}
"""


@pytest.mark.parametrize(
    ("mode", "condition", "rounds"),
    [
        ("while", "loop.index < 3", 3),
        ("while", "false", 0),
        ("until", "loop.index >= 2", 2),
        ("do-while", "false", 1),
        ("do-while", "nodes.step.n < 4", 4),
        ("while", "loop.last == null || loop.last.step.n < 2", 2),
    ],
)
async def test_a_loop_ends_when_its_condition_says(lab, mode, condition, rounds):
    result = await lab(LOOP % (mode, condition))
    assert result["status"] == "completed", result["error"]
    assert result["output"]["rounds"] == [{"step": {"n": n + 1}} for n in range(rounds)]


async def test_a_loop_that_never_ends_is_ended(lab):
    result = await lab(LOOP % ("while", "true"))
    assert (result["status"], result["error"]["code"]) == ("failed", "OUT_OF_RANGE")
    assert "6 rounds" in result["error"]["message"]


async def test_a_round_may_break_the_loop(lab):
    result = await lab(
        """
nodes:
  - node_id: again
    type: control/loop
    parameters: {condition: "true", max_iterations: 9, break_on_error: true}
    body:
      - {node_id: step, type: test/fail-on, parameters: {value: "{{ loop.index }}", bad: 3}, retry: {max_attempts: 1}}
output: {rounds: "{{ size(nodes.again) }}"}
"""
    )
    assert result["output"] == {"rounds": 3}


FORK = """
nodes:
  - node_id: fork
    type: control/parallel
    parameters: {wait_for: %s, fail_fast: %s}
    branches:
      quick: [{node_id: q, type: control/set, parameters: {values: {v: 1}}}]
      bad: [{node_id: b, type: test/fail-on, parameters: {value: 1, bad: 1}, retry: {max_attempts: 1}}]
      slow: [{node_id: s, type: test/sleep, parameters: {seconds: %s}}]
output: {all: "{{ nodes.fork }}"}
"""


async def test_any_branch_is_enough_and_the_others_are_cancelled(lab):
    result = await lab(FORK % ("any", "true", 30))
    assert result["output"]["all"] == {"quick": {"q": {"v": 1}}}
    assert result["nodes"]["fork/slow/s"]["status"] == "canceled"


async def test_two_of_three_branches(lab):
    result = await lab(FORK % (2, "true", 0.01))
    assert set(result["output"]["all"]) == {"quick", "slow"}


async def test_a_failed_branch_fails_a_fork_that_waits_for_all(lab):
    result = await lab(FORK % ("all", "true", 30))
    assert result["status"] == "failed"
    assert result["error"]["details"]["node_id"] == "fork/bad/b"
    assert result["nodes"]["fork/slow/s"]["status"] == "canceled"


async def test_without_fail_fast_the_others_are_finished_first(lab):
    result = await lab(FORK % ("all", "false", 0.05))
    assert result["status"] == "failed"
    assert result["nodes"]["fork/slow/s"]["status"] == "completed"


async def test_a_fork_by_edges_hands_its_input_on(lab):
    result = await lab(
        """
nodes:
  - {node_id: fork, type: control/parallel, branches: [a, b]}
  - {node_id: a, type: control/set, parameters: {values: {v: "{{ input.x }}"}}}
  - {node_id: b, type: control/set, parameters: {values: {v: "{{ nodes.fork.x + 1 }}"}}}
""",
        x=1,
    )
    assert result["output"] == {"a": {"v": 1}, "b": {"v": 2}}


NESTED = """
nodes:
  - node_id: rows
    type: control/foreach
    parameters: {items: "{{ input.rows }}", item: row}
    body:
      nodes:
        - {node_id: which, type: control/condition, parameters: {condition: "{{ size(row) > 1 }}"}}
        - node_id: sum
          type: control/loop
          parameters: {condition: "loop.index < size(row)", max_iterations: 100}
          body:
            nodes:
              - node_id: both
                type: control/parallel
                branches:
                  left: [{node_id: l, type: control/set, parameters: {values: {v: "{{ row[loop.index] }}"}}}]
                  right: [{node_id: r, type: control/set, parameters: {values: {v: "{{ loop.parent.index }}"}}}]
            output: {v: "{{ nodes.both.left.l.v + nodes.both.right.r.v }}"}
        - {node_id: single, type: control/set, parameters: {values: {v: "{{ row }}"}}}
      edges:
        - {source: which, target: sum, condition: "nodes.which.result"}
        - {source: which, target: single, condition: else}
      output: {v: "{{ default(nodes.sum, default(nodes.single.v, null)) }}"}
output: {all: "{{ nodes.rows }}"}
"""


async def test_a_fork_inside_a_loop_inside_a_foreach_inside_a_branch(lab):
    result = await lab(NESTED, rows=[[1, 2], [3], [4, 5, 6]])
    assert result["status"] == "completed", result["error"]
    assert result["output"]["all"] == [
        {"v": [{"v": 1}, {"v": 2}]},
        {"v": [3]},
        {"v": [{"v": 6}, {"v": 7}, {"v": 8}]},
    ]


async def test_a_second_life_runs_only_what_did_not_complete(lab, tmp_path):
    ledger = tmp_path / "ledger"
    text = """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.items }}", max_concurrent: 1}
    body:
      - {node_id: work, type: test/note, retry: {max_attempts: 1},
         parameters: {line: "{{ string(item) }}", ledger: "LEDGER", break_at: "3"}}
output: {all: "{{ nodes.each.map(one, one.work.line) }}"}
""".replace("LEDGER", str(ledger))
    first = await lab(text, items=[1, 2, 3, 4])
    assert first["status"] == "failed"
    lab.store.instances.transition(first["instance_id"], InstanceStatus.RETRYING)
    second = await lab(text, instance_id=first["instance_id"])
    assert second["status"] == "completed"
    assert second["output"] == {"all": ["1", "2", "3", "4"]}
    assert ledger.read_text().split() == ["1", "2", "3!", "3", "4"]


async def test_a_retried_construct_keeps_what_completed(lab, tmp_path):
    result = await lab(
        """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: "{{ input.items }}", max_concurrent: 1}
    retry: {max_attempts: 2, initial: 10ms, on: [INTERNAL_ERROR]}
    body:
      - {node_id: work, type: test/note, retry: {max_attempts: 1},
         parameters: {line: "{{ string(item) }}", ledger: "%s", break_at: "2"}}
"""
        % (ledger := tmp_path / "ledger"),
        items=[1, 2, 3],
    )
    assert result["status"] == "completed"
    assert ledger.read_text().split() == ["1", "2!", "2", "3"]


async def test_a_foreach_ends_at_its_timeout_with_its_nodes(lab):
    result = await lab(
        """
nodes:
  - node_id: each
    type: control/foreach
    timeout: 200ms
    parameters: {items: [1, 2]}
    body: [{node_id: nap, type: test/sleep, parameters: {seconds: 30}}]
"""
    )
    assert result["error"]["code"] == "NODE_EXECUTION_TIMEOUT"
    assert result["nodes"]["each/nap[0]"]["status"] == "canceled"


async def test_rounds_report_progress_and_hold_no_scopes(lab):
    result = await lab(EACH % ", max_concurrent: 4", items=list(range(30)))
    assert len(result["output"]["all"]) == 30
    told = [e for e in lab.events if e["type"] == "node" and e["node_id"] == "each" and e["progress"]]
    assert told[-1]["progress"] == 1
    assert told[-1]["message"] == "30 of 30"


@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(items=st.lists(st.integers(-5, 5), max_size=12), width=st.integers(1, 4))
async def test_any_width_gives_the_same(lab, items, width):
    result = await lab(EACH % f", max_concurrent: {width}", items=items)
    assert result["output"]["all"] == [{"v": 2 * item + index} for index, item in enumerate(items)]


async def test_a_result_lists_few_rounds_and_counts_many(lab, monkeypatch):
    monkeypatch.setattr("mirror_realm.flows.results.MOST_ROUNDS", 4)
    result = await lab(FAILING % "collect", items=[1, 2, 2, 3, 2])
    assert set(result["nodes"]) == {"each", "each/check[1]", "each/check[2]", "each/check[4]"}
    assert result["rounds"] == {"each/check": {"completed": 2, "failed": 3}}
    assert list(left_out(result)) == ["   each/check: 2 completed, 3 failed; the first that failed are above"]
    monkeypatch.undo()
    few = instance_result(lab.store, result["instance_id"])
    assert len(few["nodes"]) == 6
    assert list(left_out(few)) == []
