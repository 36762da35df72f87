"""In the bulk profile, a chain of nodes is one task of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..batching import unfit
from ..diagnostics import Path
from ..graph import Edge, GraphNode
from ..plan import Block, Plan
from .notes import Notes, counted


def fusion(plan: Plan, notes: Notes) -> Plan:
    """A plan in which a node that only follows one other, which only it follows, runs in that one's task, if both want
    the same resources and neither needs the run in between. The others wait for nothing meanwhile."""
    if plan.definition.execution.profile != "bulk":
        notes.saw = "nothing is fused: the profile is not bulk"
        return plan
    aside = plan.handler.nodes
    fused: set[Path] = set()
    blocks = list(plan.root.walk())
    for block in blocks:
        for chain in _chains(plan, block, frozenset(aside) if block is plan.root else frozenset()):
            fused.update(node.path for node in chain[1:])
            labels = " → ".join(block.label(node.id) for node in chain)
            notes.change(block.label(chain[0].id), f"{labels} in one task")
    notes.saw = f"{counted(plan.size(), 'node')}, {len(fused)} of them in the task of another"
    return replace(plan, fused=frozenset(fused))


def _chains(plan: Plan, block: Block, aside: frozenset[str]) -> Iterator[list[GraphNode]]:
    """The chains of a block, each as long as it can be."""
    taken: set[str] = set()
    for node_id in block.order:
        if node_id in taken or node_id in aside:
            continue
        chain = [block.graph.by_id[node_id]]
        if plan.types[chain[0].type].where != "worker" or _unfit(plan, chain) is not None:
            continue
        while (after := _only_follower(block, chain[-1])) is not None and after.id not in aside:
            if _unfit(plan, [chain[0], after], *block.graph.incoming(after.id)) is not None:
                break
            chain.append(after)
        # A node that needs no worker waits for none: only between others is it worth a place in the task.
        while plan.types[chain[-1].type].where != "worker":
            chain.pop()
        if len(chain) > 1:
            taken.update(node.id for node in chain)
            yield chain


def _only_follower(block: Block, node: GraphNode) -> GraphNode | None:
    outgoing = block.graph.outgoing(node.id)
    if len(outgoing) != 1 or outgoing[0].codes is not None:
        return None
    target = outgoing[0].target
    return block.graph.by_id[target] if len(block.graph.incoming(target)) == 1 else None


def _unfit(plan: Plan, chain: list[GraphNode], *edges: Edge) -> str | None:
    asked = [(edge.condition, edge.mapping) for edge in edges]
    return unfit((plan.nodes[node.path] for node in chain), plan.types, asked)
