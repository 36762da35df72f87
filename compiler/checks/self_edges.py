"""No node follows itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from .subject import Subject


def self_edges(subject: Subject) -> Iterator[Diagnostic]:
    """Edges from a node to itself."""
    for edge in subject.graph.edges:
        if edge.source == edge.target:
            end = "source" if "depends_on" in subject.document.origin(edge.path) else "target"
            where = (*edge.path, end) if edge.listed else edge.path
            message = f"node {edge.source!r} follows itself"
            hint = "remove this edge; to repeat a node after a failure, give it a retry rule"
            yield subject.document.report("MR203", message, where, hint=hint)
