"""What is found only because something else is wrong at the same place."""

from __future__ import annotations

from collections.abc import Iterable

from .diagnostics import Diagnostic

_PROOFS = frozenset({"MR220", "MR221", "MR222", "MR223", "MR243", "MR250", "MR251", "MR252"})
"""Findings about the values that conditions may have."""


def without_consequences(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """``found`` without what was proved of conditions that do not say what their author meant: those in which something
    is wrong themselves."""
    every = list(found)
    wrong = {one.path for one in every if one.path and (one.code.startswith("MR30") or one.code == "MR201")}
    return [one for one in every if one.code not in _PROOFS or one.path not in wrong]
