"""A layout as YAML: block style two by two, flow style for what fits on a line, comments in their places."""

from __future__ import annotations

from .scalars import spell
from .tree import Collection, Comment, Entry, Layout, Scalar, comments_of

WIDTH = 110
"""Characters up to which a flow mapping or sequence stays on one line."""
_STEP = 2
_LONGEST_KEY = 900
"""libyaml takes no key beyond 1024 characters without a question mark."""


def write_yaml(layout: Layout) -> str:
    """The text, with one line break at its end."""
    writer = _Writer()
    writer.layout(layout)
    return "\n".join(writer.lines) + "\n"


class _Writer:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def layout(self, layout: Layout) -> None:
        """A whole file."""
        self._comments(layout.head, 0)
        self.lines += [layout.directive] if layout.directive else []
        self.lines += ["---"] if layout.explicit or layout.directive else []
        root = layout.root
        self._comments(root.before, 0)
        if root.blank and root.before:
            self._blank()
        self._value(root, root.value, "", 0)
        self._comments(layout.tail, 0)

    def _block(self, collection: Collection, indent: int) -> None:
        for index, entry in enumerate(collection.entries):
            self._entry(entry, indent, first=index == 0)
        self._comments(collection.after, indent)

    def _entry(self, entry: Entry, indent: int, *, first: bool) -> None:
        self._comments(entry.before, indent, first=first)
        if entry.blank and (entry.before or not first):
            self._blank()
        pad = " " * indent
        if entry.key is None:
            head = f"{pad}-"
        else:
            key = _line(entry.key)
            if len(key) > _LONGEST_KEY:
                self.lines.append(f"{pad}? {key}")
                head = f"{pad}:"
            else:
                head = f"{pad}{key}:"
        self._value(entry, entry.value, head, indent + _STEP)

    def _value(self, entry: Entry, value: Scalar | Collection, head: str, indent: int) -> None:
        """A value behind its key or dash; ``indent`` is that of what it holds."""
        if isinstance(value, Scalar):
            self._scalar(entry, value, head, indent)
        elif (line := one_line(value, WIDTH - len(head))) is not None:
            self._line(entry, _behind(head, line))
        elif head.endswith("-") and _stands_behind_dash(entry, value):
            at = len(self.lines)
            self._block(value, indent)
            self.lines[at] = head + self.lines[at][len(head) :]
        else:
            if head or value.properties or entry.beside:
                self._line(entry, _behind(head, value.properties))
            self._block(value, indent)

    def _scalar(self, entry: Entry, value: Scalar, head: str, indent: int) -> None:
        pad = " " * indent
        if value.block:
            self._line(entry, _behind(head, value.properties, value.block))
            self.lines += [pad + line if line else "" for line in value.lines]
        elif len(value.lines) > 1:
            first, *rest = value.lines
            self.lines.append(_behind(head, value.properties, first))
            self.lines += [pad + line if line else "" for line in rest]
            self._line(entry, self.lines.pop())
        else:
            self._line(entry, _behind(head, _line(value)))
        self._comments(value.after, indent)

    def _line(self, entry: Entry, text: str) -> None:
        """A line with the comment beside it, in the comment's own column where there is room."""
        if (comment := entry.beside) is not None:
            column = len(text) + 2 if comment.column is None else max(comment.column, len(text) + 1)
            text = text.ljust(column) if text else ""
            text += comment.text
        self.lines.append(text)

    def _comments(self, comments: list[Comment], indent: int, *, first: bool = False) -> None:
        for index, comment in enumerate(comments):
            if comment.blank and not (first and index == 0):
                self._blank()
            self.lines.append(" " * indent + comment.text)

    def _blank(self) -> None:
        # A block scalar that keeps its line breaks ends with empty lines; another would become part of it.
        if self.lines and self.lines[-1]:
            self.lines.append("")


def one_line(value: Scalar | Collection, room: int, *, nested: bool = False) -> str | None:
    """A value in flow style; ``None`` where it has to be a block: it holds comments or lines, or is too wide."""
    if isinstance(value, Scalar):
        return None if value.block else _line(value, flow=nested)
    if value.after or (value.entries and not (value.flow or nested)):
        return None
    parts: list[str] = []
    for entry in value.entries:
        part = one_line(entry.value, room, nested=True)
        if part is None or comments_of(entry):
            return None
        parts.append(part if entry.key is None else f"{_line(entry.key, flow=True)}: {part}")
    text = _behind(value.properties, ("{%s}" if value.mapping else "[%s]") % ", ".join(parts))
    return text if not value.entries or len(text) < room else None


def _line(value: Scalar, *, flow: bool = False) -> str:
    text = value.text if value.verbatim else spell(value.text, flow=flow, quoted=value.quoted)
    return _behind(value.properties, text or ("null" if flow else ""))


def _behind(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _stands_behind_dash(entry: Entry, value: Collection) -> bool:
    """Whether an item's own first line can begin behind its dash."""
    return not (entry.beside or value.properties or value.entries[0].before)
