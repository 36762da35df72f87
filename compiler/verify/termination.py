"""Termination of loops: a bound of the rounds, or why there is none.

A loop ends when its condition falls. It surely does where one of the conjuncts that keep it going compares values that
approach each other by at least a fixed amount in each round (:mod:`.ranking`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..diagnostics import Path
from ..expressions.engine import compile_expression
from ..expressions.errors import ExpressionError
from ..expressions.printing import unparse
from ..expressions.syntax import Binary, Conditional, Literal, Logic, Node, Unary, references
from .branches import Judgement
from .constructs import parameters_of
from .diagrams import FALSE, TRUE
from .net import TERMINATE, Nets
from .propositions import tree_of
from .ranking import Body
from .refutations import shown

if TYPE_CHECKING:
    from ..scopes import Scope

LOOP = "control/loop"
NO_BOUND, NEVER_ENDS, TOO_MANY, NEVER_RUNS = "MR250", "MR251", "MR252", "MR243"
_NEGATED = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, slots=True)
class Bound:
    """That a loop ends: after ``rounds`` at most, where that is known beforehand; after just so many, if ``exact``.
    ``why`` says what makes it end."""

    rounds: int | None
    why: str
    exact: bool = False


@dataclass(frozen=True)
class Loop:
    """A loop: its body, and what is written about its rounds. ``going`` says when there is another round."""

    body: Scope
    path: Path
    parameters: Any
    going: Node

    @property
    def after(self) -> bool:
        """Whether the condition is asked after each round."""
        return self.parameters.get("mode") == "do-while"

    @property
    def until(self) -> bool:
        """Whether the condition says when to stop."""
        return self.parameters.get("mode") == "until"

    @property
    def condition(self) -> str:
        """The condition, in a message."""
        written = self.parameters.get("condition")
        return shown(written if isinstance(written, str) else unparse(Literal(written)))

    @property
    def most(self) -> int | None:
        """The rounds after which it fails, where that is a number."""
        given = self.parameters.get("max_iterations")
        return given if type(given) is int else None

    @property
    def name(self) -> str:
        """The node's id."""
        return self.body.owner.id if self.body.owner else ""


def loop_of(nets: Nets, body: Scope) -> Loop | None:
    """The loop of which ``body`` is the body; ``None`` where it is none, or its condition cannot be read."""
    owner = body.owner
    if owner is None or owner.type != LOOP or nets.of(body) is None:
        return None
    parameters = parameters_of(nets.document.value(owner.path))
    condition, mode = parameters.get("condition"), parameters.get("mode", "while")
    tree = Literal(condition) if isinstance(condition, bool) else None
    if isinstance(condition, str):
        tree = tree_of(condition)
    if tree is None or mode not in ("while", "until", "do-while"):
        return None
    going = Unary("!", tree) if mode == "until" else tree
    return Loop(body, (*owner.path, "parameters"), parameters, going)


def bound_of(nets: Nets, loop: Loop) -> Bound | None:
    """A proof that the loop ends by its own condition; ``None`` where there is none."""
    bound = _bound(Body(nets, loop.body, after=loop.after), loop.going)
    if bound is None or bound.rounds is None or not loop.after:
        return bound
    return replace(bound, rounds=bound.rounds + 1)


def judge(nets: Nets, body: Scope) -> Iterator[Judgement]:
    """The verdict on the loop of which ``body`` is the body."""
    loop = loop_of(nets, body)
    if loop is None:
        return
    where: Path = (*loop.path, "condition")
    holds = nets.holds(loop.going, loop.body)
    bound = bound_of(nets, loop)
    if (holds == FALSE or _ends_at_once(loop)) and not loop.after:
        how = "always" if loop.until else "never"
        how = (
            f"{how} holds"
            if holds == FALSE
            else f"{'holds' if loop.until else 'does not hold'} before the first round"
        )
        message = f"the body of {loop.name!r} never runs: {loop.condition} {how}"
        hint = "change the condition, or remove the loop"
        yield Judgement(NEVER_RUNS, "refuted", message, where, hint, "warning")
    elif holds == FALSE:
        yield Judgement(NO_BOUND, "proved", "it ends after the first round", where)
    elif bound is not None:
        yield _bounded(nets, loop, bound, where)
    elif holds == TRUE or Body(nets, body, after=loop.after).fixed(loop.going):
        yield _endless(nets, loop, where, always=holds == TRUE)
    elif loop.parameters.get("max_iterations") is None:
        how = "need not come to hold" if loop.until else "may hold for ever"
        yield _unbounded(loop, f"{loop.condition} {how}", where)
    else:
        yield Judgement(NO_BOUND, "proved", "max_iterations bounds it", where)


def _ends_at_once(loop: Loop) -> bool:
    """Whether the condition, of which only ``loop.index`` is not known beforehand, stops it before the first round."""
    if any(chain.text() != "loop.index" for chain, _ in references(loop.going)):
        return False
    try:
        return compile_expression(unparse(loop.going)).evaluate({"loop": {"index": 0}}) is False
    except ExpressionError:
        return False


def _bounded(nets: Nets, loop: Loop, bound: Bound, where: Path) -> Judgement:
    if loop.most is None or not bound.exact or bound.rounds is None or bound.rounds <= loop.most:
        return Judgement(NO_BOUND, "proved", bound.why, where)
    if _other_ways_out(nets, loop):
        return Judgement(TOO_MANY, "unknown", "the body may end it before", where)
    asked = f"its condition asks for {bound.rounds} rounds, and {loop.most} are allowed"
    hint = f"raise max_iterations to {bound.rounds}, or leave it out: the condition bounds the loop"
    place: Path = (*loop.path, "max_iterations")
    return Judgement(TOO_MANY, "refuted", f"{loop.name!r} always fails: {asked}", place, hint, "error")


