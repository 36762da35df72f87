"""Templates: strings with ``{{ expression }}`` in them, and conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .engine import CACHED, compile_expression
from .errors import ExpressionError
from .tokens import MAX_EXPRESSION, name_end, string_end
from .values import kind_of, text_of

MAX_HOLES = 1000
"""Templates in one text."""
MAX_RENDER_DEPTH = 200
"""Lists and maps within each other in a rendered tree."""


@dataclass(frozen=True, slots=True)
class Hole:
    """One ``{{ … }}``: its expression, trimmed, and the offset in the template where that expression begins."""

    expression: str
    offset: int


def parse_template(text: str) -> tuple[str | Hole, ...]:
    r"""The literal and the templated parts of ``text``.

    ``\{{`` is a literal ``{{``, ``\\{{`` a backslash and a template.

    >>> parse_template("a {{ {'k': {'l': '}}'}} }} b")
    ('a ', Hole(expression="{'k': {'l': '}}'}}", offset=5), ' b')
    """
    parts: list[str | Hole] = []
    literal = ""
    position = holes = 0
    while (opening := text.find("{{", position)) >= 0:
        before = text[position:opening]
        if before.endswith("\\\\"):
            literal += before[:-1]
        elif before.endswith("\\"):
            literal += before[:-1] + "{{"
            position = opening + 2
            continue
        else:
            literal += before
        holes += 1
        if holes > MAX_HOLES:
            raise ExpressionError(
                f"more than {MAX_HOLES} templates in one text",
                expression=text,
                column=opening + 1,
                end=opening + 3,
                hint="put the text together in several steps, or with join(list, '')",
                kind="limit",
            )
        closing = _closing(text, opening)
        inner = text[opening + 2 : closing]
        if literal:
            parts.append(literal)
        literal = ""
        parts.append(Hole(inner.strip(), opening + 2 + len(inner) - len(inner.lstrip())))
        position = closing + 2
    literal += text[position:]
    return (*parts, literal) if literal or not parts else tuple(parts)


def _closing(text: str, opening: int) -> int:
    """Where the ``}}`` stands that closes the ``{{`` at ``opening``: not inside a string, not a map's braces."""
    depth, position = 0, opening + 2
    last = min(len(text), opening + 2 + 2 * MAX_EXPRESSION)
    while position < last:
        character = text[position]
        end = string_end(text, position)
        if end is None:
            raise ExpressionError(
                "this string is never closed",
                expression=text,
                column=position + 1,
                end=position + 2,
                hint="close it with the same quote; \\{{ writes the braces themselves",
            )
        if end > position:
            position = end
            continue
        # A name before a quote, as in `x'`, is no prefix of a string; step over names as a whole.
        if character.isidentifier():
            position = name_end(text, position)
            continue
        if character == "{":
            depth += 1
        elif character == "}" and depth:
            depth -= 1
        elif text.startswith("}}", position):
            return position
        position += 1
    never = "{{ is never closed"
    raise ExpressionError(
        never if last == len(text) else f"{never} within {2 * MAX_EXPRESSION} characters",
        expression=text,
        column=opening + 1,
        end=opening + 3,
        hint="close it with }}, or write \\{{ for the braces themselves",
    )


@lru_cache(maxsize=CACHED)
def _parts(text: str) -> tuple[str | Hole, ...]:
    return parse_template(text)


def render(value: Any, scope: Mapping[str, Any]) -> Any:
    """``value``, a JSON tree, with every template in it evaluated in ``scope``.

    A string that is exactly one template becomes what the expression is, of any type; in longer text the values are
    written as text. Map keys stay as they are. Parts of ``scope`` are returned as they are, not copied.
    Raises :class:`ExpressionError`.
    """
    return _render(value, scope, 0)


def _render(value: Any, scope: Mapping[str, Any], depth: int) -> Any:
    if isinstance(value, str):
        return _render_text(value, scope) if "{{" in value else value
    if depth > MAX_RENDER_DEPTH:
        raise ExpressionError("the value is nested too deeply", expression="{{ … }}", kind="limit")
    if isinstance(value, Mapping):
        return {key: _render(item, scope, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_render(item, scope, depth + 1) for item in value]
    return value


def _render_text(text: str, scope: Mapping[str, Any]) -> Any:
    parts = _parts(text)
    if len(parts) == 1 and isinstance(parts[0], Hole):
        return _evaluate(parts[0], text, scope)
    pieces = [part if isinstance(part, str) else text_of(_evaluate(part, text, scope)) for part in parts]
    return "".join(pieces)


def _evaluate(hole: Hole, text: str, scope: Mapping[str, Any]) -> Any:
    try:
        return compile_expression(hole.expression).evaluate(scope)
    except ExpressionError as error:
        raise error.shifted(text, hole.offset) from None


def condition_of(condition: str) -> Hole:
    """The expression of a condition, which may stand in ``{{ }}`` or bare. Raises :class:`ExpressionError`."""
    stripped = condition.strip()
    if stripped.startswith("{{"):
        parts = parse_template(stripped)
        offset = condition.find("{{")
        if len(parts) == 1 and isinstance(parts[0], Hole):
            return Hole(parts[0].expression, parts[0].offset + offset)
    if "{{" in stripped:
        return Hole(*_unwrapped(condition))
    return Hole(stripped, len(condition) - len(condition.lstrip()))


def _unwrapped(condition: str) -> tuple[str, int]:
    """``{{input.score}} >= 60`` as one expression of the same length: each template's braces become brackets."""
    try:
        parts = parse_template(condition)
    except ExpressionError:
        return condition, 0
    characters = list(condition)
    for part in parts:
        if isinstance(part, Hole):
            opening = condition.rindex("{{", 0, part.offset)
            closing = condition.index("}}", part.offset + len(part.expression))
            characters[opening : opening + 2] = "( "
            characters[closing : closing + 2] = " )"
    return "".join(characters), 0


def holds(condition: str | bool, scope: Mapping[str, Any]) -> bool:
    """Whether ``condition`` is true in ``scope``: ``{{ … }}``, bare CEL, or already a boolean.

    Raises :class:`ExpressionError` (INVALID_ARGUMENT) when it is something else than true or false.
    """
    if isinstance(condition, bool):
        return condition
    hole = _condition(condition)
    value = _evaluate(hole, condition, scope)
    if isinstance(value, bool):
        return value
    raise ExpressionError(
        f"a condition must be true or false, but this is {kind_of(value)}",
        expression=condition,
        column=hole.offset + 1,
        end=hole.offset + len(hole.expression) + 1,
        hint="compare: x != null, x > 0, x == 'text'",
        kind="condition",
    )


def fields_read(value: Any) -> frozenset[str]:
    """The names of the fields that the templates in ``value`` read, at whatever depth.

    >>> sorted(fields_read("{{ nodes.scan.files.filter(f, f.size > input.least) }}"))
    ['files', 'least', 'scan']
    """
    if isinstance(value, Mapping | list | tuple):
        inside = value.values() if isinstance(value, Mapping) else value
        return frozenset[str]().union(*map(fields_read, inside))
    if not isinstance(value, str) or "{{" not in value:
        return frozenset()
    holes = [part for part in _parts(value) if isinstance(part, Hole)]
    compiled = [compile_expression(hole.expression) for hole in holes]
    found: set[str] = set()
    while compiled:
        one = compiled.pop()
        found.update(str(part) for _, reference in one.variables for part in reference.path)
        compiled += [inner for _, inner, _ in one.hoisted]
    return frozenset(found)


@lru_cache(maxsize=CACHED)
def _condition(condition: str) -> Hole:
    return condition_of(condition)
