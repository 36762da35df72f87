"""Flow style and JSON around an offset, by brackets alone: what is open there, also where the text is unfinished."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ..diagnostics import Path

MOST_TOKENS_AFTER = 4_000
"""Tokens read after the cursor, to see the entries that follow it."""

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<comment>(?<=\s)#[^\r\n]*)"
    r"|(?P<double>\"(?:[^\"\\\r\n]|\\.)*\"?)"
    r"|(?P<single>'(?:[^'\r\n]|'')*'?)"
    r"|(?P<mark>[{}\[\],])"
    r"|(?P<colon>:(?=[\s\"'{}\[\],]|$))"
    r"|(?P<plain>(?:\{\{.*?\}\}|[^\s{}\[\],:]|:(?![\s\"'{}\[\],]|$)|[ \t]+(?=[^\s{}\[\],:#]))+)"
    r"|(?P<other>:)"
)
_BRACKET = re.compile(
    r"\"(?:[^\"\\\r\n]|\\.)*\"?"
    r"|(?<![^\s,\[{:])'(?:[^'\r\n]|'')*'?"
    r"|(?<=\s)#[^\r\n]*"
    r"|\{\{.*?\}\}"
    r"|([{}\[\]])"
)


@dataclass(frozen=True, slots=True)
class Token:
    """A scalar: its text without quotes, and where that stands."""

    text: str
    start: int
    end: int
    quote: str


@dataclass(slots=True)
class _Open:
    """A bracket that is open: a mapping with the key last read, or a list with its item's number."""

    mapping: bool
    path: Path
    key: str | None = None
    colon: bool = False
    index: int = 0
    entries: dict[str, str] = field(default_factory=dict)
    pending: Token | None = None

    def here(self) -> Path:
        """The path of what comes next."""
        if not self.mapping:
            return (*self.path, self.index)
        return (*self.path, self.key) if self.colon and self.key is not None else self.path


@dataclass(frozen=True)
class OpenMapping:
    """An open mapping's path and entries."""

    path: Path
    entries: dict[str, str]


@dataclass
class Found:
    """Where the cursor is: ``token`` is the scalar under it, if one is."""

    role: Literal["key", "value"]
    path: Path
    token: Token | None
    mappings: list[OpenMapping]
    colon: bool = False


class FlowReader:
    """Reads from the bracket at ``begin`` on; the cursor is at ``offset``."""

    def __init__(self, text: str, begin: int, offset: int) -> None:
        self.text, self.begin, self.offset = text, begin, offset
        self.stack: list[_Open] = []
        self.closed = _closed(text, begin, offset)

    def read(self) -> Found | None:
        """What is open at the cursor; ``None`` where all is closed before it."""
        found: Found | None = None
        within: list[_Open] = []
        left = MOST_TOKENS_AFTER
        for kind, start, end in self._tokens():
            if found is None and (start >= self.offset or (end >= self.offset and kind in _SCALARS)):
                if not self.stack and start >= self.offset:
                    return None
                found = self._at_cursor(kind, start, end)
                within = list(self.stack)
            self._take(kind, start, end)
            if not self.stack:
                break
            if found is not None:
                left -= 1
                if left < 0 or len(self.stack) < min(3, len(within)):
                    break
        if found is None:
            if not self.stack:
                return None
            found, within = self._at_cursor("end", len(self.text), len(self.text)), list(self.stack)
        found.mappings = [OpenMapping(one.path, one.entries) for one in within if one.mapping]
        return found

    def _tokens(self) -> Iterator[tuple[str, int, int]]:
        position, last = self.begin, len(self.text)
        while position < last:
            match = _TOKEN.match(self.text, position)
            assert match is not None  # every character begins some token
            assert match.lastgroup is not None
            kind = match.lastgroup
            if kind == "mark" and (end := self.closed.get(position)) is not None:
                position = end
                continue
            if kind not in ("space", "comment"):
                yield kind, position, match.end()
            position = match.end()

    def _at_cursor(self, kind: str, start: int, end: int) -> Found:
        top = self.stack[-1] if self.stack else _Open(True, ())
        inside = kind in _SCALARS and start <= self.offset <= end
        token = self._scalar(kind, start, end) if inside else None
        if token is None and top.pending is not None and top.pending.end == self.offset:
            token = top.pending
        if not top.mapping or top.colon:
            return Found("value", top.here(), token, [])
        after = re.compile(r"[\"']?\s*:").match(self.text, token.end if token else self.offset)
        return Found("key", top.path, token, [], colon=after is not None)

    def _take(self, kind: str, start: int, end: int) -> None:
        top = self.stack[-1] if self.stack else None
        if kind == "mark":
            self._mark(self.text[start], top)
        elif top is None:
            return
        elif kind in _SCALARS:
            token = self._scalar(kind, start, end)
            top.pending = token
            if top.mapping and not top.colon:
                top.key = token.text
            elif top.mapping and top.key is not None:
                top.entries[top.key] = token.text
        elif kind == "colon" and top.mapping:
            top.colon = True
            if top.key is not None:
                top.entries.setdefault(top.key, "")

    def _mark(self, mark: str, top: _Open | None) -> None:
        if mark in "{[":
            self.stack.append(_Open(mark == "{", top.here() if top else ()))
        elif mark == ",":
            if top is not None:
                top.key, top.colon, top.pending = None, False, None
                top.index += 1
        elif top is not None:
            self.stack.pop()

    def _scalar(self, kind: str, start: int, end: int) -> Token:
        if kind == "plain":
            return Token(self.text[start:end], start, end, "")
        quote = self.text[start]
        closed = end - start > 1 and self.text[end - 1] == quote
        return Token(self.text[start + 1 : end - closed], start + 1, end - closed, quote)


def _closed(text: str, begin: int, offset: int) -> dict[int, int]:
    """The brackets that open and close before ``offset``: where each ends. They hold nothing that is asked for, and
    skipping them makes a large file as quick as a small one."""
    opened: list[int] = []
    closed: dict[int, int] = {}
    for match in _BRACKET.finditer(text, begin, offset):
        mark = match[1]
        if mark is None:
            continue
        if mark in "{[":
            opened.append(match.start())
        elif opened:
            closed[opened.pop()] = match.end()
    return closed


_SCALARS = frozenset({"double", "single", "plain"})
