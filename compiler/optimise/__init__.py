"""Passes over a plan: the same results with less work, or sooner. ``docs/optimiser.md`` says what each may change.

A pass is a file, a function and a name, in the order of :data:`PASSES`. It takes a plan and gives one, tells in its
notes what it saw, what it changed and what it left as it was and why, and touches nothing else: the same definition
always becomes the same plan. :mod:`.constants` is about expressions, :mod:`.costs` about what nodes take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..plan import Plan
from ..registered import functions
from .notes import Notes

__all__ = ["PASSES", "Notes", "Pass", "optimise"]

Pass = Callable[[Plan, Notes], Plan]

PASSES: tuple[Pass, ...] = functions(
    __name__,
    "constant_folding",
    "dead_nodes",
    "expensive_roots",
    "critical_path",
    "batches",
    "fusion",
)


def optimise(plan: Plan, told: list[Notes] | None = None) -> Plan:
    """The plan after every pass, and those of the workflows inside it after theirs. ``told`` gets the passes' notes."""
    done: dict[str, Plan] = {}

    def passed(plan: Plan) -> Plan:
        if plan.identity not in done:
            made = plan
            for one in PASSES:
                notes = Notes(one.__name__.replace("_", "-"), plan.definition.name)
                made = one(made, notes)
                if told is not None:
                    told.append(notes)
            within = {path: passed(inner) for path, inner in made.within.items()}
            done[plan.identity] = replace(made, within=within)
        return done[plan.identity]

    return passed(plan)
