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


def _of_edge(subject: Subject, edge: Edge, known: _Known) -> Iterator[Diagnostic]:
    origin = subject.document.origin(edge.path)
    field = _key(origin)
    if edge.codes is not None:
        field = "on_error"
    owned = field in _OWNED or not edge.listed
    for end, node_id, other in (("source", edge.source, edge.target), ("target", edge.target, edge.source)):
        if node_id in subject.graph:
            continue
        where: Path = (*edge.path, end) if edge.listed else edge.path
        who = f"Node {other!r}" if owned else f"Edge {edge.source!r} → {edge.target!r}"
        name = field if owned else _key(subject.document.origin(where))
        yield _missing(subject, who, node_id, name, where, known)


def _key(path: Path) -> str:
    """The key that a value stands under, also in a list."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _missing(subject: Subject, who: str, node_id: str, field: str, where: Path, known: _Known) -> Diagnostic:
    message = f"{who} references non-existent node {node_id!r} in {field} field"
    return subject.document.report("MR201", message, where, hint=known.hint(node_id))
