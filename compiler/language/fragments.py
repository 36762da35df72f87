"""Which part of an expression an offset is in; what stands before it may be unfinished."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..expressions.positions import align
from ..expressions.tokens import string_end
from .context import Context

_NAME = r"[^\W\d]\w*"
_STEP = rf"(?:\s*\.\s*{_NAME}|\[\s*(?:\d+|'[^'\"]*'|\"[^'\"]*\")\s*\])"
_CHAIN = rf"{_NAME}{_STEP}*"
_MEMBER = re.compile(rf"(?:(?<![\w.\])])(?P<chain>{_CHAIN})|(?P<other>[\])'\"]))\s*\.\s*(?P<word>\w*)$")
_BRACKET = re.compile(rf"(?<![\w.\])])(?P<chain>{_CHAIN})\[\s*$")
_WORD = re.compile(r"(?<![\w.])(?P<word>\w*)$")
_PART = re.compile(rf"(?P<name>{_NAME})|\[\s*(?:(?P<index>\d+)|(?P<quote>['\"])(?P<key>.*?)(?P=quote))\s*\]")
_MACRO = re.compile(
    rf"(?P<chain>{_CHAIN})\s*\.\s*(?:map|filter|all|exists|exists_one)\s*\(\s*(?P<name>{_NAME})\s*,"
)


@dataclass(frozen=True)
class Fragment:
    """An expression of the text, ``start`` where it begins there, and the cursor in it. ``escapes`` gives for each of
    its characters the place in the text where a scalar's escapes make them differ."""

    expression: str
    start: int
    cursor: int


@dataclass(frozen=True)
class Partial:
    """What is being typed: a first name (no ``chain``), a member of ``chain``, or a key in its bracket.

    ``chain`` is ``()`` for a member of something that is not a plain reference. ``start`` is where ``word`` begins in
    the expression; ``bracket`` is the quote of a key in brackets, ``dot`` the place of the dot before a member.
    """

    chain: tuple[str | int, ...] | None
    word: str
    start: int
    bracket: str = ""
    dot: int | None = None


def expression_at(text: str, context: Context, offset: int, *, bare: bool) -> Fragment | None:
    """The expression around ``offset``: in ``{{ }}``, or the whole value where it may stand ``bare``."""
    value, cursor = text[context.start : context.end], offset - context.start
    opening = value.find("{{")
    while opening >= 0:
        begin, end = opening + 2, _hole_end(value, opening + 2)
        if opening <= cursor and begin <= cursor <= end and value[opening - 1 : opening] != "\\":
            return Fragment(value[begin:end], context.start + begin, cursor - begin)
        opening = value.find("{{", max(end, begin))
    return Fragment(value, context.start, cursor) if bare and "{{" not in value else None


def decoded(fragment: Fragment, quote: str) -> Fragment:
    """``fragment`` without the escapes of the scalar that it stands in."""
    raw = f"{quote}{fragment.expression}{quote}"
    if quote == "'" and "''" in fragment.expression:
        plain = fragment.expression.replace("''", "'")
    elif quote == '"' and "\\" in fragment.expression:
        plain = re.sub(r"\\([\"\\/])", r"\1", fragment.expression)
    else:
        return fragment
    offsets = align(raw, plain)
    if offsets is None:
        return fragment
    cursor = sum(1 for place in offsets if place - 1 < fragment.cursor)
    return Fragment(plain, fragment.start, cursor)


def partial_at(fragment: Fragment) -> Partial | None:
    """What is being typed at the cursor; ``None`` inside a text or after a number."""
    before = fragment.expression[: fragment.cursor]
    if (opening := _open_string(before)) is not None:
        match = _BRACKET.search(before, 0, opening)
        if match is None:
            return None
        word = before[opening + 1 :]
        return Partial(parts_of(match["chain"]), word, opening + 1, bracket=before[opening])
    if (match := _MEMBER.search(before)) is not None:
        chain = parts_of(match["chain"]) if match["chain"] else ()
        dot = before.rindex(".", 0, match.start("word"))
        return Partial(chain, match["word"], match.start("word"), dot=dot)
    match = _WORD.search(before)
    if match is None or match["word"][:1].isdigit():
        return None
    return Partial(None, match["word"], match.start("word"))


def parts_of(chain: str) -> tuple[str | int, ...]:
    """The parts of a reference.

    >>> parts_of("nodes['a-1'].faces[0].box")
    ('nodes', 'a-1', 'faces', 0, 'box')
    """
    parts: list[str | int] = []
    for match in _PART.finditer(chain):
        if match["index"] is not None:
            parts.append(int(match["index"]))
        else:
            parts.append(match["name"] if match["name"] is not None else match["key"])
    return tuple(parts)


def list_of_variable(fragment: Fragment, name: str) -> tuple[str | int, ...] | None:
    """The list that ``name`` goes through, where it is the variable of a macro such as ``list.map(name, …)``."""
    found = [m for m in _MACRO.finditer(fragment.expression, 0, fragment.cursor) if m["name"] == name]
    return parts_of(found[-1]["chain"]) if found else None


def _hole_end(value: str, position: int) -> int:
    """Where the ``}}`` stands that closes what begins at ``position``; the end of the value where none does."""
    begin, depth = position, 0
    while position < len(value):
        end = string_end(value, position)
        if end is None:
            break
        if end > position:
            position = end
            continue
        if value[position].isidentifier():
            while position < len(value) and ("a" + value[position]).isidentifier():
                position += 1
            continue
        if value[position] == "{":
            depth += 1
        elif value[position] == "}" and depth:
            depth -= 1
        elif value.startswith("}}", position):
            return position
        position += 1
    found = value.find("}}", begin)
    return found if found >= 0 else len(value)


def _open_string(text: str) -> int | None:
    """Where the string begins that is still open at the end of ``text``."""
    position = 0
    while position < len(text):
        end = string_end(text, position)
        if end is None:
            return text.find(text[position:].lstrip("rRbB")[:1] or "'", position)
        if end > position:
            position = end
        elif text[position].isidentifier():
            while position < len(text) and ("a" + text[position]).isidentifier():
                position += 1
        else:
            position += 1
    return None
