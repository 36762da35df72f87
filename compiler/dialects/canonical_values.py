"""Values of the canonical document as expressions, for texts that read them by a name that the canonical form lacks."""

from __future__ import annotations

import json
import re
from typing import Any

from ..expressions.errors import ExpressionError
from ..expressions.templates import Hole, parse_template

_PLAIN = re.compile(r"\w+(?:\.\w+|\[(?:\d+|'[^']*')\])*(?:\(\))?|\w+\([^()]*\)")


def expression_of(value: Any) -> str:
    """The expression that gives what a canonical value gives: its template's, or a literal.

    >>> expression_of("{{ nodes.a.b }}"), expression_of("n: {{ input.n }}"), expression_of({"k": [1, "{{ input.x }}"]})
    ('nodes.a.b', 'join(["n: ", input.n])', '{"k": [1, input.x]}')
    """
    if isinstance(value, dict):
        pairs = (
            f"{json.dumps(key, ensure_ascii=False)}: {expression_of(item)}" for key, item in value.items()
        )
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(expression_of, value))}]"
    if not isinstance(value, str) or "{{" not in value:
        return json.dumps(value, ensure_ascii=False)
    try:
        parts = parse_template(value)
    except ExpressionError:
        return json.dumps(value, ensure_ascii=False)  # what is wrong with the value itself is reported
    if len(parts) == 1 and isinstance(parts[0], Hole):
        return bracketed(parts[0].expression)
    found = (
        part.expression if isinstance(part, Hole) else json.dumps(part, ensure_ascii=False) for part in parts
    )
    return f"join([{', '.join(found)}])"


def bracketed(expression: str) -> str:
    """An expression in brackets, unless it is a reference or one call.

    >>> bracketed("a-b"), bracketed("coalesce(a.b, c)"), bracketed("a['b-c'].trim()")
    ('(a-b)', 'coalesce(a.b, c)', "a['b-c'].trim()")
    """
    whole = expression.startswith("(") and expression.endswith(")") and "(" not in expression[1:-1]
    return expression if whole or _PLAIN.fullmatch(expression) else f"({expression})"


def is_computed(value: Any) -> bool:
    """Whether a value is a text with holes, ours or those of seed 004, in it."""
    return isinstance(value, str) and ("{{" in value or "${" in value)


def plain_path(text: str) -> str:
    """A path without the ``$.`` before it, every character at its place.

    >>> plain_path("$.order.id")
    '  order.id'
    """
    return f"  {text[2:]}" if text.startswith("$.") else text
