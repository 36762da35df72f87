"""How the values that a loop's condition compares move from round to round: linear ranking (Podelski and Rybalchenko
2004), for one value at a time.

``loop.index`` moves by one. A value that a node of the body computes moves as its formula says: by a constant from what
it was in the round before, or as ``loop.index`` does. What nothing in the loop can change stands still.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from ..expressions.composed import sole_hole
from ..expressions.errors import ExpressionError
from ..expressions.parser import parse
from ..expressions.syntax import (
    Binary,
    Call,
    Chain,
    Conditional,
    Index,
    Literal,
    Node,
    Unary,
    chain_of,
    references,
    walk,
)
from .constructs import parameters_of
from .diagrams import TRUE
from .net import Nets
from .presence import first_round

if TYPE_CHECKING:
    from ..scopes import Scope

_VOLATILE = frozenset({"now", "uuid"})
_NUMBERS = frozenset({"int", "double"})
_DEEPEST = 20
"""Values that are followed through each other's formulas."""
_LAST = Chain("loop", ("last",))

Key: TypeAlias = tuple[str, str]
"""A value that the body computes: the node's id and the field of its output."""


@dataclass(frozen=True, slots=True)
class Motion:
    """A value that is ``start + step * round``, rounds being counted from 0; ``start`` is ``None`` where it is not
    known. It moves so from the round ``since`` on; what it was before is not said.

    In the formula of a value, ``before`` says that what it was a round before is added, and ``first`` what stands for
    that in the first round.
    """

    step: Fraction = Fraction(0)
    start: Fraction | None = Fraction(0)
    before: bool = False
    first: Fraction | None = None
    since: int = 0

    @property
    def constant(self) -> Fraction | None:
        """The value, where it is known and stands still from the beginning."""
        return None if self.step or self.before or self.since else self.start

    def plus(self, other: Motion) -> Motion | None:
        """The sum."""
        if self.before and other.before:
            return None
        start = None if self.start is None or other.start is None else self.start + other.start
        first = self.first if self.before else other.first
        since = max(self.since, other.since)
        return Motion(self.step + other.step, start, self.before or other.before, first, since)

    def times(self, factor: Fraction) -> Motion | None:
        """The product with a number; of what was before, only the number one gives such a motion."""
        if self.before:
            return self if factor == 1 else None
        start = None if self.start is None else self.start * factor
        return replace(self, step=self.step * factor, start=start)

    def late(self, rounds: int) -> Motion:
        """The value as it was some rounds before."""
        start = None if self.start is None else self.start - rounds * self.step
        return replace(self, start=start, since=self.since + rounds)


