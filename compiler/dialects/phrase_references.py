"""The references of an expression, renamed to what the canonical form calls them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from ..expressions.cursor import Cursor
from ..expressions.functions import MACROS
from ..expressions.spelling import LITERALS, TYPE_NAMES
from ..expressions.tokens import Token, string_end
from .phrase import Parts, PhraseWriter, Rename, Resolve, Unknown


@dataclass(slots=True)
class Brackets:
    """What to write before and behind holes: the place of each and its text, in order."""

    opening: dict[int, str] = field(default_factory=dict)
    closing: dict[int, str] = field(default_factory=dict)


def write_expression(
    writer: PhraseWriter,
    text: str,
    offset: int,
    resolve: Resolve,
    names: Collection[str],
    brackets: Brackets | None = None,
) -> None:
    """Write the expression ``text``, which stands at ``offset`` of what was written, with its names resolved.

    Raises :class:`ExpressionError` where it cannot be taken apart.
    """
    masked = masked_names(text, names)
    cursor = Cursor(masked)
    brackets = brackets or Brackets()
    renamed = {first: (last, found) for first, last, found in _resolved(cursor, text, resolve)}
    position = index = 0
    while index < len(cursor.tokens):
        token = cursor.tokens[index]
        _due(writer, brackets.closing, token.start, offset)
        gap = masked[position : token.start]
        if gap.strip():
            writer.keep(offset + position, offset + token.start)
        elif gap and index and token.text not in (*".,)]", "") and cursor.tokens[index - 1].text not in "([":
            writer.put(" ", offset + position, offset + token.start)
        _due(writer, brackets.opening, token.start, offset)
        last = index
        if index in renamed:
            last, found = renamed[index]
            end = offset + cursor.tokens[last].end
            writer.resolve(found, offset + token.start, end, offset + token.end)
        else:
            writer.keep(offset + token.start, offset + token.end)
        position, index = cursor.tokens[last].end, last + 1


def _due(writer: PhraseWriter, brackets: dict[int, str], start: int, offset: int) -> None:
    """Write the brackets whose place is at or before ``start``."""
    for place in [place for place in brackets if place <= start]:
        writer.put(brackets.pop(place), offset + place, offset + place)


def masked_names(text: str, names: Collection[str]) -> str:
    """``text`` with each of ``names`` as an identifier of the same length, outside strings, the longest first.

    >>> masked_names("Get User.id == 'Get User'", {"Get User", "User"})
    "Get_User.id == 'Get User'"
    """
    by_length = _by_length(frozenset(names))
    if not by_length:
        return text
    pieces: list[str] = []
    position = 0
    while position < len(text):
        end = string_end(text, position)
        if end is None or end > position:
            pieces.append(text[position:end])
            position = len(text) if end is None else end
            continue
        name = _name_at(text, position, by_length)
        pieces.append(_identifier(name) if name else text[position])
        position += len(name or " ")
    return "".join(pieces)


@lru_cache(maxsize=64)
def _by_length(names: frozenset[str]) -> dict[int, frozenset[str]]:
    """The names that are no identifiers by their lengths, the longest first: a definition may have thousands."""
    odd = [name for name in names if name and not name.isidentifier()]
    lengths = sorted({len(name) for name in odd}, reverse=True)
    return {length: frozenset(name for name in odd if len(name) == length) for length in lengths}


def _name_at(text: str, position: int, by_length: dict[int, frozenset[str]]) -> str | None:
    """The longest name that stands at ``position`` as a word of its own."""
    if position and (text[position - 1] in "._" or text[position - 1].isalnum()):
        return None
    for length, names in by_length.items():
        name = text[position : position + length]
        following = text[position + length : position + length + 1]
        if name in names and not (following == "_" or following.isalnum()):
            return name
    return None


def _identifier(name: str) -> str:
    """``name`` as an identifier of the same length."""
    first = name[0] if name[0].isidentifier() else "_"
    return first + "".join(letter if f"a{letter}".isidentifier() else "_" for letter in name[1:])


def _resolved(cursor: Cursor, text: str, resolve: Resolve) -> Iterator[tuple[int, int, Rename | Unknown]]:
    """The references that ``resolve`` has something to say about: first and last token, and what."""
    bound = _macro_variables(cursor)
    for index, token in enumerate(cursor.tokens):
        if not _is_root(cursor, index) or any(
            low <= index < high and token.text == name for low, high, name in bound
        ):
            continue
        parts, ends = _parts(cursor, index)
        root = text[token.start : token.end].strip("`")
        found = resolve(root, parts)
        if isinstance(found, Rename):
            yield index, ends[found.parts], found
        elif found is not None and not (root in TYPE_NAMES and not parts):
            yield index, ends[min(found.at, len(parts))], found


def _is_root(cursor: Cursor, index: int) -> bool:
    """Whether a token is the first name of a reference, not an operator, a call, a literal or a map's key."""
    token = cursor.tokens[index]
    if token.kind != "name" or cursor.after_dot(index) or token.text in LITERALS:
        return False
    if cursor.is_operator(index + 1, "("):
        return False
    if cursor.is_operator(index + 1, ":") and index and cursor.tokens[index - 1].text in ("{", ","):
        return False
    if token.text == "not" or cursor.ends_operand(index - 1):
        return False
    before = [other.text for other in cursor.tokens[max(index - 2, 0) : index]]
    in_operator = token.text == "in" and before[-1:] == ["not"]
    return not (in_operator or before[-1:] == ["is"] or before == ["is", "not"])


def _macro_variables(cursor: Cursor) -> list[tuple[int, int, str]]:
    """The variables of ``list.map(x, …)`` and its like, with the tokens between which they hold."""
    return [
        (index + 2, cursor.partner[index + 1], cursor.tokens[index + 2].text)
        for index, token in enumerate(cursor.tokens)
        if token.text in MACROS and cursor.after_dot(index) and cursor.is_operator(index + 1, "(")
    ]


def _parts(cursor: Cursor, index: int) -> tuple[Parts, list[int]]:
    """The literal parts after the root at ``index``, and the last token of the root and of each part."""
    parts: list[str | int] = []
    ends, position = [index], index + 1
    while position < len(cursor.tokens) - 1:
        following = cursor.tokens[position + 1]
        if cursor.is_operator(position, ".") and following.kind == "name":
            if cursor.is_operator(position + 2, "("):
                break
            parts.append(following.text)
            position += 2
        elif cursor.is_operator(position, "[") and cursor.partner[position] == position + 2:
            key = _key(following)
            if key is None:
                break
            parts.append(key)
            position += 3
        else:
            break
        ends.append(position - 1)
    return tuple(parts), ends


def _key(token: Token) -> str | int | None:
    if token.kind == "number" and token.text.isdecimal():
        return int(token.text)
    return token.literal()
