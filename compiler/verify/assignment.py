"""Definite assignment: whether what an expression reads is there in every execution that evaluates it.

A node that was skipped has no output, one whose failure is tolerated has none of its fields, a branch that was
cancelled gives nothing, and ``loop.last`` is null in the first round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..diagnostics import Severity
from ..expressions.syntax import Chain
from .branches import Judgement
from .constructs import parameters_of
from .diagrams import FALSE, TRUE
from .net import Net, Nets
from .presence import Factor, factors, first_round, repeats
from .reads import Read, Reads
from .refutations import Refutation, refute

if TYPE_CHECKING:
    from ..scopes import Scope

CODE = "MR306"


@dataclass(frozen=True)
class Reading(Judgement):
    """A verdict on one reference, at characters ``within`` the string at ``path``."""

    within: tuple[int, int] = (0, 0)


def judge(nets: Nets, scope: Scope) -> Iterator[Reading]:
    """A verdict on every reference in ``scope`` that might be absent somewhere, also those with nothing to tell."""
    net = nets.of(scope)
    if net is None or not _doubtful(nets, scope):
        return
    for read in Reads(nets, net).all():
        needed = _needed(nets, read)
        if any(factor.function != TRUE for factor in needed):
            yield _verdict(nets, net, read, needed)


def _doubtful(nets: Nets, scope: Scope) -> bool:
    """Whether anything that expressions in ``scope`` can name may be absent."""
    for around in scope.around():
        for one in around.walk() if around is scope else (around, *around.children):
            net = nets.of(one)
            if net is None:
                continue
            if net.failing or any(runs != TRUE for runs in net.runs.values()) or one.owner is not None:
                return True
    return False


def _needed(nets: Nets, read: Read) -> list[Factor]:
    """What must have happened for the reference to lead to something."""
    place, chain = read.place, read.chain
    found = list(factors(nets, chain, place.scope))
    owner = place.scope.owner
    inside = chain.root == "nodes" and bool(found) and found[0].scope is place.scope
    if owner is None or owner.id != place.reader or not inside or not repeats(nets, place.scope):
        return found
    # The condition of a loop that is asked before the first round.
    outer = nets.of(place.scope.parent) if place.scope.parent else None
    if outer is not None and parameters_of(outer.raw[owner.id]).get("mode", "while") == "do-while":
        return found
    first = first_round(nets, Chain("loop", ("last",)), place.scope)
    return found if first is None else [Factor(first ^ 1, "first round", place.scope, found[0].node), *found]


def _verdict(nets: Nets, net: Net, read: Read, needed: list[Factor]) -> Reading:
    left = read.where
    proved = Reading(CODE, "proved", "it is there wherever it is read", read.place.path, within=read.span)
    for factor in needed:
        absent = nets.product(left, factor.function ^ 1)
        if absent != FALSE and left != FALSE:
            if not _in_order(nets, read, factor):
                return replace(proved, verdict="unknown", message="it need not have run before")
            found = _refuted(nets, net, read, factor, left, absent)
            if found is not None:
                return replace(found, path=read.place.path, within=read.span)
        left = nets.product(left, factor.function)
    return proved


def _refuted(nets: Nets, net: Net, read: Read, factor: Factor, left: int, absent: int) -> Reading | None:
    """What to tell of executions in which ``factor`` does not hold; ``None`` where there are none."""
    place = read.place
    there = nets.of(factor.scope)
    reader = place.reader if place.reader is not None else next(iter(net.raw), "")
    if there is None or factor.node in there.unclear or reader in net.unclear:
        return Reading(CODE, "unknown", "there is too much to follow", place.path)
    always = nets.product(left, factor.function) == FALSE
    places = [(net.scope, reader)] if place.reader is not None else []
    places.append((factor.scope, factor.node) if factor.node else (net.scope, reader))
    refutation = refute(nets, absent, places)
    if refutation is None:
        return None
    if not always and nets.product(absent, *_goes_on(nets, net, place.reader)) == FALSE:
        return Reading(CODE, "unknown", "the instance is being ended then", place.path)
    severity: Severity | None = "warning"
    if always or (factor.lack == "first round" and absent == nets.product(place.where, factor.function ^ 1)):
        severity = "error"
    elif place.reader is not None and net.raw[place.reader].get("fail_on_error") is False:
        severity = None  # What follows is prepared for its failure.
    message = _message(read, factor, there, refutation, always=always)
    return Reading(
        CODE, refutation.verdict, message, place.path, _hint(read, factor, always=always), severity
    )


def _goes_on(nets: Nets, net: Net, reader: str | None) -> Iterator[int]:
    """That nothing beside the reader ends the instance."""
    for node_id in net.ending:
        if reader not in (None, node_id) and not net.scope.graph.reaches(str(reader), node_id):
            yield net.runs[node_id] ^ 1


def _in_order(nets: Nets, read: Read, factor: Factor) -> bool:
    """Whether the node is one that the reader may read at all; else that is told as such."""
    place, inside = read.place, factor.scope
    if place.before is None or not factor.node:
        return True
    anchor: str | None = place.before
    scope: Scope | None = place.scope
    if scope is not None and scope.owner is not None and scope.owner.id == place.reader:
        if inside is scope:
            return True
        scope = scope.parent
    while scope is not None and scope is not inside:
        anchor, scope = (scope.owner.id if scope.owner else None), scope.parent
    if scope is None or anchor is None:
        return True  # Inside a node that is read from outside.
    return anchor == factor.node or scope.graph.reaches(factor.node, anchor)


# --- words ------------------------------------------------------------------------------------------------------


def _message(read: Read, factor: Factor, there: Net, refutation: Refutation, *, always: bool) -> str:
    text, node = read.chain.text(), factor.node
    reads = f"{read.place.reader!r} reads it" if read.place.reader is not None else "the output reads it"
    match factor.lack:
        case "first round" if read.chain.root == "loop":
            return f"{text} is absent in the first round, where loop.last is null, and {reads}"
        case "first round":
            return f"{text} is absent at first: the condition is asked before {node!r} has run"
        case "failed" if always:
            return f"{text} is always absent here: it is read where {node!r} has failed, and {reads}"
        case "failed":
            return f"{text} may be absent: when {node!r} has failed, which does not end the instance, {reads}"
        case "completed":
            return f"{text} may be absent: it is only there when {node!r} has failed, and {reads}"
        case "cancelled":
            branch = factor.scope.name or ""
            return f"{text} may be absent: when branch {branch!r} is cancelled, as not all are waited for, {reads}"
    if always:
        return f"{text} is always absent here: {node!r} is skipped in every execution in which {reads}"
    causes = " and ".join(refutation.causes(there, node))
    return f"{text} may be absent: when {causes}, {node!r} is skipped, and {reads}"


def _hint(read: Read, factor: Factor, *, always: bool) -> str:
    text = read.chain.text()
    if factor.lack == "first round":
        return f"write default({text}, …), or ask loop.index == 0 first"
    if always:
        return "read a node that runs here, or change the conditions"
    return (
        f"it may be skipped: write default({text}, …), or ask has({text}) first"
        if factor.lack == "skipped"
        else (f"write default({text}, …), or ask has({text}) first")
    )
