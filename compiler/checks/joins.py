"""A join waits for edges that exist."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from .subject import Subject


def joins(subject: Subject) -> Iterator[Diagnostic]:
    """``join: n`` with fewer than n incoming edges: the node would always be skipped."""
    graph = subject.graph
    dangling_targets = {edge.target for edge in graph.dangling}
    for path, node in subject.nodes():
        join, node_id = node.get("join"), node.get("node_id")
        if type(join) is not int or not isinstance(node_id, str) or node_id in dangling_targets:
            continue
        count = len(graph.incoming(node_id))
        if join > count:
            has = {0: "no incoming edge", 1: "one incoming edge"}.get(count, f"{count} incoming edges")
            message = f"node {node_id!r} joins {join} edges but has {has}"
            hint = (
                f"write a number up to {count}, any or all"
                if count
                else "remove join, or add edges to the node"
            )
            yield subject.document.report("MR208", message, (*path, "join"), hint=hint)
