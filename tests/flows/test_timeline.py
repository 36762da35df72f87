"""The past of an instance for people."""

import pytest

from mirror_realm.compiler import analyze
from mirror_realm.core.errors import Code, RealmError
from mirror_realm.flows import control
from mirror_realm.flows.rerun import plan_rerun
from mirror_realm.flows.timeline import explain, timeline

TEXT = """
nodes:
  - {node_id: first, type: test/fail, parameters: {times: 1}, retry: {max_attempts: 2, initial: 1ms}}
  - {node_id: yes, type: test/add}
  - {node_id: no, type: test/add}
  - node_id: each
    type: control/foreach
    depends_on: yes
    parameters: {items: [甲, 乙]}
    body: [{node_id: in, type: test/echo}]
  - {node_id: bad, type: test/fail, depends_on: each, parameters: {times: 1, code: NOT_FOUND}}
  - {node_id: last, type: test/add, depends_on: bad}
edges:
  - {source: first, target: yes, condition: "nodes.first.value > 0"}
  - {source: first, target: no, condition: else}
"""


@pytest.fixture
async def failed(lab):
    result = await lab(TEXT)
    assert result["status"] == "failed"
    return result["instance_id"]


async def test_every_transition_in_order(lab, failed):
    entries = timeline(lab.store, failed)
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    first = [(e.attempt, e.before, e.after) for e in entries if e.node == "first"]
    assert first == [
        (1, None, "running"),
        (1, "running", "retrying"),
        (2, "retrying", "running"),
        (2, "running", "completed"),
    ]
    assert {"each/in[0]", "each/in[1]"} <= {entry.node for entry in entries}
    whole = [entry for entry in entries if not entry.node]
    assert [entry.after for entry in whole] == ["pending", "running", "failed"]
    assert whole[-1].lasted is not None
    assert "NOT_FOUND" in whole[-1].note
    assert all(entry.to_dict()["since_start"] >= 0 for entry in entries)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("first", ["nothing comes before it", "attempt 1 began", "TRANSIENT_ERROR", "attempt 2 began"]),
        ("yes", ["follows first, which is completed", "if nodes.first.value > 0"]),
        ("no", ["follows first", "skipped: no edge into it was taken"]),
        ("each/in[1]", ["attempt 1 began"]),
        ("last", ["follows bad, which is failed", "it has not run: the instance is failed"]),
    ],
)
async def test_why_a_node_stands_as_it_does(lab, failed, node, said):
    definition = analyze("test.yaml", text="name: test\n" + TEXT).definition
    text = "\n".join(explain(lab.store, failed, node, definition))
    for part in said:
        assert part in text
    if node != "last":
        assert explain(lab.store, failed, node)  # Also of a definition that nobody has any more.


async def test_a_node_that_runs_again_says_why(lab, failed):
    analysis = analyze("test.yaml", text="name: test\n" + TEXT)
    definition = analysis.definition
    rerun = plan_rerun(lab.store.executions.for_instance(failed), analysis, start="yes")
    control.retry(lab.store, failed, rerun, owner=lab.environment.owner)
    assert (await lab(TEXT, instance_id=failed))["status"] == "completed"
    text = "\n".join(explain(lab.store, failed, "yes", definition))
    assert "its result was dropped" in text
    assert "lives 1, 2" in text


async def test_a_node_that_is_not_there(lab, failed):
    with pytest.raises(RealmError, match="has no node ys") as caught:
        explain(lab.store, failed, "ys")
    assert caught.value.code is Code.NOT_FOUND
    assert "yes" in (caught.value.hint or "")
