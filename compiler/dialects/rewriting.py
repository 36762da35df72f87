"""What dialects rewrite with: a draft of the document whose changes carry their marks along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ..diagnostics import Diagnostic, Path
from ..document import Document, MapMark, Mark, SeqMark, span_of


class Draft:
    """A document, or the part at ``base`` in it, being rewritten. The original is never changed: each container is
    copied when it is opened."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.diagnostics: list[Diagnostic] = []
        self.tree: dict[str, Any] = dict(document.tree)
        assert isinstance(document.marks, MapMark)
        self.marks = document.marks.copy()
        self.base: Path = ()

    def walk(self) -> Iterator[Draft]:
        """This draft and one for each part inside its nodes, outer ones first."""
        yield self
        for index, node, mark in self.maps("nodes"):
            path: Path = (*self.base, "nodes", index)
            body, body_mark = node.get("body"), mark.children.get("body")
            if isinstance(body, dict) and isinstance(body_mark, MapMark):
                inner = self._inside(body, body_mark, (*path, "body"))
                node["body"], mark.children["body"] = inner.tree, inner.marks
                yield from inner.walk()
            branches, branches_mark = node.get("branches"), mark.children.get("branches")
            if isinstance(branches, list) and isinstance(branches_mark, SeqMark):
                node["branches"] = copies = list(branches)
                marks = SeqMark(branches_mark.span, list(branches_mark.items), branches_mark.origin)
                mark.children["branches"] = marks
                for number, (part, part_mark) in enumerate(zip(branches, branches_mark.items, strict=True)):
                    if isinstance(part, dict) and isinstance(part_mark, MapMark):
                        inner = self._inside(part, part_mark, (*path, "branches", number))
                        copies[number], marks.items[number] = inner.tree, inner.marks
                        yield from inner.walk()

    def _inside(self, tree: dict[str, Any], marks: MapMark, base: Path) -> Draft:
        draft = object.__new__(Draft)
        draft.document, draft.diagnostics, draft.base = self.document, self.diagnostics, base
        draft.tree, draft.marks = dict(tree), marks.copy()
        return draft

    def done(self) -> tuple[Document, tuple[Diagnostic, ...]]:
        """The rewritten document and what was found on the way."""
        return self.document.rewritten(self.tree, self.marks), tuple(self.diagnostics)

    def report(
        self, code: str, message: str, path: Path, *, hint: str | None = None, key: bool = False
    ) -> None:
        """An error at a path of the document as the author wrote it."""
        self.diagnostics.append(self.document.report(code, message, path, hint=hint, key=key))

    def maps(self, key: str) -> Iterator[tuple[int, dict[str, Any], MapMark]]:
        """The mappings in the list under ``key``, as copies that may be changed in place."""
        values, marks = self.open_list(key)
        for index, (value, mark) in enumerate(zip(values, marks.items, strict=True)):
            if isinstance(value, dict) and isinstance(mark, MapMark):
                values[index], marks.items[index] = dict(value), mark.copy()
                yield index, values[index], marks.items[index]  # type: ignore[misc]

    def open_list(self, key: str) -> tuple[list[Any], SeqMark]:
        """The list under ``key`` as a copy in place; an empty one (not put in place) where there is none."""
        value, mark = self.tree.get(key), self.marks.children.get(key)
        if not isinstance(value, list) or not isinstance(mark, SeqMark):
            return [], SeqMark(0)
        self.tree[key] = list(value)
        self.marks.children[key] = copy = SeqMark(mark.span, list(mark.items), mark.origin)
        return self.tree[key], copy

    def rename(self, tree: dict[str, Any], mark: MapMark, path: Path, names: Mapping[str, str]) -> None:
        """Give keys their canonical names; both names in one mapping are an error at the second."""
        for old, new in names.items():
            if old not in tree:
                continue
            if new in tree:
                message, hint = f"both {new!r} and {old!r} are given", f"keep {new!r}"
                self.report("MR119", message, (*path, old), hint=hint, key=True)
                drop(tree, mark, old)
                continue
            tree[new] = tree.pop(old)
            mark.keys[new], mark.children[new] = mark.keys.pop(old), mark.children.pop(old)
            mark.names = {**mark.names, new: mark.names.get(old, old)}

    def add_edge(self, origin: Path, span: int, ends: Mapping[str, tuple[Any, Mark, str | None]]) -> None:
        """Append an edge. ``ends`` maps its keys to value, mark and the author's key under ``origin`` if it
        has one."""
        if not isinstance(self.tree.get("edges"), list):
            if "edges" in self.tree:
                return  # of the wrong type: the form check says so
            self.tree["edges"], self.marks.children["edges"] = [], SeqMark(span_of(self.marks))
            self.marks.keys["edges"] = span
        marks = self.marks.children["edges"]
        assert isinstance(marks, SeqMark)
        self.tree["edges"].append({key: value for key, (value, _, _) in ends.items()})
        marks.items.append(
            MapMark(
                span,
                keys={key: span_of(mark) for key, (_, mark, _) in ends.items()},
                children={key: mark for key, (_, mark, _) in ends.items()},
                origin=origin,
                names=_names(tuple((key, name) for key, (_, _, name) in ends.items())),
            )
        )


@lru_cache(maxsize=256)
def _names(pairs: tuple[tuple[str, str | None], ...]) -> Mapping[str, str | Path | None]:
    """The one mapping of these pairs, for all marks that have them."""
    return dict(pairs)


def drop(tree: dict[str, Any], mark: MapMark, key: str) -> None:
    """Remove a key and its marks."""
    del tree[key]
    mark.keys.pop(key, None)
    mark.children.pop(key, None)
