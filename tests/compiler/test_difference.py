"""Differences: exactly the edits that were made, whom they break, and what running instances keep."""

from __future__ import annotations

import copy
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler import Definition, analyze
from mirror_realm.compiler.difference import Difference, Impact, difference, render_text

from .writing_strategies import definitions

VALID = sorted((Path(__file__).parent / "fixtures" / "valid").iterdir())


def compare(old: dict[str, Any], new: dict[str, Any]) -> Difference:
    return difference(Definition.model_validate(old), Definition.model_validate(new))


def node(node_id: str, **more: Any) -> dict[str, Any]:
    values = more.pop("values", {"own": node_id})
    return {"node_id": node_id, "type": "control/set", "parameters": {"values": values}, **more}


def chain(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    ids = [one["node_id"] for one in nodes]
    edges = [{"source": a, "target": b} for a, b in itertools.pairwise(ids)]
    return {"name": "w", "version": "1.2.3", "nodes": list(nodes), "edges": edges, **more}


BASE = chain(node("a"), node("b-1"), node("c"), node("d"))


def edited(*path: Any, to: Any = None, base: dict[str, Any] = BASE) -> dict[str, Any]:
    """``base`` with the value at ``path`` set, or removed without one."""
    tree = copy.deepcopy(base)
    inner: Any = tree
    for step in path[:-1]:
        inner = inner[step]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return tree


def found(old: dict[str, Any], new: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(change.kind, change.place, str(change.impact)) for change in compare(old, new).changes}


# Laws


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_nothing_differs_from_itself(path):
    definition = analyze(path).definition
    assert definition is not None
    same = difference(definition, definition)
    assert not same
    assert same.again == {}
    assert len(same.kept) == len(list(definition.walk()))
    assert same.bump.level == "none"
    assert render_text(same) == ""


@settings(max_examples=30, deadline=None)
@given(definitions)
def test_nothing_drawn_differs_from_itself(document):
    definition = Definition.model_validate(document)
    assert difference(definition, definition).changes == ()
    assert difference(definition, definition).again == {}


@settings(max_examples=30, deadline=None)
@given(definitions, definitions)
def test_any_two_definitions_can_be_compared(one, other):
    old, new = map(Definition.model_validate, (one, other))
    result = difference(old, new)
    assert bool(result) == (old.hash != new.hash)
    assert {*result.kept, *result.again} == _journal_ids(new)
    assert not set(result.kept) & set(result.again)
    json.dumps(result.to_dict())
    assert bool(render_text(result)) == bool(result)


def _journal_ids(definition: Definition) -> set[str]:
    return set(difference(definition, definition).kept)


def random_edits(base: dict[str, Any], chance: random.Random) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """Edits of a graph, and what they are to be reported as."""
    tree, made = copy.deepcopy(base), set()
    for index, one in enumerate(list(tree["nodes"])):
        name, place = one["node_id"], f"nodes.{one['node_id']}"
        match chance.randrange(8):
            case 0:
                one["parameters"]["values"]["own"] = f"changed {index}"
                made.add(("changed", f"{place}.parameters.values.own"))
            case 1:
                one["timeout"] = 7
                made.add(("added", f"{place}.timeout"))
            case 2:
                one["type"] = "control/other"
                made.add(("changed", f"{place}.type"))
            case 3 if len(tree["nodes"]) > 2:
                tree["nodes"].remove(one)
                made.add(("removed", place))
                gone = [e for e in tree["edges"] if name in e.values()]
                made |= {("removed", f"edges['{e['source']} → {e['target']}']") for e in gone}
                tree["edges"] = [e for e in tree["edges"] if e not in gone]
            case 4:
                tree["nodes"].append(node(f"new-{index}"))
                tree["edges"].append({"source": tree["nodes"][0]["node_id"], "target": f"new-{index}"})
                made.add(("added", f"nodes.new-{index}"))
    made_new = {e["target"] for e in tree["edges"] if e["target"].startswith("new-")}
    for edge in tree["edges"]:
        place = f"edges['{edge['source']} → {edge['target']}']"
        if edge["target"] in made_new:
            made.add(("added", place))
        elif chance.random() < 0.2:
            edge["condition"] = "input.x > 1"
            made.add(("added", f"{place}.condition"))
    if chance.random() < 0.3:
        tree["variables"] = {"x": 1}
        made.add(("added", "variables"))
    return tree, made


def random_graph(chance: random.Random) -> dict[str, Any]:
    names = [f"n{index}" for index in range(chance.randint(3, 8))]
    nodes = [node(name, values={"own": name}) for name in names]
    edges = [
        {"source": a, "target": b}
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if chance.random() < 0.4
    ]
    return {"name": "w", "nodes": nodes, "edges": edges}


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_edits_that_were_made_and_no_others_are_reported(chance):
    old = random_graph(chance)
    new, made = random_edits(old, chance)
    changes = compare(old, new).changes
    assert {(change.kind, change.place) for change in changes} == made
    assert len(changes) == len(made)


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_what_is_kept_has_kept_ancestors_and_is_unchanged(chance):
    old = random_graph(chance)
    new, _ = random_edits(old, chance)
    result = compare(old, new)
    was = {one["node_id"]: one for one in old["nodes"]}
    now = {one["node_id"]: one for one in new["nodes"]}
    for name in result.kept:
        assert result.carries_over(name)
        assert was[name]["type"] == now[name]["type"]
        assert was[name]["parameters"] == now[name]["parameters"]
        arriving = [[e for e in tree["edges"] if e["target"] == name] for tree in (old, new)]
        assert arriving[0] == arriving[1]
        assert all(result.carries_over(edge["source"]) for edge in arriving[1])
    for name, reason in result.again.items():
        assert not result.carries_over(name)
        assert reason


# What each edit is, and whom it reaches


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (edited("version", to="1.2.4"), {("changed", "version", "cosmetic")}),
        (edited("nodes", 0, "display_name", to="甲"), {("added", "nodes.a.display_name", "cosmetic")}),
        (edited("nodes", 0, "position", to={"x": 1, "y": 2}), {("added", "nodes.a.position", "cosmetic")}),
        (edited("labels", to={"team": "x"}), {("added", "labels", "cosmetic")}),
        (edited("name", to="v"), {("changed", "name", "breaking")}),
        (edited("timeout", to=60), {("added", "timeout", "compatible")}),
        (edited("nodes", 0, "type", to="data/file-read"), {("changed", "nodes.a.type", "breaking")}),
        (edited("edges", 2, "condition", to="else"), {("added", "edges['c → d'].condition", "compatible")}),
        (edited("edges", 2), {("removed", "edges['c → d']", "compatible")}),
        (edited("triggers", to=[{"type": "manual"}]), {("added", "triggers[0]", "compatible")}),
        (edited("output", to={"x": 1}), {("added", "output", "compatible")}),
        (edited("nodes", to=[BASE["nodes"][i] for i in (1, 0, 2, 3)]), {("moved", "nodes", "cosmetic")}),
    ],
    ids=lambda value: "" if isinstance(value, dict) else min(value)[1],
)
def test_one_edit(new, expected):
    assert found(BASE, new) == expected


