"""Rendering, conditions and mappings: what expressions compute, and how they say what is wrong."""

import json
import pickle
import string
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler.expressions import ExpressionError, apply_mapping, environment, holds, render
from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings as realm_settings

SCOPE = {
    "input": {
        "score": 60,
        "half": 0.5,
        "name": "照片",
        "none": None,
        "items": [1, 2.5, 3],
        "map": {"a": 1},
        "rows": [{"a": 1, "名": "x"}, {"a": None}, {}],
        "max-size": 3,
        "big": 2**40,
        "loop": 7,
    },
    "trigger": {"payload": {}},
    "nodes": {"pre-01": {"width": 100, "height": 75}, "质检": {"x": 1}, "skipped": {}, "a_b-c": {"y": 2}},
    "vars": {"q": 92},
}


def value(expression, scope=SCOPE):
    return render("{{" + expression + "}}", scope)


def fault(expression, scope=SCOPE):
    with pytest.raises(ExpressionError) as caught:
        value(expression, scope)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # numbers mix, whole ones stay whole
        ("5 >= 4.5", True),
        ("input.score * 2", 120),
        ("input.score * 2.5", 150.0),
        ("2.5 - input.score", -57.5),
        ("input.score / 8", 7),
        ("input.score / 8.0", 7.5),
        ("input.score == 60.0", True),
        ("input.score in [60.0]", True),
        ("input.big + 1", 2**40 + 1),
        ("true ? 1 : 2.5", 1),
        ("[1, 2.5]", [1, 2.5]),
        # people's operators
        ("input.score > 3 and not input.score == 4 or false", True),
        ("not input.score in [1, 2]", True),
        ("not (true and false)", True),
        ("not true or true", True),
        ("input.score not in [1, 60]", False),
        ("input.score not in [1] + [2] && true", True),
        ("input.name === '照片'", True),
        ("input.name !== '照片'", False),
        ("input.score + 1 is not null", True),
        ("input.none is null and input.absent is null", True),
        ("(input.absent) is null and null == ((input.absent))", True),
        ("input.absent is not null", False),
        ("null == input.absent", True),
        ("input.none is empty && input.absent is empty && '' is empty && [] is empty && {} is empty", True),
        ("input.items is not empty ? 'some' : 'none'", "some"),
        ("'and or not is' == \"and or not is\"", True),
        # names
        ("nodes.pre_01.width", 100),
        ("nodes['pre-01'].width", 100),
        ("nodes['pre_01'].width", 100),
        ("nodes.a_b_c.y", 2),
        ("nodes.质检.x + nodes['质检'].x", 2),
        ("input['max-size']", 3),
        ("input.loop", 7),
        ("nodes.pre_01[ 'width' ]", 100),
        ("nodes[input.name == 'x' ? 'y' : 'pre-01'].width", 100),
        ("nodes['pre' + '_01'].width", 100),
        ("input.items[size(input.items) - 1]", 3),
        ("input.rows.map(o, has(o.名))", [True, False, False]),
        ("input.rows.map(项, default(项.名, '-'))", ["x", "-", "-"]),
        ("input.items.exists(in, in > 2)", True),
        ("[1, 2].map(loop, loop)", [1, 2]),
        ("[[1, 2], [3]].map(x, x.map(y, y * 2))", [[2, 4], [6]]),
        ("[1, 2].map(input, input + 1)", [2, 3]),
        # absence
        ("default(nodes.skipped.x, 0) + 1", 1),
        ("default(nodes.nowhere.x, 'none')", "none"),
        ("default(input.none, 3)", 3),
        ("default(input.map[input.name], 5)", 5),
        ("default(input.items[9] * 2, 5)", 5),
        ("default(input.items[1] * 2, 5)", 5.0),
        ("default(loop.index, -1)", -1),
        ("default(default(input.x, input.y), 'z')", "z"),
        ("coalesce(nodes.nowhere.x, input.none, 'third')", "third"),
        ("coalesce(input.none, input.absent)", None),
        ("has(nodes.skipped.x) || has(nodes.a.b.c) || has(input.items[7])", False),
        ("has(input.none) && has(input.map.a) && has(input.items[0])", True),
        ("input.rows.map(o, coalesce(o.a, o.b, 0))", [1, 0, 0]),
        ("input.rows.map(o, has(o.a.b.c))", [False, False, False]),
        ("true || nodes.nowhere.x", True),
        ("false && input.absent > 3", False),
        # results
        ("{'a': {'b': 1}}", {"a": {"b": 1}}),
        ("{1: 2}", {"1": 2}),
        ("b'ab'", "YWI="),
        ("duration('90m')", "1h30m"),
        ("timestamp(0) - timestamp(5400)", "-1h30m"),
        ("1 // a comment", 1),
        ("'}}' + '{{'", "}}{{"),
        ("{'x': {'y': '}}'}}", {"x": {"y": "}}"}}),
        ("r'\\d' + '''a\"b'''", '\\da"b'),
        ("input.rows[0].名", "x"),
        ("sort([{'a': 1}, {}], '-a')", [{"a": 1}, {}]),
    ],
)
def test_value(expression, expected):
    found = value(expression)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("expression", "column", "problem", "hint"),
    [
        ("input.scoer", 7, "input has no field 'scoer'", "did you mean 'score'?"),
        ("inptu.score", 1, "unknown name 'inptu'", "did you mean 'input'?"),
        ("nodes.per_01.width", 7, "no output of a node 'per_01'", "did you mean 'pre-01'?"),
        ("pre_01.width", 1, "unknown name 'pre_01'", "write nodes.pre_01.width"),
        ("input.max-size", 11, "unknown name 'size'", "['max-size']"),
        ("nodes.skipped.x", 15, "has no field 'x'", "default(nodes.skipped.x, …)"),
        ("input.none.x", 12, "input.none is null", "default(input.none.x, …)"),
        ("input.name.length", 12, "is a string", "size(input.name)"),
        ("input.items[5]", 12, "has 3 items", "default(input.items[5], …)"),
        ("input.score = 3", 13, "'=' is not an operator", "write =="),
        ("input.score <> 3", 13, "'<>'", "write !="),
        ("input.a ?? 3", 9, "'??'", "default(a, b)"),
        ("input.?a", 6, "'.?'", "default(a.b, …)"),
        ("None", 1, "unknown name 'None'", "write null"),
        ("input.score == True", 16, "unknown name 'True'", "write true"),
        ("{a: 1}", 2, "unknown name 'a'", "put the key in quotes"),
        ("hello", 1, "unknown name 'hello'", "put text in quotes"),
        ("[1, 2", 1, "'[' is never closed", "add ']'"),
        ("(1 + 2))", 8, "')' closes nothing", None),
        ("1 +", 4, "it ends too early", "something must follow '+'"),
        ("input.score 5", 13, "'5' does not belong here", "an operator"),
        ("input.score input.half", 13, "'input' does not belong here", "an operator"),
        ("if x then y", 4, "'x' does not belong here", "condition ? a : b"),
        ("and true", 1, "'and' needs something before it", None),
        ("not", 1, "'not' needs something", None),
        ("input.name is foo", 12, "'is foo' is not known", "is null"),
        ("'abc", 1, "never closed", "same quote"),
        ("  ", 1, "it is empty", None),
        ("（1）", 1, "'（' has no meaning", "write ( instead"),
        ("$.a", 1, "'$' has no meaning", "input.name"),
        ("foo(1)", 1, "unknown function 'foo'", None),
        ("len(input.items)", 1, "unknown function 'len'", "size(x)"),
        ("input.name.toUpperCase()", 12, "unknown method 'toUpperCase'", "x.upper()"),
        ("contains(input.name, 'a')", 1, "unknown function 'contains'", "x.contains(…)"),
        ("input.items.sum()", 13, "unknown method 'sum'", "sum(x)"),
        ("default(input.x)", 1, "default takes 2 arguments, not 1", None),
        ("round(1, 2, 3)", 1, "round takes 1 to 2 arguments, not 3", None),
        ("round(1,)", 9, "an argument is missing", None),
        ("input.items.map(1, 2)", 13, "map takes a name", "list.map(x, …)"),
        ("input.rows.map(o, default(o.a * 2, 0))", 27, "reads 'o'", "default(o.field, …)"),
        ("secret('x')", 1, "secrets are not readable", None),
        ("env.HOME", 5, "not set or not allowed", "MIRROR_REALM_ENV_ALLOW"),
        ("item.x", 1, "there is no 'item' here", "inside a loop or foreach"),
        ("google.protobuf.Any{}", 1, "cannot be built", "{'key': value}"),
        ("input.name + 1", None, "'+' does not work on a string and a number", "string(x)"),
        ("'a' < 1", None, "'<' does not work", "double(x)"),
        ("'a' in 'abc'", None, "'in'", "text.contains(part)"),
        ("input.score ? 1 : 2", None, "what stands before ?", "x > 0"),
        ("input.score && true", None, "'&&' takes only true or false", None),
        ("1 / 0", None, "division by zero", None),
        ("1.0 % 2", None, "'%'", "whole numbers"),
        ("9223372036854775807 + 1", None, "beyond 64 bits", None),
        ("input.rows.map(o, o.b.c)", None, "no key 'b'", "default("),
        ("sort([1, 'a'])", None, "different types", None),
        ("timestamp('gestern')", None, "not a timestamp", None),
        ("1.0 / 0", None, "division by zero", None),
        ("double('inf')", None, "JSON cannot carry", None),
        ("type(1)", None, "a type", None),
        ("default(1 + 'a', 5)", None, "'+' does not work", None),
    ],
)
def test_fault(expression, column, problem, hint):
    error = fault(expression)
    assert problem in error.problem
    assert error.column == (column + 2 if column is not None and expression.strip() else error.column)
    if column is None:
        assert error.column is None
    if hint is not None:
        assert hint in (error.hint or "")


