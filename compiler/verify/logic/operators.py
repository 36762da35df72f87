"""The operators of the language on z3 values, as the CEL runtime and :mod:`...expressions.engine` define them."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ...expressions.printing import unparse
from ...expressions.syntax import Node
from .domains import KINDS, LARGEST, Kind
from .solver import z3
from .values import ERROR, Container, Number, Term, Value, boolean, both, choose, either, merged, negation

_COMPARE: Mapping[str, Callable[[Term, Term], Term]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_COMPUTE: Mapping[str, Callable[[Term, Term], Term]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
_ROUNDING = z3.Q(1, 2**52)
_UNDERFLOW = z3.Q(1, 2**1022)
_INT = 2**63
_INFINITE = 2**1023
_NUMBERS: tuple[Kind, ...] = ("number", "other")
_ANYTHING: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "absent")


class Source(Protocol):
    """Where operators get variables from: a :class:`.terms.Translator`."""

    constraints: list[Term]

    def anything(self, key: str, kinds: tuple[Kind, ...] = ...) -> Value:
        """A value of which only the kinds are known."""
        ...

    def free(self, key: str) -> Term:
        """A boolean of which nothing is known."""
        ...


class Operators:
    """``key`` is an operation's text: what is not known of its result is the same wherever it is written."""

    def __init__(self, source: Source) -> None:
        self.source = source

    # --- comparing ----------------------------------------------------------------------------------------------

    def equality(self, left: Value, right: Value, key: str, *, negated: bool = False) -> Value:
        """``==`` and ``!=``: values of different kinds are different, which is no error."""
        cases: list[tuple[Term, Term]] = []
        for (one, (guard, first)), (other, (also, second)) in _pairs(left, right):
            equal = self._equal(one, other, first, second, key)
            cases.append((both(guard, also), negation(equal) if negated else equal))
        return boolean(*cases)

    def _equal(self, one: Kind, other: Kind, first: Any, second: Any, key: str) -> Term:
        if "other" in (one, other):
            return self.source.free(key)
        if one != other:
            return False
        if one == "null":
            return True
        if one == "number":
            return self._exact(first, second, first.real == second.real, key)
        if one in ("list", "map"):
            return self._equal_containers(first, second, key)
        return _same(first, second)

    def _equal_containers(self, first: Container, second: Container, key: str) -> Term:
        length = first.length == second.length
        if any(isinstance(side.length, int) and side.length == 0 for side in (first, second)):
            return length
        if first.items is not None and second.items is not None and len(first.items) == len(second.items):
            pairs = zip(first.items, second.items, strict=True)
            return both(*(self.equality(a, b, f"{key} {n}").is_bool(True) for n, (a, b) in enumerate(pairs)))
        return both(length, self.source.free(key))

    def comparison(self, symbol: str, left: Value, right: Value, key: str) -> Value:
        """``< <= > >=``: an error between kinds."""
        cases: list[tuple[Term, Term]] = []
        for (one, (guard, first)), (other, (also, second)) in _pairs(left, right):
            here = both(guard, also)
            if "other" in (one, other):
                cases += [(both(here, self.source.free("works " + key)), self.source.free(key))]
            elif one == other == "number":
                cases.append(
                    (here, self._exact(first, second, _ordered(symbol, first.real, second.real), key))
                )
            elif one == other == "string":
                cases.append((here, _ordered(symbol, first, second)))
            elif one == other == "bool":
                cases.append((here, _ordered_booleans(symbol, first, second)))
        return boolean(*cases)

    def _exact(self, left: Number, right: Number, term: Term, key: str) -> Term:
        """``term``, except between a double and an int so large that the runtime rounds it."""
        alike = either(both(left.whole, right.whole), both(negation(left.whole), negation(right.whole)))
        fits = (
            either(negation(n.whole), n.small or z3.And(n.real >= -LARGEST, n.real <= LARGEST))
            for n in (left, right)
        )
        return choose(either(alike, both(*fits)), term, self.source.free(key))

    def contained(self, item: Value, holder: Value, key: str) -> Value:
        """``in``."""
        cases: list[tuple[Term, Term]] = []
        for kind, (guard, payload) in holder.cases.items():
            here = both(guard, item.defined)
            if kind == "list" and payload.items is not None:
                found = (
                    self.equality(item, one, f"{key} {number}").is_bool(True)
                    for number, one in enumerate(payload.items)
                )
                cases.append((here, either(*found)))
            elif kind in ("list", "map"):
                cases.append(
                    (
                        both(here, self.source.free("works " + key)),
                        both(payload.length > 0, self.source.free(key)),
                    )
                )
            elif kind == "other":
                cases.append((both(here, self.source.free("works " + key)), self.source.free(key)))
        return boolean(*cases)

    def within(self, method: str, receiver: Value, argument: Value, key: str) -> Value:
        """``startsWith``, ``endsWith`` and ``contains`` of strings; ``contains`` of lists."""
        operation: Callable[[Term, Term], Term] = {
            "startsWith": lambda whole, part: z3.PrefixOf(part, whole),
            "endsWith": lambda whole, part: z3.SuffixOf(part, whole),
            "contains": z3.Contains,
        }[method]
        cases: list[tuple[Term, Term]] = []
        for (one, (guard, first)), (other, (also, second)) in _pairs(receiver, argument):
            here = both(guard, also)
            if one == other == "string":
                cases.append((here, operation(first, second)))
            elif "other" in (one, other) or (one == "list" and method == "contains"):
                cases.append((both(here, self.source.free("works " + key)), self.source.free(key)))
        return boolean(*cases)

    # --- computing ----------------------------------------------------------------------------------------------

    def minus(self, operand: Value, node: Node) -> Value:
        """``-x``."""
        options: list[tuple[Term, Value]] = []
        for kind, (guard, payload) in operand.cases.items():
            if kind == "number":
                inside = choose(payload.whole, payload.real > -_INT, True)
                number = Number(-payload.real, payload.whole, payload.small)
                options.append((guard, Value({"number": (inside, number)})))
            elif kind == "other":
                options.append((guard, self.source.anything(unparse(node))))
        return merged(options)

    def arithmetic(self, symbol: str, left: Value, right: Value, key: str) -> Value:
        """``+ - * / %`` of numbers; ``+`` of strings and lists."""
        options: list[tuple[Term, Value]] = []
        for (one, (guard, first)), (other, (also, second)) in _pairs(left, right):
            here = both(guard, also)
            if "other" in (one, other):
                options.append((here, self.source.anything(key)))
            elif one == other == "number":
                options.append((here, self._computed(symbol, first, second, key)))
            elif one == other == "string" and symbol == "+":
                options.append((here, Value({"string": (True, z3.Concat(first, second))})))
            elif one == other == "list" and symbol == "+":
                items = None if first.items is None or second.items is None else first.items + second.items
                options.append(
                    (here, Value({"list": (True, Container(first.length + second.length, items))}))
                )
        return merged(options)

    def _computed(self, symbol: str, x: Number, y: Number, key: str) -> Value:
        whole = both(x.whole, y.whole)
        options: list[tuple[Term, Value]] = []
        if whole is not False:
            options.append((whole, _whole(symbol, x.real, y.real)))
        if whole is not True and symbol != "%":
            options.append((negation(whole), self._rounded(symbol, x, y, key)))
        return merged(options)

    def _rounded(self, symbol: str, x: Number, y: Number, key: str) -> Value:
        """The result of doubles: near the exact one; infinite and undefined ones are of kind ``other``."""
        if symbol == "/":
            exact, works = x.real / y.real, y.real != 0
            # An int and a double divide with an error, two doubles without.
            beyond = both(negation(works), negation(x.whole), negation(y.whole))
        else:
            exact = _COMPUTE[symbol](x.real, y.real)
            works, beyond = True, False
        size = z3.If(exact >= 0, exact, -exact)
        result, slack = z3.Real("about " + key), size * _ROUNDING + _UNDERFLOW
        finite = both(works, size < _INFINITE)
        self.source.constraints.append(
            z3.Implies(finite, z3.And(result - exact <= slack, exact - result <= slack))
        )
        infinite = either(beyond, both(works, size >= _INFINITE))
        return Value({"number": (finite, Number(result, False, small=False)), "other": (infinite, None)})

    def convert(self, name: str, operand: Value, key: str) -> Value:
        """``size``, ``double``, ``int`` and ``dyn``."""
        if name == "dyn":
            return operand
        options = [
            (guard, self._converted(name, kind, payload, key))
            for kind, (guard, payload) in operand.cases.items()
        ]
        return merged(options)

    def _converted(self, name: str, kind: Kind, payload: Any, key: str) -> Value:
        if name == "size":
            if kind == "string" or isinstance(payload, Container):
                length = payload.length if isinstance(payload, Container) else z3.Length(payload)
                length = z3.IntVal(length) if isinstance(length, int) else length
                return Value({"number": (True, Number(z3.ToReal(length), True, small=True))})
            return self.source.anything(key, _NUMBERS) if kind == "other" else ERROR
        if kind == "number" and payload.small:
            if name == "double":
                return Value({"number": (True, Number(payload.real, False, small=True))})
            return Value({"number": (True, Number(_truncated(payload.real), True, small=True))})
        return self.source.anything(key, _NUMBERS) if kind != "null" else ERROR


