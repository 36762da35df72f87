"""A YAML text to its layout: every entry with its place, its spelling and its comments.

Built from the same event stream as the reader's tree, so that the two cannot disagree about where a value stands.
The text must be one that the reader takes.
"""

from __future__ import annotations

import re
from typing import Any

from yaml._yaml import CParser  # type: ignore[import-not-found]
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from ..source_faults import Unreadable
from ..source_yaml import read_yaml, reads_as_text
from .comments import Found, Lines, attach
from .scalars import block_lines, indicator, is_plain, read_otherwise_elsewhere
from .tree import Collection, Entry, Layout, Scalar

_PROPERTIES = re.compile(r"(?:[&!]\S*(?:\s|#[^\n]*\n)*)*")
_GAP = re.compile(r"#[^\r\n\x85\u2028\u2029]*|(?<!\S)-(?!\S)")
"""What matters between two tokens: comments, and the dashes of a sequence."""
_CORE = "tag:yaml.org,2002:"
_BREAK = re.compile(r"\r\n|[\r\n]")
_ODD_BREAK = re.compile("[\x85\u2028\u2029]")


def parse_yaml(text: str) -> Layout:
    """The layout of a readable YAML text, its comments attached."""
    builder = _Builder(text)
    parser = CParser(text)
    while (event := parser.get_event()) is not None:
        builder.take(event)
    return builder.finish()


