"""Checks: what a definition gets wrong beyond its form. One file, one function, one line in :data:`CHECKS`.

A check looks at a :class:`Subject` and yields diagnostics. It never raises, never stops at the first
finding, and leaves out what another finding already explains (a node behind a cycle is not also
unreachable).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..diagnostics import Diagnostic
from .cycles import cycles
from .duplicate_edges import duplicate_edges
from .else_branches import else_branches
from .error_rules import error_rules
from .expressions import expressions
from .input_schema import input_schema
from .joins import joins
from .node_ids import node_ids
from .node_types import node_types
from .not_executed import not_executed
from .parameters import parameters
from .reachability import reachability
from .references import references
from .resources import resources
from .self_edges import self_edges
from .subject import Subject
from .supply import supply
from .triggers import triggers

Check = Callable[[Subject], Iterable[Diagnostic]]

CHECKS: tuple[Check, ...] = (
    triggers,
    input_schema,
    node_ids,
    node_types,
    parameters,
    error_rules,
    resources,
    references,
    self_edges,
    duplicate_edges,
    cycles,
    reachability,
    else_branches,
    joins,
    expressions,
    supply,
    not_executed,
)


def check(subject: Subject) -> Iterator[Diagnostic]:
    """Everything that every check finds."""
    for one in CHECKS:
        yield from one(subject)
