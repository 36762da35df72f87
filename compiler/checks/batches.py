"""A ``batch_size`` that comes to nothing."""

from __future__ import annotations

from collections.abc import Iterator

from ..batching import unfit
from ..diagnostics import Diagnostic
from ..optimise.batches import FOREACH
from .subject import Subject


def batches(subject: Subject) -> Iterator[Diagnostic]:
    """A note where the items of a foreach are to go in batches, and its body is not for a worker to decide."""
    if subject.definition is None:
        return
    nodes = dict(subject.definition.walk())
    for scope in subject.scope.walk():
        owner = scope.owner
        if owner is None or owner.type != FOREACH or owner.path not in nodes:
            continue
        if not nodes[owner.path].parameters.get("batch_size"):
            continue
        inside = [nodes[node.path] for node in scope.graph.nodes if node.path in nodes]
        if any(subject.node_type(node.type) is None for node in inside):
            continue
        asked = [(edge.condition, edge.mapping) for edge in scope.graph.edges]
        output = subject.document.value(scope.path).get("output")
        because = unfit(inside, subject.registry, asked, output)
        if because is not None:
            yield subject.document.report(
                "MR133",
                f"the items of {owner.id} go one by one: {because}",
                (*owner.path, "parameters", "batch_size"),
                hint="leave batch_size out, or move that node out of the body",
                key=True,
                severity="info",
            )
