"""The catalogue of node types, generated from their declarations: ``python -m mirror_realm.tasks.catalogue
docs/nodes.md``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ..core.durations import format_duration
from ..core.references import FileRef, ImageRef
from ..core.resources import Gpu, Resources
from .registry import FAMILIES, Registry, node_types_of
from .sdk import NodeType

SHARED: tuple[type[BaseModel], ...] = (ImageRef, FileRef)
"""Models that many types use; they are explained once."""

_HEAD = """\
# Node types

<!-- Made from the declarations by `python -m mirror_realm.tasks.catalogue docs/nodes.md`. Change those instead. -->

What a node of a definition may be. Every value of `parameters` may be an expression (`"{{ … }}"`). A node's input comes
from its predecessors' outputs, or from its own `input` mapping. `realm nodes <type>` shows the same in the terminal;
[architecture.md](architecture.md) says how to add a type.
"""


def builtin() -> Registry:
    """The node types of this package, without plugins."""
    return Registry(t for family in FAMILIES for t in node_types_of(import_module(f".{family}", __package__)))


def catalogue_markdown(types: Registry) -> str:
    """The page: an overview, then each family with its types: what it does, takes, gives, needs."""
    parts = [_HEAD, _overview(types)]
    first_name: dict[Any, str] = {}
    for family in sorted({node_type.family for node_type in types}):
        parts.append(f"## {family}\n")
        for node_type in (t for t in types if t.family == family):
            first = first_name.setdefault(node_type.executor, node_type.name)
            parts.append(section(node_type) if first == node_type.name else _alias(node_type, first))
    parts.append("## Shared shapes\n")
    for model in SHARED:
        schema = _schema(model, "serialization")
        parts.append(f"### {model.__name__}\n\n{_doc(model)}\n\n{_table(schema, {}, 'output')}")
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _overview(types: Iterable[NodeType]) -> str:
    rows = (f"| [`{t.name}`](#{_anchor(t.name)}) | {_cell(t.summary)} |" for t in types)
    return "\n".join(["| type | what it does |", "|---|---|", *rows]) + "\n"


def _alias(node_type: NodeType, first: str) -> str:
    return f"### {node_type.name}\n\nAnother name of [`{first}`](#{_anchor(first)}).\n"


def section(node_type: NodeType) -> str:
    """One node type: what it does, takes, gives and needs."""
    parts = [f"### {node_type.name}", node_type.summary]
    if node_type.description:
        parts.append(node_type.description)
    parts.append(_facts(node_type))
    nested: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for title, model, mode in (
        ("Parameters", node_type.parameters, "validation"),
        ("Input", node_type.input, "validation"),
        ("Output", node_type.output, "serialization"),
    ):
        schema = _schema(model, mode)
        definitions = schema.get("$defs", {})
        parts.append(f"**{title}**{_open_ended(title, schema)}")
        if schema.get("properties"):
            parts.append(_table(schema, definitions, title.lower()))
        for name, definition in definitions.items():
            nested.setdefault(name, (title.lower(), definition))
    parts += list(_nested_tables(nested))
    return "\n\n".join(parts) + "\n"


def _facts(node_type: NodeType) -> str:
    facts = [
        f"version {node_type.version}",
        "runs in the flow, needs no worker"
        if node_type.where != "worker"
        else _resources(node_type.resources),
        f"timeout {format_duration(node_type.timeout)}",
    ]
    if node_type.max_attempts is not None:
        facts.append(f"at most {node_type.max_attempts} attempts")
    facts.append("idempotent" if node_type.idempotent else "not idempotent")
    if node_type.side_effects:
        facts.append("changes things outside")
    if node_type.batchable:
        facts.append("batchable")
    return "*" + " · ".join(facts) + "*"


def _resources(resources: Resources) -> str:
    parts = [f"{resources.cpu_millis / 1000:g} CPU", f"{resources.memory_mb} MiB"]
    if resources.gpu is not Gpu.NONE:
        memory = f", {resources.gpu_memory_mb} MiB of it" if resources.gpu_memory_mb else ""
        share = f", {resources.gpu_share:g} of one" if resources.gpu_share < 1 else ""
        parts.append(f"GPU {resources.gpu}{share}{memory}")
    return ", ".join(parts)


def _open_ended(title: str, schema: Mapping[str, Any]) -> str:
    """What is said of fields that the table does not list."""
    nothing = not schema.get("properties")
    if schema.get("additionalProperties") is True:
        if title == "Output":
            return ": any fields." if nothing else ", and any other fields:"
        return ": any fields." if nothing else " (other fields are welcome):"
    return ": none." if nothing else ":"


def _table(schema: Mapping[str, Any], definitions: Mapping[str, Any], kind: str) -> str:
    required = set(schema.get("required", ())) if kind != "output" else set()
    lines = (
        ["| field | type | default | |", "|---|---|---|---|"]
        if kind != "output"
        else ["| field | type | |", "|---|---|---|"]
    )
    for name, field in schema.get("properties", {}).items():
        description = _cell(description_of(field, definitions))
        cells = [f"`{name}`", _cell(type_in_words(field, definitions))]
        if kind != "output":
            cells.append("*required*" if name in required else _default(field))
        lines.append("| " + " | ".join([*cells, description]) + " |")
    return "\n".join(lines)


def description_of(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a field's schema says of it; else, what the model that it refers to says of itself."""
    if found := field.get("description"):
        return found
    return definitions.get(field.get("$ref", "").rpartition("/")[2], {}).get("description", "")