class _Builder:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = Lines(text)
        self.comments: list[Found] = []
        self.root: Entry | None = None
        self.explicit_at = -1
        self.directive = ""
        self._at = 0
        """Everything before this is either in the tree or among the comments."""
        self._stack: list[Collection] = []
        self._key: Entry | None = None
        self._dashless: list[Entry] = []
        """Items of block sequences whose dash lies in the gap that comes next."""

    def take(self, event: Any) -> None:
        """Build one event into the layout."""
        match event:
            case DocumentStartEvent():
                self._document(event)
            case ScalarEvent():
                self._scalar(event)
            case AliasEvent():
                self._gap(event.start_mark.index)
                self._at = event.end_mark.index
                self._add(Scalar("*" + event.anchor, verbatim=True), event.start_mark.index)
            case MappingStartEvent() | SequenceStartEvent():
                self._open(event)
            case MappingEndEvent() | SequenceEndEvent():
                self._close(event)

    def finish(self) -> Layout:
        """The whole layout."""
        self._gap(len(self.text))
        assert self.root is not None
        layout = Layout(self.root, explicit=self.explicit_at >= 0, directive=self.directive)
        attach(layout, self.comments, self.lines, self.explicit_at)
        return layout

    def _document(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        if event.explicit:
            self._gap(end)
            self._at, self.explicit_at = end, max(end - 3, start)
        if event.version:
            self.directive = "%YAML {}.{}".format(*event.version)

    def _scalar(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        content = self._content(event, start, end)
        self._gap(content)
        self._at = end
        if event.style in ("|", ">"):
            self._block_header(content, end)
        top = self._stack[-1] if self._stack else None
        if top is not None and top.mapping and self._key is None:
            key = Scalar(event.value, properties=_properties(event))
            if event.style:
                key.quoted = not reads_as_text(event.value)
            elif event.value and "\n" not in self.text[content:end]:
                key.verbatim = event.value == "<<" or not reads_as_text(event.value)
            self._key = Entry(Scalar(""), key, parent=top, start=start)
            return
        self._add(self._spelling(event, content, end), start)

    def _spelling(self, event: Any, content: int, end: int) -> Scalar:
        """The value as the author spelled it, as far as that is worth keeping."""
        value, properties = event.value, _properties(event)
        raw = self.text[content:end]
        if event.style in ("|", ">"):
            return _block(value, raw, event.style, properties)
        lines = tuple(line.strip(" \t") for line in _BREAK.split(raw)) if _BREAK.search(raw) else ()
        quoted = bool(event.style) and (event.tag is not None or read_otherwise_elsewhere(value))
        if len(lines) > 1 and not _ODD_BREAK.search(raw) and _reads_as(lines, value):
            return Scalar(value, lines=lines, properties=properties, quoted=quoted)
        if event.style:
            return Scalar(value, quoted=quoted, properties=properties)
        verbatim = not reads_as_text(value) or (event.tag is not None and is_plain(value, flow=True))
        return Scalar(value, verbatim=verbatim, properties=properties)

    def _open(self, event: Any) -> None:
        start, flow = event.start_mark.index, bool(event.flow_style)
        collection = Collection(isinstance(event, MappingStartEvent), flow, properties=_properties(event))
        if flow:
            bracket = event.end_mark.index - 1
            self._gap(bracket)
            collection.start = self._at = bracket
        self._add(collection, start)
        self._stack.append(collection)

    def _close(self, event: Any) -> None:
        collection = self._stack.pop()
        if collection.flow:
            self._gap(event.start_mark.index)
            collection.end = self._at = event.end_mark.index

    def _add(self, value: Scalar | Collection, start: int) -> None:
        parent = self._stack[-1] if self._stack else None
        if self._key is not None:
            entry, self._key = self._key, None
            entry.value = value
        else:
            entry = Entry(value, parent=parent, start=start)
            if parent is not None and not parent.flow:
                if isinstance(value, Collection) and not value.flow:
                    self._dashless.append(entry)  # the gap before its content is still to come
                else:
                    self._claim([entry])
        entry.value_start = start
        if isinstance(value, Collection):
            value.owner = entry
        if parent is None:
            self.root = entry
        else:
            parent.entries.append(entry)

    def _gap(self, end: int) -> None:
        """Collect the comments and dashes up to ``end``, where the next token begins."""
        dashes: list[int] = []
        gap = self.text[self._at : end]
        if "#" in gap or "-" in gap:
            for match in _GAP.finditer(self.text, self._at, end):
                if match.group() == "-":
                    dashes.append(match.start())
                else:
                    self._comment(match.start(), match.group())
        self._at = end
        self._dashes = dashes
        waiting, self._dashless = self._dashless, []
        self._claim(waiting)

    def _claim(self, entries: list[Entry]) -> None:
        """Give each entry the next dash of the last gap."""
        for entry in entries:
            if self._dashes:
                entry.start = self._dashes.pop(0)

    def _content(self, event: Any, start: int, end: int) -> int:
        """Where a scalar begins behind its anchor and tag."""
        if event.anchor is None and event.tag is None:
            return start
        match = _PROPERTIES.match(self.text, start, end)
        return match.end() if match else start

    def _block_header(self, start: int, end: int) -> None:
        header = _BREAK.split(self.text[start:end], maxsplit=1)[0]
        if (at := header.find("#")) > 0:
            self._comment(start + at, header[at:])

    def _comment(self, at: int, text: str) -> None:
        self.comments.append(Found(at, text.rstrip()))


def _properties(event: Any) -> str:
    words = [f"&{event.anchor}"] if event.anchor else []
    tag = event.tag
    if tag is not None:
        short = tag.removeprefix(_CORE)
        words.append(f"!!{short}" if short != tag else tag if tag == "!" else f"!<{tag}>")
    return " ".join(words)


def _block(value: str, raw: str, style: str, properties: str) -> Scalar:
    """A block scalar in its own style, without its indentation."""
    if style == "|":
        if (found := block_lines(value)) is None:
            return Scalar(value, properties=properties, quoted=True)
        return Scalar(value, block=found[0], lines=found[1], properties=properties)
    header, *body = _BREAK.split(raw)
    chomp = next((sign for sign in header.partition("#")[0] if sign in "-+"), "")
    margin = _margin(body, value)
    lines = [line[margin:] for line in body]
    while lines and not lines[-1].strip(" "):
        lines.pop()
    if chomp == "+":
        lines += [""] * (len(value) - len(value.rstrip("\n")) - 1)
    head = f">{indicator(tuple(lines))}{chomp}"
    text = "".join(f"\n  {line}" if line else "\n" for line in lines)
    if _ODD_BREAK.search(raw) or not _reads(f"k: {head}{text}\n", value):
        return Scalar(value, properties=properties, quoted=True)
    return Scalar(value, block=head, lines=tuple(lines), properties=properties)


def _margin(body: list[str], value: str) -> int:
    """The indentation of a block scalar: what its first line with text has more than the value's."""
    written = next((line for line in body if line.strip(" ")), "")
    meant = next((line for line in value.split("\n") if line.strip(" ")), "")
    return (len(written) - len(written.lstrip(" "))) - (len(meant) - len(meant.lstrip(" ")))


def _reads_as(lines: tuple[str, ...], value: str) -> bool:
    return _reads("k: " + "\n".join(f"  {line}" if line else "" for line in lines).lstrip(" ") + "\n", value)


def _reads(text: str, value: str) -> bool:
    """Whether ``text`` is a mapping whose one value is ``value``."""
    try:
        tree, _, faults = read_yaml(text)
    except Unreadable:
        return False
    return not faults and tree == {"k": value}
