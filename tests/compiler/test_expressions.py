"""What expressions compute, and how they say what is wrong."""

import pytest

from mirror_realm.compiler.expressions import ExpressionError, environment, render
from mirror_realm.core.settings import settings as realm_settings
from tests.compiler.evaluation import SCOPE, fault, value


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


def test_environment_is_read_only_where_it_is_allowed(monkeypatch):
    monkeypatch.setenv("REALM_TEST_A", "a")
    monkeypatch.setenv("REALM_TEST_B", "b")
    monkeypatch.setenv("MIRROR_REALM_ENV_ALLOW", "REALM_TEST_A")
    realm_settings.cache_clear()
    assert environment() == {"REALM_TEST_A": "a"}
    assert value("env.REALM_TEST_A", {}) == "a"
    assert "not allowed" in fault("env.REALM_TEST_B", {}).problem
    assert value("env", {}) == {"REALM_TEST_A": "a"}
