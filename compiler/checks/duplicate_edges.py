"""The same edge is written once."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from ..graph import Edge
from ..passes.unique_edges import Identity, identity
from .subject import Subject


def duplicate_edges(subject: Subject) -> Iterator[Diagnostic]:
    """Edges that say what an earlier one says; they change nothing."""
    seen: dict[Identity, Edge] = {}
    for edge in subject.written.edges:
        first = seen.setdefault(identity(edge), edge)
        if first is not edge:
            line = first.span.line
            message = f"the edge {edge.source!r} → {edge.target!r} is given twice (first on line {line})"
            yield subject.document.report(
                "MR209", message, edge.path, hint="remove one of them", severity="warning"
            )
