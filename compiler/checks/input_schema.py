"""The input schema is a JSON Schema (2020-12)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..close_matches import did_you_mean, listed
from ..diagnostics import Diagnostic, Path
from .subject import Subject

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


def input_schema(subject: Subject) -> Iterator[Diagnostic]:
    """What the metaschema refuses, at its place; required names that are no properties; bad patterns and defaults."""
    schema = subject.tree.get("input")
    if not isinstance(schema, dict) or not schema:
        return
    from jsonschema import Draft202012Validator

    refused = False
    for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema):
        best = _deepest(error)
        refused = True
        message, hint = _words(best)
        yield subject.document.report("MR124", message, ("input", *best.absolute_path), hint=hint)
    if refused:
        return
    if schema.get("type", "object") != "object":
        message, hint = "the input of an instance is an object", "write type: object, with properties"
        yield subject.document.report("MR124", message, ("input", "type"), hint=hint)
    yield from _details(subject, schema, ("input",))


def _deepest(error: Any) -> Any:
    """The innermost cause: the metaschema is a knot of allOf and anyOf."""
    while error.context:
        error = max(error.context, key=lambda e: len(e.absolute_path))
    return error


def _words(error: Any) -> tuple[str, str]:
    last = error.absolute_path[-1] if error.absolute_path else "schema"
    shown = repr(error.instance)[:60]
    if last == "type" or (error.validator == "enum" and "string" in error.validator_value):
        guess = did_you_mean(str(error.instance), TYPES, 1)
        ways = f"the types are {listed(TYPES)}"
        return f"{shown} is not a type of JSON Schema", f"{guess} {ways}" if guess else ways
    if error.validator == "type":
        wanted = error.validator_value
        wanted = " or ".join(wanted) if isinstance(wanted, list) else wanted
        return (
            f"{last!r} must be of type {wanted} in a JSON Schema, not {shown}",
            f"write one of type {wanted}",
        )
    return f"{last!r} is not a valid JSON Schema: {error.message[:120]}", "see JSON Schema, draft 2020-12"


def _details(subject: Subject, schema: dict[str, Any], path: Path) -> Iterator[Diagnostic]:
    """Patterns that are none; required names that are not described, which is almost always a slip."""
    properties, required, pattern = schema.get("properties"), schema.get("required"), schema.get("pattern")
    if isinstance(pattern, str) and (reason := _pattern_fault(pattern)):
        message = f"{pattern!r} is not a regular expression: {reason}"
        yield subject.document.report("MR124", message, (*path, "pattern"), hint="mend the pattern")
    if not isinstance(properties, dict):
        return
    for index, name in enumerate(required if isinstance(required, list) else ()):
        if isinstance(name, str) and name not in properties and (guess := did_you_mean(name, properties)):
            message = f"required input {name!r} is not among the properties"
            yield subject.document.report(
                "MR124", message, (*path, "required", index), hint=guess, severity="warning"
            )
    for name, inner in properties.items():
        if isinstance(inner, dict):
            yield from _details(subject, inner, (*path, "properties", name))


def _pattern_fault(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    return None
