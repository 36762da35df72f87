"""Who hears SIGTERM, and that the terminal is gone, while flows run: whoever runs them, not Prefect.

Prefect takes the signal over while a flow runs, and raises it as an exception in whatever code is being executed
then: in the middle of a node's bookkeeping, as if that had failed. A process that ends its runs in order says so here,
and its own handler is put back as soon as a flow has begun.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_ours: list[Callable[..., Any]] = []


def endings() -> tuple[signal.Signals, ...]:
    """The signals that ask a process to end, beside Ctrl-C. That the terminal is gone is one, unless the process was
    started to outlive it (``nohup``)."""
    hung_up = getattr(signal, "SIGHUP", None)  # Windows has none.
    if hung_up is None or signal.getsignal(hung_up) is signal.SIG_IGN:
        return (signal.SIGTERM,)
    return (signal.SIGTERM, hung_up)


def forget_terminal(signum: int) -> None:
    """After the signal that the terminal is gone: what is still said goes nowhere, where it would be an error."""
    if signum != getattr(signal, "SIGHUP", None):
        return
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        # Of a terminal that is gone, nothing tells any more that it is one.
        with suppress(OSError):  # It may be closed.
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                os.dup2(nowhere, stream)
    os.close(nowhere)


@contextmanager
def heard_by(handler: Callable[..., Any]) -> Iterator[None]:
    """Inside the block, :func:`endings` are for ``handler`` also while flows run. In other threads than the main one
    nothing changes: they have no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in endings()}
    _ours.append(handler)
    try:
        yield
    finally:
        _ours.remove(handler)
        for number, earlier in before.items():
            signal.signal(number, earlier)


def keep() -> None:
    """Put the handler back that a flow's engine has replaced."""
    if _ours and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _ours[-1])


def is_stop(error: BaseException) -> bool:
    """Whether an error is Prefect's word for SIGTERM, in a process of Prefect's own (told by name: Prefect may not be
    loaded)."""
    return type(error).__name__ == "TerminationSignal"
