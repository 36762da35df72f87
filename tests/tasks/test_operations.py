"""control/transform and data/transform: what each operation makes of a list, and which lists it refuses."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.compiler import analyze
from mirror_realm.core.errors import Code, ErrorRecord
from mirror_realm.flows.evaluation import ScopeEvaluator
from mirror_realm.tasks import control, data
from mirror_realm.tasks.executor import NodeCall, execute_in_flow
from mirror_realm.tasks.operations.reading import identity
from mirror_realm.tasks.registry import Registry, node_types_of
from tests.running import Node

REGISTRY = Registry(node_types_of(control))
SCOPE = {
    "input": {},
    "vars": {"least": 2},
    "nodes": {"users": {"data": [{"id": 1, "name": "王"}, {"id": 2, "name": "li"}]}},
}
on_worker = Node(data, "data/transform")

PHOTOS = [
    {"name": "a", "size": 3, "kind": "jpeg", "exif": {"camera": "X"}, "owner": 1},
    {"name": "b", "size": 1, "kind": "png", "exif": {}, "owner": 2},
    {"name": "c", "size": 2, "kind": "jpeg", "tags": ["sea", "sun"], "owner": 9},
]


async def outcome(*operations: Any, data: Any = None, input: dict | None = None):
    parameters = {"operations": list(operations), **({} if data is None else {"data": data})}
    call = NodeCall("control/transform", "n", "i", "k", parameters=parameters, input=input or {})
    return await execute_in_flow(call, registry=REGISTRY, evaluator=ScopeEvaluator(SCOPE))


async def transform(*operations: Any, data: Any = PHOTOS) -> Any:
    found = await outcome(*operations, data=data)
    assert found.output is not None, found.error
    assert found.output["count"] == (
        len(found.output["data"]) if isinstance(found.output["data"], list) else 1
    )
    return found.output["data"]


async def error(*operations: Any, data: Any = PHOTOS) -> ErrorRecord:
    found = await outcome(*operations, data=data)
    assert found.error is not None, found.output
    return ErrorRecord.from_dict(found.error)


def names(items: list[dict]) -> str:
    return "".join(item["name"] for item in items)


CASES: list[tuple[str, dict[str, Any], Any]] = [
    ("map", {"to": "{{ item.size * 10 + index }}"}, [30, 11, 22]),
    ("map", {"to": {"n": "{{ item.name }}", "first": "{{ index == 0 }}", "v": 1}}, None),
    ("filter", {"where": "{{ item.size >= vars.least }}"}, "ac"),
    ("filter", {"where": True}, "abc"),
    ("filter", {"where": {"field": "exif.camera", "compare": "exists"}}, "a"),
    ("filter", {"where": [{"field": "kind", "value": "jpeg"}, {"field": "size", "compare": "<", "value": 3}]}, "c"),
    ("filter", {"where": {"field": "size", "compare": "in", "value": [1.0, "2", True]}}, "b"),
    ("filter", {"where": {"field": "tags", "compare": "contains", "value": "sea"}}, "c"),
    ("filter", {"where": {"field": "kind", "compare": "contains", "value": "p"}}, "abc"),
    ("filter", {"where": {"field": "size", "compare": ">", "value": "1"}}, ""),
    ("filter", {"where": {"field": "size", "compare": ">=", "value": "{{ vars.least }}"}}, "ac"),
    ("filter", {"where": {"field": "gone", "compare": "!=", "value": 1}}, "abc"),
    ("sort", {"by": "size"}, "bca"),
    ("sort", {"by": "size", "order": "desc"}, "acb"),
    ("sort", {"by": ["kind", {"key": "size", "order": "desc"}]}, "acb"),
    ("sort", {"by": "{{ -item.size }}"}, "acb"),
    ("sort", {"by": "exif.camera", "order": "desc"}, "abc"),
    ("limit", {"count": 1, "offset": 1}, "b"),
    ("limit", {"count": "{{ vars.least }}"}, "ab"),
    ("distinct", {"by": "kind"}, "ab"),
    ("distinct", {}, "abc"),
    ("flatten", {"field": "tags"}, "abcc"),
    ("pick", {"fields": ["name", "exif.camera"]}, [{"name": n, "camera": "X" if n == "a" else None} for n in "abc"]),
    ("pick", {"fields": {"n": "name", "big": "{{ item.size > 2 }}"}}, [{"n": n, "big": n == "a"} for n in "abc"]),
    ("aggregate", {}, [{"count": 3}]),
    ("aggregate", {"by": "kind"}, [{"kind": "jpeg", "count": 2}, {"kind": "png", "count": 1}]),
    (
        "aggregate",
        {
            "by": {"big": "{{ item.size > 1 }}"},
            "compute": {"n": "count", "sum": {"sum": "size"}, "avg": {"avg": "size"}, "all": {"collect": "name"}},
        },
        [
            {"big": True, "n": 2, "sum": 5, "avg": 2.5, "all": ["a", "c"]},
            {"big": False, "n": 1, "sum": 1, "avg": 1.0, "all": ["b"]},
        ],
    ),
    (
        "aggregate",
        {
            "compute": {
                "least": {"min": "size"}, "most": {"max": "{{ item.size * 2 }}"}, "first": {"first": "tags"},
                "last": {"last": "name"}, "cameras": {"count": "exif.camera"}, "none": {"avg": "gone"},
            }
        },
        [{"least": 1, "most": 6, "first": ["sea", "sun"], "last": "c", "cameras": 1, "none": None}],
    ),
    ("template", {"text": "{{ index + 1 }}. {{ item.name }}", "separator": "\n"}, "1. a\n2. b\n3. c"),
    ("template", {"text": "{{ item.size }}"}, ["3", "1", "2"]),
]  # fmt: skip


@pytest.mark.parametrize(("op", "options", "expected"), CASES)
async def test_what_an_operation_makes_of_a_list(op, options, expected):
    before = [dict(photo) for photo in PHOTOS]
    found = await transform({"op": op, **options})
    if expected is None:
        expected = [{"n": n, "first": n == "a", "v": 1} for n in "abc"]
    assert (names(found) if isinstance(expected, str) and op != "template" else found) == expected
    assert before == PHOTOS


async def test_unfolding_and_renaming_keep_the_other_fields():
    (last,) = await transform({"op": "flatten", "field": "tags"}, {"op": "limit", "count": 1, "offset": 3})
    assert last == {"name": "c", "size": 2, "kind": "jpeg", "tags": "sun", "owner": 9} | {"tags": "sun"}
    assert await transform({"op": "flatten"}, data=[[1, 2], 3, [], [[4]]]) == [1, 2, 3, [4]]
    assert (
        await transform(
            {"op": "rename", "fields": {"name": "title", "gone": "x"}}, data=[{"name": 1, "k": 2}]
        )
    ) == [{"title": 1, "k": 2}]


USERS = "{{ nodes.users.data }}"


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        ({"left": "owner", "right": "id", "into": "user"}, [("a", "王"), ("b", "li")]),
        (
            {"left": "owner", "right": "id", "into": "user", "how": "left"},
            [("a", "王"), ("b", "li"), ("c", None)],
        ),
        ({"left": "{{ item.owner - 1 }}", "right": "{{ item.id }}", "into": "user"}, [("b", "王")]),
        ({"left": ["owner", "owner"], "right": ["id", "id"], "into": "user"}, [("a", "王"), ("b", "li")]),
    ],
)
async def test_a_join_brings_the_other_list(join, expected):
    found = await transform({"op": "join", "other": USERS, **join})
    assert [(item["name"], (item["user"] or {}).get("name")) for item in found] == expected


async def test_a_join_without_a_field_merges_and_the_items_own_fields_win():
    joined = await transform(
        {"op": "join", "other": [{"id": 1, "a": "theirs", "b": 2}, {"id": 1, "c": 3}], "on": "id"},
        data=[{"id": 1.0, "a": "ours"}, {"id": True}],
    )
    assert joined == [{"id": 1.0, "a": "ours", "b": 2}, {"id": 1.0, "a": "ours", "c": 3}]


async def test_operations_follow_one_another_and_the_input_may_bring_the_list():
    steps = [{"op": "filter", "where": "{{ item > 1 }}"}, {"op": "map", "to": "{{ item * item }}"}]
    for name in ("data", "items"):
        assert (await outcome(*steps, input={name: [1, 2, 3]})).output == {"data": [4, 9], "count": 2}


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        ({"op": "map", "to": "{{ item.gone }}"}, "operation 2 (map): item 0: "),
        ({"op": "filter", "where": "{{ item.size }}"}, "item 0: a condition must be true or false"),
        ({"op": "aggregate", "compute": {"n": {"sum": "name"}}}, "n: sum needs numbers"),
        ({"op": "join", "other": "{{ vars.least }}", "on": "id"}, "other must be a list"),
        ({"op": "limit", "count": "{{ -1 }}"}, "count must be a whole number"),
        ({"op": "template", "text": "x", "separator": ""}, None),
    ],
)
async def test_an_error_says_at_which_operation_and_item(operation, says):
    if says is None:
        found = await error(operation, {"op": "limit", "count": 1})
        assert "what comes before must be a list" in found.message
        return
    found = await error({"op": "limit", "count": 9}, operation)
    assert found.code is Code.INVALID_ARGUMENT
    assert says in found.message
    assert "operation 2" in found.message


@pytest.mark.parametrize("data", [{"a": 1}, "text", 7])
async def test_anything_but_a_list_is_refused(data):
    assert "data must be a list" in (await error({"op": "distinct"}, data=data)).message


async def test_only_objects_have_fields_to_join_rename_or_unfold():
    for operation in (
        {"op": "rename", "fields": {"a": "b"}},
        {"op": "flatten", "field": "a"},
        {"op": "join", "other": [1], "on": "a"},
    ):
        assert "only objects" in (await error(operation, data=[1])).message


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "reduce"},
        {"op": "map"},
        {"op": "filter", "where": "item.size > 1"},
        {"op": "filter", "where": {"field": "a", "compare": "in", "value": 1}},
        {"op": "sort", "by": []},
        {"op": "join", "other": "rows", "on": "id"},
        {"op": "join", "other": [], "left": "id"},
        {"op": "join", "other": [], "left": ["a", "b"], "right": "c"},
        {"op": "aggregate", "by": "{{ item.a }}"},
        {"op": "aggregate", "by": "a", "compute": {"a": "count"}},
        {"op": "aggregate", "compute": {"a": {"sum": "x", "avg": "x"}}},
        {"op": "limit", "count": -1},
    ],
)
async def test_unclear_operations_are_refused(operation):
    assert (await error(operation)).code is Code.INVALID_ARGUMENT


def test_expressions_over_items_are_checked_when_the_definition_is_compiled():
    def found(operation: str) -> list[tuple[str, str | None]]:
        text = (
            "name: w\nnodes:\n  - node_id: t\n    type: control/transform\n"
            f"    parameters: {{data: '{{{{ input.rows }}}}', operations: [{operation}]}}\n"
        )
        return [(d.code, d.path) for d in analyze("w.yaml", text=text).errors]

    place = "nodes[0].parameters.operations[0]"
    assert found("{op: map, to: {n: '{{ item.name + string(index) }}'}}") == []
    assert found("{op: map, to: {n: '{{ itm.name }}'}}") == [("MR302", f"{place}.to.n")]
    assert found("{op: filter, where: item.size > 3}") == [("MR122", f"{place}.where")]
    assert found("{op: sorted, by: size}") == [("MR122", f"{place}.op")]


# on a worker


def test_fields_are_enough_on_a_worker():
    assert names(on_worker({"data": PHOTOS, "operations": [{"op": "sort", "by": "size"}]})["data"]) == "bca"
    error = on_worker.error({"data": PHOTOS, "operations": [{"op": "sort", "by": "{{ item.size }}"}]})
    assert error.code is Code.INVALID_ARGUMENT
    assert "control/transform" in (error.hint or "")
    assert (
        on_worker.error({"data": PHOTOS, "operations": [{"op": "map", "to": 1}]}).code
        is Code.INVALID_ARGUMENT
    )


# laws

SCALARS = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, 1.0, -2.0]) | st.text(max_size=2)
)
ROWS = st.lists(st.fixed_dictionaries({"k": SCALARS, "n": st.integers(-9, 9)}), max_size=12)


def run(rows: list[dict], *operations: dict) -> Any:
    return on_worker({"data": rows, "operations": list(operations)})["data"]


@given(ROWS)
def test_sorting_keeps_every_item_and_is_stable(rows):
    numbered = [{**row, "i": index} for index, row in enumerate(rows)]
    once = run(numbered, {"op": "sort", "by": "k"})
    assert sorted(row["i"] for row in once) == list(range(len(rows)))
    assert run(once, {"op": "sort", "by": "k"}) == once
    for left, right in pairwise(once):
        assert identity(left["k"]) != identity(right["k"]) or left["i"] < right["i"]
        assert left["k"] is not None or right["k"] is None


@given(ROWS)
def test_groups_share_out_every_item(rows):
    groups = run(rows, {"op": "aggregate", "by": "k", "compute": {"n": "count", "sum": {"sum": "n"}}})
    assert Counter(identity(row["k"]) for row in rows) == {identity(g["k"]): g["n"] for g in groups}
    assert sum(group["sum"] for group in groups) == sum(row["n"] for row in rows)
    assert [identity(g["k"]) for g in groups] == [
        identity(r["k"]) for r in run(rows, {"op": "distinct", "by": "k"})
    ]


@given(ROWS, ROWS)
def test_a_join_is_every_pair_of_equal_keys(left, right):
    pairs = [(a["n"], b["n"]) for a in left for b in right if identity(a["k"]) == identity(b["k"])]
    joined = run(left, {"op": "join", "other": right, "on": "k", "into": "b"})
    assert [(item["n"], item["b"]["n"]) for item in joined] == pairs
