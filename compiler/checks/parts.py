"""Nodes inside nodes: there where the node type has them, and only there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..diagnostics import Diagnostic, Path
from ..scopes import branch_name
from .subject import Subject

_EXAMPLES = {
    "body": "add body: {nodes: [{node_id: …, type: …}]}",
    "branches": "add branches: [{name: …, nodes: [{node_id: …, type: …}]}]",
}


def parts(subject: Subject) -> Iterator[Diagnostic]:
    """A construct without its body or branches, a body where the node type has none, branches of one name."""
    for path, node in subject.nodes():
        if (node_type := subject.node_type(node.get("type"))) is None:
            continue
        for key, example in _EXAMPLES.items():
            forks_by_edges = key == "branches" and subject.graph.outgoing(str(node.get("node_id")))
            others = any(node.get(other) is not None for other in _EXAMPLES)
            if key == node_type.parts and node.get(key) is None and not forks_by_edges and not others:
                message = f"{node_type.name} without {key!r}"
                yield subject.document.report("MR110", message, (*path, "type"), hint=example)
            elif key != node_type.parts and node.get(key) is not None:
                message = f"{node_type.name} has no {key}"
                hint = f"it has {node_type.parts}" if node_type.parts else f"remove {key}"
                if key in node_type.parameters.model_fields:
                    hint = f"write it under parameters: {{{key}: …}}"
                yield subject.document.report("MR111", message, (*path, key), hint=hint, key=True)
        yield from _names(subject, path, node.get("branches"))
        yield from _waits(subject, path, node)


def _names(subject: Subject, path: Path, branches: Any) -> Iterator[Diagnostic]:
    seen: set[str] = set()
    for index, part in enumerate(branches if isinstance(branches, list) else ()):
        name = branch_name(part, index)
        where: Path = (*path, "branches", index)
        if isinstance(part, dict) and "name" in part:
            where = (*where, "name")
        if "/" in name or not name.isprintable():
            yield subject.document.report(
                "MR114", f"{name!r} is no name of a branch", where, hint="use letters, digits, - and _"
            )
        if name in seen:
            message = f"two branches are named {name!r}"
            yield subject.document.report("MR202", message, where, hint="give this branch another name")
        seen.add(name)


def _waits(subject: Subject, path: Path, node: dict[str, Any]) -> Iterator[Diagnostic]:
    """A fork that waits for more branches than it has."""
    branches, parameters = node.get("branches"), node.get("parameters")
    wanted = parameters.get("wait_for") if isinstance(parameters, dict) else None
    if isinstance(branches, list) and type(wanted) is int and wanted > len(branches):
        message = f"it waits for {wanted} of {len(branches)} branches"
        hint = f"write a number up to {len(branches)}, any or all"
        yield subject.document.report("MR208", message, (*path, "parameters", "wait_for"), hint=hint)