def test_a_renamed_node_is_told_from_another_one():
    new = copy.deepcopy(BASE)
    new["nodes"][1]["node_id"] = "乙"
    new["edges"] = [{"source": "a", "target": "乙"}, {"source": "乙", "target": "c"}, BASE["edges"][2]]
    result = compare(BASE, new)
    assert [(c.kind, c.old, c.new) for c in result.changes] == [("renamed", "b-1", "乙")]
    assert result.again["乙"] == "it is journaled as b-1"
    assert result.kept == ("a",)
    new["nodes"][1]["parameters"] = {"values": {"other": 1}}
    assert {(kind, place) for kind, place, _ in found(BASE, new)} >= {
        ("removed", "nodes.b-1"),
        ("added", "nodes.乙"),
    }


def test_twins_that_were_renamed_are_paired_in_order():
    old = chain(node("a"), node("x", values={}), node("z"))
    old["nodes"].insert(2, node("y", values={}))
    old["edges"] += [{"source": "a", "target": "y"}, {"source": "y", "target": "z"}]
    new = json.loads(json.dumps(old).replace('"x"', '"x2"').replace('"y"', '"y2"'))
    assert [(c.old, c.new) for c in compare(old, new).changes] == [("x", "x2"), ("y", "y2")]


def test_the_order_of_the_edges_into_a_node_counts_and_no_other():
    old = {"name": "w", "nodes": [node("a"), node("b"), node("c"), node("d")]}
    into = [{"source": "a", "target": "d"}, {"source": "b", "target": "d"}, {"source": "a", "target": "c"}]
    old["edges"] = into
    assert found(old, {**old, "edges": [into[2], into[0], into[1]]}) == set()
    result = compare(old, {**old, "edges": [into[1], into[0], into[2]]})
    assert [(c.kind, c.old, c.new) for c in result.changes] == [("moved", ["a", "b"], ["b", "a"])]
    assert set(result.again) == {"d"}


