"""What is done about errors: steps that undo, the handler of a failed instance, whom to tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..close_matches import did_you_mean
from ..diagnostics import Diagnostic, Path
from ..subworkflows import SUBWORKFLOW
from .parameters import against
from .subject import Subject

SEND = "notify/send"


def error_routes(subject: Subject) -> Iterator[Diagnostic]:
    """``compensate`` with a node type that cannot undo or is called wrongly; rules that an earlier one
    leaves nothing to."""
    for path, node in subject.nodes():
        if isinstance(node.get("compensate"), dict):
            yield from _compensation(subject, (*path, "compensate"), node["compensate"])
        yield from _out_of_reach(subject, path, node.get("on_error"))


def failure_handling(subject: Subject) -> Iterator[Diagnostic]:
    """``on_failure`` that names no node, and ``notify`` with what ``notify/send`` does not take."""
    handling = subject.tree.get("error_handling")
    if not isinstance(handling, dict):
        return
    name, where = handling.get("on_failure"), ("error_handling", "on_failure")
    if isinstance(name, str) and name and name not in subject.graph:
        known = [node.id for node in subject.graph.nodes]
        hint = (
            did_you_mean(name, known)
            or f"add a node {name!r}: it then runs when an instance fails, and only then"
        )
        message = f"on_failure names {name!r}, which is no node: nothing runs when an instance fails"
        yield subject.document.report("MR142", message, where, hint=hint, severity="warning")
    send = subject.node_type(SEND)
    entries = handling.get("notify")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict) and send is not None:
            place = ("error_handling", "notify", index)
            filled = {"body": "{{ error.message }}", **entry}
            yield from against(subject, send, send.parameters, filled, place, "parameter")


def _compensation(subject: Subject, path: Path, rule: dict[str, Any]) -> Iterator[Diagnostic]:
    kind = rule.get("type")
    if not isinstance(kind, str) or not kind:
        return
    if (node_type := subject.node_type(kind)) is None:
        return  # Unknown, which the check of node types says.
    if node_type.parts is not None or node_type.name == SUBWORKFLOW:
        message = f"{kind} cannot undo a step: it has nodes of its own"
        hint = "name a node type that does it in one call"
        yield subject.document.report("MR141", message, (*path, "type"), hint=hint)
        return
    given, explicit = rule.get("parameters", {}), rule.get("input")
    if isinstance(given, dict):
        yield from against(
            subject, node_type, node_type.parameters, given, (*path, "parameters"), "parameter"
        )
    if isinstance(explicit, dict):
        yield from against(subject, node_type, node_type.input, explicit, (*path, "input"), "input")


def _out_of_reach(subject: Subject, path: Path, rules: Any) -> Iterator[Diagnostic]:
    """The first rule for a code counts, so nothing is left after one for all codes."""
    for index, rule in enumerate(rules[:-1] if isinstance(rules, list) else ()):
        if isinstance(rule, dict) and not rule.get("codes"):
            message = "this rule never counts: the one before it is for all codes"
            hint = "put it first, with its codes"
            place = (*path, "on_error", index + 1)
            yield subject.document.report("MR143", message, place, hint=hint, severity="warning")
            return
