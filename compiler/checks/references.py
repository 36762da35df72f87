"""Every reference names a node. Source of the wording: seed 001 §4.1.1."""

from __future__ import annotations

from collections.abc import Iterator

from ..close_matches import did_you_mean, listed
from ..diagnostics import Diagnostic, Path
from ..graph import Edge
from .subject import Subject

_OWNED = ("next", "depends_on", "branch_conditions", "true_path", "false_path")


class _Known:
    """The nodes that there are, and what an id that is none of them probably means.

    Comparing ten thousand wrong ids with ten thousand right ones would take minutes, so late ones get no guess.
    """

    def __init__(self, ids: list[str]) -> None:
        self.ids = ids
        self.guesses_left = max(10, 200_000 // max(len(ids), 1))

    def hint(self, node_id: str) -> str:
        self.guesses_left -= 1
        guess = did_you_mean(node_id, self.ids) if self.guesses_left >= 0 else None
        return guess or f"the nodes are {listed(self.ids)}"


def references(subject: Subject) -> Iterator[Diagnostic]:
    """Edge ends, successors, dependencies and error targets that name no node."""
    if subject.unnamed:
        return  # a reference may mean the node whose id is missing, which is reported
    known = _Known([node.id for node in subject.graph.nodes])
    for edge in subject.graph.dangling:
        yield from _of_edge(subject, edge, known)
    for path, node in subject.nodes():
        rules = node.get("on_error")
        for index, rule in enumerate(rules if isinstance(rules, list) else [rules]):
            target = rule.get("goto") if isinstance(rule, dict) else None
            if isinstance(target, str) and target not in subject.graph:
                where = (*path, "on_error", index, "goto")
                yield _missing(subject, f"Node {node.get('node_id')!r}", target, "on_error", where, known)


def _of_edge(subject: Subject, edge: Edge, known: _Known) -> Iterator[Diagnostic]:
    origin = subject.document.origin(edge.path)
    field = next((str(part) for part in reversed(origin) if isinstance(part, str)), "")
    for end, node_id, other in (("source", edge.source, edge.target), ("target", edge.target, edge.source)):
        if node_id in subject.graph:
            continue
        where: Path = (*edge.path, end) if edge.path[0] == "edges" else edge.path
        who = f"Node {other!r}" if field in _OWNED else f"Edge {edge.source!r} → {edge.target!r}"
        name = field if field in _OWNED else str(subject.document.origin(where)[-1])
        yield _missing(subject, who, node_id, name, where, known)


def _missing(subject: Subject, who: str, node_id: str, field: str, where: Path, known: _Known) -> Diagnostic:
    message = f"{who} references non-existent node {node_id!r} in {field} field"
    return subject.document.report("MR201", message, where, hint=known.hint(node_id))
