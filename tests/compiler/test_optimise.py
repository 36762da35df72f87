"""What each pass does to a plan, what it leaves alone, and what it says about both."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.compiler import analyze, emit
from mirror_realm.compiler.explanation import explain
from mirror_realm.compiler.expressions import ExpressionError, holds
from mirror_realm.compiler.expressions.engine import compile_expression
from mirror_realm.compiler.optimise import PASSES, optimise
from mirror_realm.compiler.optimise.constants import Constants, fold, fold_condition
from mirror_realm.compiler.plan import plan_of

HEAD = "name: w\ntriggers: [{type: manual}]\nvariables: {on: true, off: false, n: 3, names: [a, b]}\n"
SET = "type: control/set, parameters: {values: {k: 1}}"
READ = "type: data/file-read, parameters: {path: a.json}"


def plans(text):
    """The plain plan of a definition, the optimised one, and the remarks by pass: changed, then kept."""
    analysis = analyze("w.yaml", text=HEAD + text).raise_for_errors()
    plain, told = plan_of(analysis), []
    optimised = optimise(plain, told)
    return plain, optimised, {notes.name: (notes.changed, notes.kept) for notes in told}


def edges(plan):
    return {(e.source, e.target, e.condition) for block in plan.root.walk() for e in block.graph.edges}


def ids(plan):
    return [node.id for block in plan.root.walk() for node in block.graph.nodes]


# --- constants ---------------------------------------------------------------------------------------------------

KNOWN = Constants({"on": True, "off": False, "n": 3, "names": ["a", "b"], "text": "照片"}, lambda name: None)


@pytest.mark.parametrize(
    ("condition", "folded"),
    [
        ("vars.off", "false"),
        ("{{ vars.n == 3 && vars.on }}", "true"),
        ("input.w > vars.n * 2", "input.w > 6"),
        ("input.w - (2 - 7) > 1", "input.w - ((-5)) > 1"),
        ("input.w > vars.n", "input.w > vars.n"),
        ("vars.off && input.w > 1", "vars.off && input.w > 1"),
        ("input.names.exists(x, x == vars.text + '!')", 'input.names.exists(x, x == "照片!")'),
        ("input.names.exists(vars, vars.n + 1 == 4)", "input.names.exists(vars, vars.n + 1 == 4)"),
        ("has(vars.nothing)", "has(vars.nothing)"),
        ("default(vars.n, 0) == 3", "true"),
        ("now() > timestamp('2020-01-01')", "now() > timestamp('2020-01-01')"),
        ("uuid() == uuid()", "uuid() == uuid()"),
        ("env.HOME == 'x'", "env.HOME == 'x'"),
        ("1 / 0 == 1", "1 / 0 == 1"),
        ("vars.n", "vars.n"),
        ("input.x == 5u + 1u", "input.x == 5u + 1u"),
        ("input.t < timestamp('2020-01-01') + duration('1h')", None),
        ("this is no expression", "this is no expression"),
        ("{{vars.n}} > {{input.x}}", "{{vars.n}} > {{input.x}}"),
    ],
)
def test_conditions(condition, folded):
    assert fold_condition(condition, KNOWN) == (condition if folded is None else folded)


@pytest.mark.parametrize(
    ("value", "folded"),
    [
        ("{{ vars.n * 2 }}", 6),
        ("{{ vars.n }}", "{{ vars.n }}"),
        ("{{ 3.0 * 2 }}", 6.0),
        ("{{ [vars.n] }}", "{{ [vars.n] }}"),
        ("{{ vars.text }}-{{ vars.n }}.jpg", "照片-3.jpg"),
        ("{{ vars.text }}-{{ input.n }}.jpg", "{{ vars.text }}-{{ input.n }}.jpg"),
        ("{{ input.n + vars.n * 2 }}", "{{ input.n + 6 }}"),
        ("{{ '{' + '{' }}", "{{ '{' + '{' }}"),
        ("{{ now() }}", "{{ now() }}"),
        ({"a": ["{{ vars.on ? 1 : 2 }}", "plain"]}, {"a": [1, "plain"]}),
        (r"\{{ vars.n * 2 }}", r"\{{ vars.n * 2 }}"),
    ],
)
def test_templates(value, folded):
    made = fold(value, KNOWN)
    assert (made, type(made)) == (folded, type(folded))


ATOM = st.sampled_from(
    [
        "vars.n",
        "vars.on",
        "vars.off",
        "vars.text",
        "input.x",
        "input.y",
        "1",
        "2.5",
        "-3",
        "'a'",
        "null",
        "true",
    ]
)
EXPRESSION = st.recursive(
    ATOM,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%", "==", "<", "&&", "||", "in"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        )
        | inner.map("!({})".format)
        | inner.map("size({})".format)
        | inner.map("default({}, 1)".format)
        | st.tuples(inner, inner, inner).map(lambda parts: "({} ? {} : {})".format(*parts))
        | st.tuples(inner, inner).map("[{0[0]}, {0[1]}]".format)
        | inner.map("vars.names.exists(v, v == {})".format)
    ),
    max_leaves=8,
)


def outcome(expression, scope):
    try:
        value = compile_expression(expression).evaluate(scope)
    except ExpressionError:
        return "an error"
    return type(value), value


@given(EXPRESSION, st.sampled_from([{}, {"x": 1, "y": "a"}, {"x": True, "y": [1]}, {"x": 2.5, "y": "\0"}]))
def test_a_folded_expression_is_what_it_was(expression, input):
    scope = {"input": input, "vars": KNOWN.variables}
    folded = fold_condition(expression, KNOWN)
    assert outcome(folded, scope) == outcome(expression, scope)


# --- constants of nodes ------------------------------------------------------------------------------------------


def test_what_a_set_node_surely_gave_is_known_after_it():
    _, plan, _ = plans(
        f"nodes:\n  - {{node_id: config, {SET}}}\n"
        f"  - {{node_id: a, {READ}, depends_on: config, when: nodes.config.k == 1}}\n"
        f"  - {{node_id: b, {READ}, depends_on: a, when: input.x > nodes.config.k + 1}}\n"
    )
    assert [plan.nodes["nodes", index].when for index in (1, 2)] == [None, "input.x > 2"]


@pytest.mark.parametrize(
    "config", ["when: input.x > 1", "fail_on_error: false", "on_error: [{ignore: true}]"]
)
def test_a_set_node_that_may_not_have_given_it_is_not_known(config):
    _, plan, _ = plans(
        f"nodes:\n  - {{node_id: config, {SET}, {config}}}\n"
        f"  - {{node_id: middle, {READ}, depends_on: config}}\n"
        f"  - {{node_id: a, {READ}, depends_on: middle, "
        "when: 'default(nodes.config.k, 1) == 1'}\n"
    )
    assert plan.nodes["nodes", 2].when == "default(nodes.config.k, 1) == 1"


def test_a_set_node_beside_another_is_not_known_there():
    text = HEAD + (
        f"nodes:\n  - {{node_id: config, {SET}}}\n  - {{node_id: other, {READ}}}\n"
        f"  - {{node_id: a, {READ}, depends_on: other, when: nodes.config.k == 1}}\n"
    )
    plan = optimise(plan_of(analyze("w.yaml", text=text)))  # the checks refuse it
    assert plan.nodes["nodes", 2].when == "nodes.config.k == 1"


def test_an_edge_knows_its_own_source():
    _, plan, _ = plans(
        f"nodes:\n  - {{node_id: top, {READ}}}\n  - {{node_id: config, {SET}}}\n  - {{node_id: a, {READ}}}\n"
        "edges:\n  - {source: top, target: config, condition: input.x > 1}\n"
        "  - {source: config, target: a, condition: nodes.config.k == 1}\n"
    )
    assert ("config", "a", None) in edges(plan)


def test_beside_an_else_a_condition_that_always_holds_stays():
    _, plan, _ = plans(
        f"nodes:\n  - {{node_id: top, {READ}}}\n  - {{node_id: a, {READ}}}\n  - {{node_id: b, {READ}}}\n"
        "edges:\n  - {source: top, target: a, condition: vars.on}\n  - {source: top, target: b, condition: else}\n"
        "output: {}\n"
    )
    assert edges(plan) == {("top", "a", "true")}


def test_a_decision_on_constants_leads_one_way():
    text = (
        "output: {}\nnodes:\n"
        "  - {node_id: check, type: control/condition, "
        'parameters: {condition: "{{ vars.off }}", true_path: a, false_path: b}}\n'
        f"  - {{node_id: a, {READ}}}\n  - {{node_id: b, {READ}}}\n  - {{node_id: c, {READ}, depends_on: [a, b]}}\n"
    )
    _, plan, told = plans(text)
    assert ids(plan) == ["check", "b", "c"]
    assert edges(plan) == {("check", "b", None), ("b", "c", None)}
    assert [tuple(remark) for remark in told["dead-nodes"][0]] == [
        ("a", "left out: no edge into it ever fires")
    ]


# --- dead nodes --------------------------------------------------------------------------------------------------


def test_who_waited_for_whom_still_does():
    _, plan, _ = plans(
        f"output: {{}}\nnodes:\n  - {{node_id: first, {READ}}}\n"
        f"  - {{node_id: dead, {READ}, when: vars.off, depends_on: first}}\n"
        f"  - {{node_id: other, {READ}}}\n  - {{node_id: last, {READ}, depends_on: [dead, other]}}\n"
    )
    assert ids(plan) == ["first", "other", "last"]
    assert edges(plan) == {("other", "last", None), ("first", "last", "false")}


def test_an_edge_that_never_fires_stays_where_it_alone_keeps_the_order():
    text = (
        f"output: {{}}\nnodes:\n  - {{node_id: a, {READ}}}\n  - {{node_id: b, {READ}}}\n  - {{node_id: c, {READ}}}\n"
        "edges:\n  - {source: a, target: c, condition: vars.off}\n  - {source: b, target: c}\n"
    )
    assert edges(plans(text)[1]) == {("a", "c", "false"), ("b", "c", None)}
    assert edges(plans(text + "  - {source: a, target: b}\n")[1]) == {("a", "b", None), ("b", "c", None)}


def test_an_end_stays_where_the_output_is_that_of_the_ends():
    text = f"nodes:\n  - {{node_id: a, {READ}}}\n  - {{node_id: b, {READ}, when: vars.off, depends_on: a}}\n"
    plain, plan, told = plans(text)
    assert ids(plan) == ids(plain)
    assert "would be an end" in told["dead-nodes"][1][0].text
    assert ids(plans("output: {}\n" + text)[1]) == ["a"]


def test_a_node_stays_where_asking_for_it_may_fail():
    _, plan, told = plans(
        f"output: {{}}\nnodes:\n  - {{node_id: a, {READ}}}\n  - {{node_id: b, {READ}, when: vars.off}}\n"
        "edges:\n  - {source: a, target: b, condition: input.x > 1}\n"
    )
    assert ids(plan) == ["a", "b"]
    assert "may fail" in told["dead-nodes"][1][0].text


def test_a_node_stays_whose_condition_an_else_asks():
    _, plan, told = plans(
        "output: {}\nnodes:\n  - {node_id: check, type: control/condition, "
        'parameters: {condition: "{{ input.x > 1 }}", true_path: a}}\n'
        f"  - {{node_id: a, {READ}, when: vars.off}}\n  - {{node_id: b, {READ}}}\n"
        "edges:\n  - {source: check, target: b, condition: else}\n"
    )
    assert ids(plan) == ["check", "a", "b"]
    assert "the else out of 'check' asks" in told["dead-nodes"][1][0].text


def test_a_join_that_is_never_met_is_dead():
    _, plan, told = plans(
        f"output: {{}}\nnodes:\n  - {{node_id: a, {READ}}}\n  - {{node_id: b, {READ}, when: vars.off}}\n"
        f"  - {{node_id: c, {READ}, join: all, depends_on: [a, b]}}\n"
        f"  - {{node_id: d, {READ}, join: 1, depends_on: [a, b, c]}}\n"
    )
    assert ids(plan) == ["a", "d"]
    assert told["dead-nodes"][0][1].text == "left out: its join needs 2 of 2 edges, and 1 can fire"


def test_a_dead_construct_takes_its_parts_along_and_a_part_may_be_empty():
    _, plan, _ = plans(
        "output: {}\nnodes:\n"
        f'  - {{node_id: dead, when: vars.off, type: control/foreach, parameters: {{items: "{{{{ vars.names }}}}"}}, '
        f"body: {{nodes: [{{node_id: in-it, {READ}}}]}}}}\n"
        f'  - {{node_id: each, type: control/foreach, parameters: {{items: "{{{{ vars.names }}}}"}}, '
        f"body: {{nodes: [{{node_id: x, {READ}, when: vars.off}}]}}}}\n"
    )
    assert ids(plan) == ["each"]
    assert [block.key for block in plan.root.walk()] == ["", "each"]


def test_a_definition_of_dead_nodes_alone_is_still_a_flow():
    text = HEAD + f"output: {{}}\nnodes:\n  - {{node_id: a, {READ}, when: vars.off}}\n"
    source = emit(analyze("w.yaml", text=text))
    compile(source, "w", "exec")
    assert 'run.leave_out(a, "its guard is always false")\n' in source


def test_what_runs_when_the_instance_has_failed_is_left_as_it_is():
    text = (
        "output: {}\nerror_handling: {on_failure: tidy}\nnodes:\n"
        f"  - {{node_id: config, {SET}}}\n  - {{node_id: a, {READ}, depends_on: config}}\n"
        f"  - {{node_id: b, {READ}, depends_on: a, when: vars.off}}\n"
        f"  - {{node_id: tidy, {READ}, depends_on: b, when: 'default(nodes.config.k, 2) == 1'}}\n"
    )
    plain, plan, told = plans(text)
    assert ids(plan) == ids(plain)
    assert plan.nodes["nodes", 3].when == "default(nodes.config.k, 2) == 1"
    assert ("tidy", "it may run when the instance has failed") in told["dead-nodes"][1]


# --- order and priorities ----------------------------------------------------------------------------------------


def test_expensive_roots_come_first():
    _, plan, told = plans(
        f"nodes:\n  - {{node_id: small, {READ}, timeout: 10s}}\n"
        f"  - {{node_id: big, {READ}, timeout: 900s}}\n"
        f"  - {{node_id: gpu, {READ}, timeout: 1s, resources: {{gpu: preferred}}}}\n"
        "  - {node_id: end, type: control/end, depends_on: [small, big, gpu]}\n"
    )
    assert plan.root.order == ("gpu", "big", "small", "end")
    assert [remark.node for remark in told["expensive-roots"][0]] == ["gpu", "big"]


def test_the_longest_way_has_priority_within_its_class():
    _, plan, told = plans(
        f"nodes:\n  - {{node_id: a, {READ}, timeout: 10s}}\n"
        f"  - {{node_id: long, {READ}, timeout: 900s, priority: 5, depends_on: a}}\n"
        f"  - {{node_id: short, {READ}, timeout: 5s, depends_on: a}}\n"
        f"  - {{node_id: each, type: control/foreach, depends_on: [long, short], "
        f'parameters: {{items: "{{{{ vars.names }}}}"}}, body: {{nodes: [{{node_id: x, {READ}}}]}}}}\n'
    )
    assert plan.priorities == {("nodes", 0): 5.5, ("nodes", 3, "body", "nodes", 0): 5.5}
    assert told["critical-path"][1][0] == ("long", "the definition gives it priority 5")
    assert plans(f"nodes:\n  - {{node_id: a, {READ}}}\n")[1].priorities == {}


# --- the whole ---------------------------------------------------------------------------------------------------


def test_every_pass_is_named_as_its_file_and_documented():
    assert [one.__module__.rpartition(".")[2] for one in PASSES] == [one.__name__ for one in PASSES]
    assert all(one.__doc__ for one in PASSES)


def test_passes_change_no_plan_and_settle():
    text = (
        HEAD + f"output: {{}}\nnodes:\n  - {{node_id: a, {READ}}}\n"
        f"  - {{node_id: b, {READ}, when: vars.off, depends_on: a}}\n"
    )
    plan = plan_of(analyze("w.yaml", text=text))
    before = repr(plan), dict(plan.nodes)
    once = optimise(plan)
    assert (repr(plan), dict(plan.nodes)) == before
    assert optimise(once) == once


def test_the_explanation_is_text_and_json():
    text = (
        HEAD + f"output: {{}}\nnodes:\n  - {{node_id: 照片, {READ}, when: input.x > 1}}\n"
        f"  - {{node_id: b, {READ}, when: vars.off}}\n"
    )
    explanation = explain(analyze("w.yaml", text=text))
    shown = json.loads(json.dumps(explanation.to_dict()))
    assert [one["pass"] for one in shown["passes"]] == [
        "constant-folding", "dead-nodes", "expensive-roots", "critical-path", "batches", "fusion",
    ]  # fmt: skip
    assert shown["passes"][1]["changed"] == [{"node": "b", "text": "left out: its guard is always false"}]
    assert {"code", "verdict", "line"} <= shown["facts"][0].keys()
    assert "  changed  b: left out: its guard is always false\n" in explanation.text()
    assert "nodes[0].when: it can hold" in explanation.text()


def test_a_condition_is_asked_as_before_when_it_is_not_true_or_false():
    with pytest.raises(ExpressionError):
        holds(fold_condition("vars.n + 1", KNOWN), {"vars": KNOWN.variables})
