"""A phrase: a text that is being rewritten, with the author's place of every character."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..document import Stretch, TextMark


class Problem(NamedTuple):
    """What is wrong with the characters from ``start`` to ``end`` of a text as its author wrote it."""

    code: str
    message: str
    hint: str | None
    start: int
    end: int


class Doubt(NamedTuple):
    """What is said of a root that reads something, though probably not what was meant."""

    message: str
    hint: str


class Rename(NamedTuple):
    """The root of a reference and the ``parts`` parts after it read ``text`` in canonical spelling."""

    text: str
    parts: int = 0
    doubt: Doubt | None = None


class Unknown(NamedTuple):
    """A reference that a dialect cannot resolve: what to say, at the root or at part ``at`` (1 is the first)."""

    message: str
    hint: str
    code: str = "MR302"
    at: int = 0


Parts = tuple[str | int, ...]
Resolve = Callable[[str, Parts], Rename | Unknown | None]
"""What the reference ``root`` with the parts after it is called in canonical spelling; ``None`` leaves it."""


def unchanged(root: str, parts: Parts) -> None:
    """A :data:`Resolve` for texts whose names are canonical already."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A text in canonical spelling; ``problems`` are at places of the text as ``written``, and so are ``doubts``, with
    which it means something all the same."""

    text: str
    written: str
    stretches: tuple[Stretch, ...]
    problems: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()

    def braced(self) -> Phrase:
        """The phrase as a template: ``{{ text }}``."""
        return self.wrapped("{{ ", " }}")

    def wrapped(self, before: str, after: str) -> Phrase:
        """The phrase between two texts that the author did not write."""
        moved = (stretch._replace(target=stretch.target + len(before)) for stretch in self.stretches)
        # What stands behind the last word, as the end of a hole, is no place of the expression.
        end = max((stretch.end for stretch in self.stretches), default=len(self.written))
        last = Stretch(len(before) + len(self.text), end, len(self.written))
        return replace(self, text=f"{before}{self.text}{after}", stretches=(Stretch(0, 0, 0), *moved, last))

    def mark(self, mark: int) -> int:
        """The mark of this phrase, where ``mark`` is that of the text as written."""
        return mark if self.text == self.written else TextMark(mark, self.written, self.stretches)


class PhraseWriter:
    """Builds a phrase from stretches of what was written, and from what stands for them."""

    def __init__(self, written: str) -> None:
        self.written = written
        self.pieces: list[str] = []
        self.length = 0
        self.stretches: list[Stretch] = []
        self.problems: list[Problem] = []
        self.doubts: list[Problem] = []

    def keep(self, start: int, end: int) -> None:
        """Take the characters from ``start`` to ``end`` as they are."""
        if start < end:
            self._add(self.written[start:end], Stretch(self.length, start, end, verbatim=True))

    def put(self, text: str, start: int, end: int) -> None:
        """Write ``text`` for the characters from ``start`` to ``end``."""
        if text:
            self._add(text, Stretch(self.length, start, end))

    def resolve(self, found: Rename | Unknown, start: int, end: int, root_end: int) -> None:
        """Write what became of the reference from ``start`` to ``end``, whose root ends at ``root_end``."""
        if isinstance(found, Rename):
            self.put(found.text, start, end)
            if found.doubt is not None:
                self.doubts.append(Problem("MR302", *found.doubt, start, root_end))
        else:
            self.problems.append(Problem(found.code, found.message, found.hint, start, end))

    def done(self) -> Phrase:
        """The phrase."""
        text, problems, doubts = "".join(self.pieces), tuple(self.problems), tuple(self.doubts)
        return Phrase(text, self.written, tuple(self.stretches), problems, doubts)

    def _add(self, text: str, stretch: Stretch) -> None:
        self.pieces.append(text)
        self.stretches.append(stretch)
        self.length += len(text)
