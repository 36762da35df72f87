"""Of the nodes that wait for nothing, those that take most are started first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from ..plan import Block, Plan
from .costs import Costs
from .notes import Notes, counted

Expense: TypeAlias = tuple[bool, float]
"""Whether a node wants a GPU, and the seconds that it takes."""


def expensive_roots(plan: Plan, notes: Notes) -> Plan:
    """A plan that starts entry nodes by what they take: those that want a GPU first, then by time.

    Workers take nodes of one priority in the order in which they come, so a long node at the end of the queue would be
    what the instance waits for at last. Nodes that wait for others keep their places among each other.
    """
    costs = Costs(plan)
    root = _block(plan.root, costs, notes)
    entries = sum(len(block.graph.entries) for block in root.walk())
    notes.saw = counted(entries, "entry node")
    return replace(plan, root=root)


def _block(block: Block, costs: Costs, notes: Notes) -> Block:
    expense = {
        node_id: (costs.wants_gpu(block, node), costs.seconds(block, node))
        for node_id in block.graph.entries
        if (node := block.graph.by_id[node_id])
    }
    costly = [node_id for node_id in block.order if expense.get(node_id, (False, 0.0)) > (False, 0.0)]
    first = sorted(costly, key=lambda node_id: expense[node_id], reverse=True)
    order = block.order
    if first != costly:
        moved = set(first)
        order = (*first, *(node_id for node_id in block.order if node_id not in moved))
        _tell(block, costly, first, expense, notes)
    elif len(costly) > 1:
        notes.keep(block.key, "its entry nodes are in that order already")
    return replace(block, order=order, inner=tuple(_block(part, costs, notes) for part in block.inner))


def _tell(
    block: Block, before: list[str], after: list[str], expense: Mapping[str, Expense], notes: Notes
) -> None:
    """Note of each node that overtook others the first of these."""
    was = {node_id: place for place, node_id in enumerate(before)}
    overtaken: list[tuple[str, str]] = []
    least = len(before)
    for node_id in reversed(after):
        if least < was[node_id]:
            overtaken.append((node_id, before[least]))
        least = min(least, was[node_id])
    for node_id, other in reversed(overtaken):
        gpu, seconds = expense[node_id]
        takes = f"up to {seconds:g} s" + (" and a GPU" if gpu else "")
        notes.change(block.label(node_id), f"started before {other}: it takes {takes}")
