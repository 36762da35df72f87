"""Every reference names a node. Source of the wording: seed 001 §4.1.1."""

from __future__ import annotations

from collections.abc import Iterator

from ..close_matches import did_you_mean, listed
from ..diagnostics import Diagnostic, Path
from ..graph import Edge
from .subject import Subject

_OWNED = ("next", "depends_on", "branch_conditions", "true_path", "false_path")


def references(subject: Subject) -> Iterator[Diagnostic]:
    """Edge ends, successors, dependencies and error targets that name no node."""
    known = [node.id for node in subject.graph.nodes]
    for edge in subject.graph.dangling:
        yield from _of_edge(subject, edge, known)
    for path, node in subject.nodes():
        rules = node.get("on_error")
        for index, rule in enumerate(rules if isinstance(rules, list) else [rules]):
            target = rule.get("goto") if isinstance(rule, dict) else None
            if isinstance(target, str) and target not in subject.graph:
                where = (*path, "on_error", index, "goto")
                yield from _missing(
                    subject, f"Node {node.get('node_id')!r}", target, "on_error", where, known
                )


def _of_edge(subject: Subject, edge: Edge, known: list[str]) -> Iterator[Diagnostic]:
    origin = subject.document.origin(edge.path)
    field = next((str(part) for part in reversed(origin) if isinstance(part, str)), "")
    for end, node_id, other in (("source", edge.source, edge.target), ("target", edge.target, edge.source)):
        if node_id in subject.graph:
            continue
        where: Path = (*edge.path, end) if edge.path[0] == "edges" else edge.path
        if field in _OWNED:
            yield from _missing(subject, f"Node {other!r}", node_id, field, where, known)
        else:
            name = subject.document.origin(where)[-1]
            yield from _missing(
                subject, f"Edge {edge.source!r} → {edge.target!r}", node_id, str(name), where, known
            )


def _missing(
    subject: Subject, who: str, node_id: str, field: str, where: Path, known: list[str]
) -> Iterator[Diagnostic]:
    if subject.unnamed:
        return  # it may mean the node whose id is missing, which is reported
    hint = did_you_mean(node_id, known) or f"the nodes are {listed(known)}"
    message = f"{who} references non-existent node {node_id!r} in {field} field"
    yield subject.document.report("MR201", message, where, hint=hint)
