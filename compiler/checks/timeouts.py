"""Timeouts leave room for what must be waited for."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from ..graph import GraphNode
from .subject import Subject


def timeouts(subject: Subject) -> Iterator[Diagnostic]:
    """A timeout of the definition or of a node below the least time of what it bounds; without waits, nothing."""
    scopes = list(subject.scope.walk())
    if subject.definition is None or any(scope.graph.dangling or scope.graph.cycles for scope in scopes):
        return
    if not subject.subworkflows and not any(_waits(subject, node) for s in scopes for node in s.graph.nodes):
        return
    from ..verify.timing import judge

    document, scope, registry = subject.document, subject.scope, subject.registry
    yield from subject.told(
        judge(document, scope, registry, subject.definition.timeout, subject.subworkflows)
    )


def _waits(subject: Subject, node: GraphNode) -> bool:
    node_type, given = subject.node_type(node.type), subject.document.value(node.path).get("parameters")
    return node_type is not None and node_type.waits(given if isinstance(given, dict) else {}) > 0
