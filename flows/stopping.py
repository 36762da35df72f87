"""Who hears SIGTERM while flows run: whoever runs them, not Prefect.

Prefect takes the signal over while a flow runs, and raises it as an exception in whatever code is being executed
then: in the middle of a node's bookkeeping, as if that had failed. A process that ends its runs in order says so here,
and its own handler is put back as soon as a flow has begun.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_ours: list[Callable[..., Any]] = []


@contextmanager
def heard_by(handler: Callable[..., Any]) -> Iterator[None]:
    """Inside the block, SIGTERM is for ``handler`` also while flows run. In other threads than the main one nothing
    changes: they have no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    _ours.append(handler)
    try:
        yield
    finally:
        _ours.remove(handler)
        signal.signal(signal.SIGTERM, before)


def keep() -> None:
    """Put the handler back that a flow's engine has replaced."""
    if _ours and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _ours[-1])


def is_stop(error: BaseException) -> bool:
    """Whether an error is Prefect's word for SIGTERM, in a process of Prefect's own (told by name: Prefect may not be
    loaded)."""
    return type(error).__name__ == "TerminationSignal"
