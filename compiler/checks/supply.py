"""Every required field of a node's input can come from somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from ...tasks.sdk import NodeType
from ..close_matches import Hint, did_you_mean, listed
from ..diagnostics import Diagnostic, Path
from ..graph import Edge
from .subject import Subject


def supply(subject: Subject) -> Iterator[Diagnostic]:
    """Required input fields that no predecessor, mapping or instance input supplies.

    Silent wherever the answer depends on the run: a producer of an unknown type or with fields beyond its
    model, an instance input without described properties.
    """
    ends_nowhere = {edge.target for edge in subject.graph.dangling}
    for path, node in subject.nodes():
        node_type, node_id = subject.node_type(node.get("type")), node.get("node_id")
        if node_type is None or not isinstance(node_id, str) or node_id in ends_nowhere:
            continue
        required = _required(node_type.input)
        if not required or node_id not in subject.graph or subject.graph.by_id[node_id].path != path:
            continue
        explicit = node.get("input")
        if isinstance(explicit, dict):
            yield from _explicit(subject, path, node_type.name, required, explicit)
        elif incoming := subject.graph.incoming(node_id):
            if not any(unknown_targets(edge, node_type) for edge in incoming):  # One of them may be meant.
                yield from _from_edges(subject, path, node_id, node_type.name, required, incoming)
        else:
            yield from _from_instance(subject, path, node_id, node_type.name, required)


def unknown_targets(edge: Edge, node_type: NodeType) -> list[str]:
    """The targets of an edge's mapping that the node at its end does not take, and would drop without a word."""
    if node_type.input.model_config.get("extra") == "allow":
        return []
    taken = {field.alias or name for name, field in node_type.input.model_fields.items()}
    return [str(target) for target in edge.mapping or {} if first_step(str(target)) not in {"", *taken}]


def first_step(target: str) -> str:
    """The field of the input in which a mapping's target lies."""
    return target.replace("\\.", "\0").partition(".")[0].replace("\0", ".")


def _required(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items() if field.is_required()]


def _explicit(
    subject: Subject, path: Path, type_name: str, required: list[str], given: dict[str, Any]
) -> Iterator[Diagnostic]:
    for name in required:
        if name not in given:
            message = f"input lacks {name!r}, which {type_name} needs"
            hint = f'add {name}: "{{{{ … }}}}"; an explicit input replaces the predecessors\' outputs'
            yield subject.document.report("MR350", message, (*path, "input"), hint=hint, key=True)


def _from_edges(
    subject: Subject,
    path: Path,
    node_id: str,
    type_name: str,
    required: list[str],
    incoming: tuple[Edge, ...],
) -> Iterator[Diagnostic]:
    supplied: set[str] = set()
    for edge in incoming:
        fields = _fields_over(subject, edge)
        if fields is None:
            return
        supplied |= fields
    for name in required:
        if name in supplied:
            continue
        sources = listed(dict.fromkeys(edge.source for edge in incoming))
        message = f"node {node_id!r} ({type_name}) needs {name!r}, which {sources} does not supply"
        guess = did_you_mean(name, supplied)
        has = f"it supplies {listed(sorted(supplied))}" if supplied else "it supplies nothing"
        hint = (guess or Hint(has)) + f'; map it: input: {{{name}: "{{{{ … }}}}"}}'
        yield subject.document.report("MR350", message, (*path, "type"), hint=hint)


def _fields_over(subject: Subject, edge: Edge) -> set[str] | None:
    """The fields that arrive over an edge; ``None`` where that is not known."""
    if edge.codes is not None:
        return {"status", "error"}
    if edge.mapping is not None:
        return {str(target).partition(".")[0] for target in edge.mapping}
    node_type = subject.node_type(subject.graph.by_id[edge.source].type)
    if node_type is None or node_type.output.model_config.get("extra") == "allow":
        return None
    return {field.alias or name for name, field in node_type.output.model_fields.items()}


def _from_instance(
    subject: Subject, path: Path, node_id: str, type_name: str, required: list[str]
) -> Iterator[Diagnostic]:
    schema = subject.tree.get("input")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    open_ended = ("$ref", "allOf", "anyOf", "oneOf", "patternProperties", "additionalProperties")
    if not isinstance(properties, dict) or not isinstance(schema, dict):
        return
    if any(schema.get(key) not in (None, False) for key in open_ended):
        return
    for name in required:
        if name not in properties and name != "trigger":
            message = (
                f"node {node_id!r} ({type_name}) needs {name!r}, which the workflow's input does not describe"
            )
            guess = did_you_mean(name, properties) or Hint(f"it describes {listed(properties)}")
            hint = guess + "; add the property, or map it with input: on the node"
            yield subject.document.report("MR350", message, (*path, "type"), hint=hint, severity="warning")
