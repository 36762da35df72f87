"""A document: a plain JSON tree beside the position of every key and value.

Positions live in a second tree of *marks* with the shape of the first. A scalar's mark is one integer, so
that a definition of ten thousand nodes keeps its positions in a few megabytes. A dialect that rewrites a
value keeps the mark of what the author wrote, and with it the author's own path.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from .close_matches import words_of
from .diagnostics import Diagnostic, Path, Severity, Verdict, format_path

_SHIFT = 32
_LONGEST = 1000
"""Characters of a message."""
_BREAK = re.compile(r"\r\n|\r|\n")
_NO_NAMES: Mapping[str, str | Path | None] = {}


class Span(NamedTuple):
    """A stretch of text; 1-based, ends exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


def pack(start: int, end: int) -> int:
    """A stretch of characters ``[start, end)`` as one integer: the mark of a scalar."""
    return start << _SHIFT | max(start, end)


def unpack(packed: int) -> tuple[int, int]:
    """The inverse of :func:`pack`.

    >>> unpack(pack(3, 9))
    (3, 9)
    """
    return packed >> _SHIFT, packed & ((1 << _SHIFT) - 1)


class Stretch(NamedTuple):
    """Where the characters of a rewritten text from ``target`` on come from: ``[start, end)`` as written, character
    by character if ``verbatim``, else as a whole."""

    target: int
    start: int
    end: int
    verbatim: bool = False


class TextMark(int):
    """The mark of a text that a dialect rewrote: the author's span, the text as written, and what became of it."""

    written: str
    stretches: tuple[Stretch, ...]

    def __new__(cls, span: int, written: str, stretches: tuple[Stretch, ...]) -> TextMark:
        """A mark that is ``span`` for whoever does not ask further."""
        mark = super().__new__(cls, span)
        mark.written, mark.stretches = written, stretches
        return mark

    def __reduce__(self) -> tuple[type[TextMark], tuple[int, str, tuple[Stretch, ...]]]:
        """What a copy is made of."""
        return TextMark, (int(self), self.written, self.stretches)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The characters as written that ``[start, end)`` of the rewritten text comes from."""
        first, last = self._stretch(start), self._stretch(max(end - 1, start))
        begin = min(first.start + start - first.target, first.end) if first.verbatim else first.start
        final = min(last.start + end - last.target, last.end) if last.verbatim else last.end
        return begin, max(final, begin)

    def _stretch(self, offset: int) -> Stretch:
        index = bisect_right(self.stretches, offset, key=lambda stretch: stretch.target) - 1
        return self.stretches[index] if self.stretches else Stretch(0, 0, len(self.written))


class MapMark:
    """The marks of a mapping: its own span, its keys' spans and its values' marks.

    ``origin`` is the author's path where it differs from the place in the tree; ``names`` gives the author's
    key (or path from there) for a key that was renamed, ``None`` for one that the author did not write. It may be
    shared with other marks, and is replaced, never changed.
    """

    __slots__ = ("children", "keys", "names", "origin", "span")

    def __init__(
        self,
        span: int,
        keys: dict[str, int] | None = None,
        children: dict[str, Mark] | None = None,
        origin: Path | None = None,
        names: Mapping[str, str | Path | None] | None = None,
    ) -> None:
        self.span = span
        self.keys = {} if keys is None else keys
        self.children = {} if children is None else children
        self.origin = origin
        self.names = names or _NO_NAMES

    def copy(self) -> MapMark:
        """A copy whose keys can be changed; the values' marks are shared."""
        return MapMark(self.span, dict(self.keys), dict(self.children), self.origin, self.names)


class SeqMark:
    """The marks of a sequence: its own span and its items' marks."""

    __slots__ = ("items", "origin", "span")

    def __init__(self, span: int, items: list[Mark] | None = None, origin: Path | None = None) -> None:
        self.span = span
        self.items = [] if items is None else items
        self.origin = origin


Mark = int | MapMark | SeqMark


def span_of(mark: Mark) -> int:
    """The packed span of any mark."""
    return mark if isinstance(mark, int) else mark.span


class _Place(NamedTuple):
    mark: Mark
    key: int | None
    path: Path


