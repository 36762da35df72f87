"""How much of a device's memory models may be kept in, for how long unused, and how memory is given back.

An operator's settings decide; where they leave it open, a share of what the device has.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .compat import require_torch

MIB = 1 << 20

GPU_SHARE = 0.5
"""Of a GPU's memory: the other half is for the pictures."""

CPU_SHARE = 0.5
"""Of the memory that falls to each core, since there may be a worker process for each."""

LEAST, MOST = 512 * MIB, 4096 * MIB
"""Bounds of what is chosen on a CPU: one larger model, and all of those that one library of photos needs."""

CGROUPS, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator set: the memory of each device in MiB, 0 to choose, and the seconds after which an unused model
    goes, 0 for never. The defaults are those of the settings."""

    memory_mb: int = 0
    idle: float = 600.0


def limits() -> Limits:
    """The limits in force in this process."""
    try:
        from ...core.settings import settings
    except ModuleNotFoundError:
        return Limits()  # A bare machine with torch and numpy alone has no settings.
    chosen = settings()
    return Limits(chosen.models_memory_mb, chosen.models_idle)


def budget(device: str) -> int:
    """Bytes that this process may keep models in on ``device`` (``cpu`` or ``cuda:N``)."""
    if chosen := limits().memory_mb:
        return chosen * MIB
    if device != "cpu":
        return int(GPU_SHARE * gpu_memory(device))
    return int(min(max(CPU_SHARE * cpu_memory() / cores(), LEAST), MOST))


def gpu_memory(device: str) -> int:
    """Bytes that a GPU has."""
    return require_torch().cuda.get_device_properties(device).total_memory


def cpu_memory() -> int:
    """Bytes that this process may use of the machine's memory: all, or what a control group of Linux leaves; 0 where
    the system does not tell."""
    known = list(control_group_limits())
    with suppress(AttributeError, ValueError, OSError):  # where there is no sysconf, or not of these
        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((each for each in known if each > 0), default=0)


def control_group_limits() -> Iterator[int]:
    """The bytes that each control group around this process may use, where it has a limit."""
    files = [CGROUPS / "memory" / "memory.limit_in_bytes"]  # the first version of control groups
    with suppress(OSError):
        for line in OWN_CGROUP.read_text(encoding="utf-8").splitlines():
            if line.startswith("0::/"):
                own = CGROUPS / line.removeprefix("0::/")
                files += [
                    folder / "memory.max" for folder in (own, *own.parents) if folder.is_relative_to(CGROUPS)
                ]
    for file in files:
        with suppress(OSError, ValueError):  # "max" is no number
            yield int(file.read_text(encoding="ascii"))


def cores() -> int:
    """The cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def empty_gpu_cache() -> None:
    """Give what torch holds back of GPUs to the driver, for other processes to take."""
    require_torch().cuda.empty_cache()


def trim_heap() -> None:
    """Give the memory that is free in glibc's heap back to the system; nothing where there is another C library."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
