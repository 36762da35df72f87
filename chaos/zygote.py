"""A process that has imported the product, and forks the processes of trials: the product's own commands, without the
seconds of importing it each time. ``python -m chaos.zygote`` reads orders from its input, one of JSON a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from mirror_realm.core.process import Identity, identity

LOOK = 0.01
PATIENCE = "REALM_CHAOS_PATIENCE"
"""The variable that says how many seconds a serving process keeps an instance that only waits."""


class Forked:
    """A forked process, as far as trials need :class:`subprocess.Popen`'s interface."""

    def __init__(self, pid: int, known: Identity | None) -> None:
        self.pid = pid
        self._known = known

    def poll(self) -> int | None:
        """``None`` while it lives."""
        return None if self._known is not None and self._known.alive() else 0

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; ``subprocess.TimeoutExpired`` after ``timeout`` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired("forked", timeout or 0)
            time.sleep(LOOK)
        return 0

    def send_signal(self, signum: int) -> None:
        """Send a signal, if it lives."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Zygote:
    """The other side: asks for processes. Callable from any thread."""

    def __init__(self, environment: Mapping[str, str], root: Path) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "chaos.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment),
            cwd=root,
            text=True,
        )

    def fork(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> Forked:
        """Start a command of the product: ``realm …``, or ``chaos.dispatching …``."""
        order = {"command": list(command), "environment": dict(environment), "log": str(log)}
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            pid = int(self._process.stdout.readline())
        return Forked(pid, identity(pid))

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve() -> None:
    """Fork what is ordered until the input ends."""
    from mirror_realm.tasks import registry

    from . import dispatching  # noqa: F401

    registry()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # They are reaped by themselves.
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become(order: dict) -> None:
    """Be the process that was ordered, and end with it."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(order["environment"])
        from mirror_realm.core.settings import settings
        from mirror_realm.tasks import registry

        settings.cache_clear()
        registry.cache_clear()
        import tempfile

        tempfile.tempdir = None
        if patience := os.environ.get(PATIENCE):
            from mirror_realm.deployments import surroundings

            surroundings.PATIENCE = float(patience)
        status = _run(order["command"])
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        import atexit

        threading._shutdown()  # As the interpreter does at its end: threads first, then what was registered.
        atexit._run_exitfuncs()
        os._exit(status)


def _run(command: list[str]) -> int:
    if command[0] == "chaos.dispatching":
        from .dispatching import main

        asyncio.run(main(command[1]))
        return 0
    from mirror_realm.cli.app import run

    return run(command[1:])


if __name__ == "__main__":
    serve()
