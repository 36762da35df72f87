"""Versions (SemVer 2.0.0), and ranges of them: ``1.2.0``, ``^1.2``, ``~1.2``, ``>=1,<2``, ``1.x``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)
_TERM = re.compile(
    r"(\^|~|>=|<=|>|<|==?|)\s*v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?(?:-([0-9A-Za-z.-]+))?",
    re.ASCII,
)
_Key = tuple[int, int, int, bool, tuple[tuple[int, int, str], ...]]
Test = Callable[[str], bool]


def precedence(version: str) -> _Key:
    """A key that orders versions as SemVer §11 does. :class:`ValueError` for what is no version.

    >>> sorted(["1.0.0", "1.0.0-rc.2", "1.0.0-rc.10", "0.9.1"], key=precedence)
    ['0.9.1', '1.0.0-rc.2', '1.0.0-rc.10', '1.0.0']
    """
    if (match := _VERSION.fullmatch(version)) is None:
        raise ValueError(f"{version!r} is not a version")
    major, minor, patch, pre = match.groups()
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in pre.split(".")) if pre else ()
    return int(major), int(minor), int(patch), not pre, parts


def version_range(text: str) -> Test:
    """The test that ``text`` stands for. :class:`ValueError` for what is no range.

    Terms beside each other (or after commas) must all hold, ``||`` separates alternatives. A pre-release is only
    taken where the range names one.

    >>> [v for v in ("1.2.3", "1.9.0", "2.0.0") if version_range("^1.2")(v)]
    ['1.2.3', '1.9.0']
    """
    alternatives = [_all(part) for part in text.split("||")]
    return lambda version: any(test(version) for test in alternatives)


def highest(versions: Iterable[str], wanted: str | None = None) -> str | None:
    """The highest of ``versions`` in the range ``wanted`` (any release without it; a pre-release if there is no
    other); ``None`` if there is none."""
    known = sorted(versions, key=precedence)
    if wanted is not None:
        inside = version_range(wanted)
        return next((version for version in reversed(known) if inside(version)), None)
    return next((v for v in reversed(known) if precedence(v)[3]), known[-1] if known else None)


def _all(text: str) -> Test:
    words = text.replace(",", " ").strip()
    tests: list[Test] = []
    named = False
    position = 0
    while position < len(words):
        match = _TERM.match(words, position)
        if match is None or (match.end() < len(words) and words[match.end()] != " "):
            raise ValueError(f"{text.strip()!r} is not a range of versions")
        named = named or match.group(5) is not None
        tests.append(_term(*match.groups()))
        position = match.end()
        while words[position : position + 1] == " ":
            position += 1
    if not tests:
        raise ValueError("an empty range of versions")
    return lambda version: (named or precedence(version)[3]) and all(test(version) for test in tests)


def _term(operator: str, *written: Any) -> Test:
    *numbers, pre = written
    given = [int(n) for n in numbers if n is not None and n.isdigit()]
    low = _key([*given, 0, 0, 0][:3], pre)
    if operator in (">", "<=") and len(given) < 3:
        edge = _key(_next(given, len(given) - 1), None)
        return _at_least(edge) if operator == ">" else _below(edge)
    if operator in (">", ">=", "<", "<="):
        return {">": _above(low), ">=": _at_least(low), "<": _below(low), "<=": _up_to(low)}[operator]
    if not given:
        return lambda version: True
    if operator in ("", "=", "==") and len(given) == 3:
        return lambda version: precedence(version) == low
    if operator == "^":
        first = next((i for i, n in enumerate(given) if n), len(given) - 1)
        end = _key(_next(given, first), None)
    else:
        end = _key(_next(given, min(len(given) - 1, 1)), None)
    inside, before = _at_least(low), _below(end)
    return lambda version: inside(version) and before(version)


def _next(given: list[int], index: int) -> list[int]:
    """The first version after all that begin like ``given`` up to ``index``."""
    if index < 0:
        return [10**9, 0, 0]
    return [*given[:index], given[index] + 1, 0, 0][:3]


def _key(numbers: list[int], pre: str | None) -> _Key:
    return precedence(".".join(map(str, numbers)) + (f"-{pre}" if pre else ""))


def _above(edge: _Key) -> Test:
    return lambda version: precedence(version) > edge


def _at_least(edge: _Key) -> Test:
    return lambda version: precedence(version) >= edge


def _below(edge: _Key) -> Test:
    return lambda version: precedence(version) < edge


def _up_to(edge: _Key) -> Test:
    return lambda version: precedence(version) <= edge
