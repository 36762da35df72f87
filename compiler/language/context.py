"""Where in a document an offset is, by reading only the text around it: so it works on text that no parser takes.

A document being written is broken most of the time. So this does not parse it as a whole: block style is read by
indentation, taking only the lines that the cursor's line lies under or beside; flow style and JSON are read by
brackets, from where the outermost one opens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ..diagnostics import Path
from .flow import FlowReader
from .lines import Line, Lines

Role = Literal["key", "value"]


@dataclass(frozen=True)
class Frame:
    """A mapping around the cursor: its path, and its entries as written (scalars without quotes, else ``""``)."""

    path: Path
    entries: Mapping[str, str]


@dataclass(frozen=True)
class Context:
    """``path`` leads to the value that the cursor is in, or to the mapping whose key it is in.

    ``start`` and ``end`` bound the word or text under the cursor, without its quotes (``quote``; ``|`` for a block of
    text); ``frames`` are the mappings around, outer ones first; ``colon`` says that a key has its colon already;
    ``alone`` that nothing else stands there, so that a key and a value could both begin.
    """

    role: Role
    path: Path
    start: int
    end: int
    quote: str = ""
    frames: tuple[Frame, ...] = ()
    colon: bool = False
    flow: bool = False
    alone: bool = False
    json: bool = False

    def entries(self, path: Path) -> Mapping[str, str]:
        """The entries of the mapping at ``path``, as far as it is around the cursor."""
        return next((frame.entries for frame in reversed(self.frames) if frame.path == path), {})


def context_at(text: str, offset: int) -> Context | None:
    """The context of ``offset``; ``None`` in a comment."""
    offset = max(0, min(offset, len(text)))
    begin = len(text) - len(text.lstrip())
    if text[begin : begin + 1] in ("{", "[") and not text.startswith("{{", begin) and offset > begin:
        found = _in_flow(text, begin, offset, (), ())
        if found is not None:
            return replace(found, json=True)
    return _Block(text, offset).context()


@dataclass
class _Open:
    """A mapping (its keys at ``column``) or a list (its dashes at ``column``) that is open."""

    column: int
    mapping: bool
    path: Path
    key: str | None = None
    empty: bool = True
    """Whether nothing stands beside the last key or dash, so that what is deeper belongs to it."""
    index: int = -1
    entries: dict[str, str] = field(default_factory=dict)

    def here(self) -> Path:
        """The path of the last key's value, or of the last item."""
        if not self.mapping:
            return (*self.path, max(self.index, 0))
        return (*self.path, self.key) if self.key is not None else self.path


