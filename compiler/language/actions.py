"""Quick fixes: the word that was meant, an ``else`` for edges that all have conditions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..diagnostics import Diagnostic
from ..document import MapMark, SeqMark, span_of, unpack
from ..graph import Edge
from ..scopes import Scope
from .context import context_at
from .fragments import expression_at
from .pointing import pointed_at
from .rename import Edit
from .scalars import member, rewritten, scalar
from .view import View

_MOST_TARGETS = 3


@dataclass(frozen=True)
class Action:
    """Edits with a title; a fix names the diagnostic that it ends."""

    title: str
    edits: tuple[Edit, ...]
    diagnostic: Diagnostic | None = None
    preferred: bool = False


def actions(view: View, start: int, end: int) -> list[Action]:
    """What can be done for the stretch ``[start, end)`` of the analysed text."""
    found = [action for one in view.analysis.diagnostics for action in _meant(view, one, start, end)]
    return [*found, *_else_edges(view, start)]


# --- did you mean -------------------------------------------------------------------------------------------------


def _meant(view: View, diagnostic: Diagnostic, start: int, end: int) -> Iterator[Action]:
    words = diagnostic.suggestions
    if not words or diagnostic.line is None or diagnostic.column is None:
        return
    first = view.places.offset(diagnostic.line, diagnostic.column)
    last = view.places.offset(
        diagnostic.end_line or diagnostic.line, diagnostic.end_column or diagnostic.column
    )
    if last < start or first > end or first == last:
        return
    for number, word in enumerate(words):
        edit = _replacement(view, diagnostic, first, last, word)
        if edit is not None:
            yield Action(f"Change to {word!r}", (edit,), diagnostic, preferred=number == 0)


def _replacement(view: View, diagnostic: Diagnostic, first: int, last: int, word: str) -> Edit | None:
    old = view.text[first:last]
    context = context_at(view.text, first)
    if context is None or "\n" in old:
        return None
    bare = view.is_condition(context)
    if context.role == "key" or expression_at(view.text, context, first, bare=bare) is None:
        return Edit(first, last, rewritten(old, word))
    if old.startswith("["):
        return Edit(first, last, f"[{old[1]}{word}{old[1]}]") if old[1:2] in ("'", '"') else None
    spelled = word.replace("-", "_") if diagnostic.code == "MR201" else word
    text = member(spelled, word, context.quote)
    if text.startswith("."):
        return Edit(first, last, text[1:])
    dotted = view.text[first - 1 : first] == "."
    return Edit(first - 1, last, text) if dotted else None


# --- else ---------------------------------------------------------------------------------------------------------


def _else_edges(view: View, offset: int) -> Iterator[Action]:
    """An edge for when no condition holds, out of the node at ``offset`` or the source of the edge there."""
    found = _source_at(view, offset)
    if found is None:
        return
    scope, source = found
    edges = scope.graph.outgoing(source)
    if not edges or any(edge.condition in (None, "else") for edge in edges):
        return
    last = next((edge for edge in reversed(edges) if _is_written(view, edge)), None)
    if last is None:
        return
    for target in _targets(scope, source, edges):
        edit = _inserted(view, last, source, target)
        yield Action(f"Add an else edge from {source!r} to {target!r}", (edit,))


def _source_at(view: View, offset: int) -> tuple[Scope, str] | None:
    pointed = pointed_at(view, view.text, offset)
    if pointed is None:
        return None
    site = view.site(pointed.context)
    if site is None:
        return None
    for frame in reversed(pointed.context.frames):
        source = frame.entries.get("source") or frame.entries.get("from")
        if source is not None and source in site.scope.graph:
            return site.scope, source
    return (site.scope, site.node) if site.node is not None else None


def _is_written(view: View, edge: Edge) -> bool:
    assert view.document is not None
    return edge.listed and view.document.origin(edge.path)[-2:-1] == ("edges",)


def _targets(scope: Scope, source: str, edges: Sequence[Edge]) -> list[str]:
    """Where the other ways meet again, else where the scope ends."""
    graph = scope.graph
    after = [graph.reachable(graph.successors(edge.target)) for edge in edges]
    meeting = [node_id for node_id in graph.order if all(node_id in reached for reached in after)]
    taken = {edge.target for edge in edges} | {source}
    candidates = [node_id for node_id in (*meeting, *graph.exits) if node_id not in taken]
    return list(dict.fromkeys(candidates))[:_MOST_TARGETS]


def _inserted(view: View, after: Edge, source: str, target: str) -> Edit:
    """The new edge as text behind the edge ``after``, in its style."""
    assert view.document is not None
    mark = view.document.marks
    for part in after.path:
        if isinstance(mark, MapMark) and isinstance(part, str):
            mark = mark.children[part]
        elif isinstance(mark, SeqMark) and isinstance(part, int):
            mark = mark.items[part]
    start, end = unpack(span_of(mark))
    line = view.places.place(start)[0]
    before = view.text[view.places.offset(line, 1) : start]
    names = (
        ("from", "to")
        if isinstance(mark, MapMark) and mark.names.get("source") == "from"
        else ("source", "target")
    )
    edge = {names[0]: source, names[1]: target, "condition": "else"}
    if before.strip() == "-":
        inside = ", ".join(f"{key}: {scalar(value)}" for key, value in edge.items())
        return Edit(end, end, f"\n{before}{{{inside}}}")
    quoted = view.text[start + 1 : end].lstrip()[:1] == '"'
    inside = ", ".join(
        f"{json.dumps(key) if quoted else key}: {json.dumps(value, ensure_ascii=False) if quoted else scalar(value)}"
        for key, value in edge.items()
    )
    gap = f"\n{before}" if not before.strip() else " "
    return Edit(end, end, f",{gap}{{{inside}}}")
