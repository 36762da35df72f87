"""Boolean functions over many decisions, each kept once: reduced ordered binary decision diagrams with complemented
edges (Bryant 1986; Brace, Rudell and Bryant 1990).

A function is a number, and two functions are equal when their numbers are. So what runs under the same decisions has
the same number: a chain of nodes, or a fork whose ways meet again, is reduced to its first node. A variable that is
made later stands nearer to the root; as graphs are walked from their beginning, what was known before is shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import Final

TRUE: Final = 0
FALSE: Final = 1
_LEAF: Final = -1
"""The variable of the constants: below all others."""


class TooLarge(Exception):
    """The work allowed is spent; the function asked for was not made."""


class Diagrams:
    """Functions that share their parts. ``work`` bounds the steps of all operations together; an operation beyond it
    raises :class:`TooLarge`, while functions that are known already stay usable."""

    def __init__(self, work: int) -> None:
        self.work = work
        # One node per index: its variable, and what it is where that is true and false. Index 0 is the constant.
        self._variable: list[int] = [_LEAF]
        self._high: list[int] = [TRUE]
        self._low: list[int] = [TRUE]
        self._nodes: dict[tuple[int, int, int], int] = {}
        self._products: dict[tuple[int, int], int] = {}
        self._variables = 0

    @contextmanager
    def within(self, steps: int) -> Iterator[None]:
        """Allow the operations inside only so many steps of the work that is left."""
        kept, self.work = self.work, min(steps, self.work)
        allowed = self.work
        try:
            yield
        finally:
            self.work = kept - (allowed - max(self.work, 0))

    def variable(self) -> int:
        """A new decision, as the function that is true where it is."""
        self._variables += 1
        return self._node(self._variables - 1, TRUE, FALSE)

    def both(self, one: int, other: int) -> int:
        """Where both hold."""
        known = self._known(one, other)
        if known is not None:
            return known
        wanted = (one, other) if one < other else (other, one)
        stack = [wanted]
        while stack:
            left, right = pair = stack[-1]
            if pair in self._products:
                stack.pop()
                continue
            variable = max(self._variable[left >> 1], self._variable[right >> 1])
            left_high, left_low = self._parts(left, variable)
            right_high, right_low = self._parts(right, variable)
            high, low = self._known(left_high, right_high), self._known(left_low, right_low)
            if high is not None and low is not None:
                self._products[pair] = self._node(variable, high, low)
                stack.pop()
                continue
            self.work -= 1
            if self.work < 0:
                raise TooLarge
            if high is None:
                stack.append(_ordered(left_high, right_high))
            if low is None:
                stack.append(_ordered(left_low, right_low))
        return self._products[wanted]

    def either(self, one: int, other: int) -> int:
        """Where one of them holds."""
        return self.both(one ^ 1, other ^ 1) ^ 1

    def every(self, functions: Iterable[int]) -> int:
        """Where all hold; without any, everywhere."""
        return reduce(self.both, functions, TRUE)

    def some(self, functions: Iterable[int]) -> int:
        """Where at least one holds; without any, nowhere."""
        return reduce(self.either, functions, FALSE)

    def chosen(self, test: int, then: int, otherwise: int) -> int:
        """``then`` where ``test`` holds, else ``otherwise``."""
        return self.either(self.both(test, then), self.both(test ^ 1, otherwise))

    def at_least(self, count: int, functions: Iterable[int]) -> int:
        """Where ``count`` of them hold."""
        functions = list(functions)
        if count <= 1:
            return TRUE if count < 1 else self.some(functions)
        if count >= len(functions):
            return FALSE if count > len(functions) else self.every(functions)
        reached = [TRUE] + [FALSE] * count
        for function in functions:
            for index in range(count, 0, -1):
                reached[index] = self.either(reached[index], self.both(reached[index - 1], function))
        return reached[count]

    def holds(self, function: int, values: Mapping[int, bool], otherwise: bool | None = None) -> bool | None:
        """What ``function`` is where the variables have these ``values``, and the others ``otherwise``; ``None`` where
        that depends on one that has none."""
        while function > FALSE:
            index = function >> 1
            value = values.get(self._variable[index], otherwise)
            if value is None:
                return None
            function = (self._high[index] if value else self._low[index]) ^ (function & 1)
        return function == TRUE

    def witness(self, function: int) -> dict[int, bool] | None:
        """Decisions that make it hold, by variable, along a shortest path; ``None`` where nothing does."""
        if function == FALSE:
            return None
        costs: dict[int, int] = {TRUE: 0}
        for part in self._below(function):
            costs[part] = 1 + min(costs.get(child, self._variables + 1) for child in self._children(part))
        found: dict[int, bool] = {}
        while function != TRUE:
            high, low = self._children(function)
            takes = costs.get(high, self._variables + 1) <= costs.get(low, self._variables + 1)
            found[self._variable[function >> 1]] = takes
            function = high if takes else low
        return found

    def _below(self, function: int) -> list[int]:
        """The functions that ``function`` is made of and itself, small ones first; the constants are left out."""
        seen, stack = {function}, [function]
        while stack:
            for child in self._children(stack.pop()):
                if child > FALSE and child not in seen:
                    seen.add(child)
                    stack.append(child)
        return sorted((part for part in seen if part > FALSE), key=lambda part: self._variable[part >> 1])

    def _children(self, function: int) -> tuple[int, int]:
        index, sign = function >> 1, function & 1
        return self._high[index] ^ sign, self._low[index] ^ sign

    def _parts(self, function: int, variable: int) -> tuple[int, int]:
        """What ``function`` is where ``variable``, which is not below its root, is true and false."""
        return self._children(function) if self._variable[function >> 1] == variable else (function, function)

    def _known(self, one: int, other: int) -> int | None:
        """The product, if no work is needed for it."""
        if one == FALSE or other == FALSE or one == other ^ 1:
            return FALSE
        if one in (TRUE, other):
            return other
        if other == TRUE:
            return one
        return self._products.get(_ordered(one, other))

    def _node(self, variable: int, high: int, low: int) -> int:
        """The function that is ``high`` where ``variable`` is true and ``low`` where not."""
        if high == low:
            return high
        sign = high & 1  # One of the two spellings of a function with its complement: the true side is plain.
        key = (variable, high ^ sign, low ^ sign)
        index = self._nodes.get(key)
        if index is None:
            index = self._nodes[key] = len(self._variable)
            self._variable.append(variable)
            self._high.append(key[1])
            self._low.append(key[2])
        return index << 1 | sign


def _ordered(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)
