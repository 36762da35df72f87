"""The lines of a text, and what stands on one of them in YAML's block style."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

_BREAK = re.compile(r"\r\n|\r|\n")
_LINE = re.compile(
    r"(?P<indent>[ \t]*)"
    r"(?P<dashes>(?:-[ \t]+|-$)*)"
    r"(?:(?P<key>\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'|[^\s\"'{}\[\],#&*!|>%@`][^\r\n]*?)[ \t]*:(?=\s|$))?"
    r"[ \t]*(?P<value>.*)"
)
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'")
_COMMENT = re.compile(r"(?:^|[ \t])#")
_BLOCK_SCALAR = re.compile(r"[|>][+\-0-9]{0,2}")


@dataclass(frozen=True, slots=True)
class Line:
    """Columns count from the line's beginning. ``dashes`` are those of list items, ``column`` is where the content
    begins, ``value`` is the text after the key (or the content, where there is none) without a comment."""

    start: int
    text: str
    dashes: tuple[int, ...]
    column: int
    key: str | None
    key_end: int
    value: str
    value_start: int
    comment: int | None

    @property
    def blank(self) -> bool:
        """Whether nothing stands here, except maybe a comment."""
        return not self.dashes and self.key is None and not self.value

    @property
    def first(self) -> int:
        """The column of the first thing: a dash, or the content."""
        return self.dashes[0] if self.dashes else self.column

    @property
    def block_scalar(self) -> bool:
        """Whether the lines below are the text of this value."""
        return _BLOCK_SCALAR.fullmatch(self.value) is not None

    @property
    def flow(self) -> bool:
        """Whether the value is in brackets."""
        return self.value[:1] in ("{", "[") and not self.value.startswith("{{")

    @property
    def unclosed(self) -> bool:
        """Whether brackets open here that this line, at a glance, does not close."""
        opened = self.value.count("{") + self.value.count("[")
        return self.flow and opened > self.value.count("}") + self.value.count("]")

    @property
    def quote(self) -> str:
        """The quote that the value begins with."""
        return self.value[:1] if self.value[:1] in ("'", '"') else ""

    @property
    def closed(self) -> bool:
        """Whether the value's quote is closed."""
        return len(self.value) > 1 and self.value.endswith(self.quote)


class Lines:
    """A text by lines, as LSP and the compiler count them: ended by a line feed, a carriage return, or both."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0]
        self._ends: list[int] = []
        for match in _BREAK.finditer(text):
            self._ends.append(match.start())
            self._starts.append(match.end())
        self._ends.append(len(text))

    @property
    def count(self) -> int:
        """How many there are; one at least."""
        return len(self._starts)

    def row(self, offset: int) -> int:
        """The line, from 0, that holds ``offset``."""
        return bisect_right(self._starts, offset) - 1

    def start(self, row: int) -> int:
        """The offset of a line's first character; the text's end for a line beyond the last."""
        return self._starts[row] if row < len(self._starts) else len(self.text)

    def end(self, row: int) -> int:
        """The offset of a line's break."""
        return self._ends[row] if row < len(self._ends) else len(self.text)

    def content(self, row: int) -> str:
        """A line without its break."""
        return self.text[self._starts[row] : self._ends[row]]

    def indent(self, row: int) -> int | None:
        """How far a line is indented; ``None`` for a blank one."""
        text = self.content(row)
        inside = text.lstrip(" \t")
        return len(text) - len(inside) if inside else None

    def parsed(self, row: int) -> Line:
        """What stands on a line."""
        text, start = self.content(row), self._starts[row]
        match = _LINE.match(text)
        assert match is not None  # every part of the pattern is optional
        value_start = match.start("value")
        value, comment = _without_comment(match["value"])
        key, key_end = match["key"], match.end("key")
        dashes = tuple(match.start("dashes") + i for i, c in enumerate(match["dashes"]) if c == "-")
        column = match.start("key") if key is not None else value_start
        return Line(
            start,
            text,
            dashes,
            column,
            None if key is None else unquoted(key),
            key_end,
            value,
            value_start,
            None if comment is None else value_start + comment,
        )


def unquoted(text: str) -> str:
    """A scalar without its quotes; escapes stay.

    >>> unquoted("'照片'"), unquoted("a"), unquoted('"')
    ('照片', 'a', '"')
    """
    return text[1:-1] if len(text) > 1 and text[0] in ("'", '"') and text[-1] == text[0] else text


def _without_comment(value: str) -> tuple[str, int | None]:
    after = match.end() if (match := _QUOTED.match(value)) else 0
    if value[:1] in ("'", '"') and not after:
        return value.rstrip(), None
    found = _COMMENT.search(value, max(after - 1, 0))
    if found is None:
        return value.rstrip(), None
    return value[: found.start()].rstrip(), found.end() - 1
