"""Who reads which output of a node, and in which executions: the references in expressions that must lead somewhere.

What forgives an absent value is no such reading: the first argument of ``default``, those of ``coalesce`` and ``has``,
a comparison with ``null``, ``is empty``. What guards against it narrows the executions: ``has(x) && x.y``,
``has(x) ? x.y : z``, and in ``default(x, y)`` the ``y`` is only read where ``x`` is absent.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...tasks.sdk import Deferred
from ..diagnostics import Path
from ..document import walk_strings
from ..expressions.errors import ExpressionError
from ..expressions.mapping import is_path
from ..expressions.parser import parse
from ..expressions.syntax import (
    Binary,
    Call,
    Chain,
    Conditional,
    Empty,
    Literal,
    Logic,
    Method,
    Name,
    Node,
    chain_of,
    children,
    walk,
)
from ..expressions.templates import Hole, condition_of, parse_template
from .diagrams import TRUE
from .net import Net, Nets

if TYPE_CHECKING:
    from ..graph import Edge
    from ..scopes import Scope

_ROOTS = ("nodes", "loop")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: its text's path, the scope of its names, the node that evaluates it (``None`` for the
    output of a part), and where it is evaluated. ``before``: the nodes that it may read are those before this one."""

    path: Path
    scope: Scope
    reader: str | None
    where: int
    before: str | None


@dataclass(frozen=True, slots=True)
class Read:
    """One reference at characters ``span`` of the string at ``place.path``, evaluated where ``where`` holds."""

    place: Place
    chain: Chain
    where: int
    span: tuple[int, int]


