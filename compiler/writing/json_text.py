"""JSON, laid out: two by two; what its author wrote on one line stays on it while it fits."""

from __future__ import annotations

import json
from typing import Any

from ..document import MapMark, Mark, unpack
from .tree import Collection, Entry, Layout, Scalar
from .yaml_text import WIDTH

_STEP = 2


def parse_json(text: str, tree: Any, marks: Mark) -> Layout:
    """The layout of a readable JSON text; numbers keep their spelling."""
    return Layout(_entry(text, tree, marks, None))


def write_json(layout: Layout) -> str:
    """The text, with one line break at its end."""
    return _value(layout.root.value, 0, 0) + "\n"


def _entry(text: str, value: Any, mark: Mark, key: str | None) -> Entry:
    return Entry(_layout(text, value, mark), None if key is None else Scalar(key))


def _layout(text: str, value: Any, mark: Mark) -> Scalar | Collection:
    if isinstance(mark, int):
        start, end = unpack(mark)
        return Scalar(value) if isinstance(value, str) else Scalar(text[start:end], verbatim=True)
    start, end = unpack(mark.span)
    found = Collection(isinstance(mark, MapMark), flow="\n" not in text[start:end])
    if isinstance(mark, MapMark):
        found.entries = [_entry(text, item, mark.children[key], key) for key, item in value.items()]
    else:
        found.entries = [_entry(text, item, m, None) for item, m in zip(value, mark.items, strict=True)]
    return found


def _value(value: Scalar | Collection, indent: int, used: int) -> str:
    """A value on a line that is indented by ``indent`` and holds ``used`` characters before it."""
    if isinstance(value, Scalar):
        return _scalar(value)
    if value.flow or not value.entries:
        line = _line(value)
        if not value.entries or used + len(line) < WIDTH:
            return line
    inner = indent + _STEP
    pad = "\n" + " " * inner
    parts = [_head(e) + _value(e.value, inner, inner + len(_head(e))) for e in value.entries]
    opening, closing = "{}" if value.mapping else "[]"
    return opening + pad + f",{pad}".join(parts) + "\n" + " " * indent + closing


def _line(value: Scalar | Collection) -> str:
    if isinstance(value, Scalar):
        return _scalar(value)
    text = ", ".join(_head(entry) + _line(entry.value) for entry in value.entries)
    return f"{{{text}}}" if value.mapping else f"[{text}]"


def _head(entry: Entry) -> str:
    return f"{_scalar(entry.key)}: " if entry.key is not None else ""


def _scalar(value: Scalar) -> str:
    return value.text if value.verbatim else json.dumps(value.text, ensure_ascii=False)