class Body:
    """The body of a loop, as seen from a condition that is asked before each round, or ``after`` it."""

    def __init__(self, nets: Nets, scope: Scope, *, after: bool) -> None:
        self.scope = scope
        self._nets = nets
        self._behind = 0 if after else 1
        self._known: dict[Key, Motion | None] = {}
        self._depth = 0
        output = nets.document.value(scope.path).get("output")
        self._output = output if isinstance(output, dict) else None

    def fixed(self, tree: Node) -> bool:
        """Whether nothing in the loop changes the value of ``tree``."""
        if any(isinstance(one, Index) or _is_volatile(one) for one in walk(tree)):
            return False
        return all(self._is_fixed(chain) for chain, _ in references(tree))

    def _is_fixed(self, chain: Chain) -> bool:
        if chain.root == "nodes":
            found = self._nets.find(str(chain.path[0]), self.scope) if chain.path else None
            return found is not None and found[0] is not self.scope
        return chain.root != "loop" or chain.path[:1] == ("parent",)

    def motion(self, tree: Node) -> Motion | None:
        """How ``tree`` moves in the condition; ``None`` where that is not known."""
        return self._motion(tree, None)

    def _motion(self, tree: Node, own: Key | None) -> Motion | None:
        """``own``: the value in whose formula ``tree`` stands."""
        match tree:
            case Literal(value=value) if (number := _number(value)) is not None:
                return Motion(start=number)
            case Unary(operator="-", operand=operand):
                moved = self._motion(operand, own)
                return moved and moved.times(Fraction(-1))
            case Binary(operator="+" | "-" | "*" as operator, left=left, right=right):
                one, other = self._motion(left, own), self._motion(right, own)
                return None if one is None or other is None else _computed(operator, one, other)
            case Call(function="now"):
                return Motion(step=Fraction(1), start=None)
            case Call(function="default", arguments=(value, instead)):
                return self._defaulted(value, instead, own)
            case Call(function=name, arguments=(only,)) if name in _NUMBERS:
                return self._motion(only, own)
        chain = chain_of(tree)
        if chain is not None and not self._is_fixed(chain):
            return self._of_chain(chain, own)
        return Motion(start=self._constant(chain)) if self.fixed(tree) else None

    def _defaulted(self, value: Node, instead: Node, own: Key | None) -> Motion | None:
        moved = self._motion(value, own)
        if moved is None or not moved.before:
            return moved
        other = self._motion(instead, own)
        return replace(moved, first=other.constant if other and moved == Motion(before=True) else None)

    def _constant(self, chain: Chain | None) -> Fraction | None:
        """The value of a constant of the definition."""
        if chain is None or chain.root != "vars" or len(chain.path) != 1:
            return None
        return _number(self._nets.facts(self.scope).constants.get(str(chain.path[0])))

    def _of_chain(self, chain: Chain, own: Key | None) -> Motion | None:
        if chain == Chain("loop", ("index",)):
            return Motion(step=Fraction(1))
        key = self._key(chain)
        if key is None or (key == own and chain.root == "nodes"):
            return None
        if key == own:
            return Motion(before=True)
        moved = self._value(key)
        behind = 1 if chain.root == "loop" else self._behind if own is None else 0
        return moved and moved.late(behind)

    # --- values of the body -------------------------------------------------------------------------------------

    def _key(self, chain: Chain) -> Key | None:
        """The value that a reference to a node of the body, or to ``loop.last``, leads to."""
        if chain.root == "nodes":
            found = self._nets.find(str(chain.path[0]), self.scope) if chain.path else None
            if found is None or found[0] is not self.scope or len(chain.path) != 2:
                return None
            return found[1], str(chain.path[1])
        path = chain.path[1:] if chain.path[:1] == _LAST.path else ()
        if self._output is None:
            return (str(path[0]), str(path[1])) if len(path) == 2 and path[0] in self.scope.graph else None
        tree = _expression(self._output.get(str(path[0]))) if len(path) == 1 else None
        inner = None if tree is None else chain_of(tree)
        return self._key(inner) if inner is not None and inner.root == "nodes" else None

    def _value(self, key: Key) -> Motion | None:
        if key not in self._known and self._depth < _DEEPEST:
            self._known[key] = None  # While it is looked at, nothing is known of it.
            self._depth += 1
            formula = self._formula(*key)
            self._known[key] = None if formula is None else self._solved(formula, key)
            self._depth -= 1
        return self._known.get(key)

    def _formula(self, node_id: str, field: str) -> Node | None:
        """What the node computes for ``field`` in every round."""
        net, kind = self._nets.of(self.scope), self.scope.graph.by_id[node_id].type
        if net is None or kind not in self._nets.registry or node_id in net.failing:
            return None
        values = self._nets.registry[kind].gives(parameters_of(net.raw[node_id]))
        if values is None or net.runs.get(node_id) != TRUE:
            return None
        return _expression(values.get(field))

    def _solved(self, formula: Node, key: Key) -> Motion | None:
        """The value's motion, from its formula: one that goes on from the round before, or that counts rounds."""
        begins: Motion | None = None
        if isinstance(formula, Conditional) and (later := self.asks_later(formula.test)) is not None:
            first, formula = (formula.otherwise, formula.then) if later else (formula.then, formula.otherwise)
            begins = self._motion(first, key)
        moved = self._motion(formula, key)
        if moved is None or not moved.before:
            return moved and replace(moved, since=max(moved.since, int(begins is not None)))
        if moved.step or moved.start is None:
            return None
        start = begins.constant if begins else None if moved.first is None else moved.first + moved.start
        return Motion(step=moved.start, start=None if moved.since else start, since=moved.since)

    def asks_later(self, test: Node) -> bool | None:
        """Whether ``test`` holds just in the later rounds (true) or in the first one (false); ``None``, if neither."""
        first, asked = (
            first_round(self._nets, _LAST, self.scope),
            self._nets.holds(test, self.scope),
        )
        return None if first is None or asked >> 1 != first >> 1 else asked != first


def _computed(operator: str, one: Motion, other: Motion) -> Motion | None:
    if operator == "+":
        return one.plus(other)
    if operator == "-":
        turned = other.times(Fraction(-1))
        return turned and one.plus(turned)
    if (factor := other.constant) is not None:
        return one.times(factor)
    return None if (factor := one.constant) is None else other.times(factor)


def _expression(value: object) -> Node | None:
    """The expression that a value of a template is; a plain number is one too."""
    if isinstance(value, int | float):
        return Literal(value)
    hole = sole_hole(value) if isinstance(value, str) else None
    try:
        return None if hole is None else parse(hole.expression)
    except ExpressionError:
        return None


def _number(value: object) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return Fraction(value)


def _is_volatile(tree: Node) -> bool:
    return isinstance(tree, Call) and tree.function in _VOLATILE
