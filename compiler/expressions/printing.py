"""Syntax tree → text: the inverse of :func:`.parser.parse`, in CEL's own spelling and with no bracket too many."""

from __future__ import annotations

import json
import math
import re

from .parser import ADDITION, AND, CONDITIONAL, MULTIPLICATION, OR, RELATION, UNARY
from .spelling import RESERVED
from .syntax import (
    Binary,
    Call,
    Conditional,
    Empty,
    Index,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Method,
    Name,
    Node,
    Select,
    Unary,
)
from .tokens import is_name

_POSTFIX = UNARY + 1
_LEVELS = {"+": ADDITION, "-": ADDITION, "*": MULTIPLICATION, "/": MULTIPLICATION, "%": MULTIPLICATION}
_WORDS = frozenset({"and", "or", "not", "is", "in"})


def unparse(node: Node) -> str:
    """``node`` as an expression that parses to it again.

    >>> from .parser import parse
    >>> unparse(parse("not (a.b is null) and (x or y.照 not in [1])"))
    '!(a.b == null) && (x || !(y.照 in [1]))'
    """
    return _write(node, CONDITIONAL)


def _write(node: Node, binding: int) -> str:
    """``node``, in brackets where an operator around it binds more tightly than it does."""
    level, text = _plain(node)
    return f"({text})" if level < binding else text


def _plain(node: Node) -> tuple[int, str]:
    match node:
        case Conditional(test=test, then=then, otherwise=otherwise):
            shown = f"{_write(test, OR)} ? {_write(then, OR)} : {_write(otherwise, CONDITIONAL)}"
            return CONDITIONAL, shown
        case Logic(operator=operator, operands=operands):
            level = OR if operator == "||" else AND
            return level, f" {operator} ".join(_write(operand, level + 1) for operand in operands)
        case Binary(operator=operator, left=left, right=right):
            level = _LEVELS.get(operator, RELATION)
            return level, f"{_write(left, level)} {operator} {_write(right, level + 1)}"
        case Empty(operand=operand):
            return RELATION, f"{_write(operand, RELATION)} is empty"
        case Unary(operator=operator, operand=operand):
            # Two signs side by side would be none to CEL, and -5 a number.
            shown = _write(operand, _POSTFIX)
            return UNARY, f"{operator}({shown})" if shown[:1].isdigit() else operator + shown
        case Literal():
            return _literal(node)
        case _:
            return _POSTFIX, _operand(node)


def _operand(node: Node) -> str:
    match node:
        case Name(name=name):
            return name if _is_plain(name) and name not in _WORDS else f"`{name}`"
        case Select(operand=operand, key=key):
            return _write(operand, _POSTFIX) + _key(key)
        case Index(operand=operand, index=index):
            # A literal alone in brackets would be the key of a reference.
            shown = f"({unparse(index)})" if isinstance(index, Literal) else unparse(index)
            return f"{_write(operand, _POSTFIX)}[{shown}]"
        case Call(function=function, arguments=arguments):
            return f"{function}({_listed(arguments)})"
        case Method(operand=operand, method=method, arguments=arguments):
            return f"{_write(operand, _POSTFIX)}.{method}({_listed(arguments)})"
        case ListOf(items=items):
            return f"[{_listed(items)}]"
        case MapOf(entries=entries):
            return "{" + ", ".join(f"{unparse(key)}: {unparse(value)}" for key, value in entries) + "}"
        case _:
            raise AssertionError(f"{type(node).__name__} is an operator")


def _key(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    if _is_plain(key):
        return f".{key}"
    quote = next((q for q in "'\"" if q not in key and "\\" not in key and "\n" not in key), None)
    return f"[{quote}{key}{quote}]" if quote else f".`{key}`"


def _listed(nodes: tuple[Node, ...]) -> str:
    return ", ".join(map(unparse, nodes))


def _is_plain(name: str) -> bool:
    return is_name(name) and name not in RESERVED - {"loop"}


def _literal(node: Literal) -> tuple[int, str]:
    value = node.value
    if value is None or isinstance(value, bool):
        return _POSTFIX, {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _POSTFIX, json.dumps(value, ensure_ascii=False)
    if isinstance(value, bytes):
        shown = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in value)
        return _POSTFIX, f'b"{shown}"'
    if isinstance(value, float) and math.isinf(value):
        return _POSTFIX, "-1e999" if value < 0 else "1e999"
    text = repr(value) + ("u" if node.unsigned else "")
    # A field or an index after a number needs brackets: 5.x would be read as a number.
    return (UNARY if re.match(r"[-\d]", text) else _POSTFIX), text
