"""Looking around in the tokens of one expression: brackets, arguments, where an operand ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import ExpressionError
from .tokens import tokenize

if TYPE_CHECKING:
    from .tokens import Token

MAX_DEPTH = 64
"""Brackets within brackets; CEL itself gives up at 32 levels of its grammar."""

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_WORDS = frozenset({"and", "or", "in", "is"})


class Cursor:
    """The tokens of ``source`` with their brackets matched. Raises :class:`ExpressionError` where they do not."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokenize(source)
        self.partner = self._match_brackets()
        self._operand_ends = self._find_operand_ends()

    def is_operator(self, index: int, text: str) -> bool:
        """Whether the token at ``index`` is the operator ``text``."""
        token = self.tokens[index]
        return token.kind == "operator" and token.text == text

    def after_dot(self, index: int) -> bool:
        """Whether the token is a field's or a method's name."""
        return index > 0 and self.is_operator(index - 1, ".")

    def ends_operand(self, index: int) -> bool:
        """Whether the token ends something that has a value, so that an operator may follow."""
        return index >= 0 and self._operand_ends[index]

    def arguments(self, opening: int) -> list[tuple[int, int]]:
        """The extents of the arguments of the call whose bracket opens at ``opening``."""
        close = self.partner[opening]
        if close == opening + 1:
            return []
        extents, low, index = [], opening + 1, opening + 1
        while index < close:
            if self.is_operator(index, ","):
                extents.append((low, index))
                low = index + 1
            index = self.partner.get(index, index) + 1
        extents.append((low, close))
        for start, end in extents:
            if start == end:
                raise self.error("an argument is missing", self.tokens[start])
        return extents

    def extent(self, index: int, high: int, operators: set[str], words: set[str]) -> int:
        """Where the operand that begins at ``index`` ends: at one of ``operators`` or ``words``, or a bracket."""
        while index < high:
            token = self.tokens[index]
            if token.kind == "operator" and (token.text in operators or token.text in ")]}"):
                break
            if token.kind == "name" and token.text in words and self.ends_operand(index - 1):
                break
            index = self.partner.get(index, index) + 1
        return index

    def error(
        self, problem: str, token: Token, hint: str | None = None, kind: str = "syntax"
    ) -> ExpressionError:
        """An error at ``token``."""
        return ExpressionError(
            problem,
            expression=self.source,
            column=token.start + 1,
            end=max(token.end, token.start + 1) + 1,
            hint=hint,
            kind=kind,
        )

    def too_deep(self, token: Token) -> ExpressionError:
        """The error of an expression that is nested beyond the limit."""
        return self.error("it is nested too deeply", token, "compute the parts in control/set nodes", "limit")

    def _match_brackets(self) -> dict[int, int]:
        partner: dict[int, int] = {}
        stack: list[int] = []
        for index, token in enumerate(self.tokens):
            if token.kind != "operator":
                continue
            if token.text in _CLOSING:
                stack.append(index)
                if len(stack) > MAX_DEPTH:
                    raise self.error(
                        "it is nested too deeply", token, "compute the parts in control/set nodes", "limit"
                    )
            elif token.text in _CLOSING.values():
                if not stack or _CLOSING[self.tokens[stack[-1]].text] != token.text:
                    raise self.error(f"{token.text!r} closes nothing", token)
                partner[stack.pop()] = index
        if stack:
            token = self.tokens[stack[-1]]
            raise self.error(f"{token.text!r} is never closed", token, f"add {_CLOSING[token.text]!r}")
        return partner

    def _find_operand_ends(self) -> list[bool]:
        ends: list[bool] = []
        for index, token in enumerate(self.tokens):
            if token.kind == "operator":
                ends.append(token.text in (")", "]", "}"))
            elif token.kind != "name" or self.after_dot(index):
                ends.append(token.kind != "end")
            elif token.text == "not":
                ends.append(False)
            else:
                ends.append(not (token.text in _WORDS and index > 0 and ends[-1]))
        return ends
