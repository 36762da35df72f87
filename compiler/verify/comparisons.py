"""Comparisons of one value with constants, as functions that keep to arithmetic by the way they are made.

``x < 3`` implies ``x <= 5`` and excludes ``x == 4``; of two constants a value equals one at most. Numbers that nothing
bounds, and values that nothing declares, are taken for what their comparisons ask for, as everywhere in these proofs.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Any

from .diagrams import FALSE, TRUE, Diagrams
from .logic import Domain
from .logic.domains import same

_MOST_LISTED = 64
"""Listed values that are told apart from the beginning."""

Cut = tuple[float, int]
"""``(c, 0)`` stands for *below c*, ``(c, 1)`` for *at most c*."""


class Compared:
    """One value that conditions compare with constants; ``whole`` numbers have nothing between 3 and 4."""

    def __init__(self, diagrams: Diagrams, domain: Domain, *, whole: bool = False) -> None:
        self._diagrams = diagrams
        self._whole = whole or domain.whole
        self._cuts: list[Cut] = []
        self._below: list[int] = []
        self._equal: list[tuple[Any, int]] = []
        if domain.low is not None and math.isfinite(domain.low):
            self._insert((domain.low, int(domain.low_open)), FALSE)
        if domain.high is not None and math.isfinite(domain.high):
            self._insert((domain.high, int(not domain.high_open)), TRUE)
        self._list(domain)

    def ordered(self, operator: str, constant: float) -> int:
        """``value < constant``, and the like with ``<=``, ``>`` and ``>=``."""
        if operator in (">", ">="):
            return self.ordered("<=" if operator == ">" else "<", constant) ^ 1
        inclusive = operator == "<="
        if self._whole and math.isfinite(constant):
            return self._cut((math.floor(constant) if inclusive else math.ceil(constant) - 1, 1))
        return self._cut((constant, int(inclusive)))

    def equals(self, constant: Any) -> int:
        """``value == constant``."""
        if isinstance(constant, int | float) and not isinstance(constant, bool):
            if self._whole and not float(constant).is_integer():
                return FALSE
            return self._diagrams.both(self.ordered("<=", constant), self.ordered("<", constant) ^ 1)
        known = next((function for one, function in self._equal if same(one, constant)), None)
        return self._new(constant, self._diagrams.variable()) if known is None else known

    def _new(self, constant: Any, function: int) -> int:
        """``function``, where the value is none of the constants before."""
        others = self._diagrams.some(known for _, known in self._equal)
        function = self._diagrams.both(function, others ^ 1)
        self._equal.append((constant, function))
        return function

    def _list(self, domain: Domain) -> None:
        """Of listed values, one is the value: the last, where no other is."""
        values = [one for one in domain.listed or () if isinstance(one, str)]
        if not values or len(values) > _MOST_LISTED or not domain.kinds <= {"string", "absent"}:
            return  # Of what is absent nothing is compared.
        for value in values[:-1]:
            self._new(value, self._diagrams.variable())
        self._new(values[-1], TRUE)

    def _cut(self, cut: Cut) -> int:
        position = bisect_left(self._cuts, cut)
        if position < len(self._cuts) and self._cuts[position] == cut:
            return self._below[position]
        under = self._below[position - 1] if position else FALSE
        over = self._below[position] if position < len(self._cuts) else TRUE
        if under == over:
            return self._insert(cut, under)
        between = self._diagrams.both(over, self._diagrams.variable())
        return self._insert(cut, self._diagrams.either(under, between))

    def _insert(self, cut: Cut, function: int) -> int:
        position = bisect_left(self._cuts, cut)
        self._cuts.insert(position, cut)
        self._below.insert(position, function)
        return function