def test_columns_count_in_the_text_that_the_author_wrote():
    with pytest.raises(ExpressionError) as caught:
        render("照片 {{ 1 }} not here, but {{ input.name and default(input.x + inptu.y, 2) }}", SCOPE)
    assert caught.value.expression[caught.value.column - 1 :].startswith("inptu.y")
    with pytest.raises(ExpressionError) as caught:
        value("input.absent is not empty and\n input.name === foo")
    assert caught.value.expression[caught.value.column - 1 :].startswith("foo")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{ not } a {template}", "{ not } a {template}"),
        ("{{ input.score }}", 60),
        ("  {{ input.score }}", "  60"),
        ("{{ input.score }}/{{ input.half }}/{{ input.none }}/{{ true }}", "60/0.5//true"),
        ("{{ 60.0 }} {{ 0.1 + 0.2 }} {{ 1e20 }}", "60 0.3 1e+20"),
        ("{{ input.map }}!", '{"a":1}!'),
        (r"\{{ input.score }}", "{{ input.score }}"),
        (r"\\{{ input.score }}", "\\60"),
        (r"C:\x {{ 1 }}", r"C:\x 1"),
        ("{{ {'a': {'b': 1}}}}", {"a": {"b": 1}}),
        ("it's {{ 'a }} b' }}", "it's a }} b"),
        ("x'{{ 1 }}'", "x'1'"),
        ("{{\n  input.score\n  + 1\n}}", 61),
    ],
)
def test_template(text, expected):
    assert render(text, SCOPE) == expected


