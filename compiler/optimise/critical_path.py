"""The nodes that the whole takes longest by come first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...core.durations import format_duration
from ..graph import GraphNode
from ..plan import Block, Plan
from .costs import Costs
from .notes import Notes, counted

BOOST = 0.5
"""What is added to a priority: less than one, so that no node leaves its class."""
_MOST_SHOWN = 8


def critical_path(plan: Plan, notes: Notes) -> Plan:
    """A plan in which the nodes on the longest way have priority over the others of their class (Kelley and Walker
    1959). A priority that the definition gives is the definition's."""
    costs = Costs(plan)
    length, way = costs.longest(plan.root)
    shown = " → ".join(way) if len(way) <= _MOST_SHOWN else f"{' → '.join(way[:3])} → … → {way[-1]}"
    notes.saw = (
        f"the longest way: {shown}, up to {format_duration(length)}" if length else "no work for workers"
    )
    critical = dict(_critical(plan.root, costs))
    workers = sum(costs.works(node) for block in plan.root.walk() for node in block.graph.nodes)
    if len(critical) == workers:
        if workers:
            notes.keep("", f"no other of its {counted(workers, 'node')} on workers could get in the way")
        return plan
    priorities = dict(plan.priorities)
    for label, node in critical.items():
        definition = plan.nodes[node.path]
        if "priority" in definition.model_fields_set:
            notes.keep(label, f"the definition gives it priority {definition.priority}")
            continue
        priorities[node.path] = definition.priority + BOOST
        notes.change(label, f"priority {definition.priority} → {priorities[node.path]:g}")
    return replace(plan, priorities=priorities)


def _critical(block: Block, costs: Costs) -> Iterator[tuple[str, GraphNode]]:
    """The nodes on workers that are on the longest way through ``block``, those inside others too."""
    for node_id in costs.longest(block)[1]:
        node = block.graph.by_id[node_id]
        if costs.works(node):
            yield block.label(node_id), node
        parts = block.parts_of(node_id)
        if parts:
            yield from _critical(max(parts, key=lambda part: costs.longest(part)[0]), costs)
