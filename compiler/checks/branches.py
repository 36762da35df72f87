"""Branches: every way can be taken, some way is, alternatives exclude each other, and joins can be met."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from .subject import Subject


def branches(subject: Subject) -> Iterator[Diagnostic]:
    """What proofs find in the conditions of edges, guards and decisions; without any, nothing is imported."""
    graph = subject.graph
    if graph.dangling or graph.cycles or subject.unnamed or not _conditional(subject):
        return  # where the graph is wrong, its paths say nothing
    from ..verify.branches import judge

    yield from subject.told(judge(subject.document, subject.scope, subject.registry))


def _conditional(subject: Subject) -> bool:
    if any(edge.condition is not None for edge in subject.graph.edges):
        return True
    return any(
        "when" in node or node.get("type") in ("control/condition", "control/switch")
        for _, node in subject.nodes()
    )
