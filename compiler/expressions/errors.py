"""The error of an expression: what is wrong, where in the text, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from ...core.errors import Code, ErrorRecord, RealmError
from ..close_matches import Hint, asked, words_of


class ExpressionError(RealmError):
    """An expression that cannot be compiled or evaluated.

    ``problem`` is the bare sentence, ``expression`` the text as the author wrote it, ``column`` the 1-based place of
    the fault in it (``None`` where CEL does not tell), ``end`` the exclusive column where the faulty part ends.
    ``kind`` is one of ``syntax``, ``name``, ``field``, ``function``, ``type``, ``limit``, ``value``.
    """

    def __init__(
        self,
        problem: str,
        *,
        expression: str,
        column: int | None = None,
        end: int | None = None,
        hint: str | None = None,
        kind: str = "syntax",
        absent: bool = False,
    ) -> None:
        place = f", column {column}" if column is not None else ""
        details = {"expression": expression, "problem": problem, "kind": kind}
        optional = {"column": column, "end": end, "absent": absent or None}
        details |= {name: value for name, value in optional.items() if value is not None}
        text = expression if len(expression) <= 200 else expression[:199] + "…"
        plain = None if hint is None else str(hint)  # The record is data, which travels.
        super().__init__(
            Code.INVALID_ARGUMENT,
            f"in the expression {text!r}{place}: {problem}",
            hint=plain,
            details=details,
        )
        self._words = words_of(hint)

    @property
    def hint(self) -> str | None:
        """What to write instead, with the words that it asks about."""
        hint = self.record.hint
        return hint if hint is None or not self._words else Hint(hint, self._words)

    @classmethod
    def from_record(cls, record: ErrorRecord) -> ExpressionError:
        """The inverse of :attr:`record`."""
        error = cls(
            str(record.details.get("problem", record.message)),
            expression=str(record.details.get("expression", "")),
        )
        error.record = record
        return error

    @property
    def problem(self) -> str:
        """The sentence without the expression and the place."""
        return str(self.record.details["problem"])

    @property
    def expression(self) -> str:
        """The text as the author wrote it."""
        return str(self.record.details["expression"])

    @property
    def column(self) -> int | None:
        """1-based, counted in characters."""
        return self.record.details.get("column")

    @property
    def end(self) -> int | None:
        """The exclusive end column of the faulty part, where known."""
        return self.record.details.get("end")

    @property
    def kind(self) -> str:
        """What sort of fault it is."""
        return str(self.record.details["kind"])

    @property
    def absent(self) -> bool:
        """Whether it failed because something is not there: what ``default`` and ``coalesce`` forgive."""
        return bool(self.record.details.get("absent"))

    def shifted(self, expression: str, offset: int) -> ExpressionError:
        """The same fault as part of a longer ``expression`` in which this one begins at ``offset``."""
        return ExpressionError(
            self.problem,
            expression=expression,
            column=None if self.column is None else self.column + offset,
            end=None if self.end is None else self.end + offset,
            hint=self.hint,
            kind=self.kind,
            absent=self.absent,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (ExpressionError.from_record, (self.record,))


def did_you_mean(name: str, known: Iterable[str]) -> Hint | None:
    """A question that names what a typo could have meant, or ``None``.

    >>> did_you_mean("scoer", ["score", "width"])
    "did you mean 'score'?"
    """
    if matches := close(name, known):
        return asked(*matches)
    return None


def close(name: str, known: Iterable[str]) -> list[str]:
    """Names of ``known`` that ``name`` may be a typo of, best first, two at most."""
    names = {other.casefold(): other for other in known}
    return [names[m] for m in difflib.get_close_matches(name.casefold(), list(names), n=2, cutoff=0.6)]
