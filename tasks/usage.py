"""What one attempt used, and where it ran."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from time import monotonic, process_time, thread_time
from typing import Any

BRIEF = 0.02
"""Seconds up to which a brief attempt is not asked for its memory."""
GPU_INTERVAL = 0.1
"""Seconds between two questions to the GPU's driver."""


class Meter:
    """Measures one attempt. A worker's threads share its process, so the figures say what each one covers.

    - ``wall_seconds``: from start to end.
    - ``cpu_seconds``: CPU of the thread that ran the node (absent in the flow, whose thread serves many nodes).
    - ``process_cpu_seconds``: CPU of the whole process meanwhile: threads of native libraries, but also
      neighbours.
    - ``peak_rss_mb``: the process's largest resident memory so far, in MiB. ``rss_mb``: now.
    - ``read_bytes``, ``write_bytes``: what the process moved to and from disks meanwhile (where the system
      tells, and absent in the flow).
    - ``gpu_peak_mb``: peak GPU memory of this process's tensors during the attempt, with a GPU.
    - ``gpu_seconds``: how long the GPU computed meanwhile, for whom ever, as its driver tells ten times a second
      (absent where it does not).

    Of a ``brief`` attempt, one of very many in a task, what moved to disks is not told, nor memory if it took less than
    :data:`BRIEF`: asking the system would take longer than the attempt.
    """

    def __init__(self, *, own_thread: bool = True, brief: bool = False) -> None:
        self._own_thread = own_thread
        self._brief = brief
        self.pid = os.getpid()
        self._device = "cpu"
        self._io: tuple[int, int] | None = None
        self._gpu: _GpuClock | None = None
        self._begin()

    def start(self, device: str) -> None:
        """Begin to measure; call in the thread that runs the node."""
        self._device = device
        if device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(device)
            self._gpu = _GpuClock(lambda: torch.cuda.utilization(device))
        self._begin()
        self._io = _io() if self._own_thread and not self._brief else None

    def wall(self) -> float:
        """Seconds since the start."""
        return monotonic() - self._wall

    def stop(self) -> dict[str, float]:
        """The figures."""
        usage = {"wall_seconds": round(self.wall(), 4)}
        if self._own_thread and threading.get_ident() == self._thread:
            usage["cpu_seconds"] = round(thread_time() - self._thread_cpu, 4)
        usage["process_cpu_seconds"] = round(process_time() - self._process_cpu, 4)
        if not self._brief or usage["wall_seconds"] > BRIEF:
            usage |= _memory()
        if self._io is not None and (now := _io()) is not None:
            usage["read_bytes"] = float(now[0] - self._io[0])
            usage["write_bytes"] = float(now[1] - self._io[1])
        if self._device.startswith("cuda"):
            import torch

            usage["gpu_peak_mb"] = round(torch.cuda.max_memory_allocated(self._device) / 2**20, 1)
        if self._gpu is not None and (seconds := self._gpu.stop()) is not None:
            usage["gpu_seconds"] = round(seconds, 3)
        return usage

    def _begin(self) -> None:
        self._thread = threading.get_ident()
        self._thread_cpu = thread_time()
        self._process_cpu = process_time()
        self._wall = monotonic()


class _GpuClock:
    """Adds up the time in which a GPU computes, from what ``busy`` says of it: per cent of the last moment."""

    def __init__(self, busy: Callable[[], float]) -> None:
        self._busy = busy
        self._seconds: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="gpu-clock", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        before = monotonic()
        while True:
            over = self._over.wait(GPU_INTERVAL)
            try:
                share = min(max(self._busy() / 100, 0.0), 1.0)
            except Exception as error:  # noqa: BLE001 - no driver library, an old driver, a card that does not tell
                logging.getLogger(__name__).debug("the GPU does not tell how busy it is: %s", error)
                return
            now = monotonic()
            self._seconds = (self._seconds or 0.0) + share * (now - before)
            before = now
            if over:
                return

    def stop(self) -> float | None:
        """The seconds; ``None`` where the driver told nothing."""
        self._over.set()
        self._thread.join(timeout=1.0)  # A driver that hangs must not keep the node's result.
        return self._seconds


def current_worker() -> Any:
    """The Dask worker that runs this thread's task, or ``None``. Loads nothing: without ``distributed`` there
    is none."""
    if (distributed := sys.modules.get("distributed")) is None:
        return None
    try:
        return distributed.get_worker()
    except (ValueError, AttributeError):
        return None


def worker_name(worker: Any) -> str:
    """The Dask worker's name, if it was given one, else its address; ``host:pid`` of a plain process."""
    if worker is None:
        return f"{socket.gethostname()}:{os.getpid()}"
    return worker.name if isinstance(worker.name, str) else str(worker.address)


@lru_cache(maxsize=1)
def _process(pid: int) -> Any:
    """This process; a child that was forked asks for its own."""
    import psutil

    return psutil.Process(pid)


def _memory() -> dict[str, float]:
    rss = _process(os.getpid()).memory_info().rss
    figures = {"rss_mb": round(rss / 2**20, 1)}
    try:
        import resource
    except ImportError:  # Windows keeps no such maximum
        return figures
    unit = 2**20 if sys.platform == "darwin" else 2**10
    figures["peak_rss_mb"] = round(
        max(rss / 2**20, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit), 1
    )
    return figures


def _io() -> tuple[int, int] | None:
    import psutil

    try:
        counters = _process(os.getpid()).io_counters()
    except (AttributeError, OSError, psutil.Error):
        return None  # macOS, or a container that hides them
    return counters.read_bytes, counters.write_bytes
