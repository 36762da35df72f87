"""The picture of a real run: what is inside its nodes, with states. The engine is local, so it is taken at the end."""

import pytest

from mirror_realm.flows.reports import graph_svg
from mirror_realm.flows.run import Run
from mirror_realm.flows.sketch import outline, states

NESTED = """
nodes:
  - node_id: each
    type: control/foreach
    parameters: {items: [1, 2, 3]}
    body:
      - node_id: fork
        type: control/parallel
        branches:
          left: [{node_id: add, type: control/set, parameters: {values: {v: "{{ item }}"}}}]
          right: [{node_id: odd, type: control/set, when: item != 2, parameters: {values: {v: 1}}}]
  - node_id: ask
    type: control/condition
    depends_on: each
    parameters: {condition: size(nodes.each) > 5, true_path: many, false_path: few}
  - node_id: many
    type: control/foreach
    parameters: {items: [1]}
    body: [{node_id: inside, type: control/set, parameters: {values: {v: 1}}}]
  - {node_id: few, type: control/set, parameters: {values: {v: 1}}}
"""


@pytest.fixture
def taken(monkeypatch):
    """What is known at the moment when a run under Prefect would publish its picture."""
    found = {}

    async def publish(run):
        scope = outline(run)
        found["states"] = {
            key: one.text.split(" · ")[:2] for key, one in states(run, run.env.journal.store, scope).items()
        }
        found["svg"] = graph_svg(run)

    monkeypatch.setattr(Run, "_publish", publish)
    return found


async def test_what_is_inside_is_drawn_with_its_rounds(lab, taken):
    assert (await lab(NESTED))["status"] == "completed"
    known = taken["states"]
    assert known["each/fork/left/add"] == ["completed", "3 done"]
    assert known["each/fork/right/odd"] == ["completed", "2 of 3 done"]
    assert [known[name][0] for name in ("many", "many/inside", "few")] == ["skipped", "skipped", "completed"]
    for word in ("each", "fork", "left", "right", "add", "odd", "inside", "true", "false"):
        assert f">{word}<" in taken["svg"]
