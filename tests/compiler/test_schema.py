"""The JSON Schema for editors accepts what is right and finds what is not, with templates everywhere."""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Literal

import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict, Field

from mirror_realm.compiler.schema import definition_schema
from mirror_realm.compiler.source import load
from mirror_realm.tasks.catalogue import builtin
from mirror_realm.tasks.registry import Registry
from mirror_realm.tasks.sdk import node_type

ROOT = Path(__file__).parents[2]
VALID = sorted((ROOT / "tests" / "compiler" / "fixtures" / "valid").glob("*.*"))
EXAMPLES = [
    *sorted((ROOT / "examples").glob("*/workflow.yaml")),
    *(p for p in VALID if p.suffix in (".yaml", ".json")),
]


class Inner(BaseModel):
    depth: int = 1


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = Field(ge=1, description="How large")
    mode: Literal["fast", "full"] = Field(default="full", description="How well")
    on: bool = False
    name: str = ""
    tags: list[int] = []
    inner: Inner = Inner()
    maybe: float | None = None
    table: dict[str, int] = {}


class Free(BaseModel):
    note: str = "x"


@node_type("t/strict", version="1.0.0")
def strict(parameters: Parameters, input: Free, context) -> Free:
    """Be strict.

    About everything.
    """
    raise NotImplementedError


@node_type("t/free", version="1.0.0")
def free(parameters: Free, input: Free, context) -> Free:
    """Be free."""
    raise NotImplementedError


SCHEMA = definition_schema(Registry([strict, free]))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
BASE = {
    "name": "a",
    "version": "1.0.0",
    "triggers": [{"type": "filesystem", "config": {"path": "/x", "events": ["create"]}}, {"type": "manual"}],
    "nodes": [
        {"node_id": "a", "type": "t/strict", "parameters": {"size": 3}},
        {"node_id": "b", "type": "t/free"},
    ],
    "edges": [{"source": "a", "target": "b", "condition": "nodes.a.x > 3", "mapping": {"x": "$.y"}}],
}


def changed(path, value):
    document = copy.deepcopy(BASE)
    *parents, last = path
    place = document
    for step in parents:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return document


@cache
def of_all_types():
    return jsonschema.Draft202012Validator(definition_schema(builtin()))


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert VALIDATOR.is_valid(BASE)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_the_examples_are_valid(path):
    document = load(path).document
    assert document is not None
    errors = [f"{list(e.path)}: {e.message}" for e in of_all_types().iter_errors(document.tree)]
    assert errors == []


PARAMETERS = ("nodes", 0, "parameters")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (PARAMETERS, {"size": "{{ input.n }}"}),
        (PARAMETERS, {"size": 1, "mode": "{{ input.mode }}", "on": "{{ true }}", "tags": "{{ input.tags }}"}),
        (PARAMETERS, {"size": 1, "tags": [1, "{{ 2 }}"], "table": {"a": "{{ 1 }}"}, "maybe": None}),
        (PARAMETERS, {"size": 1, "inner": {"depth": "{{ 1 }}"}}),
        (PARAMETERS, {"size": 1, "inner": "{{ input.inner }}", "maybe": "{{ 1.5 }}"}),
        (
            ("nodes", 1),
            {"node_id": "质检-01", "node_type": "t/free", "next": ["a"], "depends_on": "a", "when": True},
        ),
        (("nodes", 1, "on_error"), {"ignore": True}),
        (("nodes", 1, "on_error"), [{"codes": ["TRANSIENT_ERROR"], "goto": "a"}]),
        (("nodes", 1, "timeout"), "5m"),
        (("nodes", 1, "timeout"), 300),
        (("nodes", 1, "resources"), {"gpu": "preferred", "memory_mb": 512}),
        (("nodes", 1, "branch_conditions"), [{"expression": "input.x", "target": "a"}, {"target": "b"}]),
        (("edges", 0), {"from": "a", "to": "b", "condition": "else"}),
        (("max_duration",), "24h"),
        (("timeout",), 60),
        (("input",), {"type": "object"}),
    ],
)
def test_what_is_right_is_accepted(path, value):
    assert [e.message for e in VALIDATOR.iter_errors(changed(path, value))] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("nmae",), "x"),
        (("name",), ...),
        (("name",), "Not A Name"),
        (("version",), "1"),
        (("nodes",), []),
        (("nodes", 0, "type"), "t/stric"),
        (("nodes", 0, "type"), ...),
        (("nodes", 0, "node_id"), ...),
        (("nodes", 0, "node_id"), "a b"),
        (("nodes", 0, "paramters"), {}),
        (PARAMETERS, ...),
        (PARAMETERS, {}),
        (PARAMETERS, {"size": 0}),
        (PARAMETERS, {"size": "3"}),
        (PARAMETERS, {"size": "{ input.n }"}),
        (PARAMETERS, {"size": 1, "szie": 2}),
        (PARAMETERS, {"size": 1, "mode": "slow"}),
        (PARAMETERS, {"size": 1, "inner": {"depth": "x"}}),
        (PARAMETERS, {"size": 1, "tags": ["x"]}),
        (("nodes", 0, "priority"), 12),
        (("nodes", 0, "resources"), {"gpus": 1}),
        (("nodes", 0, "retry"), {"max_attempts": 0}),
        (("nodes", 0, "on_error"), {"codes": ["NO_SUCH_CODE"]}),
        (("edges", 0), {"source": "a"}),
        (("edges", 0), {"source": "a", "from": "a", "target": "b"}),
        (("edges", 0, "conditions"), "x"),
        (("triggers", 0, "type"), "file"),
        (("triggers", 0, "config"), {"pth": "/x"}),
        (("triggers", 0, "config"), ...),
        (("concurrency",), {"max_instances": 1, "on_limit": "drop"}),
    ],
)
def test_slips_are_found(path, value):
    assert not VALIDATOR.is_valid(changed(path, value))


