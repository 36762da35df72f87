"""Trying before proving: values at the borders of what conditions compare with, and the scopes made of them."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...expressions.references import MISSING
from ...expressions.syntax import Chain
from .conditions import Condition
from .domains import Domain, Kind, kind_of

MOST = 96
"""Scopes that are tried for one question."""
_WIDTH = 24
"""Values that are tried for one reference."""
_ENDS = 2
"""Constants that are kept at either end, where one reference is compared with many."""
_LONGEST = 1000
"""Items of a list that is made to try something."""
Assignment = Mapping[Chain, Any]


def assignments(
    domains: Mapping[Chain, Domain], readers: Mapping[Chain, Iterable[Condition]]
) -> Iterator[Assignment]:
    """Values for every reference, from the constants of the conditions that read it: all combinations where they are
    few, else a fixed choice of them."""
    chains = list(domains)
    choices: list[list[Any]] = []
    for chain in chains:
        around = tuple(readers.get(chain, ()))
        numbers = list(dict.fromkeys(itertools.chain.from_iterable(one.numbers for one in around)))
        strings = list(dict.fromkeys(itertools.chain.from_iterable(one.strings for one in around)))
        choices.append(_candidates(domains[chain], numbers, strings))
    if math.prod(map(len, choices)) <= MOST:
        for values in itertools.product(*choices):
            yield dict(zip(chains, values, strict=True))
        return
    dice = random.Random(0)  # noqa: S311  # the same choice on every machine; nothing secret
    for _ in range(MOST):
        yield {chain: dice.choice(choice) for chain, choice in zip(chains, choices, strict=True)}


def scope_of(assignment: Assignment) -> dict[str, Any] | None:
    """The scope in which each reference has its value; ``None`` where two contradict each other."""
    if any(isinstance(part, int) and part > _LONGEST for chain in assignment for part in chain.path):
        return None
    root: dict[Any, Any] = {}
    for chain, value in sorted(assignment.items(), key=lambda item: -len(item[0].path)):
        if value is MISSING:
            continue
        inner: Any = root
        for part in (chain.root, *chain.path[:-1]) if chain.path else ():
            inner = inner.setdefault(part, {})
        last = chain.path[-1] if chain.path else chain.root
        if last in inner:
            if not isinstance(value, dict | list):
                return None  # something lies under it
            continue
        inner[last] = value
    for chain, value in assignment.items():
        if value is MISSING and _leads(root, chain):
            return None
    return {name: _lists(value) for name, value in root.items()}


def _leads(root: Mapping[Any, Any], chain: Chain) -> bool:
    value: Any = root
    for part in (chain.root, *chain.path):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def _lists(value: Any) -> Any:
    """``value`` with what has indices for keys as a list; gaps are null."""
    if not isinstance(value, dict):
        return value
    if value and all(isinstance(key, int) for key in value):
        return [_lists(value.get(index)) for index in range(max(value) + 1)]
    return {str(key): _lists(item) for key, item in value.items()}


def _candidates(domain: Domain, numbers: list[float], strings: list[str]) -> list[Any]:
    if domain.listed is not None:
        found = list(domain.listed)
    else:
        found = [
            value
            for kind in _ORDER
            if kind in domain.kinds
            for value in _of_kind(kind, domain, numbers, strings)
        ]
    found += [MISSING] if "absent" in domain.kinds else []
    once: dict[tuple[Kind, Any], Any] = {}
    for value in found:
        kind = kind_of(value)
        once.setdefault((kind, str(value) if kind in ("list", "map") else value), value)
    unique = [value for value in once.values() if domain.admits(value)]
    # Some of the first and some of the last, where there are many: the kinds stand one after the other.
    return (
        unique[: _WIDTH // 2] + unique[len(unique) - _WIDTH // 2 :]
        if len(unique) > _WIDTH
        else unique or [MISSING]
    )


_ORDER: tuple[Kind, ...] = ("number", "string", "bool", "list", "map", "null")


def _of_kind(kind: Kind, domain: Domain, numbers: list[float], strings: list[str]) -> list[Any]:
    if kind == "number":
        if (
            len(numbers) > 2 * _ENDS
        ):  # of many bounds the outermost decide; what lies between is left to the proof
            known = sorted(numbers)
            numbers = [number for pair in zip(reversed(known), known, strict=True) for number in pair][
                : 2 * _ENDS
            ]
            steps = [c + d for d in (1, -1, 0) for c in numbers]
        else:
            steps = [c + d for c in numbers for d in (0, -1, 1)]
        if not domain.whole:
            steps += [c - 0.5 for c in numbers]
        return [*steps, *(b for b in (domain.low, domain.high) if b is not None), 0, 1]
    if kind == "string":
        return [*strings, "other", *(s + "x" for s in strings[:4]), *("x" + s for s in strings[:2]), ""]
    if kind == "list":
        return [[], *([s] for s in strings), list(strings)]
    values: Mapping[Kind, list[Any]] = {"bool": [True, False], "map": [{}], "null": [None]}
    return values.get(kind, [])
