"""Templates in parameters and inputs give what the node type takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ..constant_values import is_constant
from ..diagnostics import Diagnostic, Path
from ..document import walk_strings
from .subject import Subject

if TYPE_CHECKING:
    from ..verify.fitting import Fit

_SCHEMA_TYPES = {
    "string": ("string",),
    "number": ("number", "integer"),
    "whole": ("integer", "number"),
    "bool": ("boolean",),
    "list": ("array",),
    "map": ("object",),
}
"""The types of a JSON Schema that a kind of value is of."""


def template_types(subject: Subject) -> Iterator[Diagnostic]:
    """Values of a known type where the node type takes another; text around a template where it takes no text."""
    for path, node in subject.nodes():
        node_type = subject.node_type(node.get("type"))
        if node_type is None:
            continue
        parameters, given = node.get("parameters"), node.get("input")
        if isinstance(parameters, dict):
            now = {name: value for name, value in parameters.items() if name not in node_type.deferred}
            yield from _mapping(subject, node_type.parameters, now, (*path, "parameters"), node_type.name)
        if isinstance(given, dict):
            yield from _mapping(subject, node_type.input, given, (*path, "input"), node_type.name)
        if (inner := subject.subworkflows.get(path)) is not None and inner.definition is not None:
            yield from _into_subworkflow(subject, path, parameters, inner.definition.input)


def _into_subworkflow(subject: Subject, path: Path, parameters: Any, schema: Any) -> Iterator[Diagnostic]:
    """Templates among the inputs of a sub-workflow whose schema has another type there."""
    from ..expressions.composed import is_text
    from ..verify.fitting import kind_of_template, words

    given = parameters.get("input") if isinstance(parameters, dict) else None
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(given, dict) or not isinstance(properties, dict) or subject.outputs is None:
        return
    for name, text in given.items():
        described = properties.get(name)
        wanted = described.get("type") if isinstance(described, dict) else None
        if not isinstance(text, str) or "{{" not in text or not isinstance(wanted, str):
            continue
        kind = "string" if is_text(text) else kind_of_template(text, subject.outputs, subject.scope)
        if kind is not None and wanted not in _SCHEMA_TYPES[kind]:
            message = f"the sub-workflow takes {name!r} of type {wanted}, and this is {words(kind)}"
            place = (*path, "parameters", "input", name)
            yield subject.document.report(
                "MR305", message, place, hint=f"write a template that gives {wanted}"
            )


def _mapping(
    subject: Subject, model: type[BaseModel], given: Mapping[str, Any], base: Path, type_name: str
) -> Iterator[Diagnostic]:
    for place, text in walk_strings(given):
        if "{{" not in text:
            continue
        what, found = judged(subject, model, given, place, text)
        if found is None or found.verdict == "yes":
            continue
        if found.verdict == "rarely" and is_constant(subject.document, subject.scope, text):
            continue  # Whether this one can, the check of parameters has tried.
        name = place[-1] if isinstance(place[-1], str) else place[0]
        message = f"{name!r} of {type_name} must be {found.wanted}, and this is {what}"
        rarely = found.verdict == "rarely"
        hint = f"write a template that gives {found.wanted}"
        if rarely:
            message += "; only some of those can be read so"
            hint = "write int(x), double(x) or bool(x) where it is one in other words"
        yield subject.document.report(
            "MR305", message, (*base, *place), hint=hint, severity="warning" if rarely else "error"
        )


def judged(
    subject: Subject, model: type[BaseModel], given: Mapping[str, Any], place: Path, text: str
) -> tuple[str, Fit | None]:
    """What the template at ``place`` of what is ``given`` for ``model`` gives, in words, and how that fits; no fit
    where nothing is known."""
    from ..expressions.errors import ExpressionError
    from ..expressions.templates import Hole, parse_template
    from ..verify.fitting import fit, fit_examples, fit_field, kind_of_template, words

    try:
        parts = parse_template(text)
    except ExpressionError:
        return "", None
    if not (len(parts) == 1 and isinstance(parts[0], Hole)):
        filled = [
            "".join(part if isinstance(part, str) else word for part in parts) for word in ("1", "a", "true")
        ]
        return "text", fit_examples(model, given, place, filled)
    if subject.outputs is None or (kind := kind_of_template(text, subject.outputs, subject.scope)) is None:
        return "", None
    alone = len(place) == 1
    known = fit_field(model, str(place[-1]), kind) if alone else fit(model, given, place, kind)
    return words(kind), known