def _unbounded(loop: Loop, why: str, where: Path) -> Judgement:
    message = f"nothing bounds the rounds of {loop.name!r}: {why}"
    hint = "add max_iterations, the most rounds that can be meant, or a bound of loop.index to the condition"
    return Judgement(NO_BOUND, "unknown", message, where, hint, "error")


def _endless(nets: Nets, loop: Loop, where: Path, *, always: bool) -> Judgement:
    """A condition that always holds, or that nothing in the loop changes."""
    limited = loop.parameters.get("max_iterations") is not None
    if _other_ways_out(nets, loop):
        if limited:
            return Judgement(NEVER_ENDS, "unknown", "its rounds may end it", where)
        return _unbounded(loop, "it goes on until something in it fails or ends the instance", where)
    why = f"nothing in the loop changes {loop.condition}"
    if always:
        why = f"{loop.condition} {'never' if loop.until else 'always'} holds"
    hint = "compare with loop.index or with what the body computes, as in loop.index < 10"
    if limited:
        message = f"{loop.name!r} ends only by failing after max_iterations: {why}"
        return Judgement(NEVER_ENDS, "refuted", message, where, hint, "warning")
    begun = "" if always else " once it goes on" if loop.after else " once it has begun"
    return Judgement(NEVER_ENDS, "refuted", f"{loop.name!r} never ends{begun}: {why}", where, hint, "error")


def _other_ways_out(nets: Nets, loop: Loop) -> bool:
    """Whether a round may end the loop: by an error that it takes for its end, or with the instance."""
    if loop.parameters.get("break_on_error"):
        return True
    return any(node.type == TERMINATE for scope in loop.body.walk() for node in scope.graph.nodes)


# --- bounds -----------------------------------------------------------------------------------------------------


def _bound(body: Body, tree: Node, *, negated: bool = False, lasting: bool = False) -> Bound | None:
    """Why ``tree`` (or its contrary) cannot hold round after round; with ``lasting``, why it then holds in no later
    round either."""
    if body.asks_later(tree) is negated:
        return Bound(1, "it asks for the first round", exact=True)
    match tree:
        case Literal(value=bool(value)):
            return Bound(0, "its condition is false", exact=True) if value == negated else None
        case Unary(operator="!", operand=operand):
            return _bound(body, operand, negated=not negated, lasting=lasting)
        case Logic(operator=operator, operands=operands) if (operator == "&&") != negated:
            found = [_bound(body, operand, negated=negated, lasting=lasting) for operand in operands]
            known = [one for one in found if one is not None]
            return replace(min(known, key=_rounds), exact=False) if known else None
        case Logic(operands=operands):
            return _all_bound(body, operands, negated=negated)
        case Conditional(then=then, otherwise=otherwise):
            return _all_bound(body, (then, otherwise), negated=negated)
        case Binary(operator=operator, left=left, right=right) if operator in _NEGATED:
            operator = _NEGATED[operator] if negated else operator
            return _compared(body, operator, left, right, lasting=lasting)
        case _:
            return None


def _all_bound(body: Body, trees: tuple[Node, ...], *, negated: bool) -> Bound | None:
    """Of alternatives, none must be left."""
    found = [_bound(body, tree, negated=negated, lasting=True) for tree in trees]
    known = [one for one in found if one is not None]
    return replace(max(known, key=_rounds), exact=False) if len(known) == len(found) else None


def _rounds(bound: Bound) -> float:
    return math.inf if bound.rounds is None else bound.rounds


def _compared(body: Body, operator: str, left: Node, right: Node, *, lasting: bool) -> Bound | None:
    one, other = body.motion(left), body.motion(right)
    turned = other.times(Fraction(-1)) if other else None
    distance = one.plus(turned) if one and turned else None
    if distance is None or not distance.step:
        return None
    if operator in (">", ">="):
        distance = distance.times(Fraction(-1)) or distance
    if (operator == "!=" and lasting) or (operator not in ("==", "!=") and distance.step < 0):
        return None
    text = shown(unparse(Binary(operator, left, right)))
    if distance.start is None:
        return None if operator == "!=" else Bound(None, f"{text} falls in the end")
    rounds = _holding(operator, -distance.start / distance.step, distance.since, lasting=lasting)
    if rounds is None:
        return None
    return Bound(rounds, f"{text} falls after {rounds} rounds at most", exact=_counts(left, right))


def _holding(operator: str, meeting: Fraction, since: int, *, lasting: bool) -> int | None:
    """In how many rounds from the first one, at most, a comparison holds of values that are equal at the time
    ``meeting``; ``None`` where it need not fall. With ``lasting``, the round after the last one in which it holds. Of
    the rounds before ``since`` nothing is known."""
    met = meeting >= since and meeting.denominator == 1
    match operator:
        case "==" if lasting:
            return int(meeting) + 1 if met else since
        case "==":
            return since + int(meeting == since)
        case "!=":
            return int(meeting) if met else None
        case "<" | ">":
            return max(math.ceil(meeting), since)
        case _:
            return max(math.floor(meeting) + 1, since)


def _counts(left: Node, right: Node) -> bool:
    """Whether a comparison is of ``loop.index`` itself, of which every round is known."""
    sides = (left, right)
    return any(unparse(side) == "loop.index" for side in sides) and any(
        isinstance(side, Literal) for side in sides
    )
