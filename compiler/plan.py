"""The plan: what a definition's flow will do, between its scopes and its source.

A plan is a value. :func:`plan_of` makes the plain one, the passes of :mod:`.optimise` make others of it that do the
same with less, and :mod:`.emission` writes any of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..tasks.registry import Registry
from .analysis import Analysis
from .diagnostics import Path
from .document import Document
from .graph import Graph, GraphNode
from .handlers import Handler, handler_in
from .model import Definition, NodeDefinition
from .scopes import Scope

FALSE = "false"
"""The condition of an edge that is only waited for: its target starts after its source, and gets nothing of it."""


@dataclass(frozen=True)
class Block:
    """The nodes of the workflow, or of one part (a loop's body, a fork's branch) inside a node.

    ``order`` is that in which they are started, each after those that it waits for; ``output`` is what a part says
    that it gives; ``names`` are what its owner binds for its expressions; ``left_out`` are the nodes that a pass took
    away since no run can run them, each with why: they are journaled as skipped.
    """

    path: Path
    graph: Graph
    order: tuple[str, ...]
    owner: GraphNode | None = None
    name: str | None = None
    key: str = ""
    output: Any = None
    names: frozenset[str] = frozenset()
    inner: tuple[Block, ...] = field(default=(), repr=False)
    left_out: tuple[tuple[GraphNode, str], ...] = ()

    def walk(self) -> Iterator[Block]:
        """This block and all inside it, outer ones first."""
        yield self
        for block in self.inner:
            yield from block.walk()

    def parts_of(self, node_id: str) -> tuple[Block, ...]:
        """The blocks inside a node of this one."""
        return self._parts.get(node_id, ())

    def label(self, node_id: str) -> str:
        """The id of a node in the journal: ``each/resize``."""
        return f"{self.key}/{node_id}" if self.key else node_id

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Each node's place in :attr:`order`."""
        return {node_id: place for place, node_id in enumerate(self.order)}

    @cached_property
    def _parts(self) -> Mapping[str, tuple[Block, ...]]:
        found: dict[str, tuple[Block, ...]] = {}
        for block in self.inner:
            if block.owner is not None:
                found[block.owner.id] = (*found.get(block.owner.id, ()), block)
        return found


@dataclass(frozen=True)
class Plan:
    """``nodes`` has each node's definition by its path, ``within`` the plan of each node that runs another workflow.

    ``priorities`` replace those of the definition; between two whole numbers they order nodes within one class.
    """

    definition: Definition
    file: str
    """The name of the definition's file, ``""`` where there is none."""
    root: Block
    nodes: Mapping[Path, NodeDefinition] = field(repr=False)
    types: Registry = field(repr=False)
    within: Mapping[Path, Plan] = field(default_factory=dict, repr=False)
    priorities: Mapping[Path, float] = field(default_factory=dict)
    fused: frozenset[Path] = frozenset()
    """Nodes that run in the task of the one node before them."""

    @property
    def identity(self) -> str:
        """What two plans of one definition share."""
        return self.definition.hash

    @cached_property
    def handler(self) -> Handler:
        """The nodes that run when the instance has failed."""
        handling = self.definition.error_handling
        return handler_in(self.root.graph, handling.on_failure if handling else None)

    def size(self) -> int:
        """How many nodes there are, those inside others too."""
        return sum(len(block.graph.nodes) for block in self.root.walk())


def plan_of(analysis: Analysis) -> Plan:
    """The plain plan of an analysis without errors: every node and edge as the definition has them."""
    made: dict[int, Plan] = {}

    def plan(analysis: Analysis) -> Plan:
        # A workflow that several nodes run was analysed once, and is planned once.
        if id(analysis) not in made:
            within = {path: plan(inner) for path, inner in analysis.subworkflows.items()}
            made[id(analysis)] = _plan(analysis, within)
        return made[id(analysis)]

    return plan(analysis)


def _plan(analysis: Analysis, within: Mapping[Path, Plan]) -> Plan:
    from ..tasks.registry import registry

    definition, scope, document = analysis.definition, analysis.scope, analysis.document
    assert definition is not None
    assert scope is not None
    assert document is not None
    file = os.path.basename(document.file or "")
    types = analysis.registry if analysis.registry is not None else registry()
    root = replace(_block(scope, document), output=definition.output)
    return Plan(definition, file, root, dict(definition.walk()), types, within)


def _block(scope: Scope, document: Document) -> Block:
    graph, inner = scope.graph, tuple(_block(child, document) for child in scope.children)
    names = frozenset(name for one in scope.around() for name in one.names)
    output = document.value(scope.path).get("output")
    return Block(scope.path, graph, graph.order, scope.owner, scope.name, scope.key, output, names, inner)
