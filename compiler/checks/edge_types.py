"""What comes over edges is what the node at their end takes, and each field comes once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ...tasks.sdk import NodeType
from ..close_matches import did_you_mean, listed
from ..diagnostics import Diagnostic
from ..graph import Edge
from .subject import Subject
from .supply import first_step, unknown_targets

if TYPE_CHECKING:
    from ..expressions.shapes import Shape
    from ..verify.fitting import Fit


_MOST_EDGES = 20
"""Edges into one node that are compared with each other."""
_MOST_PAIRS = 200
"""Pairs of edges of one scope that are looked at closely."""


class _Pair(NamedTuple):
    node_id: str
    type_name: str
    one: Edge
    other: Edge
    name: str


def edge_types(subject: Subject) -> Iterator[Diagnostic]:
    """Outputs and mappings of another type than the input they become; mapping targets inside each other; fields that
    two predecessors of the same run supply."""
    if subject.outputs is None or subject.graph.dangling or subject.graph.cycles or subject.unnamed:
        return
    pairs: list[_Pair] = []
    tops: dict[int, Mapping[str, Shape]] = {}
    for node in subject.graph.nodes:
        incoming = subject.graph.incoming(node.id)
        for edge in incoming:
            if edge.mapping is not None:
                yield from _nested_targets(subject, edge)
        if isinstance(subject.document.value(node.path).get("input"), dict):
            yield from (_without_effect(subject, edge) for edge in incoming if edge.mapping)
        node_type = subject.node_type(node.type)
        if node_type is None or isinstance(subject.document.value(node.path).get("input"), dict):
            continue
        for edge in incoming:
            yield from _unknown_targets(subject, edge, node_type)
        supplied = [(edge, _supplied(subject, edge, tops)) for edge in incoming]
        for edge, fields in supplied:
            yield from _types(subject, edge, fields, node_type)
        pairs += _pairs(subject, node.id, node_type, supplied)
    if pairs:
        yield from _twice(subject, pairs)


def _supplied(subject: Subject, edge: Edge, tops: dict[int, Mapping[str, Shape]]) -> Mapping[str, Shape]:
    """The top fields that an edge brings, each with its shape, as far as they are known. ``tops`` has those of whole
    outputs that were asked for before: most nodes of a definition are of few types."""
    from ..expressions.shapes import ANYTHING, Shape

    assert subject.outputs is not None
    known = subject.outputs.reach(subject.scope).get(edge.source)
    output = ANYTHING if known is None else subject.outputs.of_node(known)
    if edge.mapping is not None:
        plain = {str(target): value for target, value in edge.mapping.items() if "." not in str(target)}
        return {target: _mapped(subject, output, value) for target, value in plain.items()}
    if (found := tops.get(id(output))) is None:
        steps = ((name, output.step(name)) for name in output.fields)
        fields = {name: step for name, step in steps if isinstance(step, Shape)}
        found = tops[id(output)] = {"items": output} if output.cel_type == "list" else fields
    return found


def _mapped(subject: Subject, output: Shape, value: Any) -> Shape:
    from ..expressions.mapping import is_path
    from ..expressions.shapes import ANYTHING, Shape

    assert subject.outputs is not None
    if not isinstance(value, str) or not is_path(value):
        return subject.outputs.of_value(value, subject.scope)
    if value == "$":
        return output
    shape = output
    for name in value[2:].split("."):
        step = shape.step(name) if value[1] == "." and name.replace("_", "a").isalnum() else ANYTHING
        if not isinstance(step, Shape) or step is ANYTHING:
            return ANYTHING
        shape = step
    return shape


def _types(
    subject: Subject, edge: Edge, fields: Mapping[str, Shape], node_type: NodeType
) -> Iterator[Diagnostic]:
    taken = {field.alias or name for name, field in node_type.input.model_fields.items()}
    for name in fields.keys() & taken:
        value = None if edge.mapping is None else edge.mapping.get(name)
        what, found = _fitting(fields[name], name, node_type, value)
        if found is None or found.verdict == "yes":
            continue
        source = subject.graph.by_id[edge.source].type
        message = (
            f"{edge.target!r} ({node_type.name}) takes {found.wanted} as {name!r}, and from {edge.source!r} ({source}) "
            f"comes {what}"
        )
        rarely = found.verdict == "rarely"
        hint = f'map a field that fits: mapping: {{{name}: "$.…"}}, or input: {{{name}: "{{{{ … }}}}"}} on the node'
        where = edge.path if edge.mapping is None else (*edge.path, "mapping", name)
        yield subject.document.report(
            "MR305", message, where, hint=hint, severity="warning" if rarely else "error"
        )


def _fitting(shape: Shape, name: str, node_type: NodeType, value: Any) -> tuple[str, Fit | None]:
    from ..expressions.mapping import is_path
    from ..verify.fitting import fit_examples, fit_field, kind_of, words

    if value is not None and not isinstance(value, str):
        return f"{value!r}"[:60], fit_examples(node_type.input, {}, (name,), (value,))
    if isinstance(value, str) and "{{" not in value and not is_path(value):
        return f"{value!r}"[:60], fit_examples(node_type.input, {}, (name,), (value,))
    kind = kind_of(shape)
    return ("", None) if kind is None else (words(kind), fit_field(node_type.input, name, kind))


def _without_effect(subject: Subject, edge: Edge) -> Diagnostic:
    """A mapping into a node whose own input replaces it."""
    return subject.document.report(
        "MR307",
        f"this mapping has no effect: {edge.target!r} has an input of its own",
        (*edge.path, "mapping"),
        hint="remove one of the two",
        severity="warning",
        key=True,
    )


def _unknown_targets(subject: Subject, edge: Edge, node_type: NodeType) -> Iterator[Diagnostic]:
    """Targets of a mapping that the node at its end does not take."""
    taken = [field.alias or name for name, field in node_type.input.model_fields.items()]
    for target in unknown_targets(edge, node_type):
        name = first_step(target)
        guess = did_you_mean(name, taken, 1)
        yield subject.document.report(
            "MR121",
            f"unknown input {name!r} of {node_type.name}",
            (*edge.path, "mapping", target),
            hint=guess or f"{node_type.name} takes {listed(taken, 30) or 'none'}",
            key=True,
        )


def _nested_targets(subject: Subject, edge: Edge) -> Iterator[Diagnostic]:
    """A target inside another one, whose value is no mapping."""
    from ..verify.fitting import kind_of

    mapping = edge.mapping or {}
    plain = {str(target): value for target, value in mapping.items() if "\\." not in str(target)}
    known = subject.outputs.reach(subject.scope).get(edge.source) if subject.outputs else None
    for target in plain:
        steps = target.split(".")
        for end in range(1, len(steps)):
            if (around := ".".join(steps[:end])) not in plain or known is None or subject.outputs is None:
                continue
            kind = kind_of(_mapped(subject, subject.outputs.of_node(known), plain[around]))
            if kind not in (None, "map"):
                message = f"the target {target!r} lies inside {around!r}, whose value is no mapping"
                yield subject.document.report(
                    "MR307",
                    message,
                    (*edge.path, "mapping", target),
                    hint="give each target a path of its own",
                    key=True,
                )


def _pairs(
    subject: Subject, node_id: str, node_type: NodeType, supplied: list[tuple[Edge, Mapping[str, Shape]]]
) -> Iterator[_Pair]:
    """Two edges that bring a field of the same name, which the node takes."""
    taken = {field.alias or name for name, field in node_type.input.model_fields.items()}
    for (one, first), (other, second) in itertools.combinations(supplied[:_MOST_EDGES], 2):
        for name in first if one.source != other.source else ():
            if name not in second or name not in taken:
                continue
            if not (_carries(subject, one, name) and _carries(subject, other, name)):
                yield _Pair(node_id, node_type.name, one, other, name)
                break


def _twice(subject: Subject, pairs: list[_Pair]) -> Iterator[Diagnostic]:
    from ..verify.parallel import Together

    together = Together(subject.document, subject.scope, subject.registry)
    for pair in pairs[:_MOST_PAIRS]:
        if together.taken(pair.node_id, pair.one, pair.other):
            one, other, name = pair.one.source, pair.other.source, pair.name
            node = f"{pair.node_id!r} ({pair.type_name})"
            message = f"{one!r} and {other!r} both supply {name!r} of {node}; that of {other!r} counts"
            hint = f'say which: input: {{{name}: "{{{{ nodes.….{name} }}}}"}}, or map one elsewhere'
            yield subject.document.report("MR351", message, pair.other.path, hint=hint, severity="warning")


def _carries(subject: Subject, edge: Edge, name: str) -> bool:
    """Whether the source may only hand on what it got: it takes a field of that name too."""
    node_type = subject.node_type(subject.graph.by_id[edge.source].type)
    return edge.mapping is None and node_type is not None and name in node_type.input.model_fields