def test_a_tree_is_rendered_and_not_changed():
    tree = {
        "a": ["{{ input.score }}", {"{{ k }}": "{{ input.name }}"}],
        "b": 1,
        "c": None,
        "d": (1, "{{ 2 }}"),
    }
    assert render(tree, SCOPE) == {"a": [60, {"{{ k }}": "照片"}], "b": 1, "c": None, "d": [1, 2]}
    assert tree["a"][0] == "{{ input.score }}"


@pytest.mark.parametrize("text", ["{{", "a {{ b", "{{ 'a }}", "{{ {'a': 1 }}"])
def test_templates_that_never_end(text):
    with pytest.raises(ExpressionError) as caught:
        render(text, SCOPE)
    assert "never closed" in caught.value.problem
    assert caught.value.column is not None


def test_what_is_rendered_is_not_rendered_again():
    scope = {"input": {"evil": "{{ input.secret }}", "secret": "s"}}
    assert render("{{ input.evil }} x", scope) == "{{ input.secret }} x"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("input.score >= 60", True),
        ("{{ input.score >= 60 }}", True),
        ("  {{ input.score > 60 }}  ", False),
        ("{{input.score}} >= 60", True),
        ("{{input.score}} >= 60 and '{{x}}' != {{ input.name }}", True),
        (True, True),
        (False, False),
    ],
)
def test_condition(condition, expected):
    assert holds(condition, SCOPE) is expected


