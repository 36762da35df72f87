"""What is the same in every run is computed once, when the definition is compiled."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import ValidationError

from ...tasks.control.routing import ConditionParameters, SwitchParameters
from ..diagnostics import Path
from ..expressions.references import MISSING
from ..graph import Edge, Graph
from ..model import NodeDefinition
from ..plan import Block, Plan
from .constants import Constants, constant, fold, fold_condition
from .notes import Notes, counted
from .rules import needed, tolerant

Outputs = Mapping[str, Any]
_MOST_SHOWN = 60


def constant_folding(plan: Plan, notes: Notes) -> Plan:
    """Conditions, templates and mappings with what is constant in them computed: literals, the definition's variables,
    and the outputs of ``control/set``, ``control/condition`` and ``control/switch`` where these are constant."""
    folder = _Folder(plan, notes)
    root = folder.block(plan.root, {})
    notes.saw = counted(folder.seen, "expression")
    return replace(plan, root=root, nodes=folder.nodes)


class _Folder:
    def __init__(self, plan: Plan, notes: Notes) -> None:
        self.plan = plan
        self.notes = notes
        self.seen = 0
        self.nodes: dict[Path, NodeDefinition] = dict(plan.nodes)

    def block(self, block: Block, around: Mapping[str, Outputs]) -> Block:
        """A block with its conditions folded; ``around`` has what nodes outside are sure to have given it."""
        handled = self.plan.handler.nodes if block is self.plan.root else frozenset[str]()
        known = _Known(block, around, handled)
        made: dict[int, Edge] = {}
        for node_id in block.order:
            incoming = [self._edge(block, edge, known) for edge in block.graph.incoming(node_id)]
            made |= zip(map(id, block.graph.incoming(node_id)), incoming, strict=True)
            constants = self._constants(block, partial(known.at, place=node_id))
            definition = self._node(block, node_id, constants)
            known.settle(definition, incoming)
            if not tolerant(definition) and (output := _output(definition, constants)):
                known.outputs[node_id] = output
        edges = _bared(tuple(made[id(edge)] for edge in block.graph.edges))
        inner = tuple(
            self.block(part, known.inside(part.owner.id)) for part in block.inner if part.owner is not None
        )
        output = self._fold(block.key, "output", block.output, self._constants(block, _unknown))
        return replace(block, graph=Graph(block.graph.nodes, edges), inner=inner, output=output)

    def _constants(self, block: Block, output_of: Callable[[str], Outputs | None]) -> Constants:
        return Constants(self.plan.definition.variables, output_of, block.names)

    def _edge(self, block: Block, edge: Edge, known: _Known) -> Edge:
        if edge.condition is None or edge.condition == "else":
            return edge
        constants = self._constants(block, partial(known.after, source=edge.source))
        where = block.label(edge.target)
        condition = self._condition(where, f"edge from {edge.source}", edge.condition, constants)
        return edge if condition is edge.condition else replace(edge, condition=condition)

    def _node(self, block: Block, node_id: str, constants: Constants) -> NodeDefinition:
        graph_node = block.graph.by_id[node_id]
        node, where = self.nodes[graph_node.path], block.label(node_id)
        update: dict[str, Any] = {}
        if node.when is not None:
            when = self._condition(where, "when", node.when, constants)
            if when is not node.when:
                update["when"] = None if when == "true" else when
        deferred = self.plan.types[node.type].deferred
        parameters = {
            name: value if name in deferred else self._fold(where, name, value, constants)
            for name, value in node.parameters.items()
        }
        if any(parameters[name] is not value for name, value in node.parameters.items()):
            update["parameters"] = parameters
        if node.input is not None:
            input = self._fold(where, "input", node.input, constants)
            if input is not node.input:
                update["input"] = input
        if update:
            node = self.nodes[graph_node.path] = node.model_copy(update=update)
        return node

    def _condition(self, where: str, what: str, condition: str, constants: Constants) -> str:
        self.seen += 1
        made = fold_condition(condition, constants)
        if made == condition:
            return condition
        self.notes.change(where, f"{what}: {_short(condition)} → {_short(made)}")
        return made

    def _fold(self, where: str, what: str, value: Any, constants: Constants) -> Any:
        self.seen += sum("{{" in text for text in _texts(value))
        made = fold(value, constants)
        if made is not value:
            self.notes.change(where, f"{what}: {_short(value)} → {_short(made)}")
        return made


class _Known:
    """What the nodes of a block are known to give.

    A node that is ``certain`` has completed wherever one that waits for it is decided: it cannot be skipped, and when
    it fails, so does the whole block. What is ``handled`` runs when the block has failed, so nothing is certain there.
    """

    def __init__(self, block: Block, around: Mapping[str, Outputs], handled: frozenset[str]) -> None:
        self.block = block
        self.handled = handled
        self.around = around
        self.names = {node.id.replace("-", "_"): node.id for node in block.graph.nodes}
        self.outputs: dict[str, Outputs] = {}
        self.certain: set[str] = set()

    def settle(self, node: NodeDefinition, incoming: list[Edge]) -> None:
        """Decide whether the node is certain; those that it waits for are decided already."""
        surely = sum(edge.condition in (None, "true") and edge.source in self.certain for edge in incoming)
        if node.when is None and not tolerant(node) and surely >= needed(node, len(incoming)):
            self.certain.add(node.node_id)

    def at(self, name: str, place: str) -> Outputs | None:
        """The output of the node ``name`` where the node ``place`` is decided."""
        if place in self.handled:
            return None
        found = self.names.get(name.replace("-", "_"))
        if found is None:
            return self.around.get(name.replace("-", "_"))
        if found in self.outputs and found in self.certain and self.block.graph.reaches(found, place):
            return self.outputs[found]
        return None

    def after(self, name: str, source: str) -> Outputs | None:
        """The output of the node ``name`` where the edges out of ``source``, which has completed, are decided."""
        if self.names.get(name.replace("-", "_")) == source and source not in self.handled:
            return self.outputs.get(source)
        return self.at(name, source)

    def inside(self, owner: str) -> Mapping[str, Outputs]:
        """What the blocks inside the node ``owner`` may rely on."""
        mine = {name: found for name in self.outputs if (found := self.at(name, owner)) is not None}
        return {**self.around, **{name.replace("-", "_"): found for name, found in mine.items()}}


def _unknown(name: str) -> Outputs | None:
    """The output of a node where none is sure to be over."""
    return None


def _output(node: NodeDefinition, constants: Constants) -> Outputs:
    """The fields of the node's output that are constant."""
    parameters = node.parameters
    if node.type == "control/set":
        values = parameters.get("values")
        made = (
            {name: constant(value, constants) for name, value in values.items()}
            if isinstance(values, dict)
            else {}
        )
        return {name: value for name, value in made.items() if value is not MISSING}
    if node.type not in ("control/condition", "control/switch"):
        return {}
    given = constant(parameters, constants)
    if given is MISSING:
        return {}
    try:
        if node.type == "control/switch":
            case = next(SwitchParameters.model_validate(given).matching(), None)
            return {"result": case is not None, "case": case}
        decision = ConditionParameters.model_validate(given)
    except ValidationError:
        return {}
    if decision.cases is None:
        return {"result": decision.condition, "case": "true" if decision.condition else "false"}
    case = next((case.label for case in decision.cases if case.when), None)
    return {"result": case is not None, "case": case}


def _bared(edges: tuple[Edge, ...]) -> tuple[Edge, ...]:
    """The edges, those that always fire without a condition; an ``else`` beside one has to know of it."""
    others = {edge.source for edge in edges if edge.condition == "else"}
    return tuple(
        replace(edge, condition=None) if edge.condition == "true" and edge.source not in others else edge
        for edge in edges
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"