class _Block:
    def __init__(self, text: str, offset: int) -> None:
        self.text, self.offset = text, offset
        self.lines = Lines(text)
        self.row = self.lines.row(offset)
        self.line = self.lines.parsed(self.row)
        self.column = offset - self.line.start
        self.stack: list[_Open] = []

    def context(self) -> Context | None:
        if (found := self._read_above()) is not None:
            return found
        if self.line.comment is not None and self.column > self.line.comment:
            return None
        return self._here()

    # --- above the cursor ---------------------------------------------------------------------------------------

    def _read_above(self) -> Context | None:
        """Open what the lines above open; the context at once where the cursor is in a text or a bracket of theirs."""
        skip_deeper_than: int | None = None
        for row in self._relevant_rows():
            line = self.lines.parsed(row)
            if skip_deeper_than is not None and line.first > skip_deeper_than:
                continue
            skip_deeper_than = None
            self._open(line)
            if line.block_scalar:
                skip_deeper_than = self.stack[-1].column if self.stack else 0
                if self._text_reaches(row, skip_deeper_than):
                    return self._block_scalar(row)
            elif line.unclosed and self.stack:
                begin = line.start + line.value_start
                found = _in_flow(self.text, begin, self.offset, self.stack[-1].here(), self._frames())
                if found is not None:
                    return found
        return None

    def _relevant_rows(self) -> list[int]:
        """The lines above that the cursor's line lies under, and those beside them, in order."""
        deepest = self.column if self.line.blank else self.line.first
        rows: list[int] = []
        for row in range(self.row - 1, -1, -1):
            indent = self.lines.indent(row)
            if indent is None or indent > deepest:
                continue
            if self.lines.content(row).lstrip().startswith("#"):
                continue
            deepest = indent
            rows.append(row)
        return rows[::-1]

    def _open(self, line: Line) -> None:
        self._close(line.first, dashed=bool(line.dashes))
        for dash in line.dashes:
            top = self.stack[-1] if self.stack else None
            if top is None or top.mapping or top.column != dash:
                self.stack.append(_Open(dash, False, top.here() if top else ()))
            self.stack[-1].index += 1
            self.stack[-1].empty = line.key is None and not line.value
        if line.key is not None:
            top = self.stack[-1] if self.stack else None
            if top is None or not top.mapping or top.column != line.column:
                self.stack.append(_Open(line.column, True, top.here() if top else ()))
            top = self.stack[-1]
            top.key, top.empty = line.key, not line.value
            top.entries[line.key] = _scalar(line)

    def _close(self, column: int, *, dashed: bool) -> None:
        """Close what a line that begins at ``column`` does not continue."""
        while self.stack:
            top = self.stack[-1]
            if top.column < column or (top.column == column and (top.mapping or dashed)):
                return
            self.stack.pop()

    def _text_reaches(self, header: int, column: int) -> bool:
        """Whether the cursor is in the block of text under the line ``header``."""
        for row in range(header + 1, self.row + 1):
            indent = self.lines.indent(row)
            if row == self.row and indent is None:
                return self.column > column
            if indent is not None and indent <= column:
                return False
        return True

    def _block_scalar(self, header: int) -> Context:
        path = self.stack[-1].here() if self.stack else ()
        start, end = self.lines.start(header + 1), max(self.lines.end(self.row), self.offset)
        return Context("value", path, start, end, "|", self._frames())

    # --- the cursor's own line ----------------------------------------------------------------------------------

    def _here(self) -> Context:
        line = self.line
        dashes = tuple(dash for dash in line.dashes if dash < self.column)
        if line.blank or (line.dashes and dashes != line.dashes):
            return self._new_word(dashes)
        self._open(line)
        frames = self._frames()
        if line.key is not None and self.column <= line.key_end:
            start, end = line.start + line.column, line.start + line.key_end
            quoted = self.text[start] in ("'", '"')
            path = self.stack[-1].path
            quote = self.text[start] if quoted else ""
            return Context("key", path, start + quoted, end - quoted, quote, frames, colon=True)
        path = self.stack[-1].here() if line.key is not None or line.dashes else self._deeper(line.column)
        begin = line.start + line.value_start
        if line.flow and self.offset > begin:
            found = _in_flow(self.text, begin, self.offset, path, frames)
            if found is not None:
                return found
        start, end = begin + bool(line.quote), begin + len(line.value) - (line.closed and bool(line.quote))
        if not start <= self.offset <= end:
            return Context("value", path, self.offset, self.offset, "", frames, alone=line.key is None)
        if line.key is not None:
            return Context("value", path, start, end, line.quote, frames)
        role: Role = "value" if line.dashes else "key"
        return Context(role, path, start, end, line.quote, frames, alone=True)

    def _new_word(self, dashes: tuple[int, ...]) -> Context:
        """Nothing is written yet, or only dashes."""
        at = self.line.start
        bare = Line(at, "", dashes, self.column, None, self.column, "", self.column, None)
        self._open(bare)
        path = self.stack[-1].here() if dashes else self._deeper(self.column)
        role: Role = "value" if dashes else "key"
        return Context(role, path, self.offset, self.offset, "", self._frames(), alone=True)

    def _deeper(self, column: int) -> Path:
        """The path of the mapping that a key at ``column`` would belong to."""
        if not self.stack:
            return ()
        top = self.stack[-1]
        if not top.mapping:
            return top.here()
        return top.here() if column > top.column and top.empty else top.path

    # --- below --------------------------------------------------------------------------------------------------

    def _frames(self) -> tuple[Frame, ...]:
        self._read_below()
        return tuple(Frame(one.path, one.entries) for one in self.stack if one.mapping)

    def _read_below(self) -> None:
        """Add the entries that the mappings have below the cursor; those of the document itself only where it is the
        innermost, since they are many lines away."""
        mappings = [one for one in self.stack if one.mapping]
        inner = any(one.column > 0 for one in mappings)
        for row in range(self.row + 1, self.lines.count):
            indent = self.lines.indent(row)
            if indent is None:
                continue
            mappings = [one for one in mappings if one.column <= indent]
            if not mappings or (inner and mappings[-1].column == 0):
                return
            if all(one.column != indent for one in mappings):
                continue
            line = self.lines.parsed(row)
            if line.dashes:
                mappings = [one for one in mappings if one.column < line.dashes[0]]
            elif line.key is not None:
                mappings[-1].entries.setdefault(line.key, _scalar(line))


def _scalar(line: Line) -> str:
    if line.flow or line.block_scalar:
        return ""
    return line.value[1:-1] if line.quote and line.closed else line.value


def _in_flow(text: str, begin: int, offset: int, path: Path, frames: tuple[Frame, ...]) -> Context | None:
    """The context of ``offset`` in the brackets that open at ``begin``; ``None`` where they are closed before it."""
    found = FlowReader(text, begin, offset).read()
    if found is None:
        return None
    inner = tuple(Frame((*path, *one.path), one.entries) for one in found.mappings)
    start, end, quote = offset, offset, ""
    if found.token is not None:
        start, end, quote = found.token.start, found.token.end, found.token.quote
    return Context(
        found.role,
        (*path, *found.path),
        start,
        end,
        quote,
        (*frames, *inner),
        colon=found.colon,
        flow=True,
    )
