"""Formatting: what ``realm fmt`` would write."""

from __future__ import annotations

from itertools import takewhile

from ...core.errors import RealmError
from ..source import load
from .rename import Edit
from .view import View


def formatted(view: View) -> list[Edit]:
    """The edit that puts the text into good layout, no longer than it must be so that cursors stay; none for a text
    that cannot be read without a fault."""
    from ..writing import format_document

    loaded = load(view.analysis.file, text=view.text)
    if loaded.document is None or loaded.diagnostics:
        return []
    try:
        new = format_document(loaded.document)
    except RealmError:
        return []
    old = view.text
    if new == old:
        return []
    before = _alike(old, new)
    after = _alike(old[before:][::-1], new[before:][::-1])
    return [Edit(before, len(old) - after, new[before : len(new) - after])]


def _alike(left: str, right: str) -> int:
    """How many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))
