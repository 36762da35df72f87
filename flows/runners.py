"""Runners: where an attempt is executed. On Dask workers, or in threads of this process.

A runner never raises for a node's failure: whatever happens to the attempt (also the death of its worker) comes back
as an outcome, so that it can be journaled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from ..core.errors import Code, ErrorRecord, RealmError
from ..core.resources import Gpu, Resources
from ..tasks.executor import NodeCall, NodeOutcome, cancel
from .journal import now
from .marks import MARK
from .placement import Placement, Workers, place

if TYPE_CHECKING:
    from distributed import Client, Future

log = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds that an attempt past its timeout has to end by itself before it is given up."""
RECYCLE = 30.0
"""Seconds that a recycled worker process has to die; Dask kills it after four."""
REAPPEAR = 30.0
"""Seconds that a worker which was there and died may take to come back."""
SCHEDULER_BACK = 120.0
"""Seconds that a scheduler which does not answer may take to come back."""

STARTED_AFTER = 0.05
"""Seconds after which a running attempt says that it started; its timeout counts from then."""

RELEASE_AFTER = 0.05
"""Seconds after which the cluster may forget a small outcome that we have."""
SEND_INTERVAL = 0.002
"""Seconds that our client gathers messages to the scheduler; Dask's own 10 ms are most of a small node's time."""

Listener = Callable[[dict[str, Any]], None]
"""Called in the event loop with what a running attempt reports: started, progress."""


class Runner(Protocol):
    """Executes attempts."""

    name: str

    async def run(
        self, call: NodeCall, resources: Resources, priority: float, listen: Listener
    ) -> NodeOutcome:
        """Execute one attempt; its failure is an outcome with ``error``."""
        ...

    async def close(self) -> None:
        """End what the runner started."""
        ...


