"""A definition as the layout of its canonical form, with the comments of the text it came from.

Each canonical value knows, by its mark, where its author wrote it; the comments that stood there come with it, through
whatever the dialect made of it. A comment whose value has no place in the canonical form goes to what became of the
value's content, else to the end of what was around it.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ...core.durations import format_duration, parse_duration
from ..document import MapMark, Mark, SeqMark, span_of, unpack
from ..model import Definition, Duration, EdgeDefinition, NodeDefinition, Part, PositiveDuration
from .scalars import block_lines, reads_well_as_block
from .tree import Collection, Comment, Entry, Layout, Scalar, add_after, comments_of

_BLOCKS = (Definition, NodeDefinition, Part)
"""What is never put on one line."""
_DURATIONS = frozenset(id(get_args(kind)[1]) for kind in (Duration, PositiveDuration))


def canonical_layout(definition: Definition, marks: Mark, source: Layout | None) -> Layout:
    """The canonical form of ``definition``, whose values have ``marks``, with the comments of ``source``."""
    drawing = _Drawing(source)
    root = drawing.entry(definition, marks, None, source.root if source is not None else None)
    if source is not None:
        drawing.rescue(source.root)
        root.before[:0] = source.head
    layout = Layout(root, tail=list(source.tail) if source else [])
    for comment in layout.comments():
        comment.column = None
    _part_sections(root)
    return layout


class _Drawing:
    def __init__(self, source: Layout | None) -> None:
        entries = list(source.root.walk())[1:] if source is not None else []
        self._by_key = {entry.start: entry for entry in entries if entry.key is not None}
        self._by_value = {entry.value_start: entry for entry in reversed(entries)}
        self._became: dict[int, Entry] = {}
        """What each entry of the source became, by identity."""

    def entry(self, value: Any, mark: Mark | None, key: str | None, was: Entry | None = None) -> Entry:
        """The entry of a value, with what is inside it, at the comments of the entry that it ``was``."""
        entry = Entry(Scalar(""), None if key is None else Scalar(key))
        if was is not None and id(was) not in self._became:
            self._move(was, entry)
        entry.value = self._value(value, mark)
        if isinstance(entry.value, Collection):
            entry.value.owner = entry
        if was is not None and self._became.get(id(was)) is entry:
            for comment in was.value.after:
                _add_below(entry, comment)
        return entry

    def _move(self, was: Entry, entry: Entry) -> None:
        """Take over the comments at an entry of the source; those behind its content follow the content."""
        self._became[id(was)] = entry
        entry.before, entry.beside, entry.blank = list(was.before), was.beside, was.blank

    def rescue(self, root: Entry) -> None:
        """Give the comments of what has no place of its own to what is nearest."""
        for was in root.walk():
            if id(was) in self._became or not (lost := comments_of(was)):
                continue
            content = next((self._became[id(e)] for e in was.walk() if id(e) in self._became), None)
            if content is not None:
                content.before[:0] = lost
                continue
            around = was.parent.owner if was.parent is not None else None
            while around is not None and id(around) not in self._became:
                around = around.parent.owner if around.parent is not None else None
            for comment in lost:
                _add_below(self._became[id(around if around is not None else root)], comment)

    def _value(self, value: Any, mark: Mark | None) -> Scalar | Collection:
        if isinstance(value, BaseModel):
            found, defaults = Collection(mapping=True), _defaults(type(value))
            for name, field in type(value).model_fields.items():
                item = getattr(value, name)
                if name not in defaults or item != defaults[name]:
                    found.entries.append(self._pair(name, _number(item, field), mark))
            found.flow = not isinstance(value, _BLOCKS) and _is_small(
                found, isinstance(value, EdgeDefinition)
            )
        elif isinstance(value, dict):
            found = Collection(mapping=True, entries=[self._pair(k, v, mark) for k, v in value.items()])
            found.flow = _is_small(found)
        elif isinstance(value, list):
            # One value may stand for a list of it, and a dialect may make a list that nobody wrote.
            marks = mark.items if isinstance(mark, SeqMark) else [mark]
            marks = [*marks, *[None] * len(value)][: len(value)]
            found = Collection(mapping=False, entries=list(map(self._item, value, marks)))
            found.flow = _is_small(found)
        else:
            return _scalar(value)
        for entry in found.entries:
            entry.parent = found
        return found

    def _pair(self, key: str, value: Any, mark: Mark | None) -> Entry:
        inner, was = None, None
        if isinstance(mark, MapMark) and key in mark.children:
            inner = mark.children[key]
            was = self._by_key.get(unpack(mark.keys[key])[0]) if key in mark.keys else None
        return self.entry(value, inner, key, was)

    def _item(self, value: Any, mark: Mark | None) -> Entry:
        was = self._by_value.get(unpack(span_of(mark))[0]) if mark is not None else None
        return self.entry(value, mark, None, was)


@cache
def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    fields = model.model_fields.items()
    return {name: f.get_default(call_default_factory=True) for name, f in fields if not f.is_required()}


def _add_below(entry: Entry, comment: Comment) -> None:
    if isinstance(entry.value, Collection):
        add_after(entry, comment)
    else:
        entry.before.append(comment)


def _scalar(value: Any) -> Scalar:
    if isinstance(value, Enum):
        value = value.value
    if not isinstance(value, str):
        words = {None: "null", True: "true", False: "false"}
        named = value is None or isinstance(value, bool)
        return Scalar(words[value] if named else repr(value), verbatim=True)
    if reads_well_as_block(value) and (found := block_lines(value)) is not None:
        return Scalar(value, block=found[0], lines=found[1])
    return Scalar(value)


def _number(value: Any, field: FieldInfo) -> Any:
    """A duration with its unit; another number that the model has as a float without a needless ``.0``."""
    if not isinstance(value, float):
        return _whole(value) if isinstance(value, dict) and _holds_floats(field) else value
    if _is_duration(field):
        text = format_duration(value)
        return text if parse_duration(text) == value else _whole(value)
    return _whole(value)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _holds_floats(field: FieldInfo) -> bool:
    return dict[str, float] in (field.annotation, *get_args(field.annotation))


def _is_duration(field: FieldInfo) -> bool:
    inner = [kind for kind in get_args(field.annotation) if get_origin(kind) is Annotated]
    return any(id(m) in _DURATIONS for m in (*field.metadata, *(m for k in inner for m in k.__metadata__)))


def _is_small(collection: Collection, edge: bool = False) -> bool:
    """Whether it may stand on one line: scalars only, and in an edge also small mappings of them."""
    values = [entry.value for entry in collection.entries]
    return all(
        (not value.block) if isinstance(value, Scalar) else not value.entries or (edge and value.flow)
        for value in values
    )


def _part_sections(root: Entry) -> None:
    """An empty line around each top-level key that takes several lines."""
    assert isinstance(root.value, Collection)
    broad = False
    for index, entry in enumerate(root.value.entries):
        before, broad = broad, isinstance(entry.value, Collection) and not entry.value.flow
        if index and (before or broad):
            if entry.before:
                entry.before[0].blank = True
            else:
                entry.blank = True
