"""Values of the language as z3 terms: every kind that a value may have, and what must hold for it to be of that kind.

Guards are Python booleans where they are plain, so that most formulas stay small. A value of which no guard holds is
an error. What a kind's payload is: ``bool`` a term, ``number`` a :class:`Number`, ``string`` a term, ``list`` and
``map`` a :class:`Container`, others nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

from .domains import Kind
from .solver import z3

Term: TypeAlias = Any
"""A z3 expression, or the Python constant of its sort."""

HIGHEST_CHARACTER = 0x2FFFF
"""The last character of z3's strings; a text with a later one is of kind ``other``, of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Number:
    """``whole``: whether it is a CEL ``int``, not a ``double``. ``small``: no larger than 2⁵³, so that both compare
    exactly."""

    real: Term
    whole: Term
    small: bool


@dataclass(frozen=True, slots=True)
class Container:
    """``length`` items or fields; the items where they are known."""

    length: Term
    items: tuple[Value, ...] | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """Guard and payload by kind. Guards exclude each other."""

    cases: Mapping[Kind, tuple[Term, Any]]

    @property
    def defined(self) -> Term:
        """That it is no error."""
        return either(*(guard for guard, _ in self.cases.values()))

    def is_bool(self, outcome: bool) -> Term:
        """That it is the boolean ``outcome``."""
        if "bool" not in self.cases:
            return False
        guard, payload = self.cases["bool"]
        return both(guard, payload if outcome else negation(payload))


ERROR = Value({})


def both(*terms: Term) -> Term:
    """Conjunction."""
    if any(term is False for term in terms):
        return False
    left = [term for term in terms if term is not True]
    return z3.And(*left) if len(left) > 1 else left[0] if left else True


def either(*terms: Term) -> Term:
    """Disjunction."""
    if any(term is True for term in terms):
        return True
    left = [term for term in terms if term is not False]
    return z3.Or(*left) if len(left) > 1 else left[0] if left else False


def negation(term: Term) -> Term:
    """Negation."""
    return not term if isinstance(term, bool) else z3.Not(term)


def choose(test: Term, then: Term, otherwise: Term) -> Term:
    """``then`` if ``test`` holds."""
    if isinstance(test, bool):
        return then if test else otherwise
    if isinstance(then, bool) or isinstance(otherwise, bool):
        return either(both(test, then), both(negation(test), otherwise))
    return z3.If(test, then, otherwise)


def boolean(*cases: tuple[Term, Term]) -> Value:
    """The boolean that is each case's second term where its first holds."""
    guard = either(*(guard for guard, _ in cases))
    return Value({"bool": (guard, either(*(both(guard, term) for guard, term in cases)))})


def constant(value: bool | int | float | str | bytes | None, *, unsigned: bool = False) -> Value:
    """The value of a literal."""
    if value is None:
        return Value({"null": (True, None)})
    if isinstance(value, bool):
        return Value({"bool": (True, value)})
    if isinstance(value, str):
        known = all(ord(character) <= HIGHEST_CHARACTER for character in value)
        return Value({"string": (True, text(value))} if known else {"other": (True, None)})
    if isinstance(value, bytes) or unsigned or value - value != 0:
        return Value({"other": (True, None)})
    small = abs(value) <= 2**53
    if isinstance(value, int):
        return Value({"number": (-(2**63) <= value < 2**63, Number(z3.RealVal(value), True, small))})
    numerator, denominator = value.as_integer_ratio()
    return Value({"number": (True, Number(z3.Q(numerator, denominator), False, small))})


def constant_of(value: Any) -> Value:
    """The value of JSON data."""
    if isinstance(value, list):
        return Value({"list": (True, Container(len(value), tuple(map(constant_of, value))))})
    if isinstance(value, dict):
        return Value({"map": (True, Container(len(value)))})
    return constant(value)


def text(value: str) -> Term:
    """A string of z3. It reads ``\\u{…}`` as an escape, so that is how everything beyond ASCII is written."""
    plain = (c if " " <= c <= "~" and c != "\\" else f"\\u{{{ord(c):x}}}" for c in value)
    return z3.StringVal("".join(plain))


def text_of(term: Term) -> str:
    """The inverse of :func:`text`."""
    return re.sub(r"\\u\{([0-9a-fA-F]+)\}", lambda match: chr(int(match.group(1), 16)), term.as_string())


def merged(options: Iterable[tuple[Term, Value]]) -> Value:
    """The value of the option whose term holds; the terms exclude each other."""
    found: dict[Kind, list[tuple[Term, Any]]] = {}
    for test, value in options:
        for kind, (guard, payload) in value.cases.items():
            if (here := both(test, guard)) is not False:
                found.setdefault(kind, []).append((here, payload))
    return Value(
        {kind: (either(*(guard for guard, _ in cases)), _one(cases)) for kind, cases in found.items()}
    )


def _one(cases: list[tuple[Term, Any]]) -> Any:
    last = cases[-1][1]
    return reduce(lambda rest, case: _payload(case[0], case[1], rest), reversed(cases[:-1]), last)


def _payload(test: Term, then: Any, otherwise: Any) -> Any:
    if isinstance(test, bool):
        return then if test else otherwise
    if isinstance(then, Number) and isinstance(otherwise, Number):
        whole = choose(test, then.whole, otherwise.whole)
        return Number(choose(test, then.real, otherwise.real), whole, then.small and otherwise.small)
    if isinstance(then, Container) and isinstance(otherwise, Container):
        items = then.items if then.items == otherwise.items else None
        return Container(z3.If(test, _int(then.length), _int(otherwise.length)), items)
    return None if then is None else choose(test, then, otherwise)


def _int(term: Term) -> Term:
    return z3.IntVal(term) if isinstance(term, int) else term


def truth(model: Any, term: Term) -> bool:
    """Whether ``term`` is true in a model."""
    return term if isinstance(term, bool) else z3.is_true(model.eval(term, model_completion=True))


def json_of(model: Any, payload: Any, items: Kind | None = None) -> Any:
    """The JSON value of a payload in a model; a container's ``items`` are of that kind."""
    if payload is None:
        return None
    if isinstance(payload, Number):
        real = model.eval(payload.real, model_completion=True)
        fraction = (real.approx(20) if z3.is_algebraic_value(real) else real).as_fraction()
        return int(fraction) if fraction.denominator == 1 and truth(model, payload.whole) else float(fraction)
    if isinstance(payload, Container):
        length = model.eval(_int(payload.length), model_completion=True).as_long()
        filler: Mapping[str, Any] = {"number": 0, "string": "", "bool": False}
        return [filler.get(items or "")] * min(length, 1000)
    if isinstance(payload, bool) or z3.is_bool(payload):
        return truth(model, payload)
    return text_of(model.eval(payload, model_completion=True))
