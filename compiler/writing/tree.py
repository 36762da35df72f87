"""A definition as it is laid out: mappings, sequences and scalars, with the comments and blank lines between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Comment:
    """A comment with its ``#``. ``column`` (0-based) is where one beside a value should stand if there is room."""

    text: str
    column: int | None = None
    blank: bool = False
    """Whether an empty line stands above it."""


@dataclass(slots=True)
class Scalar:
    """A scalar. ``text`` is the string itself, or the spelling of what is ``verbatim`` (a number, an alias, …).

    ``lines`` are the author's lines where it has several; ``block`` is then the header of a block scalar (``|-``), or
    ``""`` for lines of plain or quoted text. ``properties`` are its anchor and tag as written.
    """

    text: str
    verbatim: bool = False
    quoted: bool = False
    lines: tuple[str, ...] = ()
    block: str = ""
    properties: str = ""
    after: list[Comment] = field(default_factory=list)
    """Comments below a value that is left empty, deeper than its key."""


@dataclass(slots=True)
class Collection:
    """A mapping or a sequence. ``flow`` asks for one line, which it gets if it fits and holds no comment."""

    mapping: bool
    flow: bool = False
    entries: list[Entry] = field(default_factory=list)
    properties: str = ""
    after: list[Comment] = field(default_factory=list)
    """Comments behind the last entry."""
    owner: Entry | None = field(default=None, repr=False)
    start: int = -1
    end: int = -1
    """The stretch of a flow collection in its text, brackets included."""


@dataclass(slots=True)
class Entry:
    """A pair of a mapping, an item of a sequence, or the whole document.

    ``start`` is where it begins in its text (its key, its dash, else its value), ``value_start`` where its value does.
    """

    value: Scalar | Collection
    key: Scalar | None = None
    before: list[Comment] = field(default_factory=list)
    beside: Comment | None = None
    blank: bool = False
    parent: Collection | None = field(default=None, repr=False)
    start: int = -1
    value_start: int = -1

    def walk(self) -> Iterator[Entry]:
        """This entry and all inside it, in the order of the text."""
        yield self
        if isinstance(self.value, Collection):
            for entry in self.value.entries:
                yield from entry.walk()


@dataclass(slots=True)
class Layout:
    """A whole file: ``head`` above a ``---`` (written if ``explicit``), the document, ``tail`` below it."""

    root: Entry
    head: list[Comment] = field(default_factory=list)
    tail: list[Comment] = field(default_factory=list)
    explicit: bool = False
    directive: str = ""

    def comments(self) -> Iterator[Comment]:
        """Every comment, in no order that means anything."""
        yield from self.head
        for entry in self.root.walk():
            yield from comments_of(entry)
        yield from self.tail


def comments_of(entry: Entry) -> list[Comment]:
    """The comments of an entry and behind its value; not those of the entries inside it."""
    return [*entry.before, *([entry.beside] if entry.beside else ()), *entry.value.after]


def add_beside(entry: Entry, comment: Comment) -> None:
    """Put a comment on the entry's first line; one that stands there moves above it."""
    if entry.beside is not None:
        entry.before.append(entry.beside)
    entry.beside = comment


def add_after(entry: Entry, comment: Comment) -> None:
    """Put a comment behind what the entry holds; an empty list or mapping takes it beside it."""
    if isinstance(entry.value, Collection) and not entry.value.entries:
        add_beside(entry, comment)
    else:
        entry.value.after.append(comment)
