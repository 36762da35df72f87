"""The embedded Dask cluster as one child process: a scheduler, and a nanny for each worker process.

A process of its own, so that starting workers does not import the caller's main module again (multiprocessing's
spawn does), a busy flow process does not slow the scheduler down, and Dask's noise lands in a log file.

``python -m mirror_realm.deployments.cluster_process ORDER`` reads the JSON of an :class:`Order`, prints one line of
JSON when all workers are there, and runs until SIGTERM or until its parent is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from dataclasses import asdict, dataclass
from typing import Any

from . import processes
from .gpus import find_gpus
from .workers import WorkerSpec, plan_workers

log = logging.getLogger("distributed.mirror_realm")
HOST = "127.0.0.1"
DASHBOARD_PORT = 8787
GOODBYE = 2.0
"""Seconds that workers have to end by themselves."""
LOOK = 1.0
"""Seconds between looks at the nannies. A nanny starts its worker again, but closes for good where the worker dies
while it starts, or does not die in time."""

FORGET = 10.0
"""Seconds between looks at the keys that a worker remembers."""
MOST_KEYS = 2000
"""Keys that a process may remember until then."""

CONFIG: dict[str, Any] = {
    # The first death of a worker comes back as KilledWorker: every attempt is ours to journal and to repeat.
    "distributed.scheduler.allowed-failures": 0,
    # A worker holds no more tasks than it has threads: the next one goes to whichever is free first.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.worker.daemon": False,  # nodes may start processes of their own
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.worker.preload": ["mirror_realm.deployments.cluster_process"],
    "distributed.worker.profile.enabled": False,
    # Results are small JSON, so there is nothing worth spilling. A worker that fills the machine is ended before
    # the kernel chooses a victim.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": 0.85,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.admin.log-format": "%(asctime)s %(process)d %(name)s %(levelname)s %(message)s",
}


@dataclass(frozen=True, slots=True)
class Order:
    """What the cluster process is told. ``processes``: CPU workers, 0 to decide by the machine."""

    parent: int
    scratch: str
    processes: int = 0

    def to_json(self) -> str:
        """The command-line form."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        """The inverse of :meth:`to_json`."""
        return cls(**json.loads(text))


async def dask_setup(worker: Any) -> None:
    """Dask's preload hook, in each worker process: the kernel ends it with its nanny, even deep in C code."""
    processes.die_with_starter(signal.SIGKILL)
    _forget_regularly(asyncio.get_running_loop())


def _forget_regularly(loop: asyncio.AbstractEventLoop) -> None:
    forget_keys()
    loop.call_later(FORGET, _forget_regularly, loop)


def forget_keys() -> None:
    """Empty Dask's memory of how keys are split. Each of ours comes once, and it would keep a hundred thousand of them:
    some 55 MiB in the scheduler, less in each worker."""
    from dask.utils import key_split

    if key_split.cache_info().currsize > MOST_KEYS:
        key_split.cache_clear()


def forget_futures(scheduler: Any) -> None:
    """Empty Dask's list of what was asked for outside of any span: one entry for each task that ever was, 0.3 KiB."""
    for span in scheduler.extensions["spans"].spans.values():
        if span.metadata is not None:
            span.metadata["collections"].clear()


async def run(order: Order, ready: int) -> None:
    """Run the cluster until SIGTERM; writes the ready line to the file descriptor ``ready``."""
    import dask.config

    dask.config.set({**CONFIG, "temporary-directory": order.scratch})
    from dask.system import CPU_COUNT
    from distributed import Nanny, Scheduler
    from distributed.core import Status
    from distributed.system import MEMORY_LIMIT

    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    specs = plan_workers(CPU_COUNT, MEMORY_LIMIT, find_gpus(), order.processes)
    dask.config.set({"distributed.nanny.pre-spawn-environ": _threads_environment(CPU_COUNT, specs)})
    dashboard = _has_bokeh()
    async with Scheduler(
        host=HOST, port=0, dashboard=dashboard, dashboard_address=f"{HOST}:{_dashboard_port(dashboard)}"
    ) as scheduler:

        def started(spec: WorkerSpec) -> Any:
            return _nanny(Nanny, scheduler.address, spec, MEMORY_LIMIT, order.scratch)

        nannies = [started(spec) for spec in specs]
        await asyncio.gather(*nannies)
        line = {
            "address": scheduler.address,
            "dashboard_url": f"http://{HOST}:{scheduler.http_server.port}/status" if dashboard else None,
            "workers": [asdict(spec) for spec in specs],
        }
        os.write(ready, (json.dumps(line) + "\n").encode())
        os.close(ready)
        while not await _over(stop):
            forget_keys()
            forget_futures(scheduler)
            for number, nanny in enumerate(nannies):
                if nanny.status in (Status.closed, Status.failed):
                    log.warning(
                        "worker %s is gone with its nanny: another one takes its place", specs[number].name
                    )
                    nannies[number] = await started(specs[number])
        await asyncio.gather(*(nanny.close(timeout=GOODBYE) for nanny in nannies), return_exceptions=True)


async def _over(stop: asyncio.Event) -> bool:
    """Whether the cluster is to end, looked at for :data:`LOOK` seconds."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), LOOK)
    return stop.is_set()


def _nanny(nanny: Any, scheduler: str, spec: WorkerSpec, memory: int, scratch: str) -> Any:
    return nanny(
        scheduler,
        name=spec.name,
        host=HOST,
        nthreads=spec.threads,
        memory_limit=memory,
        resources=spec.resources,
        env=spec.environment,
        local_directory=scratch,
        dashboard=False,
    )


def _threads_environment(cores: int, specs: tuple[WorkerSpec, ...]) -> dict[str, Any]:
    """The libraries' own thread pools, so that all workers together use the cores once."""
    each = max(1, cores // max(1, sum(spec.kind == "cpu" for spec in specs)))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
    return {"MALLOC_TRIM_THRESHOLD_": 65536} | dict.fromkeys(names, each)


def _has_bokeh() -> bool:
    from importlib.util import find_spec

    return find_spec("bokeh") is not None


def _dashboard_port(dashboard: bool) -> int:
    return DASHBOARD_PORT if dashboard and processes.port_is_free(DASHBOARD_PORT) else 0


def main() -> None:
    """The process: standard output carries the ready line and nothing else."""
    order = Order.from_json(sys.argv[1])
    processes.die_with_parent(order.parent)
    ready = os.dup(1)
    os.dup2(2, 1)  # workers inherit it, and may print what they like
    asyncio.run(run(order, ready))


if __name__ == "__main__":
    main()
