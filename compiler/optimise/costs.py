"""What nodes take, as far as a definition says it: the time that a node is given stands for the time that it needs."""

from __future__ import annotations

from ...core.resources import Gpu
from ..graph import GraphNode
from ..model import resources_of
from ..plan import Block, Plan


class Costs:
    """The costs in one plan. Only work on workers costs: who waits, or decides in the flow's process, takes nothing of
    what is scarce."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._ways: dict[int, tuple[float, tuple[str, ...]]] = {}

    def works(self, node: GraphNode) -> bool:
        """Whether a worker runs it."""
        return self.plan.types[node.type].where == "worker"

    def seconds(self, block: Block, node: GraphNode) -> float:
        """The node's timeout, else its type's; of a node with nodes inside, the longest way through these."""
        if self.works(node):
            return self.plan.nodes[node.path].timeout or self.plan.types[node.type].timeout
        if (inner := self.plan.within.get(node.path)) is not None:
            return Costs(inner).longest(inner.root)[0]
        return max((self.longest(part)[0] for part in block.parts_of(node.id)), default=0.0)

    def longest(self, block: Block) -> tuple[float, tuple[str, ...]]:
        """The longest way through a block, in seconds and nodes; of equal ones the first in the definition."""
        if id(block) not in self._ways:
            self._ways[id(block)] = self._longest(block)
        return self._ways[id(block)]

    def _longest(self, block: Block) -> tuple[float, tuple[str, ...]]:
        best: dict[str, float] = {}
        came_from: dict[str, str | None] = {}
        aside = self.plan.handler.only if block is self.plan.root else frozenset[str]()
        order = [node_id for node_id in block.order if node_id not in aside]
        for node_id in order:
            sources = [source for source in block.graph.predecessors(node_id) if source not in aside]
            source = max(sources, key=best.__getitem__, default=None)
            came_from[node_id] = source
            before = best[source] if source is not None else 0.0
            best[node_id] = before + self.seconds(block, block.graph.by_id[node_id])
        last = max(order, key=best.__getitem__, default=None)
        way: list[str] = []
        current = last
        while current is not None:
            way.append(current)
            current = came_from[current]
        return (best[last] if last is not None else 0.0), tuple(reversed(way))

    def wants_gpu(self, block: Block, node: GraphNode) -> bool:
        """Whether the node, or one inside it, wants a GPU, of which there are fewest."""
        if self.works(node):
            resources = resources_of(self.plan.nodes[node.path], self.plan.types[node.type].resources)
            return resources.gpu is not Gpu.NONE
        if (inner := self.plan.within.get(node.path)) is not None:
            costs = Costs(inner)
            return any(costs.wants_gpu(inner.root, one) for one in inner.root.graph.nodes)
        return any(self.wants_gpu(part, one) for part in block.parts_of(node.id) for one in part.graph.nodes)
