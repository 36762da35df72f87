"""Child processes that leave nothing behind: who a process is, how it ends, how it ends with its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..core.errors import Code, RealmError
from ..core.process import Identity as Identity
from ..core.process import identity as identity
from ..core.settings import PREFIX, Settings

LOG_LIMIT = 10 * 1024 * 1024
"""A log file larger than this (bytes) is set aside as ``<name>.1`` when a process opens it."""

_PR_SET_PDEATHSIG = 1


def terminate(process: subprocess.Popen[Any], grace: float = 10.0, *, group: bool = False) -> int:
    """End a child: SIGTERM, up to ``grace`` seconds, then SIGKILL. Returns its exit status.

    With ``group`` the SIGKILL goes to its whole process group (it must lead one) and is sent in any case, so
    that nothing which the child started outlives it.
    """
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    if group and hasattr(os, "killpg"):
        # Members of the group keep its id from being given to anybody else, even when its leader is gone.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    return process.wait()


def die_with_parent(parent: int, *, then: Callable[[], None] | None = None, poll: float = 0.5) -> None:
    """Call ``then`` within ``poll`` seconds of the parent's end (default: kill this process and its own group).

    ``parent`` is the pid that the parent itself handed over: a parent that died before this call counts too.
    A polling thread rather than PR_SET_PDEATHSIG, for that signal fires when the *thread* that started the child
    ends, which for a thread of a pool is long before the process does (prctl(2)). :func:`die_with_starter` has it.
    """
    expected = identity(parent)
    end = then or kill_own_group

    def watch() -> None:
        while expected is not None and os.getppid() == parent and (os.name == "posix" or expected.alive()):
            time.sleep(poll)
        end()

    threading.Thread(target=watch, name="die-with-parent", daemon=True).start()


def die_with_starter(signum: int = signal.SIGTERM) -> bool:
    """Ask Linux to send ``signum`` when the thread that started this process ends; False on other systems.

    For children whose starting thread lives as long as its process. Holds even while this process is deep in C.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0) == 0


def kill_own_group() -> None:
    """SIGKILL this process and, when it leads a process group, everything in the group."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def make_folder(path: Path) -> Path:
    """Make a folder under the home folder where it is missing; FAILED_PRECONDITION with the way out otherwise."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"cannot make the folder {path}: {error.strerror}",
            hint="free that path, or choose another home with MIRROR_REALM_HOME",
        ) from None
    return path


def open_log(path: Path) -> int:
    """A file descriptor that appends to ``path``; a log past :data:`LOG_LIMIT` is set aside first."""
    make_folder(path.parent)
    with contextlib.suppress(OSError):
        if path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_name(path.name + ".1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a text file; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16_384))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A listening socket on ``port`` (0: a free one); OSError when another program has it."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def child_environment(settings: Settings, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for our own children: this process's, with ``settings`` spelled out as MIRROR_REALM_*.

    ``PYTHONDONTWRITEBYTECODE`` is left out (it makes every start slower).
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        variable = PREFIX + name.upper()
        if isinstance(value, tuple):
            value = (os.pathsep if name == "roots" else ",").join(map(str, value))
        if value is None or value == "":
            environment.pop(variable, None)
        else:
            environment[variable] = str(value)
    return environment | dict(extra or {})
