"""Templates, conditions and mappings: what becomes of texts with expressions in them."""

import pytest

from mirror_realm.compiler.expressions import ExpressionError, apply_mapping, holds, render
from mirror_realm.core.errors import Code, RealmError
from tests.compiler.evaluation import SCOPE


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
