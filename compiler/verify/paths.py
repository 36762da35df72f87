"""When nodes run and edges are taken, as formulas over the conditions before them.

The rules are those of ``flows/joins.py``: a node waits until every edge into it is decided, and runs when enough of
them were taken and its guard holds. What cannot be read counts as holding, so that a formula without a solution is
one of a node that never runs.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..expressions.syntax import Chain
from ..graph import Edge, Graph
from .decisions import Decision, decision_of
from .facts import Facts
from .logic import AtLeast, Condition, Formula, Is, every, read

MOST_CONDITIONS = 12
"""Conditions that are followed upstream; what is decided further up counts as held."""
ALWAYS = every()


class Paths:
    """The formulas of the graph in ``facts``."""

    def __init__(self, facts: Facts) -> None:
        self.graph: Graph = facts.scope.graph
        self.position = {node_id: place for place, node_id in enumerate(self.graph.order)}
        self.raw = {node.id: facts.document.value(node.path) for node in self.graph.nodes}
        self.decisions: dict[str, Decision] = {}
        for node in self.graph.nodes:
            parameters = self.raw[node.id].get("parameters")
            if (decision := decision_of(node.type, parameters, (*node.path, "parameters"))) is not None:
                self.decisions[node.id] = decision
        self.guards = {node_id: _read(raw.get("when")) for node_id, raw in self.raw.items()}
        self.jumped_to = {target for raw in self.raw.values() for target in _gotos(raw.get("on_error"))}

    def join(self, node_id: str) -> int:
        """How many edges into the node must be taken."""
        join = self.raw[node_id].get("join", "any")
        count = len(self.graph.incoming(node_id))
        return count if join == "all" else join if type(join) is int else min(1, count)

    def own(self, edge: Edge) -> Formula:
        """What the edge itself asks for, when its source is over."""
        decision = self.decisions.get(edge.source)
        if decision is not None and not edge.listed and edge.target in decision.leads:
            return decision.leads[edge.target]
        if edge.condition is None:
            return ALWAYS
        if edge.condition == "else":
            siblings = [self.own(other) for other in self.graph.outgoing(edge.source) if _asks(other)]
            read = [part for part in siblings if isinstance(part, Is)]
            return every(*(Is(part.condition, False) for part in read))
        condition = _read(edge.condition)
        return ALWAYS if condition is None else Is(condition, True)

    def into(self, node_id: str) -> Formula:
        """That enough edges into the node are taken."""
        return self._formulas(node_id)[node_id]

    def together(self, node_id: str) -> tuple[Formula, ...]:
        """For each edge into the node that it is taken, in order."""
        runs = self._formulas(node_id)
        return tuple(self._taken(edge, runs) for edge in self.graph.incoming(node_id))

    def runs(self, node_id: str) -> Formula:
        """That the node runs."""
        return self._guarded(node_id, self.into(node_id))

    def _taken(self, edge: Edge, runs: dict[str, Formula]) -> Formula:
        source = runs.get(edge.source, ALWAYS)
        return _all_of(source, self.own(edge))

    def _formulas(self, node_id: str) -> dict[str, Formula]:
        """Whether the nodes before ``node_id`` run, and whether enough edges into it are taken."""
        near = self._near(node_id)
        runs: dict[str, Formula] = {}
        for current in sorted(near, key=self.position.__getitem__):
            incoming = self.graph.incoming(current)
            if current in self.jumped_to or not incoming:
                formula = ALWAYS
            else:
                parts = [self._taken(edge, runs) for edge in incoming]
                needed = self.join(current)
                held = sum(part is ALWAYS for part in parts)
                left = tuple(part for part in parts if part is not ALWAYS)
                formula = ALWAYS if needed <= held else AtLeast(needed - held, left)
            runs[current] = formula if current == node_id else self._guarded(current, formula)
        return runs

    def _guarded(self, node_id: str, formula: Formula) -> Formula:
        guard = self.guards.get(node_id)
        return formula if guard is None else _all_of(formula, Is(guard, True))

    def _near(self, node_id: str) -> set[str]:
        """``node_id`` and the nodes before it, nearest first, until enough conditions are met on the way."""
        near, frontier, met = {node_id}, [node_id], 0
        for current in frontier:
            for edge in self.graph.incoming(current):
                met += edge.condition is not None
                if edge.source not in near and met <= MOST_CONDITIONS:
                    near.add(edge.source)
                    frontier.append(edge.source)
                    met += self.guards.get(edge.source) is not None
        return near


def conflicting(one: Formula, other: Formula) -> bool:
    """Whether two formulas have to do with each other, beyond what they ask alike: a cheap look before a proof."""
    first, second = _asked(one), _asked(other)
    more, less = first.keys() - second.keys(), second.keys() - first.keys()
    return bool(
        (more and _read_by(first, more) & _read_by(second, second))
        or (less and _read_by(second, less) & _read_by(first, first))
    )


_Asked = dict[tuple[str, bool], tuple[Chain, ...]]
"""Texts of conditions and the outcomes that are asked of them, each with what it reads."""


def _asked(formula: Formula) -> _Asked:
    found: _Asked = {}
    stack, seen = [formula], set[int]()
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, AtLeast):
            stack += part.parts
        else:
            found[part.condition.text, part.outcome] = part.condition.chains
    return found


def _read_by(asked: _Asked, keys: Iterable[tuple[str, bool]]) -> set[Chain]:
    return {chain for key in keys for chain in asked[key]}


def _all_of(*formulas: Formula) -> Formula:
    left = [formula for formula in formulas if formula is not ALWAYS]
    return every(*left) if left else ALWAYS


def _asks(edge: Edge) -> bool:
    return edge.condition not in (None, "else")


def _read(text: object) -> Condition | None:
    return read(text) if isinstance(text, str) else None


def _gotos(rules: object) -> Iterable[str]:
    for rule in rules if isinstance(rules, list) else [rules]:
        if isinstance(rule, dict) and isinstance(target := rule.get("goto"), str):
            yield target
