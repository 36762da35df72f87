"""Plain conditions are answered without CEL, and never otherwise than CEL answers."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.compiler import analyze
from mirror_realm.compiler.document import Document
from mirror_realm.compiler.expressions.engine import compile_expression
from mirror_realm.compiler.expressions.parser import parse
from mirror_realm.compiler.verify.logic.plain import plain
from mirror_realm.compiler.verify.logic.prover import Prover

CONSTANTS = (
    "0",
    "-1",
    "3",
    "2.5",
    "1e3",
    "0x1f",
    "9007199254740993",
    "'a'",
    "'é'",
    '"B"',
    "r'\\n'",
    "'\\n'",
    "true",
    "null",
    "3u",
)
REFERENCES = ("input.a", "input.b.c", "input['a b']", "vars.a", "nodes.step_1.a")
comparisons = st.builds(
    "{} {} {}".format,
    st.sampled_from(REFERENCES),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    st.sampled_from(CONSTANTS),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("!({})".format, inner),
        st.builds("({}) && ({})".format, inner, inner),
        st.builds("({}) or ({})".format, inner, inner),
    ),
    max_leaves=4,
)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "a", "B", "é", "\n", "\\n", "a\0"]),
    st.just([1]),
)
scopes = st.fixed_dictionaries(
    {
        "input": st.fixed_dictionaries(
            {}, optional={"a": values, "a b": values, "b": st.fixed_dictionaries({}, optional={"c": values})}
        ),
        "vars": st.fixed_dictionaries({}, optional={"a": values}),
        "nodes": st.fixed_dictionaries({}, optional={"step-1": st.fixed_dictionaries({"a": values})}),
    }
)


@given(conditions, scopes)
def test_what_is_answered_without_cel_is_what_cel_answers(text, scope):
    function = plain(parse(text))
    answer = None if function is None else function(scope)
    if answer is None:
        return
    assert compile_expression(text).evaluate(scope) is answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("input.a > 3", True),
        ("input.b == 'x' && !(input.c.d <= 2.5)", True),
        ("input.a != 4 or input.a < 0", False),
    ],
)
def test_comparisons_with_constants_are_plain(text, answer):
    assert plain(parse(text))({"input": {"a": 4, "b": "x", "c": {"d": 7}}}) is answer


@pytest.mark.parametrize(
    "text",
    ["input.a > input.b", "size(input.a) > 3", "input.a", "input.a > 3 + 1", "input.a == null", "3u < 4u"],
)
def test_what_is_more_than_that_is_left_to_cel(text):
    assert plain(parse(text)) is None


def ladder(count):
    """Two lanes with edges across, and a guard on every node, which those before it have to do with."""
    nodes = [
        {
            "node_id": f"s{n}",
            "type": "data/file-read",
            "parameters": {"path": "a.json"},
            "when": f"input.size > {n}",
        }
        for n in range(count)
    ]
    for n, node in enumerate(nodes):
        node["next"] = [f"s{m}" for m in (n + 2, n + 3) if m < count]
    lines = [f"  - {node}" for node in nodes]
    return "name: ladder\ntriggers: [{type: manual}]\nnodes:\n" + "\n".join(lines)


def test_a_long_definition_of_plain_conditions_needs_no_proof(monkeypatch):
    def fail(*_):
        raise AssertionError("z3 takes more memory than the definition")

    monkeypatch.setattr(Prover, "_proved", fail)
    found = analyze("ladder.yaml", text=ladder(1_700))
    assert [one for one in found.diagnostics if one.severity == "error"] == []


def test_nothing_holds_on_to_what_the_author_wrote():
    analysis = analyze("ladder.yaml", text=ladder(3))
    gc.collect()
    documents = [one for one in gc.get_objects() if isinstance(one, Document) and one.text == analysis.text]
    assert documents == [analysis.document]


def test_a_text_that_stands_in_many_places_is_kept_once():
    analysis = analyze("ladder.yaml", text=ladder(3).replace("'", ""))
    first, second, _ = analysis.document.tree["nodes"]
    assert first["type"] is second["type"]
    own, other = (next(key for key in node if key == "node_id") for node in (first, second))
    assert own is other
