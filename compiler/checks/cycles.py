"""A workflow goes forward: no node waits for itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from .subject import Subject


def cycles(subject: Subject) -> Iterator[Diagnostic]:
    """One shortest cycle for each knot of nodes, in order, at the edge that closes it."""
    graph = subject.graph
    for cycle in graph.cycles:
        closing = next(edge for edge in graph.outgoing(cycle[-1]) if edge.target == cycle[0])
        around = [*cycle, cycle[0]]
        shown = around if len(around) <= 12 else [*around[:6], "…", *around[-5:]]
        message = f"cycle: {' → '.join(shown)}"
        hint = "remove one of these edges; to repeat steps, use a loop node"
        if not graph.entries:
            message += "; no node can start, since each waits for another"
        where = (*closing.path, "target") if closing.listed else closing.path
        yield subject.document.report("MR204", message, where, hint=hint)
