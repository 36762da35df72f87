"""Every node's type is in the registry."""

from __future__ import annotations

from collections.abc import Iterator

from ..close_matches import asked
from ..diagnostics import Diagnostic
from ..dialects.task_types import meant_type
from ..model import MAX_NODE_ID
from .subject import Subject

PLANNED = frozenset(
    "control/" + name
    for name in [
        "switch",
        "parallel",
        "loop",
        "foreach",
        "subworkflow",
        "wait-event",
        "human-task",
        "aggregate",
        "terminate",
        "emit-event",
        "transform",
        "transaction",
    ]
)
"""Types of the definition language that this release cannot run."""


def node_types(subject: Subject) -> Iterator[Diagnostic]:
    """Unknown node types, with close matches; also of compensations."""
    for path, node in subject.nodes():
        compensation = node.get("compensate")
        places = [((*path, "type"), node.get("type"))]
        if isinstance(compensation, dict):
            places.append(((*path, "compensate", "type"), compensation.get("type")))
        for where, name in places:
            if not isinstance(name, str) or not name or name in subject.registry:
                continue
            if name in PLANNED:
                message, hint = f"node type {name!r} is not in this release", "`realm nodes` lists what is"
            else:
                shown = name[:MAX_NODE_ID]
                message, close = f"unknown node type {shown!r}", subject.registry.close_matches(shown)
                hint = asked(*close) if close else subject.registry.suggestion(shown)
                if (meant := meant_type(name)) is not None:
                    hint = asked(meant) + f" Or register {shown!r} (docs/node-authors.md)"
                elif not close:
                    hint += "; the setting `nodes` registers your own (docs/node-authors.md)"
            yield subject.document.report("MR120", message, where, hint=hint)
