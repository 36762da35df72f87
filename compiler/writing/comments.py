"""Which entry of a layout each comment belongs to.

A comment behind a value belongs to the entry that it stands beside. One on a line of its own belongs to the entry below
it; indented deeper than that, to the end of what it is indented as. The order of comments never changes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from .tree import Collection, Comment, Entry, Layout, Scalar, add_after, add_beside, comments_of

_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_BLANKS = " \t\r\n\x85\u2028\u2029"


@dataclass(frozen=True, slots=True)
class Found:
    """A comment and the place of its ``#`` in the text."""

    at: int
    text: str


class Lines:
    """The lines of a text as YAML breaks them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(match.end() for match in _BREAK.finditer(text))]

    def column(self, at: int) -> int:
        """0-based, in characters."""
        return at - self._starts[bisect_right(self._starts, at) - 1]

    def begins(self, at: int) -> bool:
        """Whether only blanks stand before this place on its line."""
        return not self._text[at - self.column(at) : at].strip(" \t")

    def blank_above(self, at: int) -> bool:
        """Whether this place begins its line and the line above is empty."""
        line = bisect_right(self._starts, at) - 1
        above = self._text[self._starts[line - 1] : self._starts[line]] if line else "x"
        return not above.strip(_BLANKS) and self.begins(at)


def attach(layout: Layout, comments: list[Found], lines: Lines, explicit_at: int) -> None:
    """Put every comment into the layout, and mark what has an empty line above it."""
    order = list(layout.root.walk())
    for entry in order:
        entry.blank = lines.blank_above(entry.start)
    placing = _Placing(layout, lines, order, [entry.start for entry in order])
    for found in comments:
        comment = Comment(found.text, blank=lines.blank_above(found.at))
        if found.at < explicit_at:
            layout.head.append(comment)
        else:
            placing.place(comment, found.at)


@dataclass
class _Placing:
    layout: Layout
    lines: Lines
    order: list[Entry]
    starts: list[int]
    gap: int = -1
    """Between which entries the last comment stood, as an index into ``order``."""
    ended: list[tuple[Entry, int]] = field(default_factory=list)
    """What ended in that gap, from the inside, each with the column of its content."""

    def place(self, comment: Comment, at: int) -> None:
        """Put one comment where it belongs; comments come in the order of the text."""
        index = bisect_right(self.starts, at)
        last = self.order[index - 1] if index else None
        following = self.order[index] if index < len(self.order) else None
        if not self.lines.begins(at):
            comment.column = self.lines.column(at)
            self._beside(comment, at, last)
        elif last is not None and at < last.value_start and not _is_block(last.value):
            last.before += [last.beside, comment] if last.beside else [comment]
            last.beside = None
        elif (flow := _flow_around(last, at)) is not None:
            if following is not None and following.start < flow.end:
                following.before.append(comment)
            else:
                assert flow.owner is not None
                add_after(flow.owner, comment)
        else:
            self._on_its_own(comment, self.lines.column(at), index, last, following)

    def _beside(self, comment: Comment, at: int, entry: Entry | None) -> None:
        if entry is None:  # behind `---`
            self.layout.root.before.append(comment)
            return
        while entry.parent is not None and entry.parent.flow and entry.parent.end <= at:
            assert entry.parent.owner is not None
            entry = entry.parent.owner
        value = entry.value
        ended = isinstance(value, Collection) and value.flow and value.entries and value.end <= at
        if ended and (entry.beside is not None or any(map(comments_of, list(entry.walk())[1:]))):
            value.after.append(comment)
        else:
            add_beside(entry, comment)

    def _on_its_own(
        self, comment: Comment, column: int, index: int, last: Entry | None, following: Entry | None
    ) -> None:
        if index != self.gap:
            self.gap, self.ended = index, list(self._ended_between(last, following))
        below = self.lines.column(following.start) if following is not None else -1
        # Comments go outward only, so that they stay in their order.
        while self.ended and (column <= below or self.ended[0][1] > column):
            self.ended.pop(0)
        if self.ended:
            add_after(self.ended[0][0], comment)
        elif following is not None:
            following.before.append(comment)
        else:
            self.layout.tail.append(comment)

    def _ended_between(self, last: Entry | None, following: Entry | None) -> Iterator[tuple[Entry, int]]:
        if last is None:
            return
        if isinstance(last.value, Scalar) and last.value.verbatim and not last.value.text and _in_block(last):
            yield last, self.lines.column(last.start) + 1
        around = set(map(id, _around(following))) if following is not None else set()
        for collection in _around(last):
            if id(collection) in around:
                return
            if not collection.flow and collection.owner is not None:
                yield collection.owner, self._level(collection)

    def _level(self, collection: Collection) -> int:
        """The column of a block's content; a dash may stand under its key, yet is inside it."""
        column = self.lines.column(collection.entries[0].start)
        owner = collection.owner
        if not collection.mapping and owner is not None and owner.key is not None:
            return max(column, self.lines.column(owner.start) + 1)
        return column


def _in_block(entry: Entry) -> bool:
    return entry.parent is not None and not entry.parent.flow


def _is_block(value: Scalar | Collection) -> bool:
    return isinstance(value, Collection) and not value.flow


def _around(entry: Entry | None) -> Iterator[Collection]:
    """The collections around an entry, from the inside."""
    while entry is not None and (collection := entry.parent) is not None:
        yield collection
        entry = collection.owner


def _flow_around(last: Entry | None, at: int) -> Collection | None:
    """The innermost brackets that are open at this place."""
    if last is None:
        return None
    own = [last.value] if isinstance(last.value, Collection) else []
    return next((c for c in (*own, *_around(last)) if c.flow and c.start < at < c.end), None)
