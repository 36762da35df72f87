"""The documents that an editor has open: their texts, the units in which it counts, and their analyses.

An analysis is made in a thread of its own, after a moment without typing; what is out of date when it is ready is kept
for completion but not shown.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from lsprotocol import types

from ..compiler.analysis import analyze
from ..compiler.dialects import DIALECTS
from ..compiler.language import View
from ..compiler.language.lines import Lines

log = logging.getLogger(__name__)
T = TypeVar("T")

PAUSE = 0.15
"""Seconds without a change after which a text is analysed."""
KEPT = 16
"""Analyses that are kept, so that an undo costs nothing."""

_MARKS = re.compile(r"^[ \t]*[\"']?(?:nodes|tasks|steps)[\"']?[ \t]*:", re.MULTILINE)
_NAMES = re.compile(r"(?:^|[._-])workflow\.(?:ya?ml|json)$", re.IGNORECASE)
LANGUAGES = frozenset({"mirror-realm", "realm"})
"""Language ids whose documents are definitions whatever they look like."""


class Units:
    """Between offsets in a text and an editor's positions, which count UTF-16 units unless it agreed to others.

    Offsets do not count a byte order mark, which the compiler drops; positions and raw offsets do.
    """

    def __init__(self, text: str, encoding: str) -> None:
        self.text = text
        self._lines = Lines(text)
        self._encoding = encoding
        self._mark = len(text) - len(_without_mark(text))

    def offset(self, position: types.Position) -> int:
        """The offset of a position; the nearest one where there is no such position."""
        return max(self.raw_offset(position) - self._mark, 0)

    def raw_offset(self, position: types.Position) -> int:
        """The same in the text as the editor sent it."""
        if position.line >= self._lines.count:
            return len(self.text)
        line, start = self._lines.content(position.line), self._lines.start(position.line)
        if line.isascii() or self._encoding == types.PositionEncodingKind.Utf32:
            return start + min(position.character, len(line))
        left = position.character
        for index, character in enumerate(line):
            left -= self._units(character)
            if left < 0:
                return start + index
        return start + len(line)

    def position(self, offset: int) -> types.Position:
        """The position of an offset."""
        offset = max(0, min(offset + self._mark, len(self.text)))
        row = self._lines.row(offset)
        before = self.text[self._lines.start(row) : offset]
        if before.isascii() or self._encoding == types.PositionEncodingKind.Utf32:
            return types.Position(row, len(before))
        return types.Position(row, sum(map(self._units, before)))

    def range(self, start: int, end: int) -> types.Range:
        """The range of a stretch of text."""
        return types.Range(self.position(start), self.position(max(start, end)))

    def _units(self, character: str) -> int:
        if self._encoding == types.PositionEncodingKind.Utf8:
            return len(character.encode("utf-8", "surrogatepass"))
        return 2 if ord(character) > 0xFFFF else 1


@dataclass
class OpenDocument:
    """One document as the editor has it."""

    uri: str
    file: str
    language: str
    version: int
    text: str
    encoding: str
    latest: View | None = None
    """Of the newest text that was analysed."""
    good: View | None = None
    """Of the newest text that could be read."""
    pending: asyncio.Task[None] | None = field(default=None, repr=False)
    was_definition: bool = False
    _units: Units | None = field(default=None, repr=False)

    @property
    def units(self) -> Units:
        """Positions in the present text."""
        if self._units is None or self._units.text is not self.text:
            self._units = Units(self.text, self.encoding)
        return self._units

    @property
    def content(self) -> str:
        """The present text as the compiler reads it."""
        return _without_mark(self.text)

    def change(self, changes: list[types.TextDocumentContentChangeEvent]) -> None:
        """Apply an editor's edits, one after the other."""
        for change in changes:
            if isinstance(change, types.TextDocumentContentChangePartial):
                units = self.units
                start, end = units.raw_offset(change.range.start), units.raw_offset(change.range.end)
                self.text = self.text[:start] + change.text + self.text[max(start, end) :]
            else:
                self.text = change.text

    def is_definition(self) -> bool:
        """Whether this is ours to judge: an editor may send us every YAML and JSON file that is opened."""
        if self.language in LANGUAGES or _NAMES.search(self.file):
            return True
        authored = (
            self.latest.authored if self.latest is not None and self.latest.text == self.content else None
        )
        if authored is not None:
            self.was_definition = any(dialect.recognises(authored.tree) for dialect in DIALECTS)
        elif not self.was_definition:
            self.was_definition = _MARKS.search(self.text) is not None
        return self.was_definition


