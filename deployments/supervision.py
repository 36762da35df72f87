"""The engines that this process started, watched: one that dies or freezes is started again.

The Prefect server keeps its port, so that whoever uses it finds it again. A new Dask cluster has another address, and
this process's runner moves to it; what was under way comes back as lost and is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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
DEAF = 30.0
"""Seconds in which a server neither answers nor takes any processor time, after which it is taken for frozen."""


async def watch(settings: Settings, cluster: Cluster, runner: DaskRunner, announce: Announce) -> None:
    """Watch the cluster and its workers until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_watch_cluster(settings, cluster, runner, announce))
        group.create_task(_watch_workers(runner))


@contextmanager
def watched_server(settings: Settings, server: PrefectServer, announce: Announce) -> Iterator[None]:
    """Inside the block, start an embedded server again that dies or freezes. In a thread: Prefect's client was seen to
    block the event loop while its server is away."""
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
    pulse, since = None, time.monotonic()
    while not stop.wait(LOOK):
        if server.running():
            before, pulse = pulse, server.pulse()
            # A busy one may be slow to answer; only of one that does nothing at all is it asked.
            if pulse is None or pulse != before or server.answers():
                since = time.monotonic()
            elif time.monotonic() - since > DEAF:
                log.warning("the Prefect server has been frozen for %.0f s: it is ended", DEAF)
                _try("end", partial(server.kill, pulse), stop)
            continue
        log.warning("the Prefect server died: it is started again")
        _try("start", partial(server.revive, settings, announce=announce), stop)


def _try(what: str, action: Callable[[], None], stop: threading.Event) -> None:
    try:
        action()
    except (RealmError, TimeoutError) as error:  # The lock's own is a TimeoutError.
        log.warning("the Prefect server does not %s: %s", what, error)
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