@pytest.mark.parametrize(
    "condition", ["input.score", "{{ input.name }}", "null", "", "  ", "{{ }}", "input.score >"]
)
def test_not_a_condition(condition):
    with pytest.raises(ExpressionError) as caught:
        holds(condition, SCOPE)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_mapping():
    source = {"data": {"id": 7, "tags": ["a", "b"], "属性": {"宽": 3}}, "a-b": 1}
    mapping = {
        "user.id": "$.data.id",
        "user.tags": "$.data.tags[*]",
        "first": "$.data.tags[0]",
        "all": "$",
        "kind": "premium",
        "n": 3,
        "absent": "$.nothing.here",
        "quoted": '$."a-b"',
        "宽": "$.data.属性.宽",
        r"a\.b": "$.data.id",
        "price": "$5",
        "t": "{{ input.score }}",
    }
    result = apply_mapping(mapping, source, SCOPE)
    assert result == {
        "user": {"id": 7, "tags": ["a", "b"]},
        "first": "a",
        "all": source,
        "kind": "premium",
        "n": 3,
        "absent": None,
        "quoted": 1,
        "宽": 3,
        "a.b": 7,
        "price": "$5",
        "t": 60,
    }
    assert apply_mapping({"t": "{{ input.score }}"}, source) == {"t": "{{ input.score }}"}
    assert apply_mapping({"a": "$.data", "a.more": 1}, source)["a"] == {**source["data"], "more": 1}
    assert "more" not in source["data"]


@pytest.mark.parametrize("mapping", [{"a.b": 1, "a": 2}, {"a": 1, "a.b": 2}, {"a..b": 1}, {"": 1}])
def test_targets_that_exclude_each_other(mapping):
    with pytest.raises(RealmError) as caught:
        apply_mapping(mapping, {})
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(("path", "column"), [("$.a..b", 5), ("$.", 3), ("$.a[", 5), ("$.a b", 5)])
def test_a_bad_path(path, column):
    with pytest.raises(ExpressionError) as caught:
        apply_mapping({"x": path}, {})
    assert caught.value.column == column


def test_environment_is_read_only_where_it_is_allowed(monkeypatch):
    monkeypatch.setenv("REALM_TEST_A", "a")
    monkeypatch.setenv("REALM_TEST_B", "b")
    monkeypatch.setenv("MIRROR_REALM_ENV_ALLOW", "REALM_TEST_A")
    realm_settings.cache_clear()
    assert environment() == {"REALM_TEST_A": "a"}
    assert value("env.REALM_TEST_A", {}) == "a"
    assert "not allowed" in fault("env.REALM_TEST_B", {}).problem
    assert value("env", {}) == {"REALM_TEST_A": "a"}


