"""YAML to a plain tree with marks, by libyaml's event stream.

PyYAML's C parser yields a million events a second where a pure Python round-trip loader manages some ten
thousand nodes a minute; it resolves nothing by itself here. Scalars are resolved by YAML 1.2's core schema
(``yes`` is a string, ``010`` is ten, ``1:30`` is a string), keys are always strings, aliases share what
they stand for, and the composition keeps its own stack, so that no input can exhaust Python's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from yaml import YAMLError
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

from .document import MapMark, Mark, SeqMark, pack, span_of, unpack
from .source_faults import (
    MAX_ALIASED,
    MAX_DEPTH,
    MAX_VALUES,
    Fault,
    Unreadable,
    duplicate_key,
    number_fault,
    too_deep,
    too_many,
)
from .source_yaml_errors import explain

_SPECIAL = frozenset("~nNtTfF+-.0123456789")
_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_TAGS = {"str", "int", "float", "bool", "null", "map", "seq"}
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_yaml(text: str) -> tuple[Any, Mark, list[Fault]]:
    """The tree, its marks, and the faults that did not stop the reading.

    Raises :class:`Unreadable` for a fault that did.
    """
    if bad := _FORBIDDEN.search(text):
        raise Unreadable(
            Fault(
                "MR102",
                f"the character U+{ord(bad.group()):04X} is not allowed in YAML",
                bad.start(),
                bad.end(),
                'remove it, or write it as an escape such as "\\x07" in double quotes',
            )
        )
    composer = _Composer(text)
    parser = CParser(text)
    try:
        while (event := parser.get_event()) is not None:
            composer.take(event)
    except YAMLError as error:
        raise Unreadable(explain(error, text, composer.open_flow())) from None
    if not composer.documents:
        raise Unreadable(
            Fault("MR106", "the file holds no definition", 0, 0, "start with `name: my-workflow`")
        )
    return composer.tree, composer.marks, composer.faults


def reads_as_text(plain: str) -> bool:
    """Whether a plain scalar is read as the string that it is, and not as a number, a boolean or null.

    >>> [reads_as_text(plain) for plain in ("no", "1:30", "010", "1e3", "~", "True", "")]
    [True, True, False, False, False, False, False]
    """
    if plain and plain[0] not in _SPECIAL:
        return True
    numbers = (_INTEGER, _BASED, _FLOAT, _NOT_FINITE)
    return plain not in _CONSTANTS and not any(number.fullmatch(plain) for number in numbers)


@dataclass(slots=True)
class _Frame:
    """A container being read. A mapping waits for a value while ``key`` is set."""

    value: Any
    mark: MapMark | SeqMark
    before: int
    anchor: str | None
    flow: bool
    key: str | None = None
    key_span: int = 0
    merging: bool = False
    """Whether the key is a ``<<`` without quotes."""
    merges: list[tuple[Any, Mark]] = field(default_factory=list)


class _Composer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tree: Any = None
        self.marks: Mark = 0
        self.faults: list[Fault] = []
        self.documents = 0
        self._stack: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, Mark, int]] = {}
        self._words: dict[str, str] = {}
        """The texts read so far: most stand in a definition many times, and are kept once."""
        self._values = 0
        self._aliased = 0
        self._handlers = {
            ScalarEvent: self._scalar,
            MappingStartEvent: self._open,
            SequenceStartEvent: self._open,
            MappingEndEvent: self._close,
            SequenceEndEvent: self._close,
            AliasEvent: self._alias,
            DocumentStartEvent: self._document,
        }

    def take(self, event: Any) -> None:
        """Build one event into the tree."""
        if handler := self._handlers.get(type(event)):
            handler(event)

    def open_flow(self) -> int | None:
        """Where the outermost bracket that is still open stands."""
        return next((unpack(frame.mark.span)[0] for frame in self._stack if frame.flow), None)

    def _document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            start = event.start_mark.index
            raise Unreadable(
                Fault(
                    "MR105",
                    "a second document begins here",
                    start,
                    start + 3,
                    "keep one definition in a file",
                )
            )

    def _scalar(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        top = self._stack[-1] if self._stack else None
        value = self._words.setdefault(event.value, event.value)
        if top is not None and top.key is None and isinstance(top.mark, MapMark):
            self._key(top, value, pack(start, end), not event.style)
            return
        if event.style in ("|", ">"):
            end = start + len(self.text[start:end].rstrip())
        if event.tag is not None:
            value = self._tagged(event, start, end)
        elif not event.style and (not value or value[0] in _SPECIAL):
            value = self._plain(value, start, end)
        self._add(value, pack(start, end), event.anchor)

    def _key(self, top: _Frame, key: str, span: int, plain: bool) -> None:
        self._count(span)
        top.key, top.key_span, top.merging = key, span, plain and key == "<<"
        assert isinstance(top.mark, MapMark)
        if key in top.mark.keys:
            first = self.text.count("\n", 0, unpack(top.mark.keys[key])[0]) + 1
            self.faults.append(duplicate_key(key, first, *unpack(span)))

    def _open(self, event: Any) -> None:
        start = event.start_mark.index
        self._no_complex_key(start)
        if len(self._stack) >= MAX_DEPTH:
            raise Unreadable(too_deep(start))
        self._check_tag(event.tag, start, start + 1)
        mapping = isinstance(event, MappingStartEvent)
        mark: MapMark | SeqMark = MapMark(pack(start, start)) if mapping else SeqMark(pack(start, start))
        self._stack.append(
            _Frame({} if mapping else [], mark, self._values, event.anchor, bool(event.flow_style))
        )

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        start = unpack(frame.mark.span)[0]
        end = event.end_mark.index
        if not frame.flow:
            # A block ends where the next token begins; what belongs to it ends with its last value.
            marks = frame.mark.children.values() if isinstance(frame.mark, MapMark) else frame.mark.items
            end = max((unpack(span_of(mark))[1] for mark in marks), default=end)
        frame.mark.span = pack(start, end)
        for value, mark in frame.merges:
            self._merge(frame, value, mark)
        self._add(frame.value, frame.mark, None)
        if frame.anchor:
            self._anchors[frame.anchor] = (frame.value, frame.mark, self._values - frame.before)

    def _alias(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        self._no_complex_key(start)
        known = self._anchors.get(event.anchor)
        if known is None:
            inside = any(frame.anchor == event.anchor for frame in self._stack)
            message = (
                f"*{event.anchor} stands inside what it names"
                if inside
                else f"no anchor &{event.anchor} before this alias"
            )
            hint = (
                "write the value out"
                if inside
                else f"define &{event.anchor} above, or put the text in quotes"
            )
            raise Unreadable(Fault("MR101", message, start, end, hint))
        value, mark, weight = known
        self._aliased += weight
        self._values += weight
        if self._aliased > MAX_ALIASED:
            raise Unreadable(too_many(start, aliases=True))
        self._add(value, mark if not isinstance(mark, int) else pack(start, end), None)

    def _add(self, value: Any, mark: Mark, anchor: str | None) -> None:
        self._count(span_of(mark))
        if anchor:
            self._anchors[anchor] = (value, mark, 1)
        if not self._stack:
            self.tree, self.marks = value, mark
            return
        top = self._stack[-1]
        if isinstance(top.mark, SeqMark):
            top.value.append(value)
            top.mark.items.append(mark)
            return
        key, top.key = top.key, None
        assert key is not None
        if top.merging:
            top.merges.append((value, mark))
            return
        top.value[key] = value
        top.mark.keys[key] = top.key_span
        top.mark.children[key] = mark

    def _merge(self, frame: _Frame, value: Any, mark: Mark) -> None:
        assert isinstance(frame.mark, MapMark)
        pairs = list(zip(value, mark.items, strict=True)) if isinstance(mark, SeqMark) else [(value, mark)]
        for source, source_mark in pairs:
            if not isinstance(source_mark, MapMark):
                start, end = unpack(span_of(source_mark))
                hint = "write `<<: *name`, where &name marks a mapping"
                self.faults.append(Fault("MR107", "only a mapping can be merged with <<", start, end, hint))
                continue
            for key, merged in source.items():
                if key not in frame.value:
                    frame.value[key] = merged
                    frame.mark.keys[key] = source_mark.keys[key]
                    frame.mark.children[key] = source_mark.children[key]

    def _count(self, span: int) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise Unreadable(too_many(unpack(span)[0]))

    def _no_complex_key(self, start: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is None or top.key is not None or not isinstance(top.mark, MapMark):
            return
        begin = unpack(top.mark.span)[0]
        if self.text.startswith("{{", begin):
            line = self.text[begin : begin + 200].splitlines()[0]
            shown = line[: line.find("}}") + 2] if "}}" in line else line
            raise Unreadable(
                Fault(
                    "MR101",
                    "an expression in {{ }} must be in quotes, or YAML takes it for a mapping",
                    begin,
                    begin + len(shown),
                    f'write "{shown}"' if '"' not in shown else f"write '{shown}'",
                )
            )
        raise Unreadable(
            Fault("MR107", "a key must be a plain name", start, start + 1, "write `name: value`")
        )

    def _plain(self, text: str, start: int, end: int) -> Any:
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INTEGER.fullmatch(text):
            if fault := number_fault(text, start, end):
                self.faults.append(fault)
                return 0
            return int(text)
        if _BASED.fullmatch(text):
            return int(text, 0) if len(text) < 20 else text
        if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
            if fault := number_fault(
                text.replace(".", "", 1) if _NOT_FINITE.fullmatch(text) else text, start, end
            ):
                self.faults.append(fault)
                return 0.0
            return float(text)
        return text

    def _tagged(self, event: Any, start: int, end: int) -> Any:
        tag = self._check_tag(event.tag, start, end)
        if tag in ("str", None):
            return event.value
        value = self._plain(event.value, start, end)
        if tag == "float" and type(value) is int:
            value = float(value)
        kinds = {"int": int, "float": float, "bool": bool, "null": type(None)}
        if type(value) is not kinds.get(tag):
            hint = "remove the tag, or mend the value"
            self.faults.append(Fault("MR112", f"{event.value!r} is not a {tag}", start, end, hint))
        return value

    def _check_tag(self, tag: str | None, start: int, end: int) -> str | None:
        if tag is None or tag == "!":
            return "str" if tag else None
        short = tag.removeprefix("tag:yaml.org,2002:")
        if short == tag or short not in _TAGS:
            shown = f"!!{short}" if short != tag else tag
            self.faults.append(
                Fault(
                    "MR107", f"the tag {shown} has no meaning in a definition", start, end, "remove the tag"
                )
            )
            return None
        return short
