"""Where the characters of a string stand in the file: through quotes, escapes, folded lines and block scalars."""

from __future__ import annotations

import re
from bisect import bisect_right

_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|\r?\n[ \t]*|.)", re.DOTALL)
_SPACE = " \t\r\n"


def align(raw: str, value: str) -> list[int] | None:
    """For each character of ``value`` the offset in ``raw`` (a scalar as YAML or JSON writes it) that it comes from.

    ``None`` where the two cannot be brought together.

    >>> align("'it''s'", "it's")
    [1, 2, 4, 5]
    """
    style = raw[:1]
    position = 1 if style in ("'", '"') else 0
    if style in ("|", ">"):
        header = raw.find("\n")
        if header < 0:
            return None
        position = header + 1
    elif not position and raw.startswith(value):
        return list(range(len(value)))
    offsets: list[int] = []
    for character in value:
        found = _find(raw, position, character, style)
        if found is None:
            if value[len(offsets) :].isspace():  # a block scalar's last line break is not part of its span
                return offsets + [len(raw)] * (len(value) - len(offsets))
            return None
        start, position = found
        offsets.append(start)
    return offsets


def _find(raw: str, position: int, character: str, style: str) -> tuple[int, int] | None:
    """The place of the next ``character`` at or after ``position``, and the position after it."""
    while position < len(raw):
        here = raw[position]
        if here == "\\" and style == '"':
            match = _ESCAPE.match(raw, position)
            if match is None:
                return None
            if match.group()[1] in "\r\n":  # an escaped line break joins two lines and means nothing
                position = match.end()
                continue
            return position, match.end()
        if here == character:
            doubled = style == "'" and raw.startswith("''", position)
            return position + doubled, position + 1 + doubled
        if here == "\n" and character == " ":  # a folded line break reads as a space
            return position, position + 1
        if here not in _SPACE:
            return None
        position += 1
    return None


class Places:
    """Offsets in a text as lines and columns, 1-based, in characters."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]

    def offset(self, line: int, column: int) -> int:
        """The offset of a place."""
        return self._starts[line - 1] + column - 1

    def place(self, offset: int) -> tuple[int, int]:
        """The line and the column of an offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def within(
        self, span: tuple[int, int, int, int], value: str, start: int, end: int
    ) -> tuple[int, int, int, int] | None:
        """Where the characters ``start`` to ``end`` of ``value`` stand, whose scalar takes ``span``."""
        first, last = self.offset(span[0], span[1]), self.offset(span[2], span[3])
        offsets = align(self.text[first:last], value)
        if not offsets:
            return None
        begin = offsets[min(start, len(offsets) - 1)]
        final = offsets[min(max(end - 1, start), len(offsets) - 1)] + 1
        if start >= len(value):
            begin = final
            final = begin + 1
        return (*self.place(first + begin), *self.place(first + final))
