"""The Prefect server: the one that ``PREFECT_API_URL`` names, else one of our own under the home folder.

The embedded server belongs to every process that uses it. Each user leaves a note
``<home>/prefect/users/*.json`` with its process identity; the last user to stop ends the server, and the server
ends itself when no user is left alive. So a user that is killed leaves nothing behind, and one that ends does not
pull the server from under the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ..core.errors import Code, RealmError
from ..core.settings import Settings
from . import processes
from .health import base_of, check_health, healthy, ui_of
from .prefect_process import HOST, Files, write_whole

DEFAULT_PORT = 4200
START_TIMEOUT = 120.0
"""Seconds a server may take to answer; the first start migrates its database (13 s on 2 idle cores)."""

Announce = Callable[[str], None]


@dataclass(slots=True)
class PrefectServer:
    """A Prefect server that answers. ``url`` is its API, ``owned`` whether this call started it.

    A context manager; :meth:`stop` is idempotent.
    """

    url: str
    ui_url: str
    owned: bool
    process: subprocess.Popen[bytes] | None = None
    files: Files | None = None
    _note: Path | None = field(default=None, repr=False)

    @property
    def embedded(self) -> bool:
        """Whether it is ours, under the home folder."""
        return self.files is not None

    def environment(self) -> dict[str, str]:
        """What a process must have in its environment (before it imports Prefect) to use this server."""
        variables = {"PREFECT_API_URL": self.url}
        if self.embedded and any(name.lower() in ("http_proxy", "all_proxy") for name in os.environ):
            bypass = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
            variables["NO_PROXY"] = variables["no_proxy"] = ",".join(filter(None, [bypass, HOST]))
        return variables

    def answers(self) -> bool:
        """Whether the server is healthy now."""
        return healthy(self.url)

    def running(self) -> bool:
        """Whether the process of an embedded server lives; always true for a configured one."""
        return self.files is None or self.files.running() is not None

    def pulse(self) -> object:
        """Something that changes as long as an embedded server does anything; ``None`` where nothing can be told."""
        import psutil

        found = self.files.running() if self.files is not None else None
        if found is None:
            return None
        try:
            spent = psutil.Process(found[0].pid).cpu_times()
        except psutil.Error:
            return None
        return found[0], spent.user, spent.system

    def kill(self, pulse: object) -> None:
        """End an embedded server that nothing else ends, unless its :meth:`pulse` is another than ``pulse`` by now."""
        if self.files is None:
            return
        with self.files.lock(START_TIMEOUT):
            found = self.files.running()
            if found is not None and self.pulse() == pulse:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(found[0].pid, signal.SIGKILL)

    def revive(self, settings: Settings, *, announce: Announce = lambda text: None) -> None:
        """Start an embedded server whose process died again, on the port that its users know. UNAVAILABLE where it does
        not start."""
        if self.files is None:
            return
        port = urlsplit(self.url).port
        with _patient_lock(self.files, announce, START_TIMEOUT):
            found = self.files.running()  # Another user may have been faster.
            if found is None:
                if self.process is not None:
                    self.process.poll()
                self.process, found = _launch(self.files, settings, announce, port)
            _await_health(self.files, found, START_TIMEOUT)

    def stop(self, grace: float = 10.0) -> None:
        """Stop using the server. The last user of an embedded one ends it: SIGTERM, ``grace`` s, SIGKILL."""
        note, self._note = self._note, None
        if note is None or self.files is None:
            return
        with self.files.lock(START_TIMEOUT):
            note.unlink(missing_ok=True)
            if self.files.living_users():
                return
            _end(self.files, self.process, grace)

    def __enter__(self) -> PrefectServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def ensure_server(
    settings: Settings,
    *,
    announce: Announce = lambda text: None,
    port: int | None = None,
    timeout: float = START_TIMEOUT,
) -> PrefectServer:
    """A Prefect server that answers; started under ``settings.home`` when none is configured or running.

    Raises UNAVAILABLE (with the way out) when the configured server does not answer, or when ours does not
    start within ``timeout`` seconds. Blocking: from async code call :func:`ensure_server_async`.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        check_health(url)
        return PrefectServer(url=url.rstrip("/"), ui_url=ui_of(url), owned=False)
    files = Files(settings.home)
    with _patient_lock(files, announce, timeout):
        note = files.join()
        try:
            process = None
            found = files.running()
            if found is None:
                process, found = _launch(files, settings, announce, port)
            _await_health(files, found, timeout)
        except BaseException:
            note.unlink(missing_ok=True)
            raise
    url = f"http://{HOST}:{found[1]}/api"
    return PrefectServer(url, base_of(url), process is not None, process, files, note)