class Documents:
    """All open documents. ``publish`` is called with each one whose newest text has been analysed."""

    def __init__(self, publish: Callable[[OpenDocument], None]) -> None:
        self._publish = publish
        self._open: dict[str, OpenDocument] = {}
        self._views: OrderedDict[tuple[str, str], View] = OrderedDict()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="analysis")

    def get(self, uri: str) -> OpenDocument | None:
        """The open document, if it is."""
        return self._open.get(uri)

    def ours(self, uri: str) -> OpenDocument | None:
        """The open document, if it is a definition: of others nothing is said."""
        document = self._open.get(uri)
        return document if document is not None and document.is_definition() else None

    def open(self, document: OpenDocument) -> None:
        """Begin with a document."""
        self.close(document.uri)
        self._open[document.uri] = document
        self._schedule(document, 0)

    def change(self, uri: str, version: int, changes: list[types.TextDocumentContentChangeEvent]) -> None:
        """Take an editor's edits."""
        if (document := self._open.get(uri)) is not None:
            document.change(changes)
            document.version = version
            self._schedule(document, PAUSE)

    def close(self, uri: str) -> None:
        """Forget a document."""
        document = self._open.pop(uri, None)
        if document is not None and document.pending is not None:
            document.pending.cancel()

    def saved(self) -> None:
        """A file changed on the disk: definitions that use it as a sub-workflow are looked at again."""
        self._views.clear()
        for document in self._open.values():
            document.latest = None
            self._schedule(document, PAUSE)

    async def newest(self, document: OpenDocument) -> View:
        """The view of the present text, made now if need be."""
        while document.latest is None or document.latest.text != document.content:
            text = document.text
            view = await self._view(document.file, text)
            if text == document.text:
                self._keep(document, view)
        return document.latest

    async def known(self, document: OpenDocument) -> View:
        """A view that is there at once, of the newest text that could be read; the first one is waited for."""
        return document.good or await self.newest(document)

    async def apart(self, work: Callable[[], T]) -> T:
        """The result of ``work``, done in the thread of the analyses: it takes its time, and reads what they share."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def _schedule(self, document: OpenDocument, pause: float) -> None:
        if document.pending is not None:
            document.pending.cancel()
        document.pending = asyncio.ensure_future(_logged(self._analyse, document, pause))

    async def _analyse(self, document: OpenDocument, pause: float) -> None:
        await asyncio.sleep(pause)
        text, version = document.text, document.version
        view = await self._view(document.file, text)
        if self._open.get(document.uri) is document and (document.text, document.version) == (text, version):
            self._keep(document, view)
            self._publish(document)

    def _keep(self, document: OpenDocument, view: View) -> None:
        document.latest = view
        if view.scope is not None or document.good is None:
            document.good = view

    async def _view(self, file: str, text: str) -> View:
        if (view := self._views.get((file, text))) is None:
            loop = asyncio.get_running_loop()
            view = await loop.run_in_executor(self._worker, _make_view, file, text)
        self._views[file, text] = view
        self._views.move_to_end((file, text))
        while len(self._views) > KEPT:
            self._views.popitem(last=False)
        return view


async def _logged(
    work: Callable[[OpenDocument, float], Awaitable[None]], document: OpenDocument, pause: float
) -> None:
    try:
        await work(document, pause)
    except Exception:
        log.exception("%s could not be analysed", document.uri)


def _make_view(file: str, text: str) -> View:
    view = View(analyze(file, text=text))
    _ = view.authored, view.schema  # Made here, in the worker's thread, rather than at the first question.
    return view


def _without_mark(text: str) -> str:
    return text.removeprefix("\ufeff")
