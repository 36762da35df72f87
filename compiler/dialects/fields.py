"""Reading what an author wrote, and building the canonical document of it, for dialects with a language of their own.

An :class:`Entry` is a value with its mark and the author's path; :class:`Fields` reads a mapping and reports what is
wrong with its keys in the dialect's own words; :class:`Made` is a mapping of the canonical document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..close_matches import asked, closest, listed
from ..diagnostics import Path
from ..document import MapMark, Mark, SeqMark, span_of
from ..explain import kind_of
from .rewriting import Draft

_KINDS: Mapping[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "a mapping",
    list: "a list",
}


class Entry(NamedTuple):
    """A value as its author wrote it: its mark, its path and the span of its key."""

    value: Any
    mark: Mark
    path: Path
    key: int

    def items(self) -> Iterator[Entry]:
        """The items of a list or the values of a mapping."""
        if isinstance(self.value, dict) and isinstance(self.mark, MapMark):
            for name, value in self.value.items():
                mark = self.mark.children.get(name, self.mark.span)
                yield Entry(value, mark, (*self.path, name), self.mark.keys.get(name, self.mark.span))
        elif isinstance(self.value, list) and isinstance(self.mark, SeqMark):
            for index, (value, mark) in enumerate(zip(self.value, self.mark.items, strict=True)):
                yield Entry(value, mark, (*self.path, index), span_of(mark))


def whole(draft: Draft) -> Entry:
    """The document as an entry."""
    return Entry(draft.document.tree, draft.document.marks, (), span_of(draft.document.marks))


def is_a(value: Any, kind: type) -> bool:
    """Whether a JSON value is of a type; ``True`` is no number, ``1`` is also a ``float``."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


class Fields:
    """A mapping as its author wrote it.

    Opening it reports its unknown keys; one that is a slip of a known key is read as that. ``what`` names the mapping
    in messages (``a connection``), ``synonyms`` are other words for known keys. A null is as good as no value.
    """

    def __init__(
        self,
        draft: Draft,
        entry: Entry,
        what: str,
        known: tuple[str, ...],
        synonyms: Mapping[str, str] | None = None,
    ) -> None:
        self.draft, self.entry, self.what = draft, entry, what
        self.path = entry.path
        self._entries = {str(one.path[-1]): one for one in entry.items()}
        if isinstance(entry.value, dict):
            for key in [key for key in entry.value if key not in known]:
                self._unknown(key, known, synonyms or {})
        else:
            hint = f"write {{{listed((f'{key}: …' for key in known), 4)}}}"
            draft.report(
                "MR112", f"{what} must be a mapping, not {kind_of(entry.value)}", entry.path, hint=hint
            )

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def get(self, key: str) -> Entry | None:
        """The value of a key, of any type."""
        entry = self.written(key)
        return None if entry is None or entry.value is None else entry

    def written(self, key: str) -> Entry | None:
        """The same, where a null is a value."""
        return self._entries.get(key)

    def take(self, key: str, kind: type, *, needed: bool = False, example: str = "…") -> Entry | None:
        """The value of a key, if it is of a JSON type; another one is reported, and so is absence if ``needed``."""
        entry = self.get(key)
        if entry is None:
            if needed:
                hint = f"add {key}: {example}"
                self.draft.report("MR110", f"{self.what} needs {key!r}", self.path, hint=hint, key=True)
            return None
        if is_a(entry.value, kind):
            return entry
        wanted = _KINDS[kind]
        message = f"{key!r} must be {wanted}, not {kind_of(entry.value)}"
        self.draft.report("MR112", message, entry.path, hint=f"write {wanted}" + _such(example))
        return None

    def _unknown(self, key: str, known: tuple[str, ...], synonyms: Mapping[str, str]) -> None:
        meant = closest(key, known, synonyms)
        hint = asked(meant) if meant else f"{self.what} has {listed(known, 24)}"
        path = (*self.path, key)
        self.draft.report("MR111", f"unknown key {key!r} in {self.what}", path, hint=hint, key=True)
        entry = self._entries.pop(key, None)
        if meant and meant not in self._entries and entry is not None:
            self._entries[meant] = entry


def _such(example: str) -> str:
    return "" if example == "…" else f", as in {example}"


def stand_in(at: Entry) -> Made:
    """A node that no check looks at, for nodes that cannot be read and were reported."""
    made = Made(at)
    made.add("node_id", "unreadable", at)
    made.add("type", "control/end", at)
    return made


class Made:
    """A mapping of the canonical document under construction, for something the author wrote at ``origin``."""

    def __init__(self, entry: Entry) -> None:
        self.tree: dict[str, Any] = {}
        self.mark = MapMark(span_of(entry.mark), origin=entry.path)
        self._names: dict[str, str | Path | None] = {}
        self.mark.names = self._names

    def put(self, key: str, entry: Entry | None) -> None:
        """An author's value, if there is one."""
        if entry is not None:
            self.add(key, entry.value, entry)

    def add(self, key: str, value: Any, at: Entry) -> None:
        """A value made of what the author wrote ``at`` a place."""
        origin = self.mark.origin or ()
        below = at.path[: len(origin)] == origin
        self.tree[key] = value
        self.mark.keys[key] = at.key
        self.mark.children[key] = _placed(at.mark, at.path)
        self._names[key] = at.path[len(origin) :] if below else None

    def add_map(self, key: str, inner: Made) -> None:
        """A mapping that was made."""
        self._hold(key, inner.tree, inner.mark)

    def add_list(self, key: str, items: list[Made], at: Entry) -> None:
        """A list of mappings that were made."""
        mark = SeqMark(span_of(at.mark), [item.mark for item in items], at.path)
        self._hold(key, [item.tree for item in items], mark)

    def _hold(self, key: str, tree: Any, mark: Mark) -> None:
        self.tree[key] = tree
        self.mark.keys[key] = span_of(mark)
        self.mark.children[key] = mark
        self._names[key] = None


def _placed(mark: Mark, origin: Path) -> Mark:
    """``mark`` of a value that stands at ``origin`` in the author's document."""
    if isinstance(mark, MapMark):
        copy = mark.copy()
        copy.origin = mark.origin or origin
        return copy
    if isinstance(mark, SeqMark):
        return SeqMark(mark.span, mark.items, mark.origin or origin)
    return mark
