"""A decision's conditions may be written without braces, as those of edges, guards and loops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..document import Document, MapMark, SeqMark, Stretch, TextMark
from .rewriting import Draft

DECISION = "control/condition"
_BEFORE, _AFTER = "{{ ", " }}"


def bare_conditions(document: Document) -> Document:
    """The canonical document with braces around the ``condition`` and each case's ``when`` of its decisions."""
    tree = document.tree
    if not isinstance(tree, dict) or not isinstance(document.marks, MapMark) or not _any(tree):
        return document
    draft = Draft(document)
    for part in draft.walk():
        for _, node, mark in part.maps("nodes"):
            if node.get("type") == DECISION:
                for parameters, marks in _opened(node, mark, "parameters"):
                    _brace(parameters, marks, "condition")
                    for case, case_mark in _items(parameters, marks, "cases"):
                        _brace(case, case_mark, "when")
    return draft.done()[0]


def _any(tree: Any) -> bool:
    """Whether there is a decision in a part or in those inside it; most definitions have none, and need no copy."""
    if isinstance(tree, list):
        return any(map(_any, tree))
    return isinstance(tree, dict) and (
        tree.get("type") == DECISION or any(_any(tree.get(key)) for key in ("nodes", "body", "branches"))
    )


def _opened(tree: dict[str, Any], mark: MapMark, key: str) -> Iterator[tuple[dict[str, Any], MapMark]]:
    """The mapping under ``key`` as a copy in place."""
    value, inner = tree.get(key), mark.children.get(key)
    if isinstance(value, dict) and isinstance(inner, MapMark):
        tree[key], mark.children[key] = value, inner = dict(value), inner.copy()
        yield value, inner


def _items(tree: dict[str, Any], mark: MapMark, key: str) -> Iterator[tuple[dict[str, Any], MapMark]]:
    """The mappings in the list under ``key`` as copies in place."""
    values, marks = tree.get(key), mark.children.get(key)
    if isinstance(values, list) and isinstance(marks, SeqMark):
        tree[key] = values = list(values)
        mark.children[key] = marks = SeqMark(marks.span, list(marks.items), marks.origin)
        for index, (value, inner) in enumerate(zip(values, marks.items, strict=True)):
            if isinstance(value, dict) and isinstance(inner, MapMark):
                copy, marks.items[index] = dict(value), (copied := inner.copy())
                values[index] = copy
                yield copy, copied


def _brace(tree: dict[str, Any], mark: MapMark, key: str) -> None:
    text, place = tree.get(key), mark.children.get(key)
    if not isinstance(text, str) or not isinstance(place, int) or "{{" in text or not text.strip():
        return
    tree[key] = f"{_BEFORE}{text}{_AFTER}"
    end = len(text)
    inside = Stretch(len(_BEFORE), 0, end, verbatim=True)
    stretches = (Stretch(0, 0, 0), inside, Stretch(len(_BEFORE) + end, end, end))
    if isinstance(place, TextMark):
        stretches = tuple(
            Stretch(one.target, *place.origin(one.start, max(one.end, one.start + 1))) for one in stretches
        )
        text = place.written
    mark.children[key] = TextMark(int(place), text, stretches)
