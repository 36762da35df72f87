"""Turns at a GPU: of all threads of a process that have work for it, one computes, the others load and store.

Two networks at work at once are no faster than one after the other, and each finds only half of the memory that it
measured. A turn is one pass, or one load of a network, so that a small node does not wait for a large picture. A GPU
belongs to one worker process (``deployments/workers.py``), so that its threads are all there are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

_waited = threading.local()

LOOK = 0.1
"""Seconds between two looks of a waiting thread at whether it should go on waiting."""

_turns: dict[str, threading.RLock] = {}


def waited() -> float:
    """Seconds that this thread has waited for turns since it began."""
    return getattr(_waited, "seconds", 0.0)


@contextmanager
def turn(device: str, check: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Have ``device`` to oneself; a CPU is anybody's. A thread may take a turn within its turn. ``check`` raises where
    waiting should end."""
    if device == "cpu":
        yield
        return
    lock = _turns.setdefault(device, threading.RLock())
    began = monotonic()
    try:
        while not lock.acquire(timeout=LOOK):
            check()
    finally:
        _waited.seconds = waited() + monotonic() - began
    try:
        yield
    finally:
        lock.release()
