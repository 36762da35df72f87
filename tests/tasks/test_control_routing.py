"""control/condition, control/switch and control/aggregate: which way is taken, and what is gathered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.tasks.control.routing import same, text_of
from tests.tasks.test_control import error, output

KINDS = {"photo": "enhance", "video": ["probe", "transcode"], "3": "three", "true": "yes", "null": "nothing"}


@pytest.mark.parametrize(
    ("value", "case"),
    [
        ("photo", "enhance"),
        ("video", "probe, transcode"),
        (3, "three"),
        (3.0, "three"),
        (True, "yes"),
        (None, "nothing"),
        ("Photo", None),
        ({"photo": 1}, None),
    ],
)
async def test_a_switch_in_short_looks_its_value_up(value, case):
    found = await output("switch", {"value": value, "cases": KINDS, "default": "archive"}, {"size": 7})
    assert found == {"size": 7, "value": value, "result": case is not None, "case": case}


@pytest.mark.parametrize(
    ("value", "case"),
    [
        ("jpeg", "picture"),
        ("png", "picture"),
        (1, "one"),
        (1.0, "one"),
        (True, "true"),
        ("1", None),
        ([1], "[1]"),
    ],
)
async def test_a_switch_in_full_compares_as_expressions_do(value, case):
    cases = [
        {"values": ["jpeg", "png"], "target": "enhance", "name": "picture"},
        {"value": 1, "target": "one"},
        {"value": True},
        {"value": [1.0], "name": "[1]"},
    ]
    assert (await output("switch", {"value": value, "cases": cases}))["case"] == case


async def test_the_first_case_with_the_value_is_taken():
    cases = [{"values": [1, 2], "target": "a"}, {"value": 2, "target": "b"}]
    assert (await output("switch", {"value": 2, "cases": cases}))["case"] == "a"


async def test_several_cases_may_lead_to_one_target():
    cases = [{"value": 1, "target": "a"}, {"value": 2, "target": "a"}]
    assert (await output("switch", {"value": 2, "cases": cases}))["case"] == "a"


@pytest.mark.parametrize(
    "parameters",
    [
        {"cases": {"a": "b"}},
        {"value": 1},
        {"value": 1, "cases": []},
        {"value": 1, "cases": {}},
        {"value": 1, "cases": {"a": ""}},
        {"value": 1, "cases": [{"target": "b"}]},
        {"value": 1, "cases": [{"value": 1, "values": [2], "target": "b"}]},
        {"value": 1, "cases": [{"values": [], "target": "b"}]},
        {
            "value": 1,
            "cases": [{"value": 1, "name": "x", "target": "b"}, {"value": 2, "name": "x", "target": "c"}],
        },
    ],
)
async def test_unclear_switches_are_refused(parameters):
    assert (await error("switch", parameters)).code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "parameters",
    [
        {"cases": [{"when": True, "target": "a"}], "true_path": "b"},
        {"condition": True, "default": "a"},
        {"cases": [{"when": True, "target": "a", "name": "x"}, {"when": True, "target": "b", "name": "x"}]},
    ],
)
async def test_paths_belong_to_a_condition_and_a_default_to_cases(parameters):
    assert (await error("condition", parameters)).code == "INVALID_ARGUMENT"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(VALUES, VALUES)
def test_equal_values_are_spelled_alike(left, right):
    assert same(left, left)
    assert same(left, right) == same(right, left)
    if same(left, right) and not isinstance(left, list | dict):
        assert text_of(left) == text_of(right)


# aggregate

FAILED = {"status": "failed", "error": {"code": "UNAVAILABLE", "message": "away"}}


async def test_outputs_are_gathered_by_node():
    sources = {"orders": [1, 2], "profile": {"name": "王"}, "unasked": {}}
    found = await output(
        "aggregate", {"required": ["profile"], "optional": ["orders"]}, {"sources": sources, "noise": 1}
    )
    assert found == {
        "results": {"profile": {"name": "王"}, "orders": [1, 2]},
        "missing": [],
        "errors": {},
        "complete": True,
    }


async def test_an_optional_source_may_miss():
    found = await output(
        "aggregate", {"required": ["a"], "optional": ["b", "c"]}, {"sources": {"a": {}, "c": FAILED}}
    )
    assert found["results"] == {"a": {}}
    assert found["missing"] == ["b", "c"]
    assert found["errors"] == {"c": FAILED["error"]}
    assert found["complete"] is False


@pytest.mark.parametrize("sources", [{}, {"a": FAILED}])
async def test_without_a_required_source_it_fails_or_is_partial(sources):
    parameters = {"required": ["a"], "optional": ["b"]}
    found = await error("aggregate", parameters, {"sources": sources})
    assert found.code == "FAILED_PRECONDITION"
    assert "'a'" in found.message
    assert found.details["missing"] == ["a", "b"]
    partial = await output("aggregate", {**parameters, "on_missing": "partial"}, {"sources": sources})
    assert partial["missing"] == ["a", "b"]
    assert partial["complete"] is False


async def test_an_output_that_only_looks_failed_is_a_result():
    looks = {"status": "failed", "error": {}, "rows": 3}
    assert (await output("aggregate", {"required": ["a"]}, {"sources": {"a": looks}}))["complete"]


@pytest.mark.parametrize(
    "parameters", [{}, {"required": ["a"], "optional": ["a"]}, {"required": ["a", "a"]}, {"required": [""]}]
)
async def test_sources_are_named_once(parameters):
    assert (await error("aggregate", parameters)).code == "INVALID_ARGUMENT"
