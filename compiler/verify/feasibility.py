"""Whether a pool of workers can run a definition: each node by itself, and the widest set of nodes at once.

The widest set is the heaviest antichain of each graph; a node with nodes inside counts with the widest set of those,
as often as it runs them at the same time. Branches that exclude each other count together, so the true width may be
less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ...core.resources import Gpu, Resources
from .antichain import heaviest_antichain
from .branches import Judgement
from .constructs import at_once
from .pool import CPU, GPU, MEMORY, Pool, shown

if TYPE_CHECKING:
    from ...tasks.registry import Registry
    from ..analysis import Analysis
    from ..diagnostics import Path
    from ..document import Document
    from ..graph import GraphNode
    from ..scopes import Scope

_PRECISION = 1000
"""Weights are whole numbers: thousandths."""
_MOST_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Width:
    """How much of a resource nodes may want at once, at most, and which: their ids in the journal, and how many
    rounds of each."""

    amount: float
    nodes: tuple[tuple[str, int], ...] = ()


class Demand:
    """What the nodes of one definition ask a pool for; without a pool, one that has a GPU for whoever wants it."""

    def __init__(
        self,
        document: Document,
        registry: Registry,
        subworkflows: Mapping[Path, Analysis] | None = None,
        pool: Pool | None = None,
    ) -> None:
        self._document = document
        self._registry = registry
        self._subworkflows = subworkflows or {}
        self._pool = pool

    def of(self, node: GraphNode) -> tuple[Resources, Mapping[str, float]] | None:
        """The resources of a node that runs on a worker, and the request that is made for it."""
        if node.type not in self._registry or (node_type := self._registry[node.type]).where != "worker":
            return None
        given = self._document.value(node.path).get("resources")
        overrides = given if isinstance(given, dict) else {}
        try:
            wanted = Resources.model_validate({**node_type.resources.model_dump(), **overrides})
        except ValidationError:
            return None  # which the check of resources tells
        with_gpu = wanted.dask(gpu=True)
        gpu = wanted.gpu is Gpu.REQUIRED or self._pool is None or self._pool.fits(with_gpu)
        return wanted, with_gpu if gpu else wanted.dask(gpu=False)

    def width(self, scope: Scope, resource: str) -> Width:
        """The widest set of the nodes of ``scope``, and of those inside them, by one resource."""
        graph = scope.graph
        if graph.cycles:
            return Width(0)
        rank = {node_id: index for index, node_id in enumerate(graph.order)}
        widths = [self._of_node(scope, graph.by_id[node_id], resource) for node_id in graph.order]
        successors = [[rank[other] for other in graph.successors(node_id)] for node_id in graph.order]
        weights = [round(width.amount * _PRECISION) for width in widths]
        total, chosen = heaviest_antichain(successors, weights)
        return Width(total / _PRECISION, tuple(node for index in chosen for node in widths[index].nodes))

    def _of_node(self, scope: Scope, node: GraphNode, resource: str) -> Width:
        label = f"{scope.key}/{node.id}" if scope.key else node.id
        if (parts := scope.parts_of(node.id)) and node.type in self._registry:
            rounds = at_once(self._registry[node.type], self._document.value(node.path))
            widths = [self.width(part, resource) for part in parts]
            if len(parts) == 1:
                return _times(widths[0], rounds)
            widest = sorted(widths, key=lambda width: -width.amount)[:rounds]
            return Width(sum(w.amount for w in widest), tuple(one for w in widest for one in w.nodes))
        inner = self._subworkflows.get(node.path)
        if inner is not None and inner.scope is not None and inner.document is not None:
            demand = Demand(inner.document, self._registry, inner.subworkflows, self._pool)
            width = demand.width(inner.scope, resource)
            return Width(width.amount, tuple((f"{label}/{name}", count) for name, count in width.nodes))
        found = self.of(node)
        amount = found[1].get(resource, 0.0) if found else 0.0
        return Width(amount, ((label, 1),) if amount else ())


def _times(width: Width, rounds: int) -> Width:
    return Width(width.amount * rounds, tuple((name, count * rounds) for name, count in width.nodes))


def widths(demand: Demand, scope: Scope, resources: tuple[str, ...] = (CPU, MEMORY, GPU)) -> dict[str, Width]:
    """The widest set by each of ``resources`` that anything in ``scope`` asks for."""
    found = {name: demand.width(scope, name) for name in resources}
    return {name: width for name, width in found.items() if width.amount}


def judge(
    document: Document,
    scope: Scope,
    registry: Registry,
    pool: Pool,
    subworkflows: Mapping[Path, Analysis] | None = None,
) -> Iterator[Judgement]:
    """MR402: nodes that fit no worker of ``pool``. MR403: that more may be asked for at once than it has."""
    demand = Demand(document, registry, subworkflows, pool)
    for part in scope.walk():
        for node in part.graph.nodes:
            if (found := demand.of(node)) is not None and (lacks := pool.lacking(found[1])):
                yield _too_large(document, node, found[0], lacks, pool)
    for name, total in pool.total.items():
        width = demand.width(scope, name)
        if width.amount > total:
            several = [f"{node} ×{count}" if count > 1 else node for node, count in width.nodes]
            listed = ", ".join(several[:_MOST_SHOWN]) + (", …" if len(several) > _MOST_SHOWN else "")
            message = (
                f"up to {shown(name, width.amount)} may be asked for at once, and the pool has "
                f"{shown(name, total)}: {listed}"
            )
            hint = "nothing to mend: what does not fit waits; more workers would make it faster"
            yield Judgement("MR403", "refuted", message, ("name",), hint, "info")
        else:
            message = f"at most {shown(name, width.amount)} are asked for at once"
            yield Judgement("MR403", "proved", message, ("name",))


def _too_large(
    document: Document, node: GraphNode, wanted: Resources, lacks: Mapping[str, float], pool: Pool
) -> Judgement:
    if wanted.gpu is Gpu.REQUIRED and GPU not in pool.total:
        message = f"node {node.id!r} requires a GPU, and no worker of the pool has one"
        hint = "write gpu: preferred under resources if it can do without, or add a worker with gpu=1"
    else:
        missing = ", ".join(
            f"{shown(name, amount)} (the most is {shown(name, _most(pool, name))})"
            for name, amount in lacks.items()
        )
        message = f"node {node.id!r} fits no worker of the pool: it asks for {missing}"
        hint = "lower its resources, or add a worker that has as much"
    raw: Any = document.value(node.path)
    where = (*node.path, "resources" if isinstance(raw.get("resources"), dict) else "type")
    return Judgement("MR402", "refuted", message, where, hint, "error")


def _most(pool: Pool, name: str) -> float:
    return max((offers.get(name, 0.0) for offers in pool.workers), default=0.0)
