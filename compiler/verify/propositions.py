"""Conditions as functions of decisions, so that equal, complementary and exclusive ones are seen to be so.

``a && !b`` is made of what ``a`` and ``b`` are made of; the same question about the same value is the same decision
wherever it is asked; comparisons of one value with constants keep to arithmetic (:mod:`.comparisons`). Everything else
is a decision of its own, which may fall either way: what is proved so holds, what is refuted is only possible so far.
A function says where a condition *is true*; it may be anything where evaluating the condition is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..expressions.errors import ExpressionError
from ..expressions.parser import parse
from ..expressions.syntax import (
    Binary,
    Call,
    Chain,
    Conditional,
    Empty,
    Index,
    ListOf,
    Literal,
    Logic,
    Method,
    Name,
    Node,
    Select,
    Unary,
    chain_of,
    children,
)
from ..expressions.templates import condition_of
from .comparisons import Compared
from .diagrams import FALSE, TRUE, Diagrams
from .logic import Domain

if TYPE_CHECKING:
    from ..scopes import Scope

_FLIPPED: Mapping[str, str] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_COUNT = Domain(whole=True, low=0)


@dataclass(frozen=True, slots=True)
class Presence:
    """Where a reference leads to something. ``exact``: it does wherever ``function`` holds; else it only may."""

    function: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision node decides: whether any case is taken, and each by its label."""

    result: int
    cases: Mapping[str, int]


class World(Protocol):
    """What a condition's references are, seen from a scope."""

    def canonical(self, chain: Chain, scope: Scope) -> tuple[Hashable, Chain]:
        """What tells a reference from others of the same spelling elsewhere, and its one spelling."""
        ...

    def presence(self, chain: Chain, scope: Scope) -> Presence:
        """Where the reference leads to something."""
        ...

    def null(self, chain: Chain, scope: Scope) -> int | None:
        """Where the reference is null or leads nowhere, if that is known."""
        ...

    def decided(self, chain: Chain, scope: Scope) -> Decided | None:
        """The decision whose ``result`` or ``case`` the reference is."""
        ...

    def domain(self, chain: Chain, scope: Scope) -> Domain:
        """What a reference that is present may be."""
        ...