@dataclass(frozen=True)
class Document:
    """A definition as written, or as a dialect rewrote it: a plain JSON ``tree`` and its positions."""

    tree: Any
    marks: Mark
    text: str
    file: str | None = None

    def rewritten(self, tree: Any, marks: Mark) -> Document:
        """The same text with another tree."""
        return replace(self, tree=tree, marks=marks)

    def span(self, path: Path = ()) -> Span:
        """Where the value at ``path`` stands; of the nearest value around it where there is none."""
        return self._lines(*self._visible(self._locate(path).mark))

    def key_span(self, path: Path) -> Span:
        """Where the key of the value at ``path`` stands; for an item of a sequence, where the item stands."""
        place = self._locate(path)
        return self._lines(*(unpack(place.key) if place.key is not None else self._visible(place.mark)))

    def origin(self, path: Path) -> Path:
        """The author's own path of the value at ``path``."""
        return self._locate(path).path

    def value(self, path: Path) -> Any:
        """The value at ``path``; :class:`KeyError` or :class:`IndexError` if there is none."""
        value = self.tree
        for part in path:
            value = value[part]
        return value

    def place(self, path: Path, *, key: bool = False) -> str:
        """``file:line:column`` of a value, or of its key."""
        span = self.key_span(path) if key else self.span(path)
        return f"{self.file or '<text>'}:{span.line}:{span.column}"

    def report(
        self,
        code: str,
        message: str,
        path: Path = (),
        *,
        hint: str | None = None,
        severity: Severity = "error",
        key: bool = False,
        within: tuple[int, int] | None = None,
        verdict: Verdict | None = None,
    ) -> Diagnostic:
        """A diagnostic at the value at ``path``, at its key if ``key``, or at characters ``within`` a string.

        ``within`` counts characters of the string's *value*; where the text writes it differently (escapes,
        folded lines) the nearest stretch of text is taken.
        """
        place = self._locate(path)
        if within is not None and isinstance(place.mark, int):
            span = self._lines(*self._inside(place.mark, path, within))
        elif key and place.key is not None:
            span = self._lines(*unpack(place.key))
        else:
            span = self._lines(*self._visible(place.mark))
        where = format_path(place.path) or None
        words, message, hint = words_of(hint), _short(message), hint and _short(hint)
        return Diagnostic(
            code, severity, message, hint, self.file, *span, path=where, verdict=verdict, suggestions=words
        )

    def report_at(
        self, code: str, message: str, start: int, end: int, *, hint: str | None = None
    ) -> Diagnostic:
        """An error at the characters ``[start, end)`` of the text."""
        return Diagnostic(code, "error", _short(message), hint, self.file, *self._lines(start, end))

    def _locate(self, path: Path) -> _Place:
        mark, key, original = self.marks, None, ()
        for part in path:
            child: Mark | None = None
            name: str | int | Path | None = part
            child_key: int | None = None
            if isinstance(mark, MapMark):
                child, child_key = mark.children.get(part), mark.keys.get(part)  # type: ignore[arg-type]
                name = mark.names.get(part, part) if isinstance(part, str) else part
            elif isinstance(mark, SeqMark) and isinstance(part, int) and part < len(mark.items):
                child = mark.items[part]
            if child is None:
                if isinstance(part, int):
                    continue  # one value stood where the model takes a list
                break
            mark, key = child, child_key
            if not isinstance(mark, int) and mark.origin is not None:
                original = mark.origin
            elif name is not None:
                original = (*original, *name) if isinstance(name, tuple) else (*original, name)
        return _Place(mark, key, original)

    def _visible(self, mark: Mark) -> tuple[int, int]:
        """A scalar's whole stretch; of a container only what stands on its first line."""
        start, end = unpack(span_of(mark))
        if not isinstance(mark, int) and (line_break := _BREAK.search(self.text, start, end)):
            end = line_break.start()
        return start, end

    def written(self, path: Path, within: tuple[int, int]) -> tuple[str, tuple[int, int]]:
        """The string at ``path`` as its author wrote it, and the characters of that which those ``within`` the
        string come from."""
        mark = self._locate(path).mark
        if isinstance(mark, TextMark):
            return mark.written, mark.origin(*within)
        return self.value(path), within

    def is_rewritten(self, path: Path) -> bool:
        """Whether a dialect made the string at ``path`` from another one."""
        return isinstance(self._locate(path).mark, TextMark)

    def _inside(self, packed: int, path: Path, within: tuple[int, int]) -> tuple[int, int]:
        start, end = unpack(packed)
        raw, (value, within) = self.text[start:end], self.written(path, within)
        if not isinstance(value, str):
            return start, end
        quote = 1 if raw[:1] in ("'", '"') else 0
        if raw[quote : quote + len(value)] == value:
            return start + quote + within[0], start + quote + max(within[1], within[0] + 1)
        wanted = value[within[0] : within[1]].strip().split("\n")[0]
        found = raw.find(wanted) if wanted else -1
        return (start + found, start + found + len(wanted)) if found >= 0 else (start, end)

    def _lines(self, start: int, end: int) -> Span:
        starts = self._line_starts
        line, end_line = bisect_right(starts, start), bisect_right(starts, end)
        return Span(line, start - starts[line - 1] + 1, end_line, end - starts[end_line - 1] + 1)

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in _BREAK.finditer(self.text))]


def _short(text: str) -> str:
    """A message without most of a very long name or value in it."""
    return str(text) if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def walk_strings(tree: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string value of a JSON tree with its path, in document order."""
    if isinstance(tree, str):
        yield path, tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from walk_strings(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from walk_strings(value, (*path, index))
