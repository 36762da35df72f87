"""The Dask cluster: the configured scheduler, else an embedded cluster of worker processes.

>>> from mirror_realm.core.settings import settings
>>> with open_cluster(settings()) as cluster:  # doctest: +SKIP
...     cluster.client.submit(sum, [1, 2]).result()
3
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..core.errors import Code, RealmError
from ..core.settings import Settings
from . import processes
from .cluster_process import Order
from .workers import WorkerSpec, summarize

if TYPE_CHECKING:
    from distributed import Client

CONNECT_TIMEOUT = 5.0
"""Seconds that a configured scheduler may take to answer."""
START_TIMEOUT = 60.0
"""Seconds that the embedded cluster may take to have all its workers."""


@dataclass
class Cluster:
    """A Dask cluster that takes work. ``owned``: embedded, and ended by :meth:`close`.

    A context manager, also an asynchronous one. Nothing that it started outlives this process.
    """

    address: str
    owned: bool
    dashboard_url: str | None = None
    workers: tuple[WorkerSpec, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    _clients: list[Any] = field(default_factory=list, repr=False)

    @cached_property
    def client(self) -> Client:
        """A synchronous client of the cluster, made on first use and closed with it."""
        client = _connect(self.address)
        self._clients.append(client)
        return client

    async def connect(self, **options: Any) -> Client:
        """A new asynchronous client in the running loop; the caller closes it (before the cluster)."""
        from distributed import Client

        return await Client(self.address, asynchronous=True, **options)

    @property
    def summary(self) -> str:
        """What the cluster has, in a line for people."""
        return summarize(self.workers) if self.owned else f"Dask scheduler at {self.address}"

    @property
    def running(self) -> bool:
        """Whether the embedded cluster's process lives; always true for a configured one."""
        return self.process is None or self.process.poll() is None

    def revive(self, settings: Settings) -> None:
        """Start an embedded cluster whose process died again, at another address."""
        self.close(0.5)
        self.__dict__.pop("client", None)
        fresh = _start(settings, settings.workers)
        self.address, self.dashboard_url = fresh.address, fresh.dashboard_url
        self.workers, self.process = fresh.workers, fresh.process

    def close(self, grace: float = 5.0) -> None:
        """Close our client; end the embedded cluster: SIGTERM, ``grace`` seconds, then SIGKILL to all of it."""
        for client in self._clients:
            with contextlib.suppress(OSError, TimeoutError):  # a cluster that died cannot say goodbye
                client.close(timeout=2)
        self._clients.clear()
        if self.process is not None:
            processes.terminate(self.process, grace, group=True)

    async def close_async(self, grace: float = 5.0) -> None:
        """:meth:`close` for async code."""
        await asyncio.to_thread(self.close, grace)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close_async()


def open_cluster(settings: Settings, *, processes: int | None = None) -> Cluster:
    """The configured scheduler, or an embedded cluster with ``processes`` CPU workers (default: settings, cores).

    Raises UNAVAILABLE when the scheduler does not answer or the cluster does not start. Blocking: from async code call
    :func:`open_cluster_async`.
    """
    if settings.dask_scheduler:
        return _configured(settings)
    return _start(settings, settings.workers if processes is None else processes)


async def open_cluster_async(settings: Settings, *, processes: int | None = None) -> Cluster:
    """:func:`open_cluster` for async code."""
    return await asyncio.to_thread(open_cluster, settings, processes=processes)


def _configured(settings: Settings) -> Cluster:
    address = str(settings.dask_scheduler)
    send_logs_to_file(settings)
    try:
        client = _connect(address, CONNECT_TIMEOUT)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise RealmError(
            Code.UNAVAILABLE,
            f"no Dask scheduler answers at {address} ({str(error).splitlines()[0] if str(error) else 'timeout'})",
            hint="start it, correct MIRROR_REALM_DASK_SCHEDULER, or unset it for an embedded cluster",
        ) from None
    cluster = Cluster(address, owned=False, dashboard_url=client.dashboard_link, _clients=[client])
    cluster.__dict__["client"] = client  # what cached_property would make again
    return cluster


def _connect(address: str, timeout: float = CONNECT_TIMEOUT) -> Client:
    from distributed import Client

    return Client(address, timeout=timeout, set_as_default=False, name="mirror-realm")


def _start(settings: Settings, cpu_workers: int) -> Cluster:
    log_file = settings.home / "logs" / "dask.log"
    scratch = processes.make_folder(settings.home / "dask")
    order = Order(parent=os.getpid(), scratch=str(scratch), processes=cpu_workers)
    log = processes.open_log(log_file)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "mirror_realm.deployments.cluster_process", order.to_json()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=processes.child_environment(settings),
            start_new_session=True,  # its group is ended as one, and a Ctrl-C in the terminal is not for it
        )
    finally:
        os.close(log)
    try:
        send_logs_to_file(settings)  # imports distributed, while the cluster starts
        ready = _ready_line(process)
    except BaseException:
        processes.terminate(process, 0.5, group=True)
        raise
    if ready is None:
        processes.terminate(process, 0.5, group=True)
        raise RealmError(
            Code.UNAVAILABLE,
            f"the Dask cluster did not start; its last words:\n{processes.tail(log_file)}",
            hint=f"see {log_file}",
        )
    workers = tuple(WorkerSpec.from_dict(worker) for worker in ready["workers"])
    return Cluster(ready["address"], True, ready["dashboard_url"], workers, process)


def _ready_line(process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
    """The cluster process's one line; ``None`` when it ends, or is not ready in time."""
    assert process.stdout is not None
    deadline = time.monotonic() + START_TIMEOUT
    received = b""
    with process.stdout as pipe:
        while not received.endswith(b"\n"):
            if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            chunk = os.read(pipe.fileno(), 65536)
            if not chunk:
                return None
            received += chunk
    return json.loads(received)


def send_logs_to_file(settings: Settings) -> None:
    """Send what Dask and Tornado log in this process to ``<home>/logs/dask.log`` instead of the terminal."""
    import distributed  # noqa: F401 - its import is what puts handlers on these loggers

    path = settings.home / "logs" / "dask.log"
    processes.make_folder(path.parent)
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(name)s %(levelname)s %(message)s"))
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado", "bokeh"):
            logger = logging.getLogger(name)
            for old in list(logger.handlers):
                logger.removeHandler(old)
                if isinstance(old, logging.FileHandler):
                    old.close()
    for name in ("distributed", "tornado", "bokeh"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.propagate = False


# -- what a cluster can run ----------------------------------------------------------------------------