class Propositions:
    """Turns conditions into functions over ``diagrams``."""

    def __init__(self, diagrams: Diagrams, world: World) -> None:
        self._diagrams = diagrams
        self._world = world
        self._atoms: dict[Hashable, int] = {}
        self._compared: dict[Hashable, Compared] = {}

    def condition(self, text: str, scope: Scope) -> int:
        """Where the condition ``text`` holds; a decision of its own, where it cannot be read."""
        tree = tree_of(text)
        return self._diagrams.variable() if tree is None else self.holds(tree, scope)

    def holds(self, tree: Node, scope: Scope) -> int:
        """Where ``tree`` is true."""
        diagrams = self._diagrams
        match tree:
            case Literal(value=bool(value)):
                return TRUE if value else FALSE
            case Unary(operator="!", operand=operand):
                return self.holds(operand, scope) ^ 1
            case Logic(operator=operator, operands=operands):
                parts = [self.holds(operand, scope) for operand in operands]
                return diagrams.every(parts) if operator == "&&" else diagrams.some(parts)
            case Conditional(test=test, then=then, otherwise=otherwise):
                return diagrams.chosen(*(self.holds(part, scope) for part in (test, then, otherwise)))
            case Binary(operator="==" | "!=" as operator, left=left, right=right):
                return self._equal(left, right, scope) ^ (operator == "!=")
            case Binary(operator="<" | "<=" | ">" | ">=" as operator, left=left, right=right):
                return self._ordered(operator, left, right, scope)
            case Binary(operator="in", left=left, right=ListOf(items=items)):
                return diagrams.some(self._equal(left, item, scope) for item in items)
            case Binary(operator="in", left=Literal(value=str(name)), right=Name(name="nodes")):
                return self._world.presence(Chain("nodes", (name,)), scope).function
            case Empty(operand=operand):
                return self._nothing(operand, tree, scope)
            case Call(function="has" | "default" as function, arguments=(first, *rest)):
                return self._forgiving(function, tree, first, rest, scope)
        chain = chain_of(tree)
        return self._atom(tree, scope) if chain is None else self._flag(chain, tree, scope)

    def _flag(self, chain: Chain, tree: Node, scope: Scope) -> int:
        decided = self._world.decided(chain, scope) if chain.path[-1:] == ("result",) else None
        return self._atom(tree, scope) if decided is None else decided.result

    def _forgiving(self, function: str, tree: Node, first: Node, rest: list[Node], scope: Scope) -> int:
        """``has(reference)``, and ``default(reference, …)`` of a condition."""
        chain = chain_of(first)
        if chain is None:
            return self._atom(tree, scope)
        presence = self._world.presence(chain, scope)
        if function == "has":
            there = TRUE if presence.exact else self._atom(tree, scope)
            return self._diagrams.both(presence.function, there)
        if presence.function == TRUE or len(rest) != 1 or not _is_condition(rest[0]):
            return self._atom(tree, scope)
        return self._diagrams.chosen(presence.function, self.holds(first, scope), self.holds(rest[0], scope))

    def _nothing(self, operand: Node, asked: Node, scope: Scope) -> int:
        """Where ``operand`` leads nowhere, or, as far as that can be told, ``asked`` is true of it."""
        chain = chain_of(operand)
        if chain is None:
            return self._atom(asked, scope)
        null = self._world.null(chain, scope)
        if null is not None and isinstance(asked, Binary):
            return null
        nowhere = self._world.presence(chain, scope).function ^ 1 if null is None else null
        return self._diagrams.either(nowhere, self._atom(asked, scope))

    # --- comparisons --------------------------------------------------------------------------------------------

    def _equal(self, left: Node, right: Node, scope: Scope) -> int:
        if isinstance(left, Literal):
            left, right = right, left
        if not isinstance(right, Literal) or isinstance(left, Literal):
            return self._pair(left, right, scope).equals(0)
        value, chain = right.value, chain_of(left)
        if isinstance(value, bool):
            return self.holds(left, scope) ^ (not value)
        if chain is not None and chain.path[-1:] == ("case",) and isinstance(value, str | None):
            decided = self._world.decided(chain, scope)
            if decided is not None:
                return decided.result ^ 1 if value is None else decided.cases.get(value, FALSE)
        if value is None:
            return self._nothing(left, Binary("==", left, right), scope)
        return self._value(left, scope).equals(value)

    def _ordered(self, operator: str, left: Node, right: Node, scope: Scope) -> int:
        if (constant := _number(right)) is not None:
            return self._value(left, scope).ordered(operator, constant)
        if (constant := _number(left)) is not None:
            return self._value(right, scope).ordered(_FLIPPED[operator], constant)
        swapped = repr(self._key(right, scope)) < repr(self._key(left, scope))
        return self._pair(left, right, scope).ordered(_FLIPPED[operator] if swapped else operator, 0)

    def _pair(self, left: Node, right: Node, scope: Scope) -> Compared:
        """Two values that are compared with each other, as their distance, of which only the sign counts."""
        keys = sorted((self._key(left, scope), self._key(right, scope)), key=repr)
        return self._comparing(("pair", *keys), Domain())

    def _value(self, tree: Node, scope: Scope) -> Compared:
        chain = chain_of(tree)
        if chain is not None:
            domain = self._world.domain(chain, scope)
        else:
            domain = _COUNT if _name_of(tree) == "size" else Domain()
        return self._comparing(self._key(tree, scope), domain)

    def _comparing(self, key: Hashable, domain: Domain) -> Compared:
        if (found := self._compared.get(key)) is None:
            found = self._compared[key] = Compared(self._diagrams, domain)
        return found

    # --- what is asked ------------------------------------------------------------------------------------------

    def _atom(self, tree: Node, scope: Scope) -> int:
        """A decision of its own, the same wherever the same is asked."""
        key = self._key(tree, scope)
        if (known := self._atoms.get(key)) is None:
            known = self._atoms[key] = self._diagrams.variable()
        return known

    def _key(self, tree: Node, scope: Scope) -> Hashable:
        """What ``tree`` asks, whatever its spelling."""
        if (chain := chain_of(tree)) is not None:
            return self._world.canonical(chain, scope)
        if isinstance(tree, Literal):
            return ("literal", type(tree.value).__name__, tree.value, tree.unsigned)
        name = _name_of(tree)
        return (type(tree).__name__, name, *(self._key(child, scope) for child in children(tree)))


def tree_of(condition: str) -> Node | None:
    """The expression of a condition, with or without braces; ``None`` where it is none, which others report."""
    try:
        return parse(condition_of(condition).expression)
    except ExpressionError:
        return None


def some_tree(trees: Iterable[Node], test: Callable[[Node], Any]) -> bool:
    """Whether a part of any of ``trees`` passes ``test``."""
    stack = list(trees)
    while stack:
        tree = stack.pop()
        if test(tree):
            return True
        stack += children(tree)
    return False


def _name_of(tree: Node) -> str | int:
    match tree:
        case Call(function=name) | Method(method=name) | Select(key=name):
            return name
        case Unary(operator=name) | Binary(operator=name) | Logic(operator=name):
            return name
        case Index() | _:
            return ""


def _is_condition(tree: Node) -> bool:
    """Whether it is true or false by its form."""
    match tree:
        case Literal(value=bool()) | Logic() | Empty() | Unary(operator="!"):
            return True
        case Binary(operator=operator):
            return operator in ("==", "!=", "<", "<=", ">", ">=", "in")
        case _:
            return False


def _number(tree: Node) -> float | None:
    value = tree.value if isinstance(tree, Literal) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
