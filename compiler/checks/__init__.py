"""Checks: what a definition gets wrong beyond its form. One file, one function, one line in a tuple.

A check looks at a :class:`Subject` and yields diagnostics. Those of :data:`CHECKS` see one scope at a time, the
definition itself or a part inside one of its nodes; those of :data:`DEFINITION_CHECKS` are asked once, those of
:data:`LAST` when nothing is wrong. A check never
raises, never stops at the first finding, and leaves out what another finding already explains (a node behind a cycle
is not also unreachable).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib import import_module

from ..diagnostics import Diagnostic
from ..registered import functions
from .subject import Subject

Check = Callable[[Subject], Iterable[Diagnostic]]

DEFINITION_CHECKS: tuple[Check, ...] = functions(
    __name__,
    "triggers",
    "input_schema",
    "retry_rules",
    "error_routes.failure_handling",
    "races",
    "assignment",
    "soundness",
    "termination",
    "feasibility",
    "timeouts",
    "secrets",
)

CHECKS: tuple[Check, ...] = functions(
    __name__,
    "node_ids",
    "node_types",
    "parts",
    "parameters",
    "error_rules",
    "error_routes",
    "caching",
    "resources",
    "references",
    "self_edges",
    "duplicate_edges",
    "cycles",
    "reachability",
    "ends",
    "else_branches",
    "control_branches",
    "joins",
    "expressions",
    "branches",
    "supply",
    "compensation",
    "template_types",
    "edge_types",
)


LAST: tuple[Check, ...] = functions(
    __name__,
    "not_executed",
    "batches",
)
"""What is said of a definition that can run, beside errors only noise."""


def titles() -> dict[str, str]:
    """What the codes mean that checks bring themselves, as ``TITLES`` beside their function."""
    found: dict[str, str] = {}
    for one in (*DEFINITION_CHECKS, *CHECKS, *LAST):
        found |= getattr(import_module(one.__module__), "TITLES", {})
    return found


def check(subject: Subject) -> Iterator[Diagnostic]:
    """Everything that every check finds, in the definition and all its parts."""
    wrong = any(found.severity == "error" for found in subject.form)
    for found in _check(subject):
        wrong = wrong or found.severity == "error"
        yield found
    for one in LAST if not wrong else ():
        yield from one(subject)


def _check(subject: Subject) -> Iterator[Diagnostic]:
    whole = replace(subject)  # What these share, the nets above all, goes with it when they are done.
    for one in DEFINITION_CHECKS:
        yield from one(whole)
    del whole
    for scope in subject.scope.walk():
        of_scope = replace(subject, scope=scope)
        for one in CHECKS:
            yield from one(of_scope)
