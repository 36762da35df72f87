"""The syntax tree: it accepts what evaluation accepts, means the same, and prints as what it was."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler.expressions import ExpressionError, render
from mirror_realm.compiler.expressions.engine import compile_expression
from mirror_realm.compiler.expressions.parser import parse
from mirror_realm.compiler.expressions.printing import unparse
from mirror_realm.compiler.expressions.syntax import Chain, Logic, chain_of, references

SCOPE = {
    "input": {"a": 3, "b": 2.5, "s": "照片", "t": True, "n": None, "l": [1, 2, 3], "m": {"k": 1, "x y": [0]}},
    "nodes": {"质检-1": {"分": 7}},
    "vars": {},
}


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a and b or not c", "a && b || !c"),
        ("a.b is not null", "a.b != null"),
        ("x not in y == z", "!(x in y) == z"),
        ("not a == b and c", "!(a == b) && c"),
        ("a + not b == c", "a + !(b == c)"),
        ("a is empty || b is not empty", "a is empty || !(b is empty)"),
        ("a === b !== c", "a == b != c"),
        ("(a && b) && c", "(a && b) && c"),
        ("a && (b || c)", "a && (b || c)"),
        ("((a - b)) - (c - d)", "a - b - (c - d)"),
        ("a ? b : c ? d : e", "a ? b : c ? d : e"),
        ("(a ? b : c) ? d : e", "(a ? b : c) ? d : e"),
        ("a ? (b ? 1 : 2) : 3", "a ? (b ? 1 : 2) : 3"),
        ("-5 - -x", "-5 - -x"),
        ("--5 + - - -x", "5 + -x"),
        ("!!a && !!!a && not !a", "a && !a && !(!a)"),
        ("!(-a > 0)", "!(-a > 0)"),
        ("-a.b", "-a.b"),
        ("(-5).size()", "(-5).size()"),
        ("0xFF + 1e-7 + .5 + 7u", "255 + 1e-07 + 0.5 + 7u"),
        (r"'a\tb\x41\u7167\101\?' + r'\n'", '"a\\tbA照A?" + "\\\\n"'),
        ('"""a"b""" + b\'\\xff照\'', '"a\\"b" + b"\\xff\\xe7\\x85\\xa7"'),
        ("nodes['质检-1']['分'][0][(1)]['a\"b']", "nodes['质检-1'].分[0][(1)]['a\"b']"),
        ("`in`.`a b`", "`in`['a b']"),
        ("[1, 2,] + []", "[1, 2] + []"),
        ("{'a': {}, 'b': [x],}", '{"a": {}, "b": [x]}'),
        ("l.exists(x, x > 1).f(y)[z]", "l.exists(x, x > 1).f(y)[z]"),
        ("a // a comment\n + b", "a + b"),
    ],
)
def test_what_is_read_is_printed_in_cels_spelling(text, printed):
    assert unparse(parse(text)) == printed
    assert parse(printed) == parse(text)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("", 1), ("1 +", 4), ("(1", 1), ("a b", 3), ("a = b", 3), ("f(1,)", 5), ("a is big", 6), ("a not b", 3),
        ("[1 2]", 4), ("{1}", 3), ("a ? b", 6), ("a.1", 2), ("'x", 1), (r"'\q'", 1), ("a..b", 2), ("&& a", 1),
        ("照 片", 3),
    ],
)  # fmt: skip
def test_a_fault_is_said_with_its_place(text, column):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert caught.value.column == column, caught.value


@pytest.mark.parametrize(
    "text", ["(" * 100 + "a" + ")" * 100, "not " * 400 + "a", "a" + ".b" * 400, "a" + " + a" * 400]
)
def test_what_is_nested_too_deeply_is_refused(text):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert caught.value.kind == "limit"


def test_long_rows_of_and_nest_nothing():
    tree = parse(" && ".join(["a > 1"] * 1000))
    assert isinstance(tree, Logic)
    assert len(tree.operands) == 1000
    assert parse(unparse(tree)) == tree


def test_spans_are_places_in_the_text():
    text = "a.b > 1 && not c.contains('照')"
    tree = parse(text)
    assert isinstance(tree, Logic)
    assert [text[slice(*operand.span)] for operand in tree.operands] == ["a.b > 1", "not c.contains('照')"]


def test_references_are_the_longest_chains_but_for_macro_variables():
    tree = parse("input.rows.filter(r, r.x > vars.y)[0].z + nodes['a-b'].c[2] + m[input.k]")
    assert [chain.text() for chain, _ in references(tree)] == [
        "input.rows", "vars.y", "nodes['a-b'].c[2]", "m", "input.k",
    ]  # fmt: skip
    assert chain_of(parse("a.b[0]['c d']")) == Chain("a", ("b", 0, "c d"))
    assert chain_of(parse("a[b]")) is None


ATOMS = st.sampled_from([
    "1", "2.5", "'x'", "'照'", "true", "false", "null", "input.a", "input.b", "input.s", "input.t", "input.n",
    "input.l", "input.m", "input.m['x y'][0]", "nodes.质检_1.分", "[]", "{}", "-1", "0x10", "b'y'", "input.zz",
])  # fmt: skip


def _joined(inner):
    two = st.tuples(inner, inner)
    operators = ["&&", "||", "and", "or", "==", "!=", "===", "<", "<=", ">", ">=", "in", "not in", *"+-*/%"]
    return st.one_of(
        st.builds(lambda p, o: f"{p[0]} {o} {p[1]}", two, st.sampled_from(operators)),
        st.builds(lambda p: f"({p})", inner),
        st.builds(lambda o, p: o + p, st.sampled_from(["!", "-", "not ", "!!", "- -"]), inner),
        st.builds(
            lambda p, s: p + s,
            inner,
            st.sampled_from([" is null", " is not null", " is empty", " is not empty"]),
        ),
        st.builds(lambda a, b, c: f"{a} ? {b} : {c}", inner, inner, inner),
        st.builds(lambda p: f"[{p[0]}, {p[1]}]", two),
        st.builds(lambda p: f"{{'k': {p[0]}, 'j': {p[1]}}}", two),
        st.builds(
            lambda f, p: f"{f}({p})",
            st.sampled_from(["size", "string", "has", "dyn", "int", "double"]),
            inner,
        ),
        st.builds(lambda p: f"default({p[0]}, {p[1]})", two),
        st.builds(lambda p: f"input.l.exists(x, x == {p[0]} || {p[1]})", two),
        st.builds(lambda p: f"({p[0]}).contains({p[1]})", two),
        st.builds(lambda p: f"input.l[{p}]", inner),
    )


EXPRESSIONS = st.recursive(ATOMS, _joined, max_leaves=8)


def outcome(expression):
    try:
        value = render("{{" + expression + "}}", SCOPE)
    except ExpressionError:
        return "an error"
    return type(value), value


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS)
def test_what_evaluation_accepts_is_parsed_and_means_the_same(expression):
    try:
        compile_expression(expression)
    except ExpressionError:
        return
    tree = parse(expression)
    printed = unparse(tree)
    assert parse(printed) == tree
    assert unparse(parse(printed)) == printed
    assert outcome(printed) == outcome(expression), printed


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab1.'\"()[]{}?:!&|=<>-+, \\xu照is not in", max_size=30))
def test_no_text_is_more_than_an_error(text):
    try:
        tree = parse(text)
    except ExpressionError:
        return
    assert parse(unparse(tree)) == tree
