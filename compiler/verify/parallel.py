"""Which nodes may run at the same time.

Two nodes of one graph may, when no path leads from one to the other and they can run in the same execution. Of nodes
inside others, those count that hold them in the innermost scope that both are in; branches of a fork run beside each
other, and so do the items of a foreach, where even a node meets itself. Rounds of a loop follow each other. (Levels of
the topological order would miss pairs: a node two levels down may start while a slow one above still runs.)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .constructs import at_once, goes_through
from .facts import Facts
from .logic import Formula, every
from .logic.conditions import conditions, evaluate
from .paths import Paths

if TYPE_CHECKING:
    from ...tasks.registry import Registry
    from ..document import Document
    from ..graph import Edge, GraphNode
    from ..scopes import Scope

_MOST_ATOMS = 10
"""Conditions whose outcomes are tried in every combination before anything is proved."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """That two nodes may run at the same time; ``certain``: no condition keeps one of them from running. ``round`` is
    the scope of which two rounds meet, where it is by that."""

    certain: bool
    round: Scope | None = None


class Parallel:
    """May-happen-in-parallel for the nodes of one definition, whose graphs have no cycles."""

    def __init__(self, document: Document, registry: Registry) -> None:
        self._document = document
        self._registry = registry
        self._paths: dict[int, tuple[Facts, Paths]] = {}

    def meet(self, one: tuple[Scope, str], other: tuple[Scope, str]) -> Meeting | None:
        """How two nodes, each given by its scope and id, may run at the same time within one round of what is around
        both; ``None`` if they never do."""
        for (scope, node_id), (there, other_id) in zip(_ancestry(*one), _ancestry(*other), strict=False):
            if scope is not there:
                if scope.owner is None or self._at_once(scope.owner) < 2:
                    return None
            elif node_id == other_id:
                continue
            elif self._ordered(scope, node_id, other_id) or not self._together(scope, node_id, other_id):
                return None
            return Meeting(self._always(*one) and self._always(*other))
        return None

    def meets_itself(self, scope: Scope, node_id: str) -> Meeting | None:
        """How a node may run at the same time as itself: for two items of the innermost foreach that takes several."""
        for around in scope.around():
            if around.owner is None or self._at_once(around.owner) < 2:
                continue
            node_type, raw = self._registry[around.owner.type], self._document.value(around.owner.path)
            if (items := goes_through(node_type, raw)) is not None:
                return Meeting(isinstance(items, list) and self._always(scope, node_id), around)
        return None

    def _ordered(self, scope: Scope, one: str, other: str) -> bool:
        return scope.graph.reaches(one, other) or scope.graph.reaches(other, one)

    def _at_once(self, owner: GraphNode) -> int:
        if owner.type not in self._registry:
            return 1
        return at_once(self._registry[owner.type], self._document.value(owner.path))

    def _together(self, scope: Scope, one: str, other: str) -> bool:
        """Whether two nodes of a scope can run in the same execution; also where that is not known."""
        facts, paths = self._paths_of(scope)
        return _possible(every(paths.runs(one), paths.runs(other)), facts)

    def _always(self, scope: Scope, node_id: str) -> bool:
        return all(
            not conditions(self._paths_of(there)[1].runs(around))
            for there, around in _ancestry(scope, node_id)
        )

    def _paths_of(self, scope: Scope) -> tuple[Facts, Paths]:
        if (found := self._paths.get(id(scope))) is None:
            facts = Facts(self._document, scope, self._registry)
            found = self._paths[id(scope)] = facts, Paths(facts)
        return found


class Together:
    """Which edges into a node of one scope may be taken in the same execution."""

    def __init__(self, document: Document, scope: Scope, registry: Registry) -> None:
        self._facts = Facts(document, scope, registry)
        self._paths = Paths(self._facts)

    def taken(self, node_id: str, one: Edge, other: Edge) -> bool:
        """Whether both edges into the node may be; also where that is not known."""
        incoming = self._facts.scope.graph.incoming(node_id)
        parts = self._paths.together(node_id)
        formula = every(parts[incoming.index(one)], parts[incoming.index(other)])
        return _possible(formula, self._facts)


def _possible(formula: Formula, facts: Facts) -> bool:
    """Whether ``formula`` may hold; also where that is not known."""
    if not conditions(formula):
        return True
    return _satisfiable(formula) and facts.prover(far=True).possible(formula).verdict != "no"


def _ancestry(scope: Scope, node_id: str) -> list[tuple[Scope, str]]:
    """The nodes that a node is inside of, each with its scope, outermost first, and itself."""
    found = [(scope, node_id)]
    while scope.owner is not None and scope.parent is not None:
        found.append((scope.parent, scope.owner.id))
        scope = scope.parent
    return found[::-1]


def _satisfiable(formula: Formula) -> bool:
    """Whether some outcomes of the conditions make ``formula`` true, each condition taken for itself."""
    texts = [condition.text for condition in conditions(formula)]
    if len(texts) > _MOST_ATOMS:
        return True
    outcomes = itertools.product((True, False), repeat=len(texts))
    return any(_holds(formula, dict(zip(texts, one, strict=True))) for one in outcomes)


def _holds(formula: Formula, outcomes: dict[str, bool]) -> bool:
    return evaluate(formula, lambda condition: outcomes[condition.text])
