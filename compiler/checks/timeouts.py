"""Timeouts leave room for what must be waited for."""

from __future__ import annotations

from collections.abc import Iterator

from ...core.durations import format_duration
from ..diagnostics import Diagnostic, Path
from ..graph import GraphNode
from .subject import Subject


def timeouts(subject: Subject) -> Iterator[Diagnostic]:
    """A timeout of the definition or of a node below the least time of what it bounds, or below a timeout that a node's
    parameters set for what it waits for."""
    scopes = list(subject.scope.walk())
    if subject.definition is None or any(scope.graph.dangling or scope.graph.cycles for scope in scopes):
        return
    for scope in scopes:
        for node in scope.graph.nodes:
            yield from _within(subject, node)
    if not subject.subworkflows and not any(_waits(subject, node) for s in scopes for node in s.graph.nodes):
        return
    from ..verify.timing import judge

    document, scope, registry = subject.document, subject.scope, subject.registry
    yield from subject.told(
        judge(document, scope, registry, subject.definition.timeout, subject.subworkflows)
    )


def _within(subject: Subject, node: GraphNode) -> Iterator[Diagnostic]:
    """A node that is ended before the time is over that its parameters give."""
    node_type, raw = subject.node_type(node.type), subject.document.value(node.path)
    parameters = raw.get("parameters")
    if (
        node_type is None
        or "timeout" not in node_type.parameters.model_fields
        or not isinstance(parameters, dict)
    ):
        return
    from ..verify.timing import seconds_of

    inner = seconds_of(parameters.get("timeout"))
    ends: tuple[tuple[object, Path, str], ...] = (
        (raw.get("timeout"), (*node.path, "timeout"), f"node {node.id!r} ends"),
        (subject.tree.get("timeout"), (*node.path, "parameters", "timeout"), "the workflow ends"),
    )
    for written, where, who in ends:
        outer = seconds_of(written)
        if inner is not None and outer is not None and outer < inner:
            given = f"the {format_duration(inner)} are over that the parameters of {node.id!r} give"
            message = f"{who} after {format_duration(outer)}, before {given}"
            hint = "raise the timeout, or give less time in the parameters"
            yield subject.document.report("MR270", message, where, hint=hint, severity="warning")
            return


def _waits(subject: Subject, node: GraphNode) -> bool:
    node_type, given = subject.node_type(node.type), subject.document.value(node.path).get("parameters")
    return node_type is not None and node_type.waits(given if isinstance(given, dict) else {}) > 0
