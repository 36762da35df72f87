"""The engines that this process started, watched: one that dies is started again.

The Prefect server keeps its port, so that whoever uses it finds it again. A new Dask cluster has another address, and
this process's runner moves to it; what was under way comes back as lost and is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..core.errors import RealmError
from ..flows.recovery.findings import Report
from ..flows.recovery.workers import Workers

if TYPE_CHECKING:
    from ..core.settings import Settings
    from ..flows.runners import DaskRunner
    from .cluster import Cluster
    from .prefect_server import PrefectServer
    from .surroundings import Announce

log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds between looks whether the processes live."""
WORKERS_LOOK = 3.0
"""Seconds between looks at Dask's workers and tasks."""
PAUSE = 5.0
"""Seconds between attempts to start an engine again."""


async def watch(settings: Settings, cluster: Cluster, runner: DaskRunner, announce: Announce) -> None:
    """Watch the cluster and its workers until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_watch_cluster(settings, cluster, runner, announce))
        group.create_task(_watch_workers(runner))


@contextmanager
def watched_server(settings: Settings, server: PrefectServer, announce: Announce) -> Iterator[None]:
    """Inside the block, start an embedded server again that dies. In a thread: Prefect's client was seen to block the
    event loop while its server is away."""
    stop = threading.Event()
    thread = threading.Thread(
        target=_watch_server, args=(settings, server, announce, stop), name="prefect-server", daemon=True
    )
    if server.embedded:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if thread.is_alive():
            thread.join(PAUSE)


def _watch_server(
    settings: Settings, server: PrefectServer, announce: Announce, stop: threading.Event
) -> None:
    while not stop.wait(LOOK):
        if server.running():
            continue
        log.warning("the Prefect server died: it is started again")
        try:
            server.revive(settings, announce=announce)
        except RealmError as error:
            log.warning("the Prefect server does not start: %s", error)
            stop.wait(PAUSE)


async def _watch_cluster(
    settings: Settings, cluster: Cluster, runner: DaskRunner, announce: Announce
) -> None:
    while cluster.owned:
        await asyncio.sleep(LOOK)
        if cluster.running:
            continue
        log.warning("the Dask cluster died: it is started again")
        announce("the Dask cluster died; starting it again")
        try:
            await asyncio.to_thread(cluster.revive, settings)
            await runner.move(cluster.address)
        except RealmError as error:
            log.warning("the Dask cluster does not start: %s", error)
            await asyncio.sleep(PAUSE)


async def _watch_workers(runner: DaskRunner) -> None:
    workers = Workers(runner)
    while True:
        await asyncio.sleep(WORKERS_LOOK)
        try:
            await workers.compare(Report())
        except OSError as error:  # A TimeoutError is one.
            log.debug("Dask does not answer: %s", error)
