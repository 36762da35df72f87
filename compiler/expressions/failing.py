"""Parts of an expression that fail whatever the input is: ``1 / 0``, ``[1, 2][5]``, ``x.matches('(')``.

What reads nothing is evaluated when a definition is compiled, by the engine that runs it. Of what does read something,
some fails by its constant operands alone; there a stand-in takes the place of the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .engine import compile_expression
from .errors import ExpressionError
from .functions import SPECIAL
from .parser import parse
from .syntax import Binary, Call, Empty, Literal, Method, Name, Node, children, references
from .typecheck import Finding

_MAY_FAIL = re.compile(r"['\"\[(/%*+-]")
"""Of an expression without any of these, nothing can fail that reads nothing."""
_STAND_INS: Mapping[str, str] = {"/": "1", "%": "1", "matches": "''", "format_time": "timestamp(0)"}
"""For the first operand of what can fail by the others."""


def failing(expression: str) -> Iterator[Finding]:
    """The smallest parts that always fail, with their places and why. What may be absent by right is left out."""
    if not _MAY_FAIL.search(expression):
        return
    try:
        tree = parse(expression)
    except ExpressionError:
        return  # Its syntax is reported.
    for start, end, error in _failing(tree, expression):
        problem, _, instead = error.problem.partition("; write ")
        hint = error.hint or (f"write {instead}" if instead else "write another value, or read one")
        yield Finding("value", f"this always fails: {problem}", start, end, hint)


def _failing(node: Node, source: str) -> Iterator[tuple[int, int, ExpressionError]]:
    if isinstance(node, Literal | Name | Empty) or (isinstance(node, Call) and node.function in SPECIAL):
        return
    error = _error(node, source)
    if error is None and _reads_nothing(node):
        return
    inner = [found for child in children(node) for found in _failing(child, source)]
    if inner or error is None:
        yield from inner
    else:
        yield *node.span, error


def _error(node: Node, source: str) -> ExpressionError | None:
    """Why the node fails, if that is certain."""

    def text(part: Node) -> str:
        return source[slice(*part.span)]

    if _reads_nothing(node):
        return _evaluated(text(node))
    match node:
        case Binary(operator="/" | "%", right=right) if _reads_nothing(right):
            return _evaluated(f"{_STAND_INS[node.operator]} {node.operator} ({text(right)})")
        case Method(method="matches", arguments=arguments) if all(map(_reads_nothing, arguments)):
            return _evaluated(f"{_STAND_INS['matches']}.matches({', '.join(map(text, arguments))})")
        case Call(function="matches" | "format_time", arguments=(_, *others)) if all(
            map(_reads_nothing, others)
        ):
            return _evaluated(
                f"{node.function}({', '.join([_STAND_INS[node.function], *map(text, others)])})"
            )
        case _:
            return None


def _reads_nothing(node: Node) -> bool:
    return next(references(node), None) is None


def _evaluated(text: str) -> ExpressionError | None:
    try:
        compile_expression(text).evaluate({})
    except ExpressionError as error:
        return None if error.kind == "syntax" else error
    return None