class Reads:
    """The readings of one scope."""

    def __init__(self, nets: Nets, net: Net) -> None:
        self._nets = nets
        self._net = net
        self._diagrams = nets.diagrams

    def all(self) -> Iterator[Read]:
        """Every reading, in the order of the document's parts."""
        net = self._net
        for node_id in net.raw:
            if node_id not in net.aside:
                yield from self._of_node(node_id)
        for edge in net.scope.graph.edges:
            if edge.listed and edge.source not in net.aside:
                yield from self._of_edge(edge)
        yield from self._of_output()

    # --- places -------------------------------------------------------------------------------------------------

    def _of_node(self, node_id: str) -> Iterator[Read]:
        net, raw = self._net, self._net.raw[node_id]
        path = net.scope.graph.by_id[node_id].path
        if (guard := net.guard(node_id)) is not None:
            yield from self._condition(guard, self._place((*path, "when"), node_id, net.joins[node_id]))
        runs = net.runs[node_id]
        yield from self._templates(raw.get("input"), self._place((*path, "input"), node_id, runs))
        deferred = self._deferred(node_id)
        parameters = raw.get("parameters")
        for name, value in parameters.items() if isinstance(parameters, dict) else ():
            place = self._place((*path, "parameters", name), node_id, runs)
            if name in deferred:
                yield from self._later(value, place, deferred[name])
            else:
                yield from self._templates(value, place)

    def _of_edge(self, edge: Edge) -> Iterator[Read]:
        net = self._net
        if edge.condition not in (None, "else"):
            place = self._place(
                (*edge.path, "condition"), edge.target, net.runs[edge.source], before=edge.source
            )
            yield from self._condition(edge.condition or "", place)
        if edge.mapping and "input" not in net.raw[edge.target]:
            where = self._both(net.taken(edge), net.runs[edge.target])
            place = self._place((*edge.path, "mapping"), edge.target, where, before=edge.source)
            for name, value in edge.mapping.items():
                if not (isinstance(value, str) and is_path(value)):
                    yield from self._templates(value, self._under(place, name))

    def _of_output(self) -> Iterator[Read]:
        """The part's output, which is rendered when nothing has ended the instance before."""
        scope = self._net.scope
        part = self._nets.document.value(scope.path)
        output = part.get("output") if isinstance(part, dict) else None
        if not isinstance(output, dict):
            return
        going_on = (self._net.runs[node_id] ^ 1 for node_id in self._net.ending)
        where = self._nets.product(self._net.around, *going_on)
        yield from self._templates(output, Place((*scope.path, "output"), scope, None, where, None))

    def _later(self, value: Any, place: Place, deferred: Deferred) -> Iterator[Read]:
        """A parameter that the run evaluates again and again; it may see the node's parts, as of their last round."""
        parts = self._net.scope.parts_of(place.reader or "") if deferred.in_parts else ()
        if parts and self._nets.of(parts[0]) is not None:
            place = Place(place.path, parts[0], place.reader, place.where, place.before)
        if deferred.condition and isinstance(value, str):
            yield from self._condition(value, place)
        elif isinstance(value, str) and "{{" not in value:
            yield from self._expression(Hole(value, 0), place)
        else:
            yield from self._templates(value, place)

    def _deferred(self, node_id: str) -> Mapping[str, Deferred]:
        kind = self._net.scope.graph.by_id[node_id].type
        return self._nets.registry[kind].deferred if kind in self._nets.registry else {}

    def _place(self, path: Path, reader: str, where: int, *, before: str | None = None) -> Place:
        return Place(path, self._net.scope, reader, self._both(self._net.around, where), before or reader)

    def _under(self, place: Place, *parts: str | int) -> Place:
        return Place((*place.path, *parts), place.scope, place.reader, place.where, place.before)

    # --- expressions --------------------------------------------------------------------------------------------

    def _templates(self, value: Any, place: Place) -> Iterator[Read]:
        for path, text in walk_strings(value):
            if "{{" not in text or not any(root in text for root in _ROOTS):
                continue
            try:
                holes = [part for part in parse_template(text) if isinstance(part, Hole)]
            except ExpressionError:
                continue
            for hole in holes:
                yield from self._expression(hole, self._under(place, *path))

    def _condition(self, text: str, place: Place) -> Iterator[Read]:
        if any(root in text for root in _ROOTS):
            try:
                hole = condition_of(text)
            except ExpressionError:
                return
            yield from self._expression(hole, place)

    def _expression(self, hole: Hole, place: Place) -> Iterator[Read]:
        try:
            tree = parse(hole.expression)
        except ExpressionError:
            return
        for chain, node, where in self._needed(tree, place.where, place.scope, frozenset()):
            yield Read(place, chain, where, (hole.offset + node.span[0], hole.offset + node.span[1]))

    def _needed(
        self, tree: Node, where: int, scope: Scope, bound: frozenset[str]
    ) -> Iterator[tuple[Chain, Node, int]]:
        """The references that ``tree``, evaluated where ``where`` holds, must find something under."""
        chain = chain_of(tree)
        if chain is not None:
            if chain.root in _ROOTS and chain.path and chain.root not in bound:
                yield chain, tree, where
            return
        match tree:
            case Call(function="has" | "coalesce"):
                return
            case Call(function="default", arguments=(first, *others)):
                yield from self._in_order(others, self._absent(first, where, scope, bound), scope, bound)
            case Binary(operator="==" | "!=", left=left, right=right) if _forgives(left, right):
                return
            case Empty(operand=operand) if chain_of(operand) is not None:
                return
            case Logic(operator=operator, operands=operands):
                yield from self._alternatives(operator, operands, where, scope, bound)
            case Conditional(test=test, then=then, otherwise=otherwise):
                yield from self._needed(test, where, scope, bound)
                for part, sign in ((then, 0), (otherwise, 1)):
                    if _reads(part):
                        holds = self._nets.holds(test, scope) ^ sign
                        yield from self._needed(part, self._both(where, holds), scope, bound)
            case Method(operand=operand, arguments=arguments) if (variable := tree.binds) is not None:
                yield from self._needed(operand, where, scope, bound)
                yield from self._in_order(arguments[1:], where, scope, bound | {variable})
            case _:
                yield from self._in_order(children(tree), where, scope, bound)

    def _in_order(
        self, trees: Iterable[Node], where: int, scope: Scope, bound: frozenset[str]
    ) -> Iterator[tuple[Chain, Node, int]]:
        for tree in trees:
            yield from self._needed(tree, where, scope, bound)

    def _alternatives(
        self, operator: str, operands: tuple[Node, ...], where: int, scope: Scope, bound: frozenset[str]
    ) -> Iterator[tuple[Chain, Node, int]]:
        """Each operand matters where no other one settles the whole, in whatever order they stand."""
        reading = [index for index, operand in enumerate(operands) if _reads(operand)]
        if not reading:
            return
        sign = int(operator == "||")
        unsettled = [self._nets.holds(operand, scope) ^ sign for operand in operands]
        after = list(itertools.accumulate(reversed(unsettled), self._both, initial=TRUE))[::-1]
        before = where
        for index, operand in enumerate(operands):
            if index in reading:
                yield from self._needed(operand, self._both(before, after[index + 1]), scope, bound)
            before = self._both(before, unsettled[index])

    def _absent(self, tree: Node, where: int, scope: Scope, bound: frozenset[str]) -> int:
        """Where ``tree``, the first argument of ``default``, leads nowhere."""
        there = TRUE
        found = False
        for chain, _, _ in self._needed(tree, TRUE, scope, bound):
            found = True
            there = self._both(there, self._nets.presence(chain, scope).function)
        return self._both(where, there ^ 1) if found and there != TRUE else where

    def _both(self, *functions: int) -> int:
        return self._nets.product(*functions)


def _reads(tree: Node) -> bool:
    return any(isinstance(node, Name) and node.name in _ROOTS for node in walk(tree))


def _forgives(left: Node, right: Node) -> bool:
    """Whether a comparison is with null, which something absent equals."""
    pairs: tuple[tuple[Node, Node], ...] = ((left, right), (right, left))
    return any(isinstance(one, Literal) and one.value is None and chain_of(other) for one, other in pairs)