def _whole(symbol: str, x: Term, y: Term) -> Value:
    """The result of ints, which have 64 bits; division drops the fraction."""
    if symbol in ("/", "%"):
        dividend, divisor = z3.ToInt(x), z3.ToInt(y)
        # z3's division leaves a remainder of at least 0.
        quotient = z3.If(dividend >= 0, dividend / divisor, -((-dividend) / divisor))
        result = quotient if symbol == "/" else dividend - divisor * quotient
        return Value({"number": (divisor != 0, Number(z3.ToReal(result), True, small=False))})
    result = _COMPUTE[symbol](x, y)
    return Value({"number": (z3.And(result >= -_INT, result < _INT), Number(result, True, small=False))})


def _truncated(real: Term) -> Term:
    return z3.ToReal(z3.If(real >= 0, z3.ToInt(real), -z3.ToInt(-real)))


def _pairs(left: Value, right: Value) -> itertools.product[Any]:
    return itertools.product(left.cases.items(), right.cases.items())


def _same(first: Term, second: Term) -> Term:
    if isinstance(first, bool):
        first, second = second, first
    if isinstance(second, bool):
        return first if second else negation(first)
    return first == second


def _ordered(symbol: str, left: Term, right: Term) -> Term:
    return _COMPARE[symbol](left, right)


def _ordered_booleans(symbol: str, left: Term, right: Term) -> Term:
    if symbol in (">", ">="):
        left, right = right, left
    less = both(negation(left), right)
    return less if symbol in ("<", ">") else either(less, _same(left, right))
