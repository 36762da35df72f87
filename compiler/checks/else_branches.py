"""An ``else`` has something to be the other of."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from ..graph import Edge
from .subject import Subject


def else_branches(subject: Subject) -> Iterator[Diagnostic]:
    """``condition: else`` without a sibling edge that has a condition; two of them in one list of edges."""
    graph = subject.graph
    first: dict[str, Edge] = {}
    dangling_sources = {edge.source for edge in graph.dangling}
    for edge in graph.edges:
        if edge.condition != "else" or edge.source in dangling_sources:
            continue
        if edge.listed and first.setdefault(edge.source, edge) is not edge:
            line = first[edge.source].span.line
            message = f"a second else out of {edge.source!r} (first on line {line}): both are taken together"
            hint = "give one of them a condition, if only one is meant"
            yield subject.document.report(
                "MR221", message, (*edge.path, "condition"), hint=hint, severity="warning"
            )
        siblings = [other for other in graph.outgoing(edge.source) if other.condition not in (None, "else")]
        if not siblings:
            message = f"else out of {edge.source!r} has no sibling edge with a condition"
            hint = f"give another edge out of {edge.source!r} a condition, or remove `else`"
            yield subject.document.report("MR207", message, (*edge.path, "condition"), hint=hint)
