"""The tokens of an expression: CEL's, plus names in any script and the operators that people write instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .errors import ExpressionError

MAX_EXPRESSION = 10_000
"""Characters of one expression."""

Kind = Literal["name", "number", "string", "operator", "end"]

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STRING = re.compile(r"(?:[rR][bB]?|[bB][rR]?)?(?='''|\"\"\"|'|\")")
_OPERATORS = (
    "===",
    "!==",
    "**",
    "<>",
    "&&",
    "||",
    "==",
    "!=",
    "<=",
    ">=",
    "=>",
    ".?",
    "[?",
    "..",
    "?.",
    "??",
)
_OPERATOR = re.compile("|".join(map(re.escape, _OPERATORS)))
_SINGLE = frozenset("+-*/%<>!?:.,()[]{}=&|")
_FULL_WIDTH = {
    "（": "(", "）": ")", "，": ",", "：": ":", "！": "!", "＝": "=", "＞": ">", "＜": "<", "＋": "+", "－": "-",
    "【": "[", "】": "]", "｛": "{", "｝": "}", "？": "?", "。": ".", "；": ";", "“": '"', "”": '"', "‘": "'",
    "’": "'", "＆": "&", "｜": "|", "≥": ">=", "≤": "<=", "≠": "!=", "×": "*", "÷": "/",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """A token and where it stands: ``text`` is the source from ``start`` to ``end``, except that a name in
    backticks is without them."""

    kind: Kind
    text: str
    start: int
    end: int

    def literal(self) -> str | None:
        """What a plain string literal says; ``None`` for every other token and for strings with escapes."""
        quote = self.text[:1]
        if (
            self.kind != "string"
            or quote not in "'\""
            or "\\" in self.text
            or self.text.startswith(quote * 3)
        ):
            return None
        return self.text[1:-1]


def tokenize(expression: str) -> list[Token]:
    """The tokens of ``expression``, closed by one of kind ``end``. Raises :class:`ExpressionError`."""
    if len(expression) > MAX_EXPRESSION:
        raise ExpressionError(
            f"it is longer than {MAX_EXPRESSION} characters",
            expression=expression,
            hint="compute the parts in control/set nodes",
            kind="limit",
        )
    tokens: list[Token] = []
    position = 0
    while position < len(expression):
        if expression[position].isspace():
            position += 1
        elif expression.startswith("//", position):
            line_end = expression.find("\n", position)
            position = len(expression) if line_end < 0 else line_end
        else:
            token = _token(expression, position)
            tokens.append(token)
            position = token.end
    if not tokens:
        raise ExpressionError(
            "it is empty", expression=expression, column=1, hint="write an expression, as {{ input.name }}"
        )
    return [*tokens, Token("end", "", len(expression), len(expression))]


def string_end(text: str, start: int) -> int | None:
    """Where the string literal that begins at ``start`` ends; ``start`` itself where none begins, ``None`` if it
    never ends."""
    if text[start : start + 1] not in "'\"rRbB" or (match := _STRING.match(text, start)) is None:
        return start
    prefix, opening = match.group(), match.end()
    quote = text[opening : opening + 3]
    if quote not in ("'''", '"""'):
        quote = quote[0]
    position = opening + len(quote)
    while position < len(text):
        if text[position] == "\\" and not set(prefix) & {"r", "R"}:
            position += 2
        elif text.startswith(quote, position):
            return position + len(quote)
        elif text[position] == "\n" and len(quote) == 1:
            return None
        else:
            position += 1
    return None


def name_end(text: str, start: int) -> int:
    """Where the name ends that begins at ``start``."""
    plain = _NAME.match(text, start)
    end = start + 1 if plain is None else plain.end()
    while end < len(text) and ("a" + text[end]).isidentifier():
        end += 1
    return end


def is_name(text: str) -> bool:
    """Whether ``text`` can be written as a name, in any script."""
    return text.isidentifier()


def _token(text: str, start: int) -> Token:
    end = string_end(text, start)
    if end is None:
        raise ExpressionError(
            "this string is never closed",
            expression=text,
            column=start + 1,
            hint="close it with the same quote",
        )
    if end > start:
        return Token("string", text[start:end], start, end)
    character = text[start]
    if character.isidentifier():
        end = name_end(text, start)
        return Token("name", text[start:end], start, end)
    if character == "`":
        end = text.find("`", start + 1)
        if end > start + 1:
            return Token("name", text[start + 1 : end], start, end + 1)
    if match := _NUMBER.match(text, start):
        return Token("number", match.group(), start, match.end())
    found = _OPERATOR.match(text, start)
    operator = found.group() if found else character if character in _SINGLE else None
    if operator is None:
        raise _unexpected(text, start)
    return Token("operator", operator, start, start + len(operator))


def _unexpected(text: str, start: int) -> ExpressionError:
    character = text[start]
    if plain := _FULL_WIDTH.get(character):
        hint = f"write {plain} instead"
    elif character == "$":
        hint = "write input.name or nodes.id.field; $.… is for edge mappings"
    elif character == ";":
        hint = "an expression has no statements"
    else:
        hint = "put text in quotes"
    return ExpressionError(
        f"{character!r} has no meaning here", expression=text, column=start + 1, end=start + 2, hint=hint
    )
