"""Nodes that are skipped in every run, and edges that never fire, are left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..diagnostics import Path
from ..graph import Edge, Graph
from ..model import NodeDefinition
from ..plan import FALSE, Block, Plan
from .notes import Notes, counted
from .rules import is_quiet, needed, siblings

MOST_PAIRS = 10_000
"""Pairs of a node before and a node after some dead ones, of which each has to be looked at."""


def dead_nodes(plan: Plan, notes: Notes) -> Plan:
    """A plan without the nodes that cannot run: their guard is false, or too few of the edges into them can fire.

    Who waited for whom still does: where a dead node stood between two others, and nothing else does, an edge that
    never fires keeps their order. A node stays where the runtime would notice that it is gone.
    """
    notes.saw = counted(plan.size(), "node")
    root = _block(plan.root, plan, notes)
    left = {node.path for block in root.walk() for node in block.graph.nodes}
    within = {path: inner for path, inner in plan.within.items() if path in left}
    return replace(plan, root=root, within=within)


def _block(block: Block, plan: Plan, notes: Notes) -> Block:
    handled = plan.handler.nodes if block is plan.root else frozenset[str]()
    made = _Pruning(block, plan.nodes, handled, notes).result()
    return replace(made, inner=tuple(_block(part, plan, notes) for part in made.inner))


@dataclass
class _Pruning:
    block: Block
    nodes: Mapping[Path, NodeDefinition]
    handled: frozenset[str]
    """The nodes that run when the instance has failed, by other edges than at other times."""
    notes: Notes
    dead: dict[str, str] = field(default_factory=dict)
    """The nodes that never run, each with why."""
    idle: set[int] = field(default_factory=set)
    """The edges (by identity) that never fire."""
    kept: dict[str, str] = field(default_factory=dict)
    """Those of the dead that stay, with why."""

    def result(self) -> Block:
        """The block without what can go."""
        self._find()
        if not self.idle and not self.dead and not self.kept:
            return self.block
        waits: list[Edge] = []
        while True:
            before = len(self.kept)
            self._keep_what_is_read()
            survivors = self._survivors()
            waits = self._waits(survivors)
            self._keep_ends(survivors, waits)
            if len(self.kept) == before:
                break
        self._tell()
        return self._without(waits)

    # --- what never runs ----------------------------------------------------------------------------------------

    def _find(self) -> None:
        for node_id in self.block.order:
            incoming = self.block.graph.incoming(node_id)
            self.idle.update(id(edge) for edge in incoming if self._never_fires(edge))
            reason = self._reason(node_id, incoming)
            if node_id in self.handled and (reason or any(id(edge) in self.idle for edge in incoming)):
                self._pin(node_id, "it may run when the instance has failed")
                continue
            if reason is None:
                continue
            live = [edge for edge in incoming if id(edge) not in self.idle]
            if all(is_quiet(self.block, self.nodes, edge) for edge in live):
                self.dead[node_id] = reason
            else:
                self._pin(node_id, f"{reason}, but the condition of an edge into it may fail before")

    def _never_fires(self, edge: Edge) -> bool:
        if edge.source in self.dead or edge.condition == FALSE:
            return True
        if edge.condition != "else":
            return False
        for other in siblings(self.block, edge):
            if other.condition == "true":
                return True
            if not is_quiet(self.block, self.nodes, other):
                return False
        return False

    def _reason(self, node_id: str, incoming: tuple[Edge, ...]) -> str | None:
        node = self._definition(node_id)
        if node.when == FALSE:
            return "its guard is always false"
        live = sum(id(edge) not in self.idle for edge in incoming)
        most = needed(node, len(incoming))
        if not incoming or live >= most:
            return None
        if not live:
            return "no edge into it ever fires"
        return f"its join needs {most} of {len(incoming)} edges, and {live} can fire"

    def _definition(self, node_id: str) -> NodeDefinition:
        return self.nodes[self.block.graph.by_id[node_id].path]

    # --- what has to stay ---------------------------------------------------------------------------------------

    def _pin(self, node_id: str, reason: str) -> None:
        """Keep a node as it is, with every edge into it and what these come from."""
        stack = [(node_id, reason)]
        while stack:
            current, why = stack.pop()
            if current in self.kept:
                continue
            self.kept[current] = why
            for edge in self.block.graph.incoming(current):
                self.idle.discard(id(edge))
                if edge.source in self.dead:
                    stack.append((edge.source, f"{current!r} stays, and waits for it"))

    def _survives(self, node_id: str) -> bool:
        return node_id not in self.dead or node_id in self.kept

    def _keep_what_is_read(self) -> None:
        """An ``else`` asks the conditions of the edges beside it, wherever these lead."""
        for edge in self.block.graph.edges:
            if edge.condition != "else" or not self._survives(edge.target) or id(edge) in self.idle:
                continue
            for other in siblings(self.block, edge):
                if other.condition != FALSE and not self._survives(other.target):
                    self._pin(
                        other.target, f"the else out of {edge.source!r} asks the condition that leads to it"
                    )

    def _keep_ends(self, survivors: Graph, waits: Iterable[Edge]) -> None:
        """Without an ``output`` of its own, a workflow gives the outputs of its last nodes: they stay the same ones."""
        if self.block.owner is not None or self.block.output is not None:
            return
        followed = {edge.source for edge in (*survivors.edges, *waits)}
        for node in survivors.nodes:
            if node.id not in followed and (outgoing := self.block.graph.outgoing(node.id)):
                target = next((edge.target for edge in outgoing if not self._survives(edge.target)), None)
                if target is not None:
                    self._pin(
                        target, f"without it {node.id!r} would be an end, and its output the workflow's"
                    )

    # --- what is left -------------------------------------------------------------------------------------------

    def _survivors(self) -> Graph:
        """The nodes that stay, and the edges between them that may fire."""
        return Graph(
            tuple(node for node in self.block.graph.nodes if self._survives(node.id)),
            tuple(
                edge
                for edge in self.block.graph.edges
                if id(edge) not in self.idle and self._survives(edge.source) and self._survives(edge.target)
            ),
        )

    def _waits(self, survivors: Graph) -> list[Edge]:
        """The edges that keep the order which dead nodes and idle edges kept."""
        found = [
            edge
            for edge in self.block.graph.edges
            if id(edge) in self.idle
            and self._survives(edge.source)
            and self._survives(edge.target)
            and not survivors.reaches(edge.source, edge.target)
        ]
        for gone in self._components():
            made = self._across(gone, survivors)
            spared = sum(edge.source in gone or edge.target in gone for edge in self.block.graph.edges)
            if made is None or len(made) > spared:
                for node_id in gone:
                    self._pin(node_id, "more edges than its own would have to keep the order around it")
            else:
                found += made
        return found

    def _components(self) -> list[set[str]]:
        """The nodes that go, those together that edges connect."""
        left = {node_id for node_id in self.dead if node_id not in self.kept}
        found: list[set[str]] = []
        while left:
            stack, component = [left.pop()], set[str]()
            while stack:
                node_id = stack.pop()
                component.add(node_id)
                graph = self.block.graph
                for other in (*graph.predecessors(node_id), *graph.successors(node_id)):
                    if other in left:
                        left.discard(other)
                        stack.append(other)
            found.append(component)
        return found

    def _across(self, gone: set[str], survivors: Graph) -> list[Edge] | None:
        """An edge for each pair of nodes before and after ``gone`` that nothing else keeps in order; ``None`` where
        there are too many to look at."""
        graph = self.block.graph
        before = {node_id: [s for s in graph.predecessors(node_id) if self._survives(s)] for node_id in gone}
        after = [edge for node_id in gone for edge in graph.outgoing(node_id) if self._survives(edge.target)]
        if sum(map(len, before.values())) * len(after) > MOST_PAIRS:
            return None
        made: dict[tuple[str, str], Edge] = {}
        for edge in sorted(after, key=lambda edge: edge.path):
            stack, seen = [edge.source], {edge.source}
            while stack:
                current = stack.pop()
                for source in before[current]:
                    if not survivors.reaches(source, edge.target):
                        waits = Edge(source, edge.target, FALSE, None, edge.path, edge.span)
                        made.setdefault((source, edge.target), waits)
                fresh = [s for s in graph.predecessors(current) if s in gone and s not in seen]
                seen.update(fresh)
                stack += fresh
        return list(made.values())

    def _without(self, waits: list[Edge]) -> Block:
        block, left = self.block, self._survivors()
        edges = (*left.edges, *waits)
        return replace(
            block,
            graph=Graph(left.nodes, edges),
            order=tuple(node_id for node_id in block.order if node_id in left),
            inner=tuple(part for part in block.inner if part.owner is not None and part.owner.id in left),
            left_out=tuple(
                (node, self.dead[node.id]) for node in block.graph.nodes if node not in left.nodes
            ),
        )

    def _tell(self) -> None:
        for node_id, reason in self.dead.items():
            if node_id not in self.kept:
                self.notes.change(self.block.label(node_id), f"left out: {reason}")
        for node_id, reason in self.kept.items():
            self.notes.keep(self.block.label(node_id), reason)
        for edge in self.block.graph.edges:
            if id(edge) in self.idle and self._survives(edge.source) and self._survives(edge.target):
                self.notes.change(self.block.label(edge.target), f"the edge from {edge.source} never fires")
