"""Conditions as they are reasoned about, and formulas over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from ...expressions.engine import compile_expression
from ...expressions.errors import ExpressionError
from ...expressions.parser import parse
from ...expressions.syntax import Call, Chain, Literal, Node, references, walk
from ...expressions.templates import condition_of
from .plain import Plain, plain
from .uses import Uses

_VOLATILE = frozenset({"now", "uuid"})


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition: its expression without braces, the tree of that, and what it reads.

    ``numbers`` and ``strings`` are the constants in it. ``volatile``: whether it may differ between two evaluations on
    the same data.
    """

    text: str
    tree: Node
    chains: tuple[Chain, ...]
    uses: Uses
    numbers: tuple[float, ...]
    strings: tuple[str, ...]
    volatile: bool
    plain: Plain | None = field(default=None, compare=False)
    """Its outcome without CEL, where that is certain."""

    def outcome(self, scope: Mapping[str, Any]) -> bool | None:
        """What evaluation makes of it: true, false, or ``None`` for an error or another type."""
        if self.plain is not None and (certain := self.plain(scope)) is not None:
            return certain
        try:
            value = compile_expression(self.text).evaluate(scope)
        except ExpressionError:
            return None
        return value if isinstance(value, bool) else None


@lru_cache(maxsize=4096)
def read(text: str) -> Condition | None:
    """The condition that ``text`` says, with or without braces; ``None`` where it is none, which others report."""
    try:
        expression = condition_of(text).expression
        tree = parse(expression)
        if (certain := plain(tree)) is None:
            compile_expression(expression)  # What CEL refuses is no condition; a plain one it takes.
    except ExpressionError:
        return None
    chains = tuple(dict.fromkeys(chain for chain, _ in references(tree)))
    constants = [node.value for node in walk(tree) if isinstance(node, Literal) and not node.unsigned]
    return Condition(
        expression,
        tree,
        chains,
        Uses(tree),
        tuple(dict.fromkeys(v for v in constants if isinstance(v, int | float) and not isinstance(v, bool))),
        tuple(dict.fromkeys(value for value in constants if isinstance(value, str))),
        any(isinstance(node, Call) and node.function in _VOLATILE for node in walk(tree)),
        certain,
    )


@dataclass(frozen=True, eq=False, slots=True)
class Is:
    """``condition`` evaluates to ``outcome``; where it is an error, it is neither true nor false."""

    condition: Condition
    outcome: bool


@dataclass(frozen=True, eq=False, slots=True)
class AtLeast:
    """``count`` of ``parts`` hold."""

    count: int
    parts: tuple[Formula, ...]


Formula: TypeAlias = Is | AtLeast
"""A monotone formula. Formulas share parts, so they are compared by identity and every walk visits a part once."""


def every(*parts: Formula) -> Formula:
    """All of ``parts``; without any, what always holds."""
    return parts[0] if len(parts) == 1 else AtLeast(len(parts), parts)


def some(*parts: Formula) -> Formula:
    """One of ``parts``; without any, what never holds."""
    return parts[0] if len(parts) == 1 else AtLeast(1, parts)


def conditions(*formulas: Formula) -> tuple[Condition, ...]:
    """The conditions in ``formulas``, each once."""
    found: dict[str, Condition] = {}
    for part in _parts(formulas):
        if isinstance(part, Is):
            found.setdefault(part.condition.text, part.condition)
    return tuple(found.values())


def _parts(formulas: Iterable[Formula]) -> Iterator[Formula]:
    seen: set[int] = set()
    stack = list(formulas)
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, AtLeast):
            stack += part.parts


def evaluate(formula: Formula, outcome: Callable[[Condition], bool | None]) -> bool:
    """Whether ``formula`` holds where each condition has its ``outcome``."""
    known: dict[int, bool] = {}

    def holds(part: Formula) -> bool:
        if (found := known.get(id(part))) is None:
            if isinstance(part, Is):
                found = outcome(part.condition) is part.outcome
            else:
                found = _reaches(part.count, map(holds, part.parts))
            known[id(part)] = found
        return found

    return holds(formula)


def _reaches(count: int, parts: Iterator[bool]) -> bool:
    while count > 0:
        part = next(parts, None)
        if part is None:
            return False
        count -= part
    return True
