"""Comparisons of one reference with one constant, and what is made of them by ``&&``, ``||`` and ``!``, without CEL.

Most conditions are nothing else, and trying asks them thousands of times. Only what is certain is answered; the rest is
left to CEL, so that what a condition means is said in one place.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from ...expressions.syntax import Binary, Chain, Literal, Logic, Node, Unary, chain_of

_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EXACT: Final = 2**53
"""Whole numbers up to here are the same as decimal numbers."""

Plain = Callable[[Mapping[str, Any]], "bool | None"]
"""What is true of a scope; ``None`` where only CEL can tell."""


def plain(tree: Node) -> Plain | None:
    """The function that answers as the evaluation of ``tree``, where it can; ``None`` for what is not plain.

    >>> from ...expressions.parser import parse
    >>> larger = plain(parse("input.size > 3"))
    >>> larger({"input": {"size": 4}}), larger({"input": {"size": "4"}}), plain(parse("input.size + 1 > 3"))
    (True, None, None)
    """
    match tree:
        case Binary(operator=symbol, left=left, right=Literal() as right) if symbol in _COMPARE:
            chain = chain_of(left)
            return None if chain is None else _comparison(chain, _COMPARE[symbol], right)
        case Unary(operator="!", operand=operand):
            inner = plain(operand)
            return None if inner is None else lambda scope: _opposite(inner(scope))
        case Logic(operator=symbol, operands=operands):
            parts = [part for one in operands if (part := plain(one)) is not None]
            return _all_or_any(parts, symbol == "&&") if len(parts) == len(operands) else None
        case _:
            return None


def _opposite(value: bool | None) -> bool | None:
    return None if value is None else not value


def _all_or_any(parts: list[Plain], every: bool) -> Plain:
    def answer(scope: Mapping[str, Any]) -> bool | None:
        found = [part(scope) for part in parts]
        return None if None in found else (all if every else any)(found)

    return answer


def _comparison(chain: Chain, compare: Callable[[Any, Any], bool], literal: Literal) -> Plain | None:
    root, path, constant = chain.root, chain.path, literal.value
    numeric = _is_number(constant) and not literal.unsigned
    if not numeric and not _is_text(constant):
        return None
    fits = _is_number if numeric else _is_text

    def answer(scope: Mapping[str, Any]) -> bool | None:
        value: Any = scope
        for part in (root, *path):
            if type(value) is not dict or part not in value:
                return None
            value = value[part]
        return compare(value, constant) if fits(value) else None

    return answer


def _is_number(value: object) -> bool:
    return (type(value) is int or type(value) is float) and -_EXACT < value < _EXACT  # type: ignore[operator]


def _is_text(value: object) -> bool:
    """Plain text only: what has no meaning of its own in CEL's strings, in which order follows the bytes."""
    return type(value) is str and value.isascii() and value.isprintable() and "\\" not in value
