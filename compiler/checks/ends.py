"""``control/start``, ``control/end`` and ``control/terminate`` where they mean what they say."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic, Path, Severity
from ..graph import GraphNode
from ..handlers import handler_of
from .reachability import START
from .subject import Subject

END = "control/end"
TERMINATE = "control/terminate"


def ends(subject: Subject) -> Iterator[Diagnostic]:
    """More than one start, a start or an end in the middle, what follows the end of the instance, ways that lead to no
    end where there is one."""
    graph = subject.graph
    if graph.dangling or graph.cycles or subject.unnamed or any(d.severity == "error" for d in subject.form):
        return  # what those findings say may be the very reason
    starts = [node for node in graph.nodes if node.type == START and not graph.incoming(node.id)]
    for node in starts[1:]:
        message = f"{node.id!r} is a second beginning, beside {starts[0].id!r}: both run at once"
        yield _finding(subject, node, message, f"lead {starts[0].id!r} to what follows it, and remove it")
    for node in graph.nodes:
        # Of a node that follows itself, that is told.
        before = [edge for edge in graph.incoming(node.id) if edge.source != node.id]
        after = [one for one in graph.successors(node.id) if one != node.id]
        if node.type == START and before:
            message = f"{node.id!r} is a beginning, but runs after {before[0].source!r}"
            yield _finding(subject, node, message, "remove it, or the edge into it", severity="info")
        if node.type == END and after:
            message = f"{node.id!r} is an end, but {after[0]!r} follows it"
            yield _finding(subject, node, message, f"lead to {after[0]!r} from what is before {node.id!r}")
    yield from _after_terminate(subject)
    yield from _dead_ends(subject)


def _after_terminate(subject: Subject) -> Iterator[Diagnostic]:
    """Edges that are never taken, into nodes that also run otherwise; of the others it is said that they never run."""
    graph = subject.graph
    for edge in graph.edges:
        if graph.by_id[edge.source].type != TERMINATE:
            continue
        others = [one for one in graph.incoming(edge.target) if graph.by_id[one.source].type != TERMINATE]
        if others and subject.document.value(graph.by_id[edge.target].path).get("join", "any") == "any":
            message = f"this edge is never taken: {edge.source!r} ends the instance"
            yield subject.document.report("MR242", message, edge.path, hint="remove it", severity="warning")


def _dead_ends(subject: Subject) -> Iterator[Diagnostic]:
    graph = subject.graph
    finals = [node.id for node in graph.nodes if node.type == END]
    if not finals:
        return
    handler = handler_of(subject.tree, graph).nodes if subject.scope.owner is None else frozenset[str]()
    after_errors = {edge.target for edge in graph.edges if edge.codes is not None}
    aside = handler | graph.reachable(after_errors)
    for node_id in graph.exits:
        node = graph.by_id[node_id]
        if node.type not in (END, TERMINATE) and node_id not in aside:
            message = f"no way leads from {node_id!r} to the end {finals[0]!r}: the way ends there"
            hint = f"add an edge, as {{source: {node_id}, target: {finals[0]}}}, if it is to be waited for"
            yield _finding(subject, node, message, hint, severity="info")


def _finding(
    subject: Subject, node: GraphNode, message: str, hint: str, severity: Severity = "warning"
) -> Diagnostic:
    place: Path = (*node.path, "node_id")
    return subject.document.report("MR242", message, place, hint=hint, severity=severity)
