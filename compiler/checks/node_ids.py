"""Node ids are unique, also as names in expressions."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from .subject import Subject


def node_ids(subject: Subject) -> Iterator[Diagnostic]:
    """A second node with the id of an earlier one, or one that expressions could not tell from it; in a part, also of
    a node around it."""
    document = subject.document
    first: dict[str, tuple[str, int]] = {}
    for scope in subject.scope.around():
        if scope is not subject.scope:
            for node in scope.graph.nodes:
                first.setdefault(node.id.replace("-", "_"), (node.id, node.span.line))
    for path, node in subject.nodes():
        node_id = node.get("node_id")
        if not isinstance(node_id, str):
            continue
        where = (*path, "node_id")
        name = node_id.replace("-", "_")
        if name not in first:
            first[name] = (node_id, document.span(where).line)
            continue
        earlier, line = first[name]
        if earlier == node_id:
            message, hint = (
                f"node id {node_id!r} is used twice (first on line {line})",
                "give this node another id",
            )
            yield document.report("MR202", message, where, hint=hint)
        else:
            yield document.report(
                "MR202",
                f"node ids {earlier!r} (line {line}) and {node_id!r} are the same name in expressions: nodes.{name}",
                where,
                hint="give this node another id",
            )
