"""Looking around in the tokens of one expression: brackets, arguments, where an operand ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import ExpressionError
from .spelling import EQUALITY
from .tokens import tokenize

if TYPE_CHECKING:
    from .tokens import Token

_KEPT = 256
_READ: dict[str, tuple[list[Token], dict[int, int], list[bool]]] = {}
MAX_DEPTH = 64
"""Brackets within brackets; CEL itself gives up at 32 levels of its grammar."""

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_ORDERING = frozenset({"<", "<=", ">", ">="})
_ENDING = frozenset({"&&", "||", "?", ":", ",", "and", "or", "not", "!"})
"""Words and operators to whose right another comparison may begin."""
_WORDS = frozenset({"and", "or", "in", "is"})

_BEFORE_BRACKETS = frozenset({"and", "or", "not", "in", "is"})
"""Words that are operators: brackets behind them are no call."""


class Cursor:
    """The tokens of ``source`` with their brackets matched. Raises :class:`ExpressionError` where they do not."""

    def __init__(self, source: str) -> None:
        self.source = source
        # An expression is read by several, one right after the other. What they share is never changed.
        if (read := _READ.get(source)) is None:
            self.tokens = tokenize(source)
            self.partner = self._match_brackets()
            self._operand_ends = self._find_operand_ends()
            if len(_READ) >= _KEPT:
                _READ.clear()
            _READ[source] = self.tokens, self.partner, self._operand_ends
        else:
            self.tokens, self.partner, self._operand_ends = read

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
                raise self.error(
                    "an argument is missing", self.tokens[start], "write it, or remove the comma"
                )
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

    def compared_before(self, index: int) -> bool:
        """Whether a comparison stands at ``index``, and another one, without brackets, left of it: ``1 < x < 3``."""
        if self.tokens[index].text not in _ORDERING or not self.ends_operand(index - 1):
            return False
        closed = 0
        for token in reversed(self.tokens[:index]):
            if token.kind == "operator" and token.text in (")", "]", "}"):
                closed += 1
            elif token.kind == "operator" and token.text in ("(", "[", "{"):
                if not closed:
                    return False
                closed -= 1
            elif closed:
                continue
            elif token.kind == "operator" and token.text in _ORDERING:
                return True
            elif token.text in _ENDING:
                return False
        return False

    def hyphened(self, index: int) -> str:
        """For ``input.max-size``: what the author may have meant as one name."""
        if index < 2 or not self.is_operator(index - 1, "-"):
            return ""
        before, minus, root = self.tokens[index - 2 : index + 1]
        touching = before.end == minus.start and minus.end == root.start
        return f"{before.text}-{root.text}" if touching and before.kind == "name" else ""

    def compared_with_null(self, index: int, after: int) -> bool:
        """Whether what stands from ``index`` up to ``after`` is compared with null, so that its absence is no error.
        Brackets around it change nothing."""
        while index and self.is_operator(index - 1, "(") and self.partner[index - 1] == after:
            before = self.tokens[index - 2] if index >= 2 else None
            if before is not None and before.kind == "name" and before.text not in _BEFORE_BRACKETS:
                break  # The arguments of a call.
            index, after = index - 1, after + 1
        following, then = self.tokens[after], self.tokens[min(after + 1, len(self.tokens) - 1)]
        if following.text == "is" and following.kind == "name":
            return True
        if following.text in EQUALITY and then.text == "null":
            return True
        return (
            index >= 2 and self.tokens[index - 1].text in EQUALITY and self.tokens[index - 2].text == "null"
        )

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
                    opening = next(left for left, right in _CLOSING.items() if right == token.text)
                    raise self.error(
                        f"{token.text!r} closes nothing", token, f"remove it, or add {opening!r}"
                    )
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
