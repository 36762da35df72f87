"""Rename a node everywhere it is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..analysis import analyze
from ..model import MAX_NODE_ID
from ..scopes import Scope
from ..validate import UNNAMED
from .navigation import Place
from .occurrences import Occurrence, occurrence_at, occurrences
from .scalars import member, rewritten
from .view import View

_IMPOSSIBLE = re.compile(r"[\s/\\.{}'\"`\[\]]")

_KEY = re.compile(r"\[\s*(?P<quote>\\\\?[\"']|''|[\"'])(?P<name>.*)(?P=quote)\s*\]", re.DOTALL)


@dataclass(frozen=True)
class Edit:
    """``text`` takes the place of ``[start, end)``."""

    start: int
    end: int
    text: str


class Refused(Exception):
    """A rename that would make another definition than was meant; the message says why."""


def renamable(view: View, offset: int) -> Place | None:
    """The name at ``offset`` that can be renamed."""
    named = occurrence_at(view, offset)
    if named is None:
        return None
    quoted = view.text[named.start] in ("'", '"')
    if named.spelling == "bracket":
        match = _KEY.search(view.text, named.start, named.end)
        return Place(*match.span("name")) if match else None
    return Place(named.start + quoted, named.end - quoted)


def rename(view: View, offset: int, new: str) -> list[Edit]:
    """The edits that give the node at ``offset`` the id ``new``: its own id, edges, parameters and expressions, within
    the scopes that see it. Raises :class:`Refused` where ``new`` is no id, or is taken, or hides another node, and
    where the renamed text would not mean the same: in dialects that name nodes in ways of their own.
    """
    named = occurrence_at(view, offset)
    if named is None:
        raise Refused("there is no node here: put the cursor on a node's id")
    if new == named.node_id:
        return []
    _check(named, new)
    same = [one for one in occurrences(view) if one.scope is named.scope and one.node_id == named.node_id]
    edits = [_edit(view, one, new) for one in same]
    renamed = View(analyze(view.analysis.file, text=_applied(view.text, edits), registry=view.registry))
    if _meaning(renamed) != _meaning(view, named.node_id, new):
        raise Refused(
            f"{named.node_id!r} is also named in a way that cannot be followed: `realm convert` first, then rename it"
        )
    return edits


def _applied(text: str, edits: list[Edit]) -> str:
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _meaning(
    view: View, old: str = "", new: str = ""
) -> tuple[list[tuple[int, str, str]], list[tuple[str, str]]]:
    """What a renaming must not change: the edges of every scope, with ``old`` read as ``new``, and what is found."""

    def named(node_id: str) -> str:
        return new if node_id == old else node_id

    edges = [
        (len(scope.path), named(edge.source), named(edge.target))
        for scope in (view.scope.walk() if view.scope is not None else ())
        for edge in scope.graph.edges
    ]
    return sorted(edges), sorted((one.code, one.severity) for one in view.analysis.diagnostics)


def _check(named: Occurrence, new: str) -> None:
    wrong = len(new) > MAX_NODE_ID or not new.isprintable() or new.startswith(UNNAMED)
    if not new or wrong or _IMPOSSIBLE.search(new):
        raise Refused(
            f"{new!r} is not a node id: use letters of any language, digits, - and _, at most {MAX_NODE_ID}"
        )
    for scope in _seen_together(named.scope, named.node_id):
        for node in scope.graph.nodes:
            if node is named.scope.graph.by_id[named.node_id]:
                continue
            if node.id == new:
                raise Refused(f"there is a node {new!r} already, on line {node.span.line}")
            if node.id.replace("-", "_") == new.replace("-", "_"):
                raise Refused(f"expressions could not tell {new!r} from node {node.id!r}")


def _seen_together(scope: Scope, node_id: str) -> Iterator[Scope]:
    """The scopes whose nodes can be named where this node can: around its own, and inside it."""
    yield from scope.around()
    for inner in scope.walk():
        if inner is not scope:
            yield inner


def _edit(view: View, one: Occurrence, new: str) -> Edit:
    old = view.text[one.start : one.end]
    if one.spelling == "scalar":
        if old.strip("'\"") != one.node_id:
            raise _unclear(view, one)
        return Edit(one.start, one.end, rewritten(old, new))
    if one.spelling == "bracket":
        match = _KEY.search(old)
        if match is None or match["name"].replace("-", "_") != one.node_id.replace("-", "_"):
            raise _unclear(view, one)
        return Edit(one.start + match.start("name"), one.start + match.end("name"), new)
    if old.replace("-", "_") != one.node_id.replace("-", "_"):
        raise _unclear(view, one)
    spelled = new if one.exact else new.replace("-", "_")
    text = member(spelled, new, _outer_quote(view.text, one.start))
    if text.startswith("."):
        return Edit(one.start, one.end, text[1:])
    dot = view.text.rindex(".", 0, one.start)
    return Edit(dot, one.end, text)


def _unclear(view: View, one: Occurrence) -> Refused:
    line = view.places.place(one.start)[0]
    return Refused(
        f"line {line} names {one.node_id!r} in a way that cannot be renamed: write it plainly first"
    )


def _outer_quote(text: str, offset: int) -> str:
    """The quote of the YAML or JSON scalar around ``offset``."""
    from .context import context_at

    context = context_at(text, offset)
    return context.quote if context is not None else ""
