"""Decisions and aggregates of any shape: what is malformed is a finding, never a fault of ours."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirror_realm.compiler import analyze

DECISION = (
    "value",
    "values",
    "cases",
    "target",
    "name",
    "default",
    "when",
    "condition",
    "true_path",
    "false_path",
)
KEYS = st.sampled_from([*DECISION, "required", "optional", "on_missing", "a", "b"])
LEAVES = st.sampled_from(["a", "b", "gone", "", "{{ input.x }}", "it's", 3, 2.5, True, None])
SHAPES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TYPES = st.sampled_from(["control/condition", "control/switch", "control/aggregate"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TYPES, st.dictionaries(KEYS, SHAPES, max_size=5))
def test_any_parameters_are_judged_without_a_fault(kind, parameters):
    nodes = [
        {"node_id": "it", "type": kind, "parameters": parameters},
        {"node_id": "a", "type": "control/end"},
        {"node_id": "b", "type": "control/end"},
    ]
    analysis = analyze("w.json", text=json.dumps({"name": "w", "nodes": nodes}))
    assert analysis.graph is not None
    for edge in analysis.graph.edges:
        assert {edge.source, edge.target} <= {"it", "a", "b"}


@pytest.mark.parametrize(
    ("type", "parameters", "found"),
    [
        ("control/switch", "{value: 1, cases: {a: 3}}", {"MR122"}),
        ("control/switch", "{value: 1, cases: [{value: 1, tarjet: a}]}", {"MR121"}),
        ("control/switch", "{value: 1, cases: [7]}", {"MR122"}),
        ("control/condition", "{cases: [{when: true, target: {a: 1}}]}", {"MR122"}),
        ("control/condition", "{condition: true, true_path: 3}", {"MR122"}),
        ("control/aggregate", "{required: [3]}", {"MR122"}),
        ("control/aggregate", "{required: a}", {"MR122"}),
        ("control/aggregate", "{}", {"MR122"}),
        ("control/switch", "{value: 1, cases: [{value: 1, target: 3}]}", {"MR122"}),
        ("control/transform", "{operations: [{op: sortt, by: a}]}", {"MR122"}),
        ("control/transform", "{operations: [{by: a}]}", {"MR122"}),
        ("control/transform", "{operations: [{op: sort, bye: a}]}", {"MR121"}),
        ("control/transform", "{operations: [{op: sort, by: [{kee: a}]}]}", {"MR121"}),
        ("control/transform", "{operations: [{op: sort}]}", {"MR123"}),
        ("control/transform", "{operations: [{op: filter, where: {feild: a}}]}", {"MR121"}),
        ("control/transform", "{operations: [{op: aggregate, compute: {n: {sun: a}}}]}", {"MR122"}),
        ("data/transform", "{operations: [{op: map, to: 1}]}", {"MR122"}),
    ],
)
def test_what_is_malformed_is_found(type, parameters, found):
    text = f"name: w\nnodes:\n  - {{node_id: it, type: {type}, parameters: {parameters}}}\n"
    analysis = analyze("w.yaml", text=text + "  - {node_id: a, type: control/end}\n")
    assert {finding.code for finding in analysis.errors} == found, analysis.render()
    assert len(analysis.errors) == 1, analysis.render()


def test_a_finding_inside_a_union_is_about_the_member_that_was_meant():
    text = "name: w\nnodes:\n  - {node_id: t, type: control/transform, parameters: {operations: [%s]}}\n"

    def finding(operation):
        (found,) = analyze("w.yaml", text=text % operation).errors
        return found.message, found.hint

    assert finding("{op: srot, by: a}") == ("op cannot be 'srot'", "did you mean 'sort'?")
    assert finding("{by: a}") == ("'op' is missing", "add op: …")
    assert finding("{op: limit, count: 1, offzet: 2}")[1] == "did you mean 'offset'?"
    assert finding("{op: limit, count: 1, zzz: 2}")[1] == "control/transform takes op, count, offset"
