"""The Prefect server: the one that ``PREFECT_API_URL`` names, else one of our own under the home folder.

The embedded server belongs to every process that uses it. Each user leaves a note
``<home>/prefect/users/*.json`` with its process identity; the last user to stop ends the server, and the server
ends itself when no user is left alive. So a user that is killed leaves nothing behind, and one that ends does not
pull the server from under the others.

``python -m mirror_realm.deployments.prefect_server --home … --port …`` is the server process itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import Code, RealmError
from ..core.settings import Settings
from . import processes
from .health import base_of, check_health, healthy, ui_of

HOST = "127.0.0.1"
DEFAULT_PORT = 4200
START_TIMEOUT = 120.0
"""Seconds a server may take to answer; the first start migrates its database (13 s on 2 idle cores)."""
UNUSED_GRACE = 2.0
"""Seconds without a living user after which the server ends itself."""

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Files:
    """Where the embedded server of one home keeps its things."""

    home: Path

    @property
    def folder(self) -> Path:
        """PREFECT_HOME of the server."""
        return self.home / "prefect"

    @property
    def database(self) -> Path:
        """The server's SQLite database, kept between starts."""
        return self.folder / "prefect.db"

    @property
    def state(self) -> Path:
        """The identity, port and URL of the running server."""
        return self.folder / "server.json"

    @property
    def port(self) -> Path:
        """The port of the last start, so that bookmarks stay true."""
        return self.folder / "port"

    @property
    def users(self) -> Path:
        """One note per process (and call) that uses the server."""
        return self.folder / "users"

    @property
    def log(self) -> Path:
        """The server's output."""
        return self.home / "logs" / "prefect-server.log"

    @contextlib.contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Who starts, joins, leaves or ends the server holds this. Raises ``filelock.Timeout``."""
        from filelock import FileLock

        self.users.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "server.lock", timeout=timeout):
            yield

    def running(self) -> tuple[processes.Identity, int] | None:
        """The identity and port of the server process that runs now, whether it answers yet or not."""
        try:
            record = json.loads(self.state.read_text(encoding="utf-8"))
            found = processes.Identity.from_dict(record), int(record["port"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if found[0].alive() else None

    def join(self) -> Path:
        """Leave a note that this process uses the server; the note's path."""
        me = processes.identity()
        assert me is not None, "this process runs"
        note = self.users / f"{me.pid}-{secrets.token_hex(4)}.json"
        _write(note, json.dumps(me.to_dict()))
        return note

    def living_users(self) -> int:
        """How many notes belong to living processes; the others are removed."""
        living = 0
        for note in self.users.glob("*.json"):
            try:
                user = processes.Identity.from_dict(json.loads(note.read_text(encoding="utf-8")))
            except (OSError, ValueError, KeyError, TypeError):
                user = None
            if user is not None and user.alive():
                living += 1
            else:
                note.unlink(missing_ok=True)
        return living


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
    chosen = _choose_port(files, port)
    command = [sys.executable, "-m", "mirror_realm.deployments.prefect_server"]
    log = processes.open_log(files.log)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, "--home", str(files.home), "--port", str(chosen)],
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
    started = processes.identity(process.pid)
    if started is None:
        raise _did_not_start(files, "it ended at once")
    _write(files.state, json.dumps({**started.to_dict(), "port": chosen}))
    _write(files.port, str(chosen))
    return process, (started, chosen)


def _choose_port(files: Files, wanted: int | None) -> int:
    if wanted is not None:
        if not processes.port_is_free(wanted):
            raise RealmError(
                Code.UNAVAILABLE,
                f"port {wanted} is taken",
                hint="choose another port, or none for a free one",
            )
        return wanted
    remembered: list[int] = []
    with contextlib.suppress(OSError, ValueError):
        remembered = [int(files.port.read_text(encoding="ascii"))]
    for port in (*remembered, DEFAULT_PORT):
        if processes.port_is_free(port):
            return port
    return processes.free_port()


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


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


# -- the server process -----------------------------------------------------------------------------


def server_environment(files: Files, port: int) -> dict[str, str]:
    """The Prefect settings of the embedded server."""
    from sqlalchemy import URL  # the home may hold any character that a URL gives a meaning

    database = URL.create("sqlite+aiosqlite", database=str(files.database))
    return {
        "PREFECT_HOME": str(files.folder),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database.render_as_string(hide_password=False),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_API_URL": f"http://{HOST}:{port}/api",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(files.folder / "ui"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the server in this process until SIGTERM, or until nobody uses it any more."""
    parser = argparse.ArgumentParser(prog="python -m mirror_realm.deployments.prefect_server")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    files = Files(options.home)
    os.environ.update(server_environment(files, options.port))
    asyncio.run(_serve(_server(options.port), files))


def _server(port: int) -> Any:
    import uvicorn
    from prefect.server.api.server import create_app

    from .prefect_patches import begin_immediately

    try:
        begin_immediately()
    except RealmError as error:  # slower, not wrong: the server still serves, and its log says why it is slow
        print(f"WARNING: {error} ({error.hint})", file=sys.stderr, flush=True)  # noqa: T201 - this is its log
    config = uvicorn.Config(
        create_app(final=True),
        host=HOST,
        port=port,
        log_level="warning",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
    )

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn's own raises the signal again after its shutdown, which would skip the database's.
            yield

    return Server(config)


async def _serve(server: Any, files: Files) -> None:
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, server.handle_exit)
    watch = asyncio.create_task(_end_when_unused(server, files))
    try:
        await server.serve()
    finally:
        watch.cancel()


async def _end_when_unused(server: Any, files: Files) -> None:
    from filelock import Timeout

    unused_since: float | None = None
    while not server.should_exit:
        await asyncio.sleep(0.5)
        if files.living_users():
            unused_since = None
            continue
        unused_since = unused_since or time.monotonic()
        if time.monotonic() - unused_since < UNUSED_GRACE:
            continue
        with contextlib.suppress(Timeout), files.lock(0):  # somebody who starts or joins holds it
            if not files.living_users():
                files.state.unlink(missing_ok=True)
                server.should_exit = True


if __name__ == "__main__":
    main()
