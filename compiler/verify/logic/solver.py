"""z3 itself: only this module imports it. The extra ``verify`` installs it; importing it takes a fifth of a second.

Its own annotations make every term a union of all sorts, so that no operator type-checks: it is untyped here.
"""

from __future__ import annotations

import threading
from typing import Any, Literal

import z3 as _z3

z3: Any = _z3

EFFORT = 150_000
"""z3's resource units for one proof: a fifth of a second at most, and the same verdict on every machine."""
LOCK = threading.Lock()
"""z3's terms live in one context, which threads must not share: whoever makes terms holds this."""


class Session:
    """Proofs that follow each other, in a context of their own: else what was asked before in this process could change
    a verdict."""

    def __init__(self) -> None:
        self.context = z3.Context()

    def solve(self, terms: list[Any]) -> tuple[Literal["sat", "unsat", "unknown"], Any]:
        """Whether all ``terms`` can hold, with a model if so."""
        prepared = z3.SimpleSolver()
        for term in terms:
            prepared.add(term)
        solver = prepared.translate(self.context)
        solver.set("rlimit", EFFORT)
        try:
            verdict = solver.check()
            if verdict == z3.sat:
                return "sat", solver.model().translate(z3.main_ctx())
        except z3.Z3Exception:  # z3 gave up on strings that unfold without end
            return "unknown", None
        return ("unsat" if verdict == z3.unsat else "unknown"), None
