"""In the bulk profile, the items of a foreach go to workers in batches."""

from __future__ import annotations

from dataclasses import replace

from ..batching import unfit
from ..plan import Block, Plan
from .notes import Notes, counted

FOREACH = "control/foreach"
SIZE = 500
"""Items of a batch, where the definition does not say how many; it also ends after some seconds."""


def batches(plan: Plan, notes: Notes) -> Plan:
    """A plan in which each foreach whose body a worker can go through by itself has a ``batch_size``: the definition's
    own, else in the bulk profile :data:`SIZE`."""
    found = [
        (block, node, part)
        for block in plan.root.walk()
        for node in block.graph.nodes
        if node.type == FOREACH
        for part in block.parts_of(node.id)
    ]
    notes.saw = counted(len(found), "foreach node") if found else "no foreach"
    bulk = plan.definition.execution.profile == "bulk"
    nodes = dict(plan.nodes)
    for block, node, part in found:
        definition = nodes[node.path]
        given = definition.parameters.get("batch_size")
        if given is None and not bulk:
            continue
        label = block.label(node.id)
        if (because := _unfit(plan, part)) is not None:
            notes.keep(label, f"item by item: {because}")
        elif given is None:
            parameters = {**definition.parameters, "batch_size": SIZE}
            nodes[node.path] = definition.model_copy(update={"parameters": parameters})
            notes.change(label, f"up to {SIZE} items in one task of a worker")
        else:
            notes.keep(label, f"up to {given} items in one task of a worker, as the definition says")
    return replace(plan, nodes=nodes)


def _unfit(plan: Plan, part: Block) -> str | None:
    asked = [(edge.condition, edge.mapping) for edge in part.graph.edges]
    return unfit((plan.nodes[node.path] for node in part.graph.nodes), plan.types, part.output, asked)