SCHEMA = {
    "type": "object",
    "required": ["a"],
    "properties": {"a": {"type": "integer", "maximum": 9}, "b": {}},
}


@pytest.mark.parametrize(
    ("path", "to", "impact"),
    [
        (("required",), ["a", "b"], "breaking"),
        (("required",), [], "compatible"),
        (("properties", "a", "type"), "number", "compatible"),
        (("properties", "a", "type"), ["integer", "null"], "compatible"),
        (("properties", "a", "type"), "string", "breaking"),
        (("properties", "a", "type"), None, "compatible"),
        (("properties", "a", "maximum"), 10, "compatible"),
        (("properties", "a", "maximum"), 8, "breaking"),
        (("properties", "a", "minimum"), 1, "breaking"),
        (("properties", "a", "title"), "A", "cosmetic"),
        (("properties", "a", "default"), 1, "compatible"),
        (("properties", "a", "enum"), [1, 2], "breaking"),
        (("properties", "a", "multipleOf"), 2, "breaking"),
        (("properties", "b"), None, "compatible"),
        (("properties", "c"), {"type": "string"}, "compatible"),
        (("additionalProperties",), False, "breaking"),
        (("additionalProperties",), True, "compatible"),
    ],
)
def test_an_input_that_is_narrower_breaks(path, to, impact):
    old = {**BASE, "input": SCHEMA}
    new = edited("input", *path, to=to, base=old)
    assert {change.impact for change in compare(old, new).changes} == {Impact(impact)}


def test_no_schema_accepts_everything():
    assert compare(BASE, {**BASE, "input": SCHEMA}).impact is Impact.BREAKING
    assert compare({**BASE, "input": SCHEMA}, BASE).impact is Impact.COMPATIBLE


@pytest.mark.parametrize(
    ("new", "version", "lost"),
    [
        (edited("description", to="x"), "1.2.4", ()),
        (edited("nodes", 0, "timeout", to=5), "1.2.4", ()),
        (edited("triggers", to=[{"type": "manual"}]), "1.3.0", ()),
        ({**BASE, "nodes": [*BASE["nodes"], node("e")]}, "1.3.0", ()),
        (chain(*BASE["nodes"], node("e")), "2.0.0", ("d",)),
        (chain(*BASE["nodes"][:3]), "2.0.0", ("d",)),
    ],
)
def test_the_suggested_version(new, version, lost):
    result = compare(BASE, new)
    assert result.bump.version == version
    assert result.bump.reason
    assert result.lost_outputs == lost


def test_an_output_that_is_mapped_loses_only_what_is_removed():
    old = {**BASE, "output": {"x": 1, "y": 2}}
    assert compare(old, chain(*BASE["nodes"], node("e"), output={"x": 1, "y": 2})).lost_outputs == ()
    result = compare(old, {**BASE, "output": {"y": 3, "z": 4}})
    assert (result.lost_outputs, result.gained_outputs) == (("x",), ("z",))
    assert {(c.kind, c.place, str(c.impact)) for c in result.changes} == {
        ("removed", "output.x", "breaking"),
        ("changed", "output.y", "compatible"),
        ("added", "output.z", "compatible"),
    }


def test_secrets_are_not_shown():
    def with_key(key: str) -> dict[str, Any]:
        given = {"api_key": key, "url": f"https://ann:{key}@host/", "token": f"{{{{ {key} }}}}"}
        return chain(node("a", values=given), node("b", values={"own": {"password": key}}))

    result = compare(with_key("hunter2"), with_key("hunter3"))
    written = json.dumps(result.to_dict()) + render_text(result)
    assert "nodes.a.parameters.values.api_key" in written
    assert "another value, not shown" in written
    assert "{{ hunter2 }}" in written  # a template is no secret: it says where one is
    assert "hunter2" not in written.replace("{{ hunter2 }}", "")


# Running instances


def kept(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    return set(compare(old, new).kept)


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (edited("nodes", 1, "timeout", to=5), {"a", "b-1", "c", "d"}),
        (edited("nodes", 1, "display_name", to="x"), {"a", "b-1", "c", "d"}),
        (edited("nodes", 1, "when", to="input.x"), {"a"}),
        (edited("nodes", 2, "input", to={"x": 1}), {"a", "b-1"}),
        (edited("edges", 1, "mapping", to={"x": "$.y"}), {"a", "b-1"}),
        (edited("edges", 1), {"a", "b-1"}),
        (edited("nodes", 3, "type", to="control/end"), {"a", "b-1", "c"}),
    ],
)
def test_the_unchanged_prefix_is_kept(new, expected):
    assert kept(BASE, new) == expected


