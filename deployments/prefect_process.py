"""The embedded Prefect server as one child process, and where it keeps its things.

``python -m mirror_realm.deployments.prefect_process --home … --port …`` runs it until SIGTERM, or until no process
that uses it is left alive.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import RealmError
from . import processes

HOST = "127.0.0.1"
UNUSED_GRACE = 2.0
"""Seconds without a living user after which the server ends itself."""
LAST_WORDS = 15.0
"""Seconds for which a server that is told to end goes on for those who still use it."""


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
    def authority(self) -> Path:
        """A certificate, for the clients that speak to it without."""
        return self.folder / "authority.pem"

    @property
    def log(self) -> Path:
        """The server's output."""
        return self.home / "logs" / "prefect-server.log"

    @contextlib.contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Who starts, joins, leaves or ends the server holds this. Raises ``filelock.Timeout``."""
        from filelock import FileLock

        processes.make_folder(self.users)
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
        write_whole(note, json.dumps(me.to_dict()))
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


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that nobody ever reads half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


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
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the server in this process until SIGTERM, or until nobody uses it any more.

    Where everything is told to end at once, as systemd does, those who use it still have to tell it what ended: with
    users left it goes on after SIGTERM until they have gone, for :data:`LAST_WORDS` seconds; a second signal ends it.
    """
    parser = argparse.ArgumentParser(prog="python -m mirror_realm.deployments.prefect_process")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--socket", type=int, required=True, help="an inherited listening socket on that port"
    )
    options = parser.parse_args(arguments)
    files = Files(options.home)
    os.environ.update(server_environment(files, options.port))
    listening = socket.socket(fileno=options.socket)
    asyncio.run(_serve(_server(options.port), files, listening))


def _server(port: int) -> Any:
    import uvicorn
    from prefect.server.api.server import create_app

    from .prefect_patches import begin_immediately, let_estimates_pass, record_in_sets

    for change in (begin_immediately, record_in_sets):
        try:
            change()
        except RealmError as error:
            # Slower, not wrong: the server still serves, and its log says why it is slow.
            print(f"WARNING: {error} ({error.hint})", file=sys.stderr, flush=True)  # noqa: T201 - this is its log
    let_estimates_pass()
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


async def _serve(server: Any, files: Files, listening: socket.socket) -> None:
    told: list[float] = []

    def end(signum: int, frame: Any) -> None:
        told.append(time.monotonic())
        if len(told) > 1 or not files.living_users():
            server.handle_exit(signum, frame)

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, end)
    watch = asyncio.create_task(_end_when_unused(server, files, told))
    try:
        await server.serve(sockets=[listening])
    finally:
        watch.cancel()


async def _end_when_unused(server: Any, files: Files, told: Sequence[float]) -> None:
    from filelock import Timeout

    unused_since: float | None = None
    while not server.should_exit:
        await asyncio.sleep(0.1 if told else 0.5)
        if told and time.monotonic() - told[0] > LAST_WORDS:
            server.should_exit = True
        elif files.living_users():
            unused_since = None
            continue
        unused_since = unused_since or time.monotonic()
        if time.monotonic() - unused_since < (0 if told else UNUSED_GRACE):
            continue
        with contextlib.suppress(Timeout), files.lock(0):  # somebody who starts or joins holds it
            if not files.living_users():
                files.state.unlink(missing_ok=True)
                server.should_exit = True


if __name__ == "__main__":
    main()