def test_editors_find_descriptions_and_defaults():
    node = SCHEMA["$defs"]["NodeDefinition"]["properties"]
    assert node["type"]["enum"] == ["t/free", "t/strict"]
    assert node["type"]["enumDescriptions"] == ["Be free.", "Be strict."]
    parameters = SCHEMA["$defs"]["t.strict"]
    assert parameters["description"] == "Be strict.\n\nAbout everything."
    assert parameters["properties"]["mode"]["default"] == "full"
    assert parameters["properties"]["mode"]["description"] == "How well"
    assert "title" not in parameters["properties"]["mode"]


def test_every_reference_leads_somewhere():
    def references(value):
        if isinstance(value, dict):
            if isinstance(target := value.get("$ref"), str):
                yield target
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    schema = definition_schema()
    assert {r.removeprefix("#/$defs/") for r in references(schema)} <= set(schema["$defs"])


SET = {"node_id": "s", "type": "control/set", "parameters": {"values": {"x": "{{ item }}"}}}
EACH = {"node_id": "each", "type": "control/foreach", "parameters": {"items": "{{ input.files }}"}}
LOOP = {"node_id": "again", "type": "control/loop", "parameters": {"condition": "loop.index < 3"}}
FORK = {"node_id": "fork", "type": "control/parallel"}
BODY = {"nodes": [SET], "edges": [], "output": {"x": "{{ nodes.s.x }}"}}


@pytest.mark.parametrize(
    "node",
    [
        {**EACH, "body": BODY},
        {**EACH, "body": [SET]},
        {
            **EACH,
            "parameters": {"items": [1, 2], "item": "x", "max_concurrent": "{{ vars.n }}"},
            "body": BODY,
        },
        {**EACH, "body": {"nodes": [{**LOOP, "body": {"nodes": [{**FORK, "branches": [BODY]}]}}]}},
        {**LOOP, "parameters": {"condition": "{{ loop.index < 3 }}", "mode": "until"}, "body": BODY},
        {**LOOP, "parameters": {"condition": True, "max_iterations": 3}, "body": BODY},
        {**FORK, "branches": [{"name": "left", **BODY}, {"name": "right", **BODY}]},
        {**FORK, "branches": {"left": BODY, "right": [SET]}},
        {**FORK, "parameters": {"wait_for": 1}, "branches": [BODY]},
        {"node_id": "t", "type": "control/transaction", "body": BODY},
        {"node_id": "t", "node_type": "control/transaction", "body": BODY},
    ],
    ids=json.dumps,
)
def test_parts_within_parts_are_accepted(node):
    assert [e.message for e in of_all_types().iter_errors({"name": "a", "nodes": [node]})] == []


@pytest.mark.parametrize(
    "node",
    [
        EACH,
        FORK,
        {**SET, "body": BODY},
        {**EACH, "branches": [BODY]},
        {**FORK, "body": BODY},
        {**FORK, "branches": []},
        {**EACH, "body": {"nodes": []}},
        {**EACH, "body": {**BODY, "noodles": 1}},
        {**EACH, "body": {"nodes": [{**SET, "type": "control/sett"}]}},
        {**EACH, "body": {"nodes": [{**EACH, "body": {"nodes": [{**SET, "parameters": {}}]}}]}},
        {**EACH, "body": {**BODY, "edges": [{"source": "s"}]}},
        {**EACH, "parameters": {"items": "input.files"}, "body": BODY},
        {**EACH, "parameters": {"items": [], "max_concurrent": 0}, "body": BODY},
        {**LOOP, "parameters": {"condition": 3}, "body": BODY},
        {**LOOP, "parameters": {"condition": "x", "mode": "forever"}, "body": BODY},
        {**FORK, "parameters": {"wait_for": "some"}, "branches": [BODY]},
    ],
    ids=json.dumps,
)
def test_slips_in_parts_are_found(node):
    assert not of_all_types().is_valid({"name": "a", "nodes": [node]})


def test_every_field_of_a_node_is_explained():
    properties = definition_schema(builtin())["$defs"]["NodeDefinition"]["properties"]
    assert [name for name, field in properties.items() if not field.get("description")] == []


def test_what_names_a_node_says_so():
    schema = definition_schema(builtin())
    edge, condition = schema["$defs"]["EdgeDefinition"], schema["$defs"]["control.condition"]
    assert edge["properties"]["source"]["format"] == "node-id"
    assert "'node-id'" in str(condition["properties"]["true_path"])