async def ensure_server_async(
    settings: Settings,
    *,
    announce: Announce = lambda text: None,
    port: int | None = None,
) -> PrefectServer:
    """:func:`ensure_server` for async code."""
    return await asyncio.to_thread(ensure_server, settings, announce=announce, port=port)


@contextlib.contextmanager
def _patient_lock(files: Files, announce: Announce, timeout: float) -> Iterator[None]:
    from filelock import Timeout

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.lock(0.5))
        except Timeout:
            announce("another process is starting the Prefect server; waiting for it")
            try:
                stack.enter_context(files.lock(timeout))
            except Timeout:
                raise RealmError(
                    Code.UNAVAILABLE,
                    f"another process has held {files.folder / 'server.lock'} for {timeout:.0f} s",
                    hint=f"see {files.log}; end that process and try again",
                ) from None
        yield


def _launch(
    files: Files, settings: Settings, announce: Announce, port: int | None
) -> tuple[subprocess.Popen[bytes], tuple[processes.Identity, int]]:
    if files.database.exists():
        announce("starting the Prefect server, about 5 s")
    else:
        announce("starting the Prefect server (first start: creating its database, about 15 s)")
    # The port is held from here on: chosen and bound later, another program could take it in between, and its
    # answer be taken for our server's.
    listening = _listen(files, port)
    chosen = int(listening.getsockname()[1])
    command = [sys.executable, "-m", "mirror_realm.deployments.prefect_process"]
    log = processes.open_log(files.log)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, "--home", str(files.home), "--port", str(chosen), "--socket", str(listening.fileno())],
            pass_fds=(listening.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={
                k: v for k, v in processes.child_environment(settings).items() if not k.startswith("PREFECT_")
            },
            cwd=files.folder,  # Prefect reads .env, prefect.toml and pyproject.toml of the working folder
            start_new_session=True,  # a Ctrl-C in the terminal is for its users, which still report to it
        )
    finally:
        os.close(log)
        listening.close()
    started = processes.identity(process.pid)
    if started is None:
        raise _did_not_start(files, "it ended at once")
    write_whole(files.state, json.dumps({**started.to_dict(), "port": chosen}))
    write_whole(files.port, str(chosen))
    return process, (started, chosen)


def _listen(files: Files, wanted: int | None) -> socket.socket:
    """A listening socket: on the port that is wanted, else on that of the last time, Prefect's own, or a free one."""
    remembered: list[int] = []
    with contextlib.suppress(OSError, ValueError):
        remembered = [int(files.port.read_text(encoding="ascii"))]
    for port in [wanted] if wanted is not None else [*remembered, DEFAULT_PORT, 0]:
        with contextlib.suppress(OSError):
            return processes.listen(port, HOST)
    raise RealmError(
        Code.UNAVAILABLE,
        f"port {wanted} is taken" if wanted is not None else "no port is free",
        hint="choose another port, or none for a free one",
    )


def _await_health(files: Files, found: tuple[processes.Identity, int], timeout: float) -> None:
    process, port = found
    deadline = time.monotonic() + timeout
    while not healthy(f"http://{HOST}:{port}/api"):
        if not process.alive():
            raise _did_not_start(files, "it ended")
        if time.monotonic() > deadline:
            raise _did_not_start(files, f"it did not answer within {timeout:.0f} s")
        time.sleep(0.1)


def _did_not_start(files: Files, what: str) -> RealmError:
    last = processes.tail(files.log)
    return RealmError(
        Code.UNAVAILABLE,
        f"the Prefect server did not start: {what}" + (f"; its last words:\n{last}" if last else ""),
        hint=f"see {files.log}, or set PREFECT_API_URL to a server of yours",
    )


def _end(files: Files, process: subprocess.Popen[bytes] | None, grace: float) -> None:
    """End the running server (ours to wait for only if it is our child)."""
    found = files.running()
    if found is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(found[0].pid, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while found[0].alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        if found[0].alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(found[0].pid, signal.SIGKILL)
    if process is not None:
        process.wait()
    files.state.unlink(missing_ok=True)
