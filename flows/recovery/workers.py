"""What Dask has, compared with what this process waits for: tasks that the scheduler forgot, workers that froze.

A worker that gives no heartbeat may be at work deep in a library, so it is ended only where its process is seen to be
stopped, or to use no processor at all. Its nanny looks, since that is on its machine, and its nanny starts another.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from . import findings

if TYPE_CHECKING:
    from ..runners import DaskRunner
    from .findings import Report

log = logging.getLogger(__name__)

SILENT = 8.0
"""Seconds without a heartbeat after which a worker is looked at."""
TIMEOUT = 10.0
"""Seconds that the scheduler may take to answer."""


class Workers:
    """Compares in a series of looks: what is wrong twice in a row is put right."""

    def __init__(self, runner: DaskRunner) -> None:
        self._runner = runner
        self._missing: set[str] = set()
        self._heard: dict[str, tuple[float, float]] = {}
        """By worker: the moment of its last heartbeat as the scheduler has it, and when we first saw that one."""
        self._idle: dict[str, float] = {}
        """The processor seconds of silent workers at the last look."""

    async def compare(self, report: Report) -> None:
        """One look. OSError where the scheduler does not answer."""
        async with asyncio.timeout(TIMEOUT):
            await self._forgotten(report)
            await self._frozen(report)

    async def _forgotten(self, report: Report) -> None:
        scheduler: Any = self._runner.client.scheduler
        keys = list(self._runner.pending)
        if scheduler is None or not keys:
            self._missing.clear()
            return
        report.looked_at["tasks"] += len(keys)
        known = await scheduler.get_task_status(keys=keys)
        missing = {key for key in keys if known.get(key) is None and key in self._runner.pending}
        for key in missing & self._missing:
            report.add(key, "the Dask scheduler knows nothing of a node that runs", findings.REPEATED)
            if not report.dry_run:
                self._runner.lose(key)
        self._missing = missing

    async def _frozen(self, report: Report) -> None:
        client = self._runner.client
        scheduler: Any = client.scheduler
        if scheduler is None:
            return
        identity = await scheduler.identity(n_workers=-1)
        report.looked_at["workers"] += len(identity["workers"])
        silent = self._silent(identity["workers"])
        before, self._idle = self._idle, {}
        if not silent:
            return
        states: Any = await client.run(worker_process, workers=list(silent), nanny=True, on_error="return")
        for address, state in states.items():
            if not isinstance(state, tuple):
                continue
            stopped, used = state
            self._idle[address] = used
            if stopped or before.get(address) == used:
                name = str(silent[address].get("name") or address)
                report.add(name, "the worker process is frozen", findings.RECYCLED)
                log.warning("Dask worker %s gives no heartbeat and does nothing: it is ended", name)
                if not report.dry_run:
                    await client.run(end_worker, workers=[address], nanny=True, on_error="ignore")

    def _silent(self, workers: dict[str, Any]) -> dict[str, Any]:
        """The workers of which no heartbeat came for a while. Their scheduler's clock may differ from ours."""
        now, before, self._heard = time.monotonic(), self._heard, {}
        silent: dict[str, Any] = {}
        for address, worker in workers.items():
            last = float(worker.get("last_seen") or 0.0)
            known, since = before.get(address, (last, now))
            self._heard[address] = (last, since if known == last else now)
            if worker.get("nanny") and known == last and now - since >= SILENT:
                silent[address] = worker
        return silent


def worker_process(dask_worker: Any) -> tuple[bool, float] | None:
    """Run by a nanny: whether its worker's process is stopped, and the processor seconds that it used."""
    import psutil

    pid = dask_worker.pid
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        stopped = process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        times = process.cpu_times()
    except psutil.Error:
        return None
    return stopped, times.user + times.system


def end_worker(dask_worker: Any) -> None:
    """Run by a nanny: end its worker's process, frozen or not. The nanny starts another."""
    import os
    import signal

    if dask_worker.pid is not None:
        os.kill(dask_worker.pid, signal.SIGKILL)
