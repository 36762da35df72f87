"""Conditions as z3 formulas. Total: what is not modelled becomes a value of which nothing is known.

So a formula has at least the solutions that the condition has: when z3 finds none, there is none. That it finds one
proves nothing until evaluation has confirmed it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ...expressions.functions import FUNCTIONS
from ...expressions.printing import unparse
from ...expressions.references import MISSING
from ...expressions.syntax import (
    Binary,
    Call,
    Chain,
    Conditional,
    Empty,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Method,
    Node,
    Unary,
    chain_of,
)
from .conditions import Condition, Formula, Is
from .domains import KINDS, LARGEST, Domain, Kind
from .operators import Operators
from .solver import z3
from .values import (
    ERROR,
    Container,
    Number,
    Term,
    Value,
    boolean,
    both,
    constant,
    constant_of,
    either,
    json_of,
    merged,
    negation,
    text,
    truth,
)

_RELATIONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_ARITHMETIC = frozenset({"+", "-", "*", "/", "%"})
_ANY: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "absent")
_RESULTS: Mapping[str, tuple[Kind, ...]] = {
    "bool": ("bool",), "int": ("number", "other"), "double": ("number", "other"), "string": ("string",),
    "list": ("list",),
}  # fmt: skip
_BY_NAME: Mapping[tuple[str, bool], tuple[Kind, ...]] = {
    **{(f.name, f.member): _RESULTS.get(f.result, _ANY) for f in FUNCTIONS},
    ("matches", True): ("bool",), ("matches", False): ("bool",), ("all", True): ("bool",),
    ("exists", True): ("bool",), ("exists_one", True): ("bool",), ("map", True): ("list",),
    ("filter", True): ("list",), ("string", False): ("string",), ("bool", False): ("bool",),
    ("int", False): ("number",), ("double", False): ("number", "other"),
}  # fmt: skip


class Translator:
    """Terms over the references in ``domains``, whose names were made canonical by ``canonical``.

    ``constraints`` are what must hold of the variables that the terms are made of.
    """

    def __init__(self, domains: Mapping[Chain, Domain], canonical: Callable[[Chain], Chain]) -> None:
        self.domains = domains
        self.canonical = canonical
        self.constraints: list[Term] = []
        self.numbers = map("v{}".format, itertools.count())
        self.variables: dict[Chain, Value] = {}
        self.unknown: dict[tuple[str, tuple[Kind, ...]], Value] = {}
        self.known: dict[int, Term] = {}
        self.outcomes: dict[tuple[str, bool], Term] = {}
        self.operators = Operators(self)
        for chain in domains:
            self.variables[chain] = self._variable(domains[chain])
        self._containment()

    # --- formulas -----------------------------------------------------------------------------------------------

    def formula(self, formula: Formula) -> Term:
        """The term of a formula."""
        if (term := self.known.get(id(formula))) is None:
            if isinstance(formula, Is):
                term = self.outcome(formula.condition, formula.outcome)
            else:
                term = _at_least(formula.count, [self.formula(part) for part in formula.parts])
            self.known[id(formula)] = term
        return term

    def outcome(self, condition: Condition, outcome: bool) -> Term:
        """That ``condition`` evaluates to ``outcome``."""
        if (condition.text, outcome) not in self.outcomes:
            value = self.value(condition.tree)
            for one in (True, False):
                self.outcomes[condition.text, one] = value.is_bool(one)
        return self.outcomes[condition.text, outcome]

    def read(self, model: Any, chain: Chain) -> Any:
        """The JSON value that a model gives a reference."""
        for kind, (guard, payload) in self.variables[chain].cases.items():
            if truth(model, guard):
                if kind in ("absent", "other"):
                    return MISSING
                value = json_of(model, payload, self.domains[chain].items)
                return {f"field{number}": None for number in range(len(value))} if kind == "map" else value
        return MISSING

    # --- variables ----------------------------------------------------------------------------------------------

    def _variable(self, domain: Domain) -> Value:
        if domain.listed is not None:
            return self._listed(domain)
        kinds = sorted(domain.kinds)
        guards: list[Term] = [True]
        if len(kinds) > 1:
            which = z3.Int(next(self.numbers))
            self.constraints.append(z3.And(which >= 0, which < len(kinds)))
            guards = [which == number for number in range(len(kinds))]
        cases: dict[Kind, tuple[Term, Any]] = {}
        for kind, guard in zip(kinds, guards, strict=True):
            cases[kind] = (guard, self._payload(kind, domain, guard))
        return Value(cases)

    def _listed(self, domain: Domain) -> Value:
        """One of some values, and perhaps absent."""
        values = [constant_of(value) for value in domain.listed or ()]
        if not domain.typed:
            values = [self._loosely(value) for value in values]
        if "absent" in domain.kinds:
            values.append(Value({"absent": (True, None)}))
        if not values:
            return ERROR
        which = z3.Int(next(self.numbers))
        self.constraints.append(z3.And(which >= 0, which < len(values)))
        return merged((which == number, value) for number, value in enumerate(values))

    def _loosely(self, value: Value) -> Value:
        """A listed number as JSON Schema takes it: 2 is 2.0."""
        if "number" not in value.cases:
            return value
        guard, number = value.cases["number"]
        return Value({"number": (guard, replace(number, whole=z3.Bool(next(self.numbers))))})

    def _payload(self, kind: Kind, domain: Domain, guard: Term) -> Any:
        name = next(self.numbers)
        if kind == "bool":
            return z3.Bool(name)
        if kind == "number":
            return self._number(name, domain, guard)
        if kind == "string":
            term = z3.String(name)
            if domain.shortest:
                self._require(guard, z3.Length(term) >= domain.shortest)
            if domain.longest is not None:
                self._require(guard, z3.Length(term) <= domain.longest)
            return term
        if kind in ("list", "map"):
            length = z3.Int(name)
            self.constraints.append(length >= 0)
            return Container(length)
        return None

    def _number(self, name: str, domain: Domain, guard: Term) -> Number:
        if domain.whole:
            real, whole = z3.ToReal(z3.Int(name)), True if domain.typed else z3.Bool(name + "w")
        else:
            real, whole = z3.Real(name), z3.Bool(name + "w")
            self.constraints.append(z3.Implies(whole, real == z3.ToReal(z3.Int(name + "i"))))
        self.constraints.append(z3.And(real >= -LARGEST, real <= LARGEST))
        for bound, is_open, above in (
            (domain.low, domain.low_open, True),
            (domain.high, domain.high_open, False),
        ):
            if bound is not None and bound - bound == 0:
                limit = z3.Q(*bound.as_integer_ratio())
                inside = (
                    (real > limit if is_open else real >= limit)
                    if above
                    else (real < limit if is_open else real <= limit)
                )
                self._require(guard, inside)
        return Number(real, whole, small=True)

    def _require(self, guard: Term, term: Term) -> None:
        self.constraints.append(term if guard is True else z3.Implies(guard, term))

    def _containment(self) -> None:
        """What lies under a reference is there only if that is a map or a list."""
        for chain, value in self.variables.items():
            present = negation(value.cases.get("absent", (False, None))[0])
            for length in range(len(chain.path)):
                around = self.variables.get(Chain(chain.root, chain.path[:length]))
                if around is not None:
                    kind: Kind = "list" if isinstance(chain.path[length], int) else "map"
                    holder = around.cases.get(kind, (False, None))[0]
                    other = around.cases.get("other", (False, None))[0]
                    rule = either(negation(present), holder, other)
                    self.constraints.append(rule if not isinstance(rule, bool) else z3.BoolVal(rule))

    # --- expressions --------------------------------------------------------------------------------------------

    def value(self, node: Node) -> Value:
        """What ``node`` evaluates to."""
        if (chain := chain_of(node)) is not None and (chain := self.canonical(chain)) in self.variables:
            return _without(self.variables[chain], "absent")
        match node:
            case Literal():
                return constant(node.value, unsigned=node.unsigned)
            case Logic():
                return self._logic(node)
            case Unary(operator="!"):
                operand = self.value(node.operand)
                return boolean((operand.is_bool(False), True), (operand.is_bool(True), False))
            case Unary():
                return self.operators.minus(self.value(node.operand), node)
            case Conditional():
                test = self.value(node.test)
                return merged([
                    (test.is_bool(True), self.value(node.then)), (test.is_bool(False), self.value(node.otherwise)),
                ])  # fmt: skip
            case Binary():
                return self._binary(node)
            case Empty():
                return self._empty(node)
            case ListOf():
                items = tuple(map(self.value, node.items))
                return Value(
                    {"list": (both(*(item.defined for item in items)), Container(len(items), items))}
                )
            case MapOf(entries=()):
                return Value({"map": (True, Container(0, ()))})
            case Call():
                return self._call(node)
            case Method():
                return self._method(node)
            case _:
                return self.anything(unparse(node))

    def anything(self, key: str, kinds: tuple[Kind, ...] = _ANY) -> Value:
        """A value of ``kinds`` or an error, the same whenever ``key`` is."""
        if (key, kinds) not in self.unknown:
            which = z3.Int(next(self.numbers))
            self.constraints.append(z3.And(which >= 0, which <= len(kinds)))
            domain = Domain()
            self.unknown[key, kinds] = Value(
                {kind: (which == number, self._free(kind, domain)) for number, kind in enumerate(kinds)}
            )
        return self.unknown[key, kinds]

    def _free(self, kind: Kind, domain: Domain) -> Any:
        if kind == "number":
            name = next(self.numbers)
            return Number(z3.Real(name), z3.Bool(name + "w"), small=False)
        return self._payload(kind, domain, True)

    def free(self, key: str) -> Term:
        """A boolean of which nothing is known, the same whenever ``key`` is."""
        return z3.Bool("free " + key)

    def _logic(self, node: Logic) -> Value:
        operands = list(map(self.value, node.operands))
        true, false = ([operand.is_bool(one) for operand in operands] for one in (True, False))
        if node.operator == "&&":
            return boolean((both(*true), True), (either(*false), False))
        return boolean((either(*true), True), (both(*false), False))

    def _binary(self, node: Binary) -> Value:
        key = unparse(node)
        if node.operator in _ARITHMETIC:
            return self.operators.arithmetic(
                node.operator, self.value(node.left), self.value(node.right), key
            )
        sides = (node.left, node.right)
        if any(isinstance(side, Literal) and side.value is None for side in sides):
            if any(isinstance(side, Binary) and side.operator in _RELATIONS for side in sides):
                return self.anything(
                    key, ("bool",)
                )  # evaluation forgives the absence of the last thing compared
            left, right = map(self.forgiving, sides)
        else:
            left, right = map(self.value, sides)
        if node.operator == "in":
            return self.operators.contained(left, right, key)
        if node.operator in ("==", "!="):
            return self.operators.equality(left, right, key, negated=node.operator == "!=")
        return self.operators.comparison(node.operator, left, right, key)

    def forgiving(self, node: Node) -> Value:
        """What ``node`` evaluates to where absence is null."""
        if (chain := chain_of(node)) is None or (chain := self.canonical(chain)) not in self.variables:
            return self.value(node)
        value = self.variables[chain]
        absent = value.cases.get("absent", (False, None))[0]
        null = value.cases.get("null", (False, None))[0]
        return Value({**_without(value, "absent").cases, "null": (either(absent, null), None)})

    def _empty(self, node: Empty) -> Value:
        key = unparse(node)
        if isinstance(node.operand, Binary) and node.operand.operator in _RELATIONS:
            return self.anything(key, ("bool",))
        found: list[tuple[Term, Term]] = []
        for kind, (guard, payload) in self.forgiving(node.operand).cases.items():
            if kind == "string":
                found.append((guard, payload == text("")))
            elif isinstance(payload, Container):
                found.append((guard, payload.length == 0))
            else:
                found.append((guard, self.free(key) if kind == "other" else kind == "null"))
        return boolean(*found)

    # --- calls --------------------------------------------------------------------------------------------------

    def _call(self, node: Call) -> Value:
        name, arguments, key = node.function, node.arguments, unparse(node)
        if (
            name == "has"
            and (chain := chain_of(arguments[0]))
            and (chain := self.canonical(chain)) in self.variables
        ):
            return boolean((True, negation(self.variables[chain].cases.get("absent", (False, None))[0])))
        if name in ("default", "coalesce"):
            return self._fallbacks(node, key)
        if name in ("size", "double", "int", "dyn") and len(arguments) == 1:
            return self.operators.convert(name, self.value(arguments[0]), key)
        return self.anything(key, _BY_NAME.get((name, False), _ANY))

    def _fallbacks(self, node: Call, key: str) -> Value:
        """``default`` and ``coalesce``; an argument other than a reference is evaluated beforehand, with rules of its
        own for errors, so that only one that cannot fail is followed."""
        *first, last = node.arguments
        chains = [
            chain for chain in map(chain_of, first) if chain and self.canonical(chain) in self.variables
        ]
        plain = node.function == "default" or isinstance(last, Literal) or chain_of(last) is not None
        if len(chains) != len(first) or not plain:
            return self.anything(key)
        result = self.value(last) if node.function == "default" else self.forgiving(last)
        for argument in reversed(first):
            value = self.forgiving(argument)
            null = value.cases.get("null", (False, None))[0]
            result = merged([(True, _without(value, "null")), (null, result)])
        return result

    def _method(self, node: Method) -> Value:
        key = unparse(node)
        if node.method == "size" and not node.arguments:
            return self.operators.convert("size", self.value(node.operand), key)
        if node.method in ("startsWith", "endsWith", "contains"):
            return self.operators.within(
                node.method, self.value(node.operand), self.value(node.arguments[0]), key
            )
        return self.anything(key, _BY_NAME.get((node.method, True), _ANY))


def _without(value: Value, kind: Kind) -> Value:
    return (
        Value({one: case for one, case in value.cases.items() if one != kind})
        if kind in value.cases
        else value
    )


def _at_least(count: int, terms: list[Term]) -> Term:
    if count <= 0:
        return True
    if count == 1:
        return either(*terms)
    if count == len(terms):
        return both(*terms)
    if count > len(terms):
        return False
    return z3.PbGe([(z3.BoolVal(t) if isinstance(t, bool) else t, 1) for t in terms], count)