def _nested_tables(nested: Mapping[str, tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    shared = {model.__name__ for model in SHARED}
    definitions = {name: definition for name, (_, definition) in nested.items()}
    for name, (kind, definition) in nested.items():
        if name in shared or not definition.get("properties"):
            continue
        description = _cell(definition.get("description", ""))
        yield f"`{name}`: {description}" if description else f"`{name}`:"
        yield _table(definition, definitions, kind)


def type_in_words(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A schema in words: ``integer ≥ 1``, ``list of text``, ``a`` or ``b``, a link to a shared shape."""
    if "$ref" in field:
        return _reference(field["$ref"].rpartition("/")[2], definitions)
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if alternatives := field.get("anyOf") or field.get("oneOf"):
        words = [
            type_in_words(choice, definitions) for choice in alternatives if choice.get("type") != "null"
        ]
        return " or ".join(dict.fromkeys(words))
    if "allOf" in field and len(field["allOf"]) == 1:
        return type_in_words(field["allOf"][0], definitions)
    kind = field.get("type")
    if kind == "array":
        if field.get("prefixItems"):
            return "[" + ", ".join(type_in_words(item, definitions) for item in field["prefixItems"]) + "]"
        items = type_in_words(field.get("items", {}), definitions)
        return f"list of ({items})" if " or " in items else f"list of {items}"
    if kind == "object":
        values = field.get("additionalProperties")
        return (
            f"object of {type_in_words(values, definitions)}"
            if isinstance(values, Mapping) and values
            else "object"
        )
    if kind == "string":
        return {"date-time": "date and time", "uri": "URI", "path": "path"}.get(
            field.get("format", ""), "text"
        )
    if kind in ("integer", "number"):
        return kind + _bounds(field)
    return {"boolean": "true or false", "null": "null"}.get(str(kind), "any JSON")


def _reference(name: str, definitions: Mapping[str, Any]) -> str:
    if name in {model.__name__ for model in SHARED}:
        return f"[{name}](#{name.lower()})"
    definition = definitions.get(name, {})
    return f"`{name}` (below)" if definition.get("properties") else type_in_words(definition, definitions)


def _bounds(field: Mapping[str, Any]) -> str:
    signs = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
    found = [f"{sign} {field[name]:g}" for name, sign in signs if name in field]
    return " " + ", ".join(found) if found else ""


def _default(field: Mapping[str, Any]) -> str:
    if "default" not in field or field["default"] in ([], {}):
        return "empty" if field.get("type") in ("array", "object") else ""
    if field["default"] is None:
        return ""
    return _cell(f"`{json.dumps(field['default'], ensure_ascii=False)}`")


def _schema(model: type[BaseModel], mode: Any) -> dict[str, Any]:
    return model.model_json_schema(mode=mode)


def _doc(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").replace("``", "`").split())


def _cell(text: str) -> str:
    """One table cell: no line breaks, no bars, no tags outside of code."""
    pieces = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(piece if index % 2 else piece.replace("<", "&lt;") for index, piece in enumerate(pieces))


def _anchor(heading: str) -> str:
    """GitHub's anchor of a heading.

    >>> _anchor("ai/image-enhance")
    'aiimage-enhance'
    """
    return heading.lower().replace("/", "").replace(" ", "-")


def main(arguments: list[str]) -> int:
    """Write the page to the path given, or to the standard output."""
    page = catalogue_markdown(builtin())
    if not arguments:
        sys.stdout.write(page)
        return 0
    Path(arguments[0]).write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
