"""Text → syntax tree: a Pratt parser over the tokens that evaluation uses too."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .cursor import MAX_DEPTH, Cursor
from .errors import ExpressionError
from .spelling import EQUALITY, MISSPELT
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
from .tokens import Token

CONDITIONAL, OR, AND, RELATION, ADDITION, MULTIPLICATION, UNARY = range(7)
"""How tightly operators bind, loosest first."""
MAX_CHAIN = 200
"""Operators of one kind, or fields, in a row; CEL gives up earlier, except on ``&&`` and ``||``, which nest nothing."""

_BINDING: Final = {
    "||": OR, "&&": AND, "==": RELATION, "!=": RELATION, "<": RELATION, "<=": RELATION, ">": RELATION,
    ">=": RELATION, "in": RELATION, "+": ADDITION, "-": ADDITION, "*": MULTIPLICATION, "/": MULTIPLICATION,
    "%": MULTIPLICATION,
}  # fmt: skip
_WORDS: Final = {"and": "&&", "or": "||", "in": "in"}
_CONSTANTS: Final = {"null": None, "true": True, "false": False}
_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL
)
_LETTERS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_THEMSELVES: Final = "\\?\"'`"


@lru_cache(maxsize=4096)
def parse(expression: str) -> Node:
    """The syntax tree of ``expression`` (without braces). Raises :class:`ExpressionError` at the place of the fault.

    Everything that evaluation accepts is accepted; names, functions and types are not looked at.

    >>> parse("a.b is not null and not c in [1, -2]") == parse("a.b != null && !(c in [1, -2])")
    True
    """
    return _Parser(expression).whole()


class _Parser(Cursor):
    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.position = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def whole(self) -> Node:
        node = self.expression(CONDITIONAL)
        if self.token.kind != "end":
            raise self.misplaced()
        return node

    def misplaced(self) -> ExpressionError:
        token = self.token
        if token.kind == "end":
            return self.error("it ends too early", token)
        return self.error(f"{token.text!r} does not belong here", token, MISSPELT.get(token.text))

    def take(self) -> Token:
        token = self.token
        self.position += 1
        return token

    def accept(self, text: str) -> bool:
        found = self.is_operator(self.position, text)
        self.position += found
        return found

    def expect(self, text: str) -> Token:
        if not self.is_operator(self.position, text):
            raise self.misplaced()
        return self.take()

    def end(self) -> int:
        """The offset after the token that was taken last."""
        return self.tokens[self.position - 1].end

    # --- operators ----------------------------------------------------------------------------------------------

    def expression(self, binding: int) -> Node:
        """The operand that begins here and every operator after it that binds at least as tightly."""
        self.depth += 1
        if self.depth > MAX_DEPTH + 8:
            raise self.too_deep(self.token)
        start = self.token.start
        node, links = self.prefix(), 0
        while (operator := self.infix()) is not None:
            level, symbol = operator
            if level < binding:
                break
            links += 1
            if links > MAX_CHAIN and symbol not in ("&&", "||"):
                raise self.too_deep(self.token)
            node = self.operate(symbol, level, node, start)
        self.depth -= 1
        return node

    def infix(self) -> tuple[int, str] | None:
        """The operator that stands here, after an operand, and how tightly it binds."""
        token = self.token
        if token.kind == "name":
            if token.text in ("is", "not"):
                return RELATION, token.text
            symbol = _WORDS.get(token.text)
        elif token.kind == "operator":
            if token.text == "?":
                return CONDITIONAL, "?"
            symbol = EQUALITY.get(token.text, token.text)
        else:
            symbol = None
        return (_BINDING[symbol], symbol) if symbol in _BINDING else None

    def operate(self, symbol: str, level: int, left: Node, start: int) -> Node:
        token = self.take()
        if symbol == "?":
            then = self.expression(OR)
            self.expect(":")
            otherwise = self.expression(CONDITIONAL)
            return Conditional(left, then, otherwise, (start, self.end()))
        if symbol in ("&&", "||"):
            operands = [left, self.expression(level + 1)]
            while self.infix() == (level, symbol):
                self.take()
                operands.append(self.expression(level + 1))
            return Logic(symbol, tuple(operands), (start, self.end()))
        if symbol == "is":
            return self.postfix_is(left, start)
        if symbol == "not":
            if self.token.text != "in" or self.token.kind != "name":
                raise self.error(
                    "'not' does not belong here", token, "write an operator such as && before it"
                )
            self.take()
            inside = Binary("in", left, self.expression(level + 1), (start, self.end()))
            return Unary("!", inside, (start, self.end()))
        right = self.expression(level + 1)
        return Binary(symbol, left, right, (start, self.end()))

    def postfix_is(self, left: Node, start: int) -> Node:
        negated = self.token.text == "not" and self.token.kind == "name"
        self.position += negated
        word = self.take()
        span = (start, self.end())
        if word.text in ("null", "none", "None"):
            return Binary("!=" if negated else "==", left, Literal(None, span=(word.start, word.end)), span)
        if word.text == "empty":
            return Unary("!", Empty(left, span), span) if negated else Empty(left, span)
        raise self.error(f"'is {word.text}' is not known", word, "write == …, is null, is not null, is empty")

    def prefix(self) -> Node:
        token = self.token
        if token.kind == "name" and token.text == "not":
            self.take()
            operand = self.expression(RELATION)
            return Unary("!", operand, (token.start, self.end()))
        if token.kind == "operator" and token.text in ("!", "-"):
            return self.signs(token.text)
        return self.postfix()

    def signs(self, symbol: str) -> Node:
        """A row of ``!`` or of ``-``: as in CEL, two of them are none, whatever stands after them."""
        start, count = self.token.start, 0
        while self.accept(symbol):
            count += 1
        if symbol == "-" and self.token.kind == "number":
            return self.postfix(negative=start if count % 2 else None)
        if symbol == "!" and self.token.kind == "name" and self.token.text == "not":
            self.take()
            count += 1
            operand = self.expression(RELATION)
        else:
            operand = self.prefix()
        return Unary(symbol, operand, (start, self.end())) if count % 2 else operand

    # --- operands -----------------------------------------------------------------------------------------------

    def postfix(self, negative: int | None = None) -> Node:
        start = self.token.start if negative is None else negative
        node = self.primary(negative)
        for _ in range(MAX_CHAIN):
            if self.accept("."):
                if self.token.kind != "name":
                    raise self.error("a name must follow the dot", self.token)
                name = self.take().text
                if self.accept("("):
                    node = Method(node, name, self.items(")"), (start, self.end()))
                else:
                    node = Select(node, name, (start, self.end()))
            elif self.accept("["):
                if (key := self.key()) is not None:
                    node = Select(node, key, (start, self.end()))
                    continue
                index = self.expression(CONDITIONAL)
                self.expect("]")
                node = Index(node, index, (start, self.end()))
            else:
                return node
        raise self.too_deep(self.token)

    def key(self) -> str | int | None:
        """What stands alone in the brackets that were opened, if it is a plain text or number, as evaluation has it."""
        token = self.token
        if not self.is_operator(self.position + 1, "]"):
            return None
        key: str | int | None = token.literal()
        if key is None and token.kind == "number" and token.text.isdecimal():
            key = int(token.text)
        self.position += 2 if key is not None else 0
        return key

    def primary(self, negative: int | None) -> Node:
        token = self.take()
        span = (token.start, token.end)
        if token.kind == "number":
            return self.number(token, negative)
        if token.kind == "string":
            return Literal(self.text(token), span=span)
        if token.kind == "name":
            if token.text in _CONSTANTS:
                return Literal(_CONSTANTS[token.text], span=span)
            if self.accept("("):
                return Call(token.text, self.items(")"), (token.start, self.end()))
            return Name(token.text, span)
        if token.kind == "operator" and token.text == "(":
            node = self.expression(CONDITIONAL)
            self.expect(")")
            return node
        if token.kind == "operator" and token.text == "[":
            return ListOf(self.items("]"), (token.start, self.end()))
        if token.kind == "operator" and token.text == "{":
            return self.map(token.start)
        self.position -= 1
        raise self.misplaced()

    def items(self, closing: str) -> tuple[Node, ...]:
        """What stands between commas up to ``closing``; a list may end in a comma, a call may not."""
        found: list[Node] = []
        while not self.accept(closing):
            found.append(self.expression(CONDITIONAL))
            if self.accept(closing):
                break
            self.expect(",")
            if closing == ")" and self.is_operator(self.position, ")"):
                raise self.error("an argument is missing", self.token)
        return tuple(found)

    def map(self, start: int) -> MapOf:
        entries: list[tuple[Node, Node]] = []
        while not self.accept("}"):
            key = self.expression(CONDITIONAL)
            self.expect(":")
            entries.append((key, self.expression(CONDITIONAL)))
            if self.accept("}"):
                break
            self.expect(",")
        return MapOf(tuple(entries), (start, self.end()))

    def number(self, token: Token, negative: int | None) -> Literal:
        text = token.text.rstrip("uU")
        unsigned = text != token.text
        sign = 1 if negative is None else -1
        if unsigned and sign < 0:
            raise self.error("an unsigned number cannot be negative", token)
        span = (token.start if negative is None else negative, token.end)
        if text[:2] in ("0x", "0X"):
            return Literal(sign * int(text, 16), unsigned, span)
        if set(text) & set(".eE"):
            return Literal(sign * float(text), unsigned, span)
        return Literal(sign * int(text), unsigned, span)

    def text(self, token: Token) -> str | bytes:
        """What a string or bytes literal says."""
        prefix = token.text[: re.search(r"['\"]", token.text).start()].lower()  # type: ignore[union-attr]
        body = token.text[len(prefix) :]
        quotes = 3 if body[:3] in ("'''", '"""') else 1
        body = body[quotes:-quotes]
        escapes = [] if "r" in prefix else list(_ESCAPE.finditer(body))
        parts, position = [], 0
        for match in escapes:
            parts += [body[position : match.start()], self.unescape(match, token, single="b" in prefix)]
            position = match.end()
        parts.append(body[position:])
        if "b" not in prefix:
            return "".join(part for part in parts if isinstance(part, str))
        return b"".join(part if isinstance(part, bytes) else part.encode("utf-8") for part in parts)

    def unescape(self, match: re.Match[str], token: Token, *, single: bool) -> str | bytes:
        """What an escape stands for; in bytes, ``\\x`` and octal ones are a ``single`` byte."""
        x, u, capital, octal, letter = match.groups()
        if single and (x or octal):
            return bytes([int(x, 16) if x else int(octal, 8)])
        if code := x or u or capital:
            if int(code, 16) > 0x10FFFF:
                raise self.error(f"{match.group()} is no character", token)
            return chr(int(code, 16))
        if octal:
            return chr(int(octal, 8))
        if letter in _THEMSELVES:
            return letter
        if letter not in _LETTERS:
            raise self.error(f"\\{letter} is no escape", token, "write \\\\ for a backslash")
        return _LETTERS[letter]
