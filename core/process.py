"""Who a process is: told apart from a later one that was given the same pid."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GONE_STATES = frozenset("ZXx")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, told apart from a later one that was given the same pid by when it started.

    ``started`` is only ever compared for equality with another value from this machine and boot.
    """

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether that very process still runs (a zombie does not)."""
        return identity(self.pid) == self

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"pid": self.pid, "started": self.started}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Identity:
        """The inverse of :meth:`to_dict`; ``KeyError``, ``ValueError`` or ``TypeError`` for anything else."""
        return cls(int(record["pid"]), str(record["started"]))


def identity(pid: int | None = None) -> Identity | None:
    """The identity of a running process (this one by default); ``None`` when there is none with that pid."""
    pid = os.getpid() if pid is None else pid
    started = _started_linux(pid) if sys.platform == "linux" else _started_elsewhere(pid)
    return None if started is None else Identity(pid, started)


def _started_linux(pid: int) -> str | None:
    # psutil's create_time() follows the wall clock's corrections; start ticks since this boot do not.
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return None if fields[0] in _GONE_STATES else f"{boot}:{fields[19]}"


def _started_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        gone = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return None if gone else f"{process.create_time():.2f}"
    except psutil.Error:
        return None
