"""The JSON Schema of definitions for editors: completion, descriptions and checks for every node type's parameters.

It accepts the canonical form and its close spellings (``from``/``to``, ``next``, ``node_type``, …), and a
template wherever a value is expected. It is a help for writing; what is right is decided by the compiler.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.functional_validators import BeforeValidator, PlainValidator, WrapValidator

from ..core.resources import Resources
from ..tasks.sdk import NODE_NAME
from .model import MAX_NODE_ID, SEMVER, TRIGGER_CONFIGS, Definition

if TYPE_CHECKING:
    from ..tasks.registry import Registry
    from ..tasks.sdk import NodeType

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_TEMPLATE: Schema = {"$ref": "#/$defs/template"}
_TEMPLATE_DEFINITION: Schema = {
    "type": "string",
    "pattern": r"\{\{[\s\S]*\}\}",
    "description": "An expression, evaluated when the node runs: {{ input.x }}, {{ nodes.id.field }}",
}
_NODE_ID: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_NODE_ID, "pattern": r"^[^\s/\\.{}]+$"}
_NODE_NAME: Schema = {**_NODE_ID, "format": NODE_NAME}
_PART: Schema = {"$ref": "#/$defs/Part"}
_LIST_OF_NODES: Schema = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/NodeDefinition"}}
_CONDITION: Schema = {
    "type": ["string", "boolean"],
    "description": "A condition: nodes.id.field > 3, or {{ … }}",
    "examples": ["nodes.preprocess_01.width >= 1000", "input.mode == 'full'"],
}

_ABOUT: Mapping[str, Mapping[str, str]] = {
    "": {
        "display_name": "What people call it",
        "labels": "Names and values to find it by",
        "tags": "Words to find it by",
        "metadata": "Anything; kept as it is",
        "triggers": "What starts an instance",
        "nodes": "The steps",
        "edges": "Which node follows which, and when",
        "error_handling": "What happens when a node has failed for good",
        "timeout": "The longest that an instance may take, as 24h; default one day",
        "concurrency": "How many instances run at once",
        "execution": "How instances are executed",
    },
    "NodeDefinition": {
        "display_name": "What people call it",
        "description": "What it is there for",
        "parameters": "What the node type takes; every value may be an expression",
        "join": "How many incoming edges must fire: any, all, or a number",
        "timeout": "The longest that one attempt may take, as 300s; default the node type's",
        "retry": "How often and how long apart it is tried again; default the taxonomy of errors",
        "resources": "What it needs of a worker; default the node type's",
        "cache": "When its earlier output is used again",
        "fail_on_error": "false: the instance goes on when it fails, and its successors see the failure",
        "compensate": "The step that undoes it, in a transaction or when the instance fails",
        "priority": "0 low … 9 high",
        "breakpoint": "Stop before it until a person lets it go on",
        "position": "Where a designer draws it",
    },
    "EdgeDefinition": {
        "mapping": "{dotted target: $.jmespath, template or literal}; default the whole output"
    },
    "Part": {"nodes": "The steps", "edges": "Which node follows which, and when"},
    "Trigger": {
        "config": "What the trigger's type takes",
        "name": "What people call it",
        "enabled": "false: it starts nothing",
    },
    "OnErrorRule": {
        "goto": "The node that goes on in its place",
        "ignore": "true: the instance goes on without it",
    },
    "Compensation": {
        "type": "The node type that undoes it",
        "parameters": "What it takes",
        "input": "Its input",
    },
}
"""What is said of fields whose names the model leaves to speak for themselves."""


def definition_schema(registry: Registry | None = None) -> Schema:
    """One JSON Schema (2020-12) of a whole definition, with the parameters of every node type in ``registry``
    (default: all that are installed)."""
    if registry is None:
        from ..tasks.registry import registry as installed

        registry = installed()
    schema = _tidy(Definition.model_json_schema())
    parts: Schema = schema.pop("$defs")
    parts["template"] = _TEMPLATE_DEFINITION
    parts["Resources"] = _templated(_collect("Resources", Resources, parts))
    node_types = list(registry)
    _complete_node(parts["NodeDefinition"], node_types, parts)
    _complete_edge(parts["EdgeDefinition"])
    _complete_trigger(parts["Trigger"], parts)
    _complete_rest(schema, parts)
    for name, words in _ABOUT.items():
        properties = (parts[name] if name else schema)["properties"]
        for field, text in words.items():
            properties[field] = {"description": text, **properties[field]}
    return {
        "$schema": DIALECT,
        "title": "Mirror Realm workflow definition",
        **schema,
        "$defs": dict(sorted(parts.items())),
    }


def _complete_node(node: Schema, node_types: list[NodeType], parts: Schema) -> None:
    properties: Schema = node["properties"]
    names = {
        "description": "What the node does: family/name",
        "enum": [t.name for t in node_types],
        "enumDescriptions": [t.summary for t in node_types],
    }
    properties |= {
        "node_id": {**_NODE_ID, "description": "Unique in the definition; expressions read nodes.<node_id>"},
        "type": names,
        "node_type": {**names, "description": "Another spelling of type"},
        "when": {**_CONDITION, "description": "The node runs only if this holds"},
        "resources": _nullable({"$ref": "#/$defs/Resources"}),
        "next": _one_or_many(_NODE_NAME, "The nodes that follow"),
        "depends_on": _one_or_many(_NODE_NAME, "The nodes that come before"),
        "branch_conditions": {
            "description": "The first expression that holds decides who follows; one without is the default",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"expression": _CONDITION, "target": _NODE_NAME},
                "required": ["target"],
                "additionalProperties": False,
            },
        },
        "on_error": _one_or_many(
            properties["on_error"]["items"], "What happens when the node has failed for good"
        ),
        "body": {
            "description": "The nodes inside a foreach, a loop or a transaction",
            "anyOf": [_PART, _LIST_OF_NODES],
        },
        "branches": {
            "description": "The branches of a fork, each with nodes of its own",
            "anyOf": [
                {"type": "array", "minItems": 1, "items": {"anyOf": [_PART, _LIST_OF_NODES]}},
                {"type": "object", "additionalProperties": {"anyOf": [_PART, _LIST_OF_NODES]}},
            ],
        },
    }
    parts["OnErrorRule"]["properties"]["goto"] = _nullable(_NODE_NAME)
    for name in ("parameters", "input"):
        properties[name] = _nullable({"type": "object", **_described(properties[name])})
    node["required"] = ["node_id"]
    node["oneOf"] = [{"required": ["type"]}, {"required": ["node_type"]}]
    node["allOf"] = [
        *_by_type("type", "node_type", "parameters", _parameter_schemas(node_types, parts)),
        *(_owns(key, node_types) for key in ("body", "branches")),
    ]


def _owns(key: str, node_types: Iterable[NodeType]) -> Schema:
    """``key`` must be there where the node type has nodes of its own under it, and nowhere else."""
    owners = {"enum": [node_type.name for node_type in node_types if node_type.parts == key]}
    cases = [{"properties": {name: owners}, "required": [name]} for name in ("type", "node_type")]
    return {"if": {"anyOf": cases}, "then": {"required": [key]}, "else": {"properties": {key: False}}}


def _parameter_schemas(node_types: Iterable[NodeType], parts: Schema) -> Iterable[tuple[str, Schema]]:
    for node_type in node_types:
        key = node_type.name.replace("/", ".")
        description = "\n\n".join(filter(None, (node_type.summary, node_type.description)))
        parts[key] = {**_templated(_collect(key, node_type.parameters, parts)), "description": description}
        yield node_type.name, parts[key] | {"$ref": f"#/$defs/{key}"}


def _by_type(
    discriminator: str, alias: str | None, target: str, schemas: Iterable[tuple[str, Schema]]
) -> Iterable[Schema]:
    """``if type is X then <target> is as X declares``, and required if X requires something."""
    for name, schema in schemas:
        then: Schema = {"properties": {target: {"$ref": schema["$ref"]}}}
        if schema.get("required"):
            then["required"] = [target]
        cases = [
            {"properties": {key: {"const": name}}, "required": [key]} for key in (discriminator, alias) if key
        ]
        yield {"if": cases[0] if len(cases) == 1 else {"anyOf": cases}, "then": then}


def _complete_edge(edge: Schema) -> None:
    properties: Schema = edge["properties"]
    properties |= {
        "source": {**_NODE_NAME, "description": "The node that comes first"},
        "target": {**_NODE_NAME, "description": "The node that follows"},
        "from": {**_NODE_NAME, "description": "Another spelling of source"},
        "to": {**_NODE_NAME, "description": "Another spelling of target"},
        "condition": {
            **_CONDITION,
            "description": "The edge is taken if this holds; else: if no sibling was",
        },
    }
    edge.pop("required", None)
    edge["allOf"] = [
        {"oneOf": [{"required": ["source"]}, {"required": ["from"]}]},
        {"oneOf": [{"required": ["target"]}, {"required": ["to"]}]},
    ]


def _complete_trigger(trigger: Schema, parts: Schema) -> None:
    properties: Schema = trigger["properties"]
    properties["type"] = {
        "description": "What starts an instance",
        "enum": list(TRIGGER_CONFIGS),
        "enumDescriptions": [_first_sentence(model) for model in TRIGGER_CONFIGS.values()],
    }
    schemas: list[tuple[str, Schema]] = []
    for name, model in TRIGGER_CONFIGS.items():
        key = f"trigger.{name}"
        parts[key] = _collect(key, model, parts)
        schemas.append((name, parts[key] | {"$ref": f"#/$defs/{key}"}))
    trigger["allOf"] = list(_by_type("type", None, "config", schemas))


def _complete_rest(schema: Schema, parts: Schema) -> None:
    properties: Schema = schema["properties"]
    version = {"type": ["string", "null"], "pattern": f"^{SEMVER.pattern}$", "examples": ["1.0.0"]}
    properties["version"] = version | {"description": "SemVer; given on registration when absent"}
    properties["max_duration"] = properties["timeout"]
    properties["dialect"] = {
        "type": "string",
        "description": "How the document is spelled; found out when absent",
    }
    properties["name"]["description"] = "The workflow's identity: lower case, digits and hyphens"
    handling = parts.get("ErrorHandling", {}).get("properties", {})
    if "notify" in handling:
        handling["notify"] = _one_or_many(handling["notify"]["items"], "Whom to tell")


def _collect(key: str, model: type[BaseModel], parts: Schema) -> Schema:
    """The schema of ``model``, its own parts moved to ``parts`` under names that begin with ``key``."""
    schema = _tidy(model.model_json_schema(ref_template=f"#/$defs/{key}.{{model}}"))
    for name, part in schema.pop("$defs", {}).items():
        parts[f"{key}.{name}"] = _templated(part)
    for name, field in model.model_fields.items():
        loose = any(isinstance(m, BeforeValidator | PlainValidator | WrapValidator) for m in field.metadata)
        declared = schema.get("properties", {}).get(field.alias or name)
        if (
            loose
            and declared is not None
            and "anyOf" not in declared
            and declared.get("type") in ("number", "integer")
        ):
            # A validator of its own may read more than the type says, as durations such as 5m.
            declared["type"] = [declared["type"], "string"]
    return schema


def _templated(schema: Schema) -> Schema:
    """``schema`` with a template accepted as the value of every field, item and entry."""
    result = dict(schema)
    if isinstance(fields := schema.get("properties"), Mapping):
        result["properties"] = {name: _or_template(field) for name, field in fields.items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), Mapping):
            result[name] = _or_template(schema[name])
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(name), list):
            result[name] = [_templated(option) for option in schema[name]]
    return result


def _or_template(schema: Mapping[str, Any]) -> Schema:
    inner = _templated(dict(schema))
    limits = {
        "enum",
        "const",
        "pattern",
        "format",
        "minLength",
        "maxLength",
        "$ref",
        "anyOf",
        "oneOf",
        "allOf",
    }
    if not inner.keys() & {*limits, "type"} or (inner.get("type") == "string" and not inner.keys() & limits):
        return inner
    about = {
        name: inner.pop(name)
        for name in ("description", "default", "examples", "deprecated")
        if name in inner
    }
    options = inner.pop("anyOf") if inner.keys() == {"anyOf"} else [inner]
    return {**about, "anyOf": [*options, _TEMPLATE]}


def _tidy(value: Any) -> Any:
    """Without Pydantic's generated titles and null defaults, which only make an editor's popup longer."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    schema_like = value.keys() & {
        "type",
        "anyOf",
        "allOf",
        "oneOf",
        "$ref",
        "properties",
        "enum",
        "const",
        "items",
    }
    tidy: Schema = {}
    for key, item in value.items():
        if schema_like and _generated(key, item):
            continue
        if key in ("properties", "$defs"):
            tidy[key] = {name: _tidy(field) for name, field in item.items()}
        else:
            tidy[key] = item if key in ("default", "examples", "enum", "const") else _tidy(item)
    return tidy


def _generated(key: str, item: Any) -> bool:
    return (key == "title" and isinstance(item, str)) or (key == "default" and item is None)


def _one_or_many(schema: Schema, description: str) -> Schema:
    return {"description": description, "anyOf": [schema, {"type": "array", "items": schema}]}


def _nullable(schema: Schema) -> Schema:
    about = _described(schema)
    inner = {name: value for name, value in schema.items() if name not in about}
    return {**about, "anyOf": [inner, {"type": "null"}]}


def _described(schema: Mapping[str, Any]) -> Schema:
    return {"description": schema["description"]} if "description" in schema else {}


def _first_sentence(model: type[BaseModel]) -> str:
    return inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0]
