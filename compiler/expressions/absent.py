"""What to say about a part of a reference that the declared shape does not have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .errors import did_you_mean
from .references import Reference
from .shapes import ANYTHING, Shape, Unknown
from .typecheck import Finding

if TYPE_CHECKING:
    from ..diagnostics import Severity


def walk(reference: Reference, shape: Shape, first: int) -> tuple[Shape, list[Finding]]:
    """The shape of ``reference``, whose parts from ``first`` on lie in ``shape``, and what is wrong with them."""
    for index in range(first, len(reference.path)):
        part = reference.path[index]
        step = shape.step(part)
        if not isinstance(step, Shape):
            return ANYTHING, _absent(reference, index, part, step)
        shape = step
    return shape, []


def at(
    reference: Reference, part: int, kind: str, message: str, hint: str | None, severity: Severity = "error"
) -> Finding:
    """A finding at one part of ``reference``, counted from its root."""
    start, end = reference.places[part]
    return Finding(kind, message, start, end, hint, severity)


def fields_hint(known: Iterable[str]) -> str:
    """The fields there are, as a hint."""
    names = list(known)
    if not names:
        return "it has no fields"
    return f"its fields are {', '.join(names[:12])}" + (", …" if len(names) > 12 else "")


def _absent(reference: Reference, index: int, part: str | int, step: Unknown) -> list[Finding]:
    """Nothing, where the shape is only incomplete."""
    shown = reference.text(index)
    if step.kind != "a map":
        message = f"{shown} is {step.kind} and has no field {part!r}"
        if isinstance(part, int) and "list" in step.kind:
            message, hint = f"{shown} is {step.kind} items and has no [{part}]", "the first item is [0]"
        elif part in ("length", "size", "count"):
            hint = f"write size({shown})"
        elif step.kind == "a list":
            hint = f"write {shown}[0].{part}, or {shown}.map(x, x.{part})"
        else:
            hint = f"write {shown} alone: it is {step.kind}"
        return [at(reference, index + 1, "field", message, hint)]
    if not step.certain:
        hint = did_you_mean(str(part), step.known)
        if hint is None and (index or reference.root != "input" or reference.mode != "value"):
            return []
        message = f"{shown} does not declare {part!r}"
        hint = hint or f"describe it among the properties of input, or write default({reference.text()}, …)"
        return [at(reference, index + 1, "field", message, hint, "warning")]
    message = f"{shown} has no field {part!r}"
    hint = did_you_mean(str(part), step.known)
    if hint is None and reference.hyphened:
        hint = f"a name with a hyphen is written in brackets: [{reference.hyphened!r}]"
    if hint is None and reference.root == "vars" and not step.known:
        hint = f"declare it: variables: {{{part}: …}}"
    severity: Severity = "error" if reference.mode == "value" else "warning"
    return [at(reference, index + 1, "field", message, hint or fields_hint(step.known), severity)]
