"""The JSON Schema for editors accepts what is right and finds what is not, with templates everywhere."""

import copy
from pathlib import Path
from typing import Literal

import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict, Field

from mirror_realm.compiler.schema import definition_schema
from mirror_realm.compiler.source import load
from mirror_realm.tasks.registry import Registry, registry
from mirror_realm.tasks.sdk import node_type

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/workflow.*"))


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


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert VALIDATOR.is_valid(BASE)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_the_examples_are_valid(path):
    document = load(path).document
    assert document is not None
    schema = definition_schema(registry())
    errors = [
        f"{list(e.path)}: {e.message}"
        for e in jsonschema.Draft202012Validator(schema).iter_errors(document.tree)
    ]
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
