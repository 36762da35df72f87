"""A compensation has something to undo, and undoes it; what a transaction may have to undo has one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..diagnostics import Diagnostic, Path
from .subject import Subject

TRANSACTION = "control/transaction"


def compensation(subject: Subject) -> Iterator[Diagnostic]:
    """``compensate`` on nodes that change nothing outside, and with node types that do not; what changes within a
    transaction and nothing takes back."""
    in_transaction = any(
        scope.owner is not None and scope.owner.type == TRANSACTION for scope in subject.scope.around()
    )
    for path, node in subject.nodes():
        undo = node.get("compensate")
        if undo is None and in_transaction:
            yield from _left(subject, path, node)
        if not isinstance(undo, dict):
            continue
        if not _may_change(subject, node):
            message = f"there is nothing to undo: {node.get('type')} changes nothing outside"
            where = (*path, "compensate")
            yield subject.document.report(
                "MR290", message, where, hint="remove it", severity="info", key=True
            )
        elif not _may_change(subject, undo):
            message = f"this undoes nothing: {undo.get('type')} changes nothing outside"
            hint = "name a node type that takes back what this node did"
            where = (*path, "compensate", "type")
            yield subject.document.report("MR290", message, where, hint=hint, severity="info")


def _left(subject: Subject, path: Path, node: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """A change that stays when the transaction around it is undone; the very last step of one need not be."""
    node_type, node_id = subject.node_type(node.get("type")), node.get("node_id")
    if node_type is None or node_type.where == "run" or not _may_change(subject, node):
        return
    owner, graph = subject.scope.owner, subject.graph
    others = [one.id for one in graph.nodes if one.id != node_id]
    within = owner is not None and owner.type == TRANSACTION
    if within and isinstance(node_id, str) and all(graph.reaches(one, node_id) for one in others):
        return
    message = f"what {node_id!r} changes stays when the transaction is undone: it has no compensate"
    hint = "add compensate: {type: …} with what takes it back, or put the node after the transaction"
    yield subject.document.report("MR291", message, (*path, "type"), hint=hint, severity="warning")


def _may_change(subject: Subject, node: Mapping[str, Any]) -> bool:
    """Whether a node may change things outside; one that the run drives may, through others."""
    from ..verify.accesses import effects_of

    node_type = subject.node_type(node.get("type"))
    if node_type is None or node_type.where == "run":
        return True
    if not node_type.side_effects or (found := effects_of(subject.registry, node)) is None:
        return False
    effects, _ = found
    return effects is None or bool(effects.writes or effects.adds)
