"""The input schema is a JSON Schema (2020-12)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from ..close_matches import asked, did_you_mean, listed
from ..diagnostics import Diagnostic, Path
from .subject import Subject

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")

KEYWORDS = frozenset({
    "additionalProperties", "allOf", "anyOf", "const", "contains", "contentEncoding", "contentMediaType",
    "contentSchema", "default", "definitions", "dependencies", "dependentRequired", "dependentSchemas",
    "deprecated", "description", "else", "enum", "example", "examples", "exclusiveMaximum",
    "exclusiveMinimum", "format", "if", "items", "maxContains", "maxItems", "maxLength", "maxProperties",
    "maximum", "minContains", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "not",
    "nullable", "oneOf", "pattern", "patternProperties", "prefixItems", "properties", "propertyNames",
    "readOnly", "required", "then", "title", "type", "unevaluatedItems", "unevaluatedProperties",
    "uniqueItems", "writeOnly",
})  # fmt: skip
"""What stands in schemas: JSON Schema 2020-12, its forerunners, and OpenAPI."""
MOST_VALUES = 10_000
"""Of a schema: checking one against the metaschema takes a tenth of a millisecond each."""
MOST_GUESSES = 100
"""Required names of which it is asked what they were meant to be."""


def input_schema(subject: Subject) -> Iterator[Diagnostic]:
    """What the metaschema refuses, at its place; required names that are no properties; bad patterns and defaults."""
    schema = subject.tree.get("input")
    if not isinstance(schema, dict) or not schema:
        return
    from jsonschema import Draft202012Validator

    if _values(schema) > MOST_VALUES:
        message, hint = (
            f"more than {MOST_VALUES:,} values in one schema",
            "describe fewer fields, or parts in $defs",
        )
        yield subject.document.report("MR103", message, ("input",), hint=hint, key=True)
        return
    if not any(key in KEYWORDS or key.startswith(("x-", "$")) for key in schema):
        first = next(iter(schema))
        message = f"{first!r} is no keyword of JSON Schema, by which the input is described"
        hint = f"write input: {{type: object, properties: {{{first}: {{type: string}}}}}}"
        yield subject.document.report("MR124", message, ("input", first), hint=hint, key=True)
        return
    refused = False
    for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema):
        best = _deepest(error)
        refused = True
        message, hint = _words(best)
        yield subject.document.report("MR124", message, ("input", *best.absolute_path), hint=hint)
    if not refused and schema.get("type", "object") != "object":
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
        return f"{shown} is not a type of JSON Schema", guess + f" {ways}" if guess else ways
    if last == "required" and not isinstance(error.instance, list):
        hint = "list names beside the properties: required: [file_path]"
        if isinstance(error.instance, str):
            hint = f"write required: [{error.instance}]"
        return f"'required' must be a list of names, not {shown}", hint
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
    yield from _unknown_keywords(subject, schema, path)
    for keyword in ("items", "additionalProperties"):
        if isinstance(inner := schema.get(keyword), dict):
            yield from _details(subject, inner, (*path, keyword))
    properties, required, pattern = schema.get("properties"), schema.get("required"), schema.get("pattern")
    if isinstance(pattern, str) and (reason := _pattern_fault(pattern)):
        message = f"{pattern[:60]!r} is not a regular expression: {reason}"
        yield subject.document.report("MR124", message, (*path, "pattern"), hint="mend the pattern")
    if not isinstance(properties, dict):
        return
    names = required if isinstance(required, list) else []
    missing = [
        (at, name) for at, name in enumerate(names) if isinstance(name, str) and name not in properties
    ]
    for index, name in missing[:MOST_GUESSES]:
        if guess := did_you_mean(name, properties):
            message = f"required input {name!r} is not among the properties"
            yield subject.document.report(
                "MR124", message, (*path, "required", index), hint=guess, severity="warning"
            )
    for name, inner in properties.items():
        if isinstance(inner, dict):
            yield from _details(subject, inner, (*path, "properties", name))


def _unknown_keywords(subject: Subject, schema: dict[str, Any], path: Path) -> Iterator[Diagnostic]:
    """Slips of keywords, which JSON Schema takes for remarks; in the input itself also what looks like its fields."""
    for key, value in schema.items():
        if key in KEYWORDS or key.startswith(("x-", "$")):
            continue
        near = difflib.get_close_matches(key[:64], KEYWORDS, n=1, cutoff=0.8)
        if near:
            hint = asked(near[0])
        elif len(path) == 1 and (isinstance(value, dict) or (isinstance(value, str) and value in TYPES)):
            hint = f"put it under properties: {{{key}: …}}"
        else:
            continue
        message = f"{key!r} is no keyword of JSON Schema"
        yield subject.document.report("MR124", message, (*path, key), hint=hint, key=True, severity="warning")


def _values(tree: Any) -> int:
    """How many mappings, lists and scalars there are."""
    inside = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return 1 + sum(map(_values, inside))


def _pattern_fault(pattern: str) -> str | None:
    try:
        re.compile(pattern)
    except re.error as error:
        return str(error)
    except (RecursionError, OverflowError):
        return "it is nested too deeply, or counts too far"
    return None
