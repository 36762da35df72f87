"""What a process starts around its runs: store, Prefect server, Dask cluster; and ends again, whatever happens."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..blocks.atomic import atomic_file
from ..core.settings import Settings
from ..flows.engines import engine_choice
from ..flows.environment import Environment, Event, default_roots, use
from ..flows.journal import Journal
from ..flows.runners import DaskRunner, Runner, ThreadRunner
from ..store import Store
from .processes import make_folder

if TYPE_CHECKING:
    from .cluster import Cluster
    from .prefect_process import Files
    from .prefect_server import PrefectServer

Announce = Callable[[str], None]

DRAIN_TIMEOUT = 10.0
"""Seconds that Prefect's server has to take the last logs and states."""


PATIENCE = 5.0
"""Seconds after which a run that only waits is put aside, where a dispatcher will carry it on."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was started or found: the environment that runs use, and where to look."""

    environment: Environment
    store: Store
    engine: str
    prefect_url: str | None = None
    dashboard_url: str | None = None
    workers: str = ""
    rest: Callable[[], object] = lambda: None
    """Start no cluster again that dies from now on: all is about to be ended. (What ends still tells Prefect.)"""


def quiet(line: str) -> None:
    """Announce nothing."""


@asynccontextmanager
async def surroundings(
    settings: Settings,
    *,
    engine: str = "prefect",
    roots: tuple[Path, ...] = (),
    on_event: Callable[[Event], None] = lambda event: None,
    announce: Announce = quiet,
    resumable: bool = False,
) -> AsyncIterator[Surroundings]:
    """Start what ``engine`` needs and make it the environment of the runs inside the block.

    ``local``: threads of this process and the journal. ``prefect``: the server that ``PREFECT_API_URL`` names or an
    embedded one, and the configured Dask scheduler or an embedded cluster, both started side by side.
    """
    async with AsyncExitStack() as stack:
        store = stack.enter_context(Store.open(settings.database))
        journal = Journal(store)
        stack.callback(journal.close)
        allowed = (*default_roots(settings), *(root.expanduser().resolve() for root in roots))
        runner: Runner
        prefect_url = dashboard = watching = None
        workers = "threads of this process"
        if engine == "local":
            runner = ThreadRunner()
            stack.push_async_callback(runner.close)
        else:
            from .supervision import watch, watched_server

            server, cluster = await _start(settings, stack, announce)
            prefect_url, dashboard, workers = server.url, cluster.dashboard_url, cluster.summary
            stack.enter_context(prefect_at(server.url, own=server.files))
            stack.push_async_callback(drain)
            stack.enter_context(watched_server(settings, server, announce))
            runner = await DaskRunner.connect(cluster.address)
            stack.push_async_callback(runner.close)
            watching = asyncio.create_task(watch(settings, cluster, runner, announce))
            stack.push_async_callback(_ended, watching)
        patience = PATIENCE if resumable else None
        environment = Environment(journal, runner, settings, allowed, on_event, resumable, patience)
        await journal.presence.announce(environment.owner, [str(root) for root in allowed])
        stack.push_async_callback(journal.presence.leave)
        stack.enter_context(use(environment))
        stack.enter_context(_engine(engine))
        found = Surroundings(environment, store, engine, prefect_url, dashboard, workers)
        yield found if watching is None else replace(found, rest=watching.cancel)


async def _start(
    settings: Settings, stack: AsyncExitStack, announce: Announce
) -> tuple[PrefectServer, Cluster]:
    """Start both side by side; whichever started is stopped again, also when the other did not."""
    from .cluster import open_cluster
    from .prefect_server import ensure_server

    async def server() -> PrefectServer:
        started = await asyncio.to_thread(ensure_server, settings, announce=announce)
        stack.push_async_callback(asyncio.to_thread, started.stop)
        return started

    async def cluster() -> Cluster:
        started = await asyncio.to_thread(open_cluster, settings)
        stack.push_async_callback(asyncio.to_thread, started.close)
        return started

    both = (asyncio.ensure_future(server()), asyncio.ensure_future(cluster()))
    await asyncio.wait(both)
    return both[0].result(), both[1].result()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@contextmanager
def prefect_at(url: str, *, own: Files | None = None) -> Iterator[None]:
    """Point Prefect's client of this process (and what it starts) at ``url``; ``own``: the server's files, where it
    is ours."""
    variables = {"PREFECT_API_URL": url}
    if own is not None:
        # It listens on this machine only and has no such tokens, which each new client would ask for first.
        variables["PREFECT_CLIENT_CSRF_SUPPORT_ENABLED"] = "false"
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        # Not before: what Prefect reads when it is imported is what its own threads go by.
        from prefect.settings import (
            PREFECT_API_SSL_CERT_FILE,
            PREFECT_API_URL,
            PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
            temporary_settings,
        )

        changes: dict[Any, Any] = {PREFECT_API_URL: url}
        if own is not None:
            changes[PREFECT_CLIENT_CSRF_SUPPORT_ENABLED] = False
            changes[PREFECT_API_SSL_CERT_FILE] = str(_one_authority(own))
        with temporary_settings(changes):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _one_authority(own: Files) -> Path:
    """A file with one of the certificate authorities. Prefect makes several clients for each flow run, each of which
    reads them all, 40 ms each time; to our own server it speaks without TLS, and needs none."""
    import certifi

    if not own.authority.is_file():
        end = "-----END CERTIFICATE-----\n"
        first = Path(certifi.where()).read_text(encoding="utf-8").partition(end)[0] + end
        make_folder(own.folder)
        with atomic_file(own.authority) as file:
            file.write(first.encode())
    return own.authority


async def drain() -> None:
    """Send the logs and states that Prefect's background services still hold, while there is a server to take them.

    Left to the interpreter's exit, they would go on trying for a minute after an embedded server has ended.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for service in (APILogWorker, EventsWorker):
        waiting = service.drain_all(timeout=DRAIN_TIMEOUT, at_exit=False)
        assert not isinstance(waiting, tuple)  # In a running loop it is a coroutine.
        await waiting


@contextmanager
def _engine(name: str) -> Iterator[None]:
    token = engine_choice.set(name)
    try:
        yield
    finally:
        engine_choice.reset(token)
