"""No two nodes that may run at the same time change what the other touches."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from .subject import Subject


def races(subject: Subject) -> Iterator[Diagnostic]:
    """Pairs of nodes in any scope, and nodes of a foreach with themselves; without effects, nothing is imported."""
    scopes = list(subject.scope.walk())
    if subject.unnamed or any(scope.graph.dangling or scope.graph.cycles for scope in scopes):
        return  # where the graph is wrong, its order says nothing
    if not subject.subworkflows and not any(
        _touches(subject, node.type) for s in scopes for node in s.graph.nodes
    ):
        return
    from ..verify.races import judge

    yield from subject.told(judge(subject.document, subject.scope, subject.registry, subject.subworkflows))


def _touches(subject: Subject, name: str) -> bool:
    node_type = subject.node_type(name)
    return node_type is not None and node_type.effects is not None
