"""Loops: what is told of them, and that a bound which is proved is never exceeded. See also
``fixtures/invalid/loops.yaml``."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler import analyze
from mirror_realm.compiler.document import Document
from mirror_realm.compiler.expressions import holds, render
from mirror_realm.compiler.expressions.errors import ExpressionError
from mirror_realm.compiler.scopes import build_scopes
from mirror_realm.compiler.verify.net import Nets
from mirror_realm.compiler.verify.termination import bound_of, judge, loop_of
from mirror_realm.tasks.registry import registry

STEP = "1"


def tree(condition, step=STEP, mode="while", inside=(), **more):
    """The canonical tree of a loop whose body computes ``nodes.step.n``."""
    body = {
        "nodes": [{"node_id": "step", "type": "control/set", "parameters": {"values": {"n": step}}}, *inside]
    }
    parameters = {"condition": condition, "mode": mode, **more}
    node = {"node_id": "again", "type": "control/loop", "parameters": parameters, "body": body}
    return {
        "name": "w",
        "variables": {"limit": 4},
        "nodes": [{"node_id": "before", "type": "control/set", "parameters": {"values": {"n": 3}}}, node],
        "edges": [{"source": "before", "target": "again"}],
    }


def loop(condition, step=STEP, mode="while", inside=(), **more):
    document = Document(tree(condition, step, mode, inside, **more), 0, "")
    nets = Nets(document, registry())
    body = build_scopes(document, registry()).children[0]
    return nets, loop_of(nets, body), [(one.code, one.severity) for one in judge(nets, body) if one.severity]


def rounds(condition, step=STEP, mode="while"):
    nets, found, _ = loop(condition, step, mode)
    bound = bound_of(nets, found)
    return bound and bound.rounds


UP = "{{ default(loop.last.step.n, 0) + 2 }}"
DOWN = "{{ loop.index == 0 ? 10 : loop.last.step.n - 3 }}"


@pytest.mark.parametrize(
    ("condition", "step", "mode", "expected"),
    [
        ("loop.index < 10", STEP, "while", 10),
        ("10 > loop.index", STEP, "while", 10),
        ("loop.index <= 10", STEP, "while", 11),
        ("loop.index < 2.5", STEP, "while", 3),
        ("2 * loop.index + 1 < 10", STEP, "while", 5),
        ("10 - loop.index > 3", STEP, "while", 7),
        ("loop.index != 6", STEP, "while", 6),
        ("loop.index == 0", STEP, "while", 1),
        ("loop.index < vars.limit", STEP, "while", 4),
        ("loop.index < 10", STEP, "do-while", 11),
        ("loop.index >= 10", STEP, "until", 10),
        ("loop.index < 10 && input.go", STEP, "while", 10),
        ("loop.index < 10 && loop.index < 3", STEP, "while", 3),
        ("loop.index < 10 || loop.index == 12", STEP, "while", 13),
        ("!(loop.index >= 10 || input.stop)", STEP, "while", 10),
        ("input.go ? loop.index < 3 : loop.index < 5", STEP, "while", 5),
        ("default(nodes.step.n, 0) < 11", UP, "while", 6),
        ("default(loop.last.step.n, 0) < 11", UP, "while", 6),
        ("nodes.step.n < 11", UP, "do-while", 6),
        ("default(nodes.step.n, 10) > 0", DOWN, "while", 5),
        ("loop.last == null || loop.last.step.n < 4", "{{ loop.index * 2 }}", "while", 3),
    ],
)
def test_bounds(condition, step, mode, expected):
    assert rounds(condition, step, mode) == expected


@pytest.mark.parametrize(
    ("condition", "step"),
    [
        ("loop.index < input.n", STEP),
        ("loop.index < size(input.files)", STEP),
        ("loop.index < nodes.before.n", STEP),
        ("default(nodes.step.n, 0) < 10", "{{ default(loop.last.step.n, input.n) + 1 }}"),
        ("now() < timestamp(input.until)", STEP),
        ("now() - timestamp(execution.started_at) < duration('1h')", STEP),
    ],
)
def test_bounds_that_only_the_run_knows(condition, step):
    nets, found, told = loop(condition, step)
    bound = bound_of(nets, found)
    assert bound is not None
    assert bound.rounds is None
    assert told == []


@pytest.mark.parametrize(
    ("condition", "step", "options", "expected"),
    [
        ("true", STEP, {}, [("MR251", "error")]),
        (True, STEP, {}, [("MR251", "error")]),
        (False, STEP, {"mode": "until"}, [("MR251", "error")]),
        ("{{ input.go }}", STEP, {}, [("MR251", "error")]),
        ("nodes.before.n > 3", STEP, {"mode": "do-while"}, [("MR251", "error")]),
        ("loop.index >= 0", STEP, {}, [("MR251", "error")]),
        ("input.n > 3 || input.n <= 3", STEP, {}, [("MR251", "error")]),
        ("true", STEP, {"max_iterations": 3}, [("MR251", "warning")]),
        ("input.go", STEP, {"max_iterations": 3}, [("MR251", "warning")]),
        ("input.go", STEP, {"break_on_error": True}, [("MR250", "error")]),
        ("input.go", STEP, {"break_on_error": True, "max_iterations": 3}, []),
        ("false", STEP, {}, [("MR243", "warning")]),
        ("true", STEP, {"mode": "until"}, [("MR243", "warning")]),
        ("false", STEP, {"mode": "do-while"}, []),
        ("default(nodes.step.n, 0) < 10", "{{ input.n }}", {}, [("MR250", "error")]),
        ("default(nodes.step.n, 0) < 10", "{{ input.n }}", {"max_iterations": 3}, []),
        ("default(nodes.step.n, 0) < 10", "{{ input.n }}", {"max_iterations": "{{ input.n }}"}, []),
        ("default(nodes.step.n, 0) < 10", "{{ default(loop.last.step.n, 0) - 1 }}", {}, [("MR250", "error")]),
        ("default(nodes.step.n, 0) < 10", "{{ default(loop.last.step.n, 0) * 2 }}", {}, [("MR250", "error")]),
        ("default(nodes.step.n, 0) != 10", UP, {"mode": "while"}, []),
        ("default(nodes.step.n, 0) != 11", UP, {}, [("MR250", "error")]),
        ("loop.index != 2 || input.go", STEP, {}, [("MR250", "error")]),
        ("uuid() != 'x'", STEP, {}, [("MR250", "error")]),
        ("loop.index < 4", STEP, {"max_iterations": 3}, [("MR252", "error")]),
        ("loop.index < 4", STEP, {"max_iterations": 4}, []),
        ("loop.index < 4 && input.go", STEP, {"max_iterations": 3}, []),
    ],
)
def test_what_is_told(condition, step, options, expected):
    assert loop(condition, step, **options)[2] == expected


STOP = {
    "node_id": "stop",
    "type": "control/terminate",
    "when": "loop.index > 3",
    "parameters": {"status": "completed"},
}


def test_a_node_that_ends_the_instance_is_a_way_out_but_no_bound():
    assert loop("true", inside=[STOP])[2] == [("MR250", "error")]
    assert loop("true", inside=[STOP], max_iterations=10)[2] == []


def test_a_value_that_a_condition_may_leave_out_bounds_nothing():
    guarded = {
        "node_id": "other",
        "type": "control/set",
        "when": "input.go",
        "parameters": {"values": {"n": UP}},
    }
    assert loop("default(nodes.other.n, 0) < 9", inside=[guarded])[2] == [("MR250", "error")]


def test_a_loop_with_a_bound_needs_no_max_iterations():
    text = (
        "name: w\ntriggers: [{type: manual}]\nnodes:\n  - node_id: again\n    type: control/loop\n"
        "    parameters: {condition: loop.index < 3}\n"
        "    body: {nodes: [{node_id: a, type: control/set, parameters: {values: {x: 1}}}]}\n"
    )
    assert analyze("w.yaml", text=text).diagnostics == ()


# --- bounds are true --------------------------------------------------------------------------------------------

numbers = st.integers(-3, 8)
values = st.one_of(
    st.just("loop.index"),
    st.just("default(nodes.step.n, {})").flatmap(lambda text: numbers.map(text.format)),
    st.builds("loop.index * {} + {}".format, numbers, numbers),
    st.just("input.n"),
)
comparisons = st.builds(
    "{} {} {}".format,
    values,
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.one_of(numbers.map(str), values),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("!({})".format, inner),
    ),
    max_leaves=4,
)
steps = st.one_of(
    st.builds("{{{{ default(loop.last.step.n, {}) + {} }}}}".format, numbers, numbers),
    st.builds("{{{{ loop.index == 0 ? {} : loop.last.step.n - {} }}}}".format, numbers, numbers),
    st.builds("{{{{ {} - loop.index * {} }}}}".format, numbers, numbers),
)


def executed(condition, step, mode, most, n):
    """How many rounds there are, up to ``most``; by the rules of ``flows/constructs/loop.py``."""
    index, last, nodes = 0, None, {}
    while index < most:
        names = {"input": {"n": n}, "loop": {"index": index, "last": last}, "vars": {}}
        if mode != "do-while" and holds(condition, {**names, "nodes": nodes}) == (mode == "until"):
            return index
        nodes = {"step": {"n": render(step, {**names, "nodes": {}})}}
        last, index = dict(nodes), index + 1
        if mode == "do-while" and not holds(condition, {**names, "nodes": nodes}):
            return index
    return index


@settings(max_examples=300, deadline=None)
@given(conditions, steps, st.sampled_from(["while", "until", "do-while"]), numbers)
def test_no_loop_goes_on_past_its_bound(condition, step, mode, n):
    nets, found, told = loop(condition, step, mode)
    bound = bound_of(nets, found)
    try:
        if bound is not None and bound.rounds is not None:
            done = executed(condition, step, mode, bound.rounds + 5, n)
            assert done == bound.rounds if bound.exact else done <= bound.rounds
        elif bound is not None:
            assert executed(condition, step, mode, 200, n) < 200
        elif told == [("MR251", "error")]:
            assert executed(condition, step, mode, 30, n) in (0, 1, 30)
    except ExpressionError:
        pass  # The loop ends by failing.