def test_who_reads_a_changed_variable_or_node_runs_again():
    texts = {
        "b": "{{ vars.limit }}",
        "c": "{{ vars['other'] }}",
        "d": "{{ nodes.a_1.own }}",
        "e": "{{ vars[input.which] }}",
    }
    nodes = [node("a-1"), *(node(name, values={"x": text}) for name, text in texts.items())]
    old = {"name": "w", "nodes": nodes, "variables": {"limit": 1, "other": 2}}
    assert kept(old, {**old, "variables": {"limit": 1.0, "other": 2}}) == {"a-1", "c", "d"}
    assert kept(old, edited("nodes", 0, "parameters", "values", "own", to=1, base=old)) == {"b", "c", "e"}


def each(*, then: Any = "x", values: Any = "{{ item }}", **more: Any) -> dict[str, Any]:
    inner = chain(node("one", values={"own": values}), node("two", values={"own": then}))
    body = {"nodes": inner["nodes"], "edges": inner["edges"]}
    items = {
        "node_id": "each",
        "type": "control/foreach",
        "parameters": {"items": "{{ input.list }}"},
        "body": body,
    }
    return chain(node("a"), {**items, **more}, node("z"))


def test_inside_a_construct_what_is_unchanged_is_kept():
    assert kept(each(), each(then="y")) == {"a", "each/one"}
    assert found(each(), each(then="y")) == {
        ("changed", "nodes['each/two'].parameters.values.own", "compatible")
    }
    assert kept(each(), each(parameters={"items": "{{ input.other }}"})) == {"a"}
    assert kept(each(), each(timeout=9)) == {"a", "each", "each/one", "each/two", "z"}
    assert kept(each(), edited("nodes", 0, "type", to="control/end", base=each())) == set()


def test_iterations_that_read_each_other_are_not_parted():
    reading = "{{ loop.last }}"
    assert kept(each(values=reading), each(values=reading, then="y")) == {"a"}
    place = "{{ loop.index }} of {{ loop.length }}"
    assert kept(each(values=place), each(values=place, then="y")) == {"a", "each/one"}


def test_a_body_that_reads_what_changed_around_it_runs_again_where_it_does():
    old = each(then="{{ nodes.side.own }}")
    old["nodes"].append(node("side"))
    new = edited("nodes", 3, "parameters", "values", "own", to=1, base=old)
    result = compare(old, new)
    assert set(result.kept) == {"a", "each/one"}
    assert result.again["each"] == "it reads side"
    assert result.again["each/two"] == "it reads nodes.side"


def test_branches_by_name():
    def fork(*names: str) -> dict[str, Any]:
        branches = [{"name": name, "nodes": [node(f"in-{name}")]} for name in names]
        parts = {"node_id": "fork", "type": "control/parallel", "branches": branches}
        return chain(parts, node("z"))

    assert found(fork("l", "r"), fork("r", "l")) == set()
    assert found(fork("l", "r"), fork("l", "m")) == {
        ("removed", "nodes.fork.branches.r", "breaking"),
        ("added", "nodes.fork.branches.m", "compatible"),
    }
    assert kept(fork("l", "r"), fork("l", "m")) == {"fork/l/in-l"}


def test_where_an_error_leads_follows_who_may_fail():
    old = chain(node("a", on_error=[{"goto": "rescue"}]), node("b"))
    old["nodes"].append(node("rescue"))
    assert kept(old, edited("nodes", 0, "parameters", "values", "own", to=2, base=old)) == set()


def test_as_text():
    new = edited("nodes", 1, "parameters", "values", "own", to="照片", base={**BASE, "description": "neu"})
    assert render_text(compare(BASE, new)) == (
        "w 1.2.3 → 1.2.3\n\n"
        "+ description: neu  (cosmetic)\n\n"
        "~ nodes.b-1.parameters.values.own: b-1 → 照片\n\n"
        "Running instances: 1 of 4 nodes keep their results.\n"
        "  run again: b-1 (its parameters changed)\n"
        "  run again: c (after b-1)\n"
        "  run again: d (after c)\n"
        "Suggested version: 1.2.4 (patch), since nodes.b-1.parameters.values.own was changed; "
        "nothing breaks and nothing is added. The new one says 1.2.3."
    )
    assert "\x1b[33m~" in render_text(compare(BASE, new), color=True)
