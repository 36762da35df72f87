"""The source line under a diagnostic, with a caret that points right under wide characters and tabs."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .diagnostics import Diagnostic

_TAB = "    "
_WINDOW = 100
"""Characters of a long line that are shown around the caret."""


def width(character: str) -> int:
    """Terminal cells that one character takes.

    >>> [width(c) for c in "a照\u0301"]
    [1, 2, 0]
    """
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def line_of(source: str, number: int) -> str | None:
    """The 1-based line ``number`` of ``source`` without its line break (``\\n``, ``\\r\\n`` or ``\\r``)."""
    position = 0
    for _ in range(number - 1):
        position = _after_break(source, position)
        if position < 0:
            return None
    end = _after_break(source, position)
    return source[position : end if end >= 0 else len(source)].rstrip("\r\n")


def snippet(source: str, diagnostic: Diagnostic, tint: str = "", reset: str = "") -> list[str]:
    """Two lines: the source line, and carets under the diagnostic's span (its part on that line)."""
    if diagnostic.line is None or (line := line_of(source, diagnostic.line)) is None:
        return []
    start = min(max((diagnostic.column or 1) - 1, 0), len(line))
    same_line = diagnostic.end_line in (None, diagnostic.line)
    stop = (diagnostic.end_column or start + 2) - 1 if same_line else len(line)
    stop = max(min(stop, len(line)), start + 1)
    shown, start, stop = _window(line, start, stop)
    gutter = f"{diagnostic.line:>5}"
    indent = "".join(_cells(c) for c in shown[:start])
    carets = sum(len(_TAB) if c == "\t" else width(c) for c in shown[start:stop])
    return [
        f"{gutter} | {''.join(map(_visible, shown))}",
        f"{' ' * len(gutter)} | {indent}{tint}{'^' * max(carets, 1)}{reset}",
    ]


def _after_break(source: str, position: int) -> int:
    """Where the line after the one that holds ``position`` begins; -1 on the last line."""
    newline = source.find("\n", position)
    carriage = source.find("\r", position, newline if newline >= 0 else len(source))
    if carriage >= 0 and carriage + 1 != newline:
        return carriage + 1
    return newline + 1 if newline >= 0 else -1


def _window(line: str, start: int, stop: int) -> tuple[str, int, int]:
    if len(line) <= _WINDOW:
        return line, start, stop
    left = max(0, min(start - _WINDOW // 3, len(line) - _WINDOW))
    right = min(len(line), left + _WINDOW)
    head, tail = ("…" if left else ""), ("…" if right < len(line) else "")
    shift = len(head) - left
    return f"{head}{line[left:right]}{tail}", start + shift, min(stop, right) + shift


def _cells(character: str) -> str:
    return _TAB if character == "\t" else " " * width(character)


def _visible(character: str) -> str:
    # A definition is untrusted: a control character must not reach the terminal, and keeps its cell.
    if character == "\t":
        return _TAB
    return "·" if unicodedata.category(character) == "Cc" else character
