"""Which worker processes the embedded Dask cluster has: one per core, and one per GPU that only GPU work needs.

CPU workers declare neither CPU nor memory as Dask resources: those are per worker, so a node that asks for four
cores or half the machine's memory could run nowhere on a laptop. Their threads bound the concurrency instead: as
many as the worker's share of the cores, and one more where memory allows, so that a small node does not wait for
the end of a long one. A GPU worker declares ``GPU`` (1), ``VRAM_MB`` and its model's ``ACCELERATOR:…`` names. A node
that asks for a whole GPU has it alone; of those that ask for a share as many run at once as fit, so that pictures are
decoded and encoded while the GPU computes others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..core.resources import GPU_SHARE
from .gpus import GpuDevice

GIB = 1 << 30
MEMORY_PER_WORKER = GIB
"""A CPU worker is not started for less memory (bytes)."""
MEMORY_PER_THREAD = GIB
"""The thread beside a full node is given only where a worker's share leaves this for each thread."""
MOST_WORKERS = 32
"""Beyond this, workers get more threads instead of more processes."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker process."""

    name: str
    threads: int
    kind: Literal["cpu", "gpu"] = "cpu"
    resources: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> WorkerSpec:
        """The inverse of ``dataclasses.asdict``."""
        return cls(**record)


def plan_workers(
    cores: int, memory: int, gpus: Sequence[GpuDevice] = (), processes: int = 0
) -> tuple[WorkerSpec, ...]:
    """The workers for a machine with ``cores`` and ``memory`` (bytes); ``processes`` CPU workers if not 0.

    >>> [(w.name, w.threads) for w in plan_workers(2, 8 * GIB)]
    [('cpu-0', 2), ('cpu-1', 2)]
    """
    count = processes or max(1, min(cores, MOST_WORKERS, memory // MEMORY_PER_WORKER))
    share = max(1, math.ceil(cores / count))
    spare = memory / count >= MEMORY_PER_THREAD * (share + 1)
    hidden = (
        {"CUDA_VISIBLE_DEVICES": ""} if gpus else {}
    )  # else every library would open every GPU in every worker
    cpu = [WorkerSpec(f"cpu-{n}", share + spare, environment=hidden) for n in range(count)]
    return (*cpu, *(_gpu_worker(number, gpu) for number, gpu in enumerate(gpus)))


def _gpu_worker(number: int, gpu: GpuDevice) -> WorkerSpec:
    resources = {"GPU": 1.0}
    if gpu.memory_mb:
        resources["VRAM_MB"] = float(gpu.memory_mb)
    resources |= {f"ACCELERATOR:{name}": 1.0 for name in gpu.accelerators}
    # Dask gives unrestricted (CPU) tasks to this worker too; two more threads keep some for the GPU's nodes.
    threads = round(1 / GPU_SHARE) + 2
    return WorkerSpec(
        f"gpu-{number}",
        threads,
        "gpu",
        resources,
        {"CUDA_VISIBLE_DEVICES": gpu.uuid or gpu.device},
        gpu.model,
    )


def summarize(workers: Sequence[WorkerSpec]) -> str:
    """The workers in a line for people.

    >>> summarize(plan_workers(2, 8 * GIB))
    '2 CPU workers × 2 threads, no GPU'
    """
    cpu = [worker for worker in workers if worker.kind == "cpu"]
    gpus = [worker.model or worker.name for worker in workers if worker.kind == "gpu"]
    threads = f" × {cpu[0].threads} threads" if cpu and cpu[0].threads > 1 else ""
    plural = "" if len(cpu) == 1 else "s"
    return f"{len(cpu)} CPU worker{plural}{threads}, " + (f"GPU: {', '.join(gpus)}" if gpus else "no GPU")
