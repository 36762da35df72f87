"""Which nodes a worker can go through by itself, as far as a definition says it; see ``tasks/batching.py``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..core.resources import Resources
from ..tasks.batching import alone, bound_to_the_run, shared
from ..tasks.registry import Registry
from .model import NodeDefinition, resources_of


def unfit(nodes: Iterable[NodeDefinition], types: Registry, *also: Any) -> str | None:
    """Why one task cannot go through these nodes, with what else they are asked (conditions, outputs); ``None``: it
    can."""
    wanted: list[Resources] = []
    for node in nodes:
        node_type = types[node.type]
        if (because := alone(node, node_type)) is not None:
            return f"{node.node_id}: {because}"
        if node_type.where == "worker":
            wanted.append(resources_of(node, node_type.resources))
        if (because := bound_to_the_run(_words(node))) is not None:
            return f"{node.node_id}: {because}"
    if (because := bound_to_the_run(json.dumps(also, ensure_ascii=False, default=str))) is not None:
        return because
    return None if shared(wanted) is not None else "its nodes belong on different workers"


def _words(node: NodeDefinition) -> str:
    return json.dumps([node.parameters, node.input, node.when], ensure_ascii=False, default=str)
