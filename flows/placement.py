"""Where a node may run: its resource request against the workers that the scheduler has.

Dask waits for ever for a resource that no worker declares, so a request is checked before it is submitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.errors import FINAL, Code, RealmError
from ..core.resources import Gpu, Resources

SOFT = frozenset({"CPU_MILLIS", "MEMORY_MB"})
"""Resources that count only where the cluster declares them."""

Workers = Mapping[str, Mapping[str, float]]
"""Worker name → the resources it declares."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The Dask resource request of a node, and whether it gets a GPU."""

    request: Mapping[str, float] = field(default_factory=dict)
    gpu: bool = False


def place(resources: Resources, workers: Workers) -> Placement:
    """The request to submit with. INSUFFICIENT_RESOURCES (final) when no worker could ever take it.

    A node that prefers a GPU takes one where a worker fits it, and a CPU worker where none does.
    """
    declared = {name for offers in workers.values() for name in offers}
    wishes = [True, False] if resources.gpu is Gpu.PREFERRED else [resources.gpu is Gpu.REQUIRED]
    for gpu in wishes:
        asked = resources.dask(gpu=gpu)
        request = {name: amount for name, amount in asked.items() if name not in SOFT or name in declared}
        if any(fits(request, offers) for offers in workers.values()):
            return Placement(request, gpu)
    raise unsatisfiable(resources.dask(gpu=wishes[-1]), workers)


def fits(request: Mapping[str, float], offers: Mapping[str, float]) -> bool:
    """Whether a worker that declares ``offers`` can take ``request`` when it is idle."""
    return all(offers.get(name, 0.0) >= amount for name, amount in request.items())


def unsatisfiable(request: Mapping[str, float], workers: Workers) -> RealmError:
    """The error that names what is missing on the worker that comes closest."""
    if not workers:
        return RealmError(
            Code.INSUFFICIENT_RESOURCES, "the Dask cluster has no workers", hint="`realm doctor` looks why"
        )

    def missing(offers: Mapping[str, float]) -> dict[str, float]:
        return {n: a for n, a in request.items() if offers.get(n, 0.0) < a and (n not in SOFT or n in offers)}

    closest = min(workers, key=lambda address: len(missing(workers[address])))
    lacks = ", ".join(
        f"{name} {amount:g} (it has {workers[closest].get(name, 0.0):g})"
        for name, amount in sorted(missing(workers[closest]).items())
    )
    return RealmError(
        Code.INSUFFICIENT_RESOURCES,
        f"no worker can ever take this node: the closest, {closest}, lacks {lacks}",
        hint="lower the node's resources, or add a worker that declares them",
        details={FINAL: True, "request": dict(request)},
    )