class ThreadRunner:
    """Runs attempts in threads of this process: no cluster to start, no protection from a crash."""

    name = "threads"

    def __init__(self, threads: int | None = None) -> None:
        self._pool = ThreadPoolExecutor(threads or max(2, os.cpu_count() or 2), thread_name_prefix="node")

    async def run(
        self, call: NodeCall, resources: Resources, priority: float, listen: Listener
    ) -> NodeOutcome:
        """See :class:`Runner`."""
        if resources.gpu is Gpu.REQUIRED:
            error = RealmError(
                Code.INSUFFICIENT_RESOURCES,
                "this node needs a GPU worker, and the threads of this process have none",
                hint="run it on a Dask cluster: leave out --engine local",
                details={"final": True},
            )
            return failed(call, error.record)
        loop = asyncio.get_running_loop()

        def report(event: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(listen, event)

        started = asyncio.Event()

        def attempt() -> NodeOutcome:
            loop.call_soon_threadsafe(started.set)
            report({"kind": "started", "worker": f"thread-{os.getpid()}"})
            return call.perform(report)

        queued = self._pool.submit(attempt)
        future = asyncio.wrap_future(queued)
        try:
            await started.wait()  # Waiting for a free thread is not the node's time.
            async with asyncio.timeout(call.timeout + GRACE):
                return await asyncio.shield(future)
        except TimeoutError:
            cancel(call.execution_key, call.attempt)
            return failed(call, overdue(call))
        except asyncio.CancelledError:
            if not queued.cancel():
                cancel(call.execution_key, call.attempt)
            raise

    async def close(self) -> None:
        """See :class:`Runner`."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class DaskRunner:
    """Runs attempts on the workers of a Dask cluster, through one asynchronous client."""

    name = "dask"

    def __init__(self, client: Client, *, owned: bool = False) -> None:
        self.client = client
        self._owned = owned
        self._topic = f"mirror-realm-{client.id}"
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._workers: Workers = {}
        self._workers_at = -REAPPEAR
        self._seen: dict[str, dict[str, float]] = {}
        self.pending: dict[str, asyncio.Event] = {}
        """The attempts under way, by their keys in Dask; set for one that is given up as lost."""
        self._scheduler_id: str | None = None
        self._prepare()

    def _prepare(self) -> None:
        self.client.subscribe_topic(self._topic, self._heard)
        stream: Any = self.client.scheduler_comm
        if getattr(stream, "interval", None):  # Dask's own attribute: should it go, we are only slower.
            stream.interval = SEND_INTERVAL

    async def _meet(self, scheduler_id: str) -> None:
        """Tell a scheduler what it must know: the first one, and one that was started in its place."""
        from .once import NeverAgain

        if self._scheduler_id is not None:
            self._prepare()
        self._scheduler_id = scheduler_id
        try:
            registering: Any = self.client.register_plugin(NeverAgain())
            await registering
        except Exception as error:  # noqa: BLE001 - whatever a foreign scheduler has against it
            log.warning(
                "a node whose worker dies just after it may run twice on this Dask scheduler: %s", error
            )

    async def move(self, address: str) -> None:
        """Go on with another scheduler, as the one before is gone. What was under way there is lost, and says so."""
        before, self.client = self.client, (await DaskRunner.connect(address)).client
        self._owned, self._workers, self._workers_at = True, {}, -REAPPEAR
        self._prepare()
        closing: Any = before.close(timeout=GRACE)
        await closing

    @classmethod
    async def connect(cls, address: str) -> DaskRunner:
        """A runner on the scheduler at ``address``; UNAVAILABLE when it does not answer."""
        from distributed import Client

        try:
            client = await Client(address, asynchronous=True, timeout="10s", name="mirror-realm")
        except (OSError, TimeoutError) as error:
            raise RealmError(
                Code.UNAVAILABLE,
                f"the Dask scheduler at {address} does not answer: {error}",
                hint="check MIRROR_REALM_DASK_SCHEDULER, or unset it to run an embedded cluster",
            ) from None
        return cls(client, owned=True)

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return str(self.client.scheduler.address)  # pyright: ignore[reportOptionalMemberAccess]

    async def run(
        self, call: NodeCall, resources: Resources, priority: float, listen: Listener
    ) -> NodeOutcome:
        """See :class:`Runner`."""
        try:
            placement = await self.place(resources)
        except RealmError as error:
            return failed(call, error.record)
        call = replace(call, gpu=placement.gpu, progress_topic=self._topic)
        identity = (call.execution_key, call.attempt)
        monitor = _Monitor(listen)
        self._listeners[identity] = monitor.heard
        key = f"{MARK}{call.node_id}-{os.urandom(16).hex()}"
        try:
            future = self.client.submit(
                run_on_worker,
                call,
                key=key,
                resources=dict(placement.request) or None,
                priority=priority,  # pyright: ignore[reportArgumentType] - any number, as the scheduler compares it
                pure=False,
            )
        except (OSError, RuntimeError) as error:  # It went away since we asked for its workers.
            self._listeners.pop(identity, None)
            return failed(call, scheduler_lost(error))
        lost = self.pending[key] = asyncio.Event()
        try:
            return await self._outcome(future, call, monitor, lost)
        except asyncio.CancelledError:
            await self._abandon(future, call, monitor, recycle=False)
            raise
        finally:
            self._listeners.pop(identity, None)
            self.pending.pop(key, None)
            # Soon, not now: the message would fill the batch that the next node's submission then waits for.
            asyncio.get_running_loop().call_later(RELEASE_AFTER, future.release)

    async def _outcome(
        self, future: Future[NodeOutcome], call: NodeCall, monitor: _Monitor, lost: asyncio.Event
    ) -> NodeOutcome:
        from distributed import CancelledError, KilledWorker

        result = asyncio.ensure_future(_result(future, lost))
        try:
            started = asyncio.ensure_future(monitor.started.wait())
            await asyncio.wait({result, started}, return_when=asyncio.FIRST_COMPLETED)
            started.cancel()
            async with asyncio.timeout(None if result.done() else call.timeout + GRACE):
                return await asyncio.shield(result)
        except TimeoutError:
            await self._abandon(future, call, monitor, recycle=True)
            return failed(call, overdue(call), worker=monitor.worker)
        except KilledWorker as error:
            return failed(call, worker_died(error, monitor.worker), worker=monitor.worker)
        except CancelledError as error:
            # The scheduler is there, and the result is not: it was lost with its worker, see NeverAgain.
            there = self.client.status == "running"
            record = worker_died(error, monitor.worker) if there else scheduler_lost(error)
            return failed(call, record, worker=monitor.worker)
        except OSError as error:
            return failed(call, scheduler_lost(error), worker=monitor.worker)
        finally:
            result.cancel()

    def lose(self, key: str) -> None:
        """Give up an attempt that the scheduler has forgotten: it comes back as lost, to be tried again."""
        if key in self.pending:
            self.pending[key].set()

    async def place(self, resources: Resources) -> Placement:
        """Place against the workers of now; wait for one that died and is being replaced."""
        deadline = time.monotonic() + REAPPEAR
        while True:
            workers: Workers = {}
            try:
                workers = await self._current_workers()
                return place(resources, workers)
            except RealmError:
                # Could a worker that was here before take it, or is none here at all? Then they are being restarted.
                if workers:
                    place(resources, self._seen)
                if time.monotonic() > deadline:
                    raise
            except OSError as error:  # A TimeoutError is one.
                # It is started again, or comes back: what is to run waits for it.
                if time.monotonic() > deadline + SCHEDULER_BACK - REAPPEAR:
                    message = f"the Dask scheduler does not answer: {error}"
                    raise RealmError(Code.UNAVAILABLE, message) from None
            await asyncio.sleep(0.2)
            self._workers_at = -REAPPEAR

    async def _current_workers(self) -> Workers:
        if time.monotonic() - self._workers_at > 2.0:
            if self.client.scheduler is None:
                raise OSError("our connection to it is closed")
            identity: Any = await self.client.scheduler.identity(n_workers=-1)
            if identity["id"] != self._scheduler_id:
                await self._meet(identity["id"])
            self._workers = {
                str(w.get("name") or address): dict(w.get("resources") or {})
                for address, w in identity["workers"].items()
            }
            self._workers_at = time.monotonic()
            self._seen.update(
                {str(sorted(offers.items())): dict(offers) for offers in self._workers.values()}
            )
        return self._workers

    async def _abandon(
        self, future: Future[NodeOutcome], call: NodeCall, monitor: _Monitor, *, recycle: bool
    ) -> None:
        """Stop an attempt: ask it to end, forget its future, and if it will not end, recycle its worker process."""
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            if monitor.address:
                await asyncio.wait_for(
                    self.client.run(
                        cancel, call.execution_key, call.attempt, workers=[monitor.address], on_error="ignore"
                    ),
                    GRACE,
                )
            forget: Any = self.client.cancel([future], force=True)
            await asyncio.wait_for(forget, GRACE)
            if recycle and monitor.address:
                log.warning("node %s ignored its timeout: recycling worker %s", call.node_id, monitor.address)
                # Only until it is dead, and with time to: Dask gives up a worker that is not dead by then for good.
                scheduler: Any = self.client.scheduler
                await scheduler.restart_workers(
                    workers=[monitor.address],
                    timeout=RECYCLE,
                    wait_for_workers=False,
                    on_error="return",
                    stimulus_id=f"recycle-{monitor.address}",
                )

    def _heard(self, event: tuple[float, dict[str, Any]]) -> None:
        message = event[1]
        if listener := self._listeners.get((message.get("execution_key", ""), message.get("attempt", 0))):
            listener(message)

    async def close(self) -> None:
        """See :class:`Runner`."""
        if self._owned:
            closing: Any = self.client.close()
            await closing


class _Monitor:
    """What is known of a running attempt from its own events."""

    def __init__(self, listen: Listener) -> None:
        self.started = asyncio.Event()
        self.worker: str | None = None
        self.address: str | None = None
        self._listen = listen

    def heard(self, message: dict[str, Any]) -> None:
        if message.get("kind") == "started":
            self.worker, self.address = message.get("worker"), message.get("address")
            self.started.set()
        self._listen(message)


def run_on_worker(call: NodeCall) -> NodeOutcome:
    """What a Dask worker executes: the attempt. One that is not over at once says that it started, and where."""
    from distributed import get_worker

    worker = get_worker()
    event = {
        "kind": "started",
        "execution_key": call.execution_key,
        "attempt": call.attempt,
        "worker": str(worker.name),
        "address": worker.address,
    }
    topic = call.progress_topic or "mirror-realm"
    # Not at once: a worker sends its messages in batches, and the result of a quick node would wait for the next one.
    say = threading.Timer(STARTED_AFTER, worker.log_event, (topic, event))
    say.daemon = True
    say.start()
    try:
        return call.perform()
    finally:
        say.cancel()


def failed(call: NodeCall, error: ErrorRecord, worker: str | None = None) -> NodeOutcome:
    """The outcome of an attempt that the runner itself had to give up."""
    moment = now().isoformat()
    return NodeOutcome(
        output=None,
        error=error.to_dict(),
        started_at=moment,
        completed_at=moment,
        worker=worker or "",
        pid=0,
        device="cpu",
        resource_usage={},
        notes={},
    )


def overdue(call: NodeCall) -> ErrorRecord:
    """The error of an attempt that ran past its timeout."""
    return RealmError(
        Code.NODE_EXECUTION_TIMEOUT,
        f"node {call.node_id} ran past its timeout of {call.timeout:g} s",
        hint="raise the node's `timeout`, or give it less to do",
    ).record


def scheduler_lost(error: BaseException) -> ErrorRecord:
    """The error of an attempt of which the scheduler knows nothing any more."""
    return ErrorRecord(
        Code.TRANSIENT_ERROR,
        f"the Dask scheduler lost this node: {error or type(error).__name__}",
        details={"scheduler_lost": True},
        exception=f"{type(error).__module__}.{type(error).__name__}",
    )


def worker_died(error: Exception, worker: str | None) -> ErrorRecord:
    """The error of an attempt whose worker process died under it."""
    where = f" ({worker})" if worker else ""
    return ErrorRecord(
        Code.TRANSIENT_ERROR,
        f"the worker process died while it ran this node{where}",
        hint="often out of memory: see the operating system's log; lower the node's work or raise `memory_mb`",
        details={"worker_died": True},
        exception=f"{type(error).__module__}.{type(error).__name__}",
    )


async def _result(future: Future[NodeOutcome], lost: asyncio.Event) -> NodeOutcome:
    coming: Any = future.result()  # Asynchronous clients return a coroutine.
    result, given_up = asyncio.ensure_future(coming), asyncio.ensure_future(lost.wait())
    try:
        await asyncio.wait({result, given_up}, return_when=asyncio.FIRST_COMPLETED)
        if result.done():
            return result.result()
        raise ConnectionResetError("it knows nothing of it any more")
    finally:
        result.cancel()
        given_up.cancel()