@pytest.mark.parametrize(
    "expression",
    [
        "range(9000).filter(x, x > 0).filter(y, y > 0)",
        "range(10000).all(x, range(10000).all(y, x * y >= 0))",
        "1" + "+1" * 600,
        "(" * 500 + "1" + ")" * 500,
        "not " * 500 + "true",
        "[" * 60 + "1" + "]" * 60,
        "input.items.map(x, default(" * 40 + "1" + ", 0))" * 40,
        "default(" * 100 + "input.x" + ", 1)" * 100,
        "['aaaaaaaa']" + ".map(v, v + v + v + v)" * 12,
        "'" + "a" * 20_000 + "'",
        "in " * 3000,
        "and " * 2000 + "or",
        "join(range(300), 'x').replace('', join(range(3000), 'xxxxxxxxxxxxxxxx'))",
        "range(1000000)",
        "join(range(100000), 'x' + join(range(1000), 'yyyyyyyyyyy'))",
        "[join(range(20000), 'x')].map(a, [a, a, a, a, a, a, a, a, a, a, a, a])",
    ],
)
def test_work_is_bounded(expression):
    assert fault(expression).problem


def test_a_result_is_bounded_by_the_payload_limit(monkeypatch):
    monkeypatch.setenv("MIRROR_REALM_MAX_PAYLOAD_BYTES", "2048")
    realm_settings.cache_clear()
    assert "larger than 2048 bytes" in fault("range(2000).map(x, 'abc')").problem
    assert len(value("'" + "a" * 2000 + "'")) == 2000


def test_errors_travel_between_processes():
    error = fault("input.scoer")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ExpressionError)
    assert (again.problem, again.column, again.hint, str(again)) == (
        error.problem,
        error.column,
        error.hint,
        str(error),
    )
    assert json.dumps(error.record.to_dict())


def test_scopes_may_hold_what_is_almost_json(tmp_path):
    from datetime import UTC, datetime

    scope = {"input": {"t": (1, 2), "p": tmp_path, "d": datetime(2026, 1, 2, tzinfo=UTC)}}
    assert value("input.t[0] + size(input.t)", scope) == 3
    assert value("input.d + ' ' + input.p", scope) == f"2026-01-02T00:00:00Z {tmp_path}"


def test_text_with_nul_is_passed_on_or_refused_but_never_cut():
    scope = {"input": {"a": "x\0y", "l": [{"k\0": 1}], "fine": ["\\u0000"]}}
    assert value("input.a", scope) == "x\0y"
    assert render("<{{ input.a }}>", scope) == "<x\0y>"
    assert "NUL" in fault("input.a + 'z'", scope).problem
    assert "NUL" in fault("input.l + []", scope).problem
    assert value("has(input.a) && default(input.b, 'x') == 'x'", scope) is True
    assert value("input.fine + []", scope) == ["\\u0000"]


def test_threads_share_compiled_expressions():
    with ThreadPoolExecutor(8) as pool:
        scopes = [{"input": {"n": n, "l": list(range(50))}} for n in range(200)]
        found = list(pool.map(lambda s: value("input.l.map(x, x * input.n)[2] + sum(input.l)", s), scopes))
    assert found == [2 * n + 1225 for n in range(200)]


PIECES = (
    "0 1 2.5 a input nodes == and or not is null empty in has default map x input.score true // === r\" b'"
)
WORDS = st.sampled_from(
    [*string.punctuation, *PIECES.split(), "{{", "}}", "照", "\n", "input.items", ".map("]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS, max_size=14), st.sampled_from(["", " "]))
def test_any_text_is_a_value_or_a_clear_error(words, separator):
    try:
        json.dumps(value(separator.join(words)))
    except ExpressionError as error:
        places = range(1, len(error.expression) + 2)
        assert error.column is None or error.column in places  # noqa: PT017 - a value is right too


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=12,
    )
)
def test_json_passes_through_unchanged(data):
    """By reference, through CEL itself, and as text."""
    scope = {"input": {"data": data}}
    assert value("input.data", scope) == data
    assert json.dumps(value("[input.data]", scope)[0], sort_keys=True) == json.dumps(data, sort_keys=True)
    assert json.loads(value("to_json(input.data)", scope)) == data
