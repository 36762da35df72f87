"""``realm nodes`` and ``realm schema``: what a definition may contain, for people and for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from . import faults
from .terminal import terminal

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..tasks import NodeType


def nodes(
    name: str | None = None,
    /,
    *,
    family: str | None = None,
    json: bool = False,
) -> int:
    """List the node types, or explain one.

    Parameters
    ----------
    name
        One node type, such as image/preprocess: its parameters, input and output.
    family
        Only this family, such as image.
    json
        As JSON, with the JSON Schemas.
    """
    from ..tasks import registry

    out = terminal()
    if name is not None:
        node_type = registry()[name]
        out.write_json(describe(node_type)) if json else _show(node_type)
        return faults.OK
    listed = [t for t in registry() if family in (None, t.family)]
    if json:
        out.write_json([describe(node_type) for node_type in listed])
        return faults.OK
    from rich.table import Table

    table = Table("node type", "version", "what it does", box=None, header_style="bold", pad_edge=False)
    for node_type in listed:
        table.add_row(node_type.name, node_type.version, node_type.summary)
    out.console.print(table)
    out.say(f"\n{len(listed)} node types. `realm nodes image/preprocess` explains one.")
    return faults.OK if listed else faults.INPUT_AT_FAULT


def schema(
    node_type: str | None = None,
    /,
    *,
    tests: bool = False,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
) -> int:
    """Print the JSON Schema of definitions, for completion and checks while you type.

    Parameters
    ----------
    node_type
        The schema of this node type's parameters alone.
    tests
        The schema of test files (`*.test.yaml`).
    output
        A file to write instead of standard output.
    """
    if tests:
        from ..compiler.cases_schema import cases_schema

        document = cases_schema()
    elif node_type is None:
        document = workflow_schema()
    else:
        from ..tasks import registry

        document = registry()[node_type].parameters.model_json_schema()
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if output is None:
        terminal().write(text)
    else:
        output.write_text(text, encoding="utf-8")
        terminal().say(f"wrote {output}")
    return faults.OK


def workflow_schema() -> dict[str, Any]:
    """The JSON Schema of definitions over all installed node types."""
    from ..compiler.schema import definition_schema
    from ..tasks import registry

    return definition_schema(registry())


def describe(node_type: NodeType) -> dict[str, Any]:
    """A node type as data."""
    return {
        "name": node_type.name,
        "version": node_type.version,
        "summary": node_type.summary,
        "description": node_type.description,
        "timeout": node_type.timeout,
        "max_attempts": node_type.max_attempts,
        "idempotent": node_type.idempotent,
        "batchable": node_type.batchable,
        "side_effects": node_type.side_effects,
        "where": node_type.where,
        "resources": node_type.resources.model_dump(mode="json"),
        "parameters": node_type.parameters.model_json_schema(),
        "input": node_type.input.model_json_schema(),
        "output": node_type.output.model_json_schema(mode="serialization"),
    }


def fields_of(model: type[BaseModel], mode: str = "validation") -> list[tuple[str, str, str, str]]:
    """``(name, type, default, description)`` of a model's fields, as a person reads them."""
    document = model.model_json_schema(mode="serialization" if mode == "serialization" else "validation")
    required = set(document.get("required", ()))
    rows = []
    for name, field in document.get("properties", {}).items():
        default = "required" if name in required and mode == "validation" else _literal(field.get("default"))
        rows.append((name, type_of(field, document.get("$defs", {})), default, field.get("description", "")))
    return rows


def type_of(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    """A JSON Schema's type in a few words.

    >>> type_of({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {}), type_of({"enum": ["a", "b"]}, {})
    ('integer or null', '"a" | "b"')
    """
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        target = definitions.get(name, {})
        return type_of(target, definitions) if "enum" in target else name
    if "const" in field:
        return _literal(field["const"])
    if "enum" in field:
        return " | ".join(_literal(value) for value in field["enum"])
    for key in ("anyOf", "oneOf"):
        if key in field:
            return " or ".join(dict.fromkeys(type_of(option, definitions) for option in field[key]))
    if len(field.get("allOf", ())) == 1:
        return type_of(field["allOf"][0], definitions)
    if field.get("type") == "array":
        items = field.get("items")
        return f"list of {type_of(items, definitions)}" if items else "list"
    return str(field.get("type", "any"))


def _literal(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _show(node_type: NodeType) -> None:
    from rich.table import Table
    from rich.text import Text

    from ..core.durations import format_duration

    console = terminal().console
    console.print(Text.assemble((node_type.name, "bold"), f"  {node_type.version}"))
    console.print(Text(node_type.summary))
    if node_type.description:
        console.print(Text("\n" + node_type.description))
    facts = [f"timeout {format_duration(node_type.timeout)}", f"{node_type.resources.memory_mb} MiB"]
    if node_type.resources.gpu != "none":
        facts.append(f"GPU {node_type.resources.gpu}")
    facts += [word for word in ("idempotent", "batchable") if getattr(node_type, word)]
    console.print(Text("\n" + " · ".join(facts), style="dim"))
    for title, model, mode in (
        ("parameters", node_type.parameters, "validation"),
        ("input", node_type.input, "validation"),
        ("output", node_type.output, "serialization"),
    ):
        table = Table(box=None, header_style="bold", pad_edge=False, show_header=False, padding=(0, 2, 0, 2))
        for row in fields_of(model, mode):
            table.add_row(*(Text(cell) for cell in row))
        console.print(Text(f"\n{title}", style="bold"))
        console.print(table if table.row_count else Text("  none"))
