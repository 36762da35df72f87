"""Every node is on a way from the beginning."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from ..handlers import handler_of
from .subject import Subject

START = "control/start"


def reachability(subject: Subject) -> Iterator[Diagnostic]:
    """Nodes that no way from ``control/start`` leads to; nodes connected to nothing where the others are."""
    graph = subject.graph
    if graph.dangling or graph.cycles or subject.unnamed or any(d.severity == "error" for d in subject.form):
        return  # what those findings say may be the very reason
    handler = handler_of(subject.tree, graph).only if subject.scope.owner is None else frozenset[str]()
    starts = [node.id for node in graph.nodes if node.type == START]
    reached = graph.reachable(starts)
    for node in graph.nodes:
        if node.id in handler:
            continue
        if starts and node.id not in reached and not graph.incoming(node.id):
            message = f"node {node.id!r} cannot be reached from {starts[0]!r}"
            hint = f"add an edge to it, as {{source: {starts[0]}, target: {node.id}}}, or remove it"
            yield subject.document.report("MR206", message, (*node.path, "node_id"), hint=hint)
        elif not starts and graph.edges and not graph.incoming(node.id) and not graph.outgoing(node.id):
            message = f"node {node.id!r} is connected to no other: it runs at once, beside them"
            hint = "add an edge if it is to wait for another node"
            yield subject.document.report(
                "MR206", message, (*node.path, "node_id"), hint=hint, severity="warning"
            )
