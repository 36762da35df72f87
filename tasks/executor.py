"""One attempt of one node, run where it belongs, told as data.

The runtime sends a :class:`NodeCall` to a Dask worker and gets a :class:`NodeOutcome` back: :func:`execute`
never raises for a fault of the node, so that no exception class needs to exist on both sides and no error is
lost on the way.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from pydantic import BaseModel

from ..core.errors import Code, ErrorRecord, RealmError
from ..core.settings import settings
from ..core.termination import NOTE, Terminate
from .artifacts import ArtifactStore
from .context import Evaluator, NodeContext
from .exceptions import to_record
from .payload import check_size, checked_output, validated
from .registry import Registry
from .registry import registry as installed_registry
from .sdk import NodeType
from .usage import Meter, current_worker, worker_name
from .workdirs import Workdir

PROGRESS_INTERVAL = 0.25
"""Seconds between two progress events of one attempt, at least; the last one is always sent."""

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class NodeCall:
    """Everything that one attempt needs, as picklable data.

    ``timeout`` in seconds, 0 for none. ``gpu``: a GPU was granted; ``gpu_wanted``: the definition asks for
    one. ``progress_topic`` is the Dask event topic for progress, where there is a Dask worker.
    """

    node_type: str
    node_id: str
    instance_id: str
    execution_key: str
    iteration: str = ""
    attempt: int = 1
    parameters: dict[str, Any] = field(default_factory=dict)
    input: dict[str, Any] = field(default_factory=dict)
    timeout: float = 0.0
    roots: tuple[str, ...] = ()
    gpu: bool = False
    gpu_wanted: bool = False
    max_payload_bytes: int = 1 << 20
    progress_topic: str | None = None

    def perform(self, report: Report | None = None) -> NodeOutcome:
        """Do what is called for, in this thread; see :func:`execute`."""
        return execute(self, report=report)


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """What became of one attempt: exactly one of ``output`` and ``error`` is set.

    ``error`` is ``ErrorRecord.to_dict()``; ``notes`` holds what the node noted for its journal row;
    ``resource_usage`` is described at :class:`~.usage.Meter`.
    """

    output: Any
    error: dict[str, Any] | None
    started_at: str
    completed_at: str
    worker: str
    pid: int
    device: str
    resource_usage: dict[str, float]
    notes: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether the attempt completed."""
        return self.error is None


def execute(
    call: NodeCall,
    *,
    registry: Registry | None = None,
    report: Report | None = None,
    evaluator: Evaluator | None = None,
    brief: bool = False,
) -> NodeOutcome:
    """Run one attempt in this thread. A failure, ``sys.exit`` and lack of memory included, is the outcome's
    ``error``. ``brief``: one of very many, of which less is measured.

    ``KeyboardInterrupt`` in the main thread passes through, so that Ctrl-C ends a program that runs nodes in
    it.
    """
    attempt = _Attempt(call, report, evaluator=evaluator, brief=brief)
    try:
        with attempt.prepared(registry) as (node_type, parameters, input, context):
            result = node_type.executor(parameters, input, context)
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
            attempt.complete(node_type, result)
    except BaseException as error:  # noqa: BLE001 - whatever a node raises is its outcome; see _Attempt.fail
        attempt.fail(error)
    return attempt.outcome()


async def execute_in_flow(
    call: NodeCall,
    *,
    registry: Registry | None = None,
    report: Report | None = None,
    evaluator: Evaluator | None = None,
) -> NodeOutcome:
    """Run one attempt of a node that needs no worker: a coroutine function is awaited, any other runs in a
    thread. The ``evaluator`` is for its deferred parameters.

    A cancelled task stays cancelled: ``asyncio.CancelledError`` passes through after the clean-up.
    """
    attempt = _Attempt(call, report, own_thread=False, evaluator=evaluator)
    try:
        with attempt.prepared(registry) as (node_type, parameters, input, context):
            arguments = (parameters, input, context)
            if inspect.iscoroutinefunction(node_type.executor):
                result = await attempt.until_stopped(node_type.executor(*arguments), context)
            else:
                result = await asyncio.to_thread(node_type.executor, *arguments)
            attempt.complete(node_type, result)
    except BaseException as error:  # noqa: BLE001 - whatever a node raises is its outcome; see _Attempt.fail
        attempt.canceled.set()  # a thread that is left behind learns that nobody waits for it
        attempt.fail(error)
    return attempt.outcome()


def cancel(execution_key: str, attempt: int) -> bool:
    """Ask the attempt to stop, if it runs in this process; whether it does. The runtime sends this to every
    worker."""
    with _running_lock:
        running = _running.get((execution_key, attempt))
    if running is None:
        return False
    running.canceled_at = monotonic()
    running.canceled.set()
    running.wake()
    return True


class Running(Protocol):
    """What :func:`cancel` finds: it runs in this process, and can be asked to stop."""

    canceled: threading.Event
    canceled_at: float | None
    wake: Callable[[], object]


@contextmanager
def listed(call: NodeCall, running: Running) -> Iterator[None]:
    """For the time of the block, :func:`cancel` finds ``running`` as what the call does."""
    key = (call.execution_key, call.attempt)
    with _running_lock:
        _running[key] = running
    try:
        yield
    finally:
        with _running_lock:
            if _running.get(key) is running:
                del _running[key]


class _Attempt:
    """The bookkeeping around one call: context, measurements, and what becomes the outcome."""

    def __init__(
        self,
        call: NodeCall,
        report: Report | None,
        *,
        own_thread: bool = True,
        evaluator: Evaluator | None = None,
        brief: bool = False,
    ) -> None:
        self.call = call
        self.evaluator = evaluator
        self.canceled = threading.Event()
        self.canceled_at: float | None = None
        self.wake: Callable[[], object] = lambda: None
        self.deadline = monotonic() + call.timeout if 0 < call.timeout < math.inf else None
        self.worker = current_worker()
        self.progress = _Progress(call, self.worker, report)
        self.meter = Meter(own_thread=own_thread, brief=brief)
        self.started_at = _now()
        self.device = "cpu"
        self.notes: dict[str, Any] = {}
        self.output: dict[str, Any] | None = None
        self.error: ErrorRecord | None = None
        self.node_type: NodeType | None = None

    @contextmanager
    def prepared(
        self, registry: Registry | None
    ) -> Iterator[tuple[NodeType, BaseModel, BaseModel, NodeContext]]:
        """The node type, its validated parameters and input, and a context whose folder lives as long as this
        does."""
        call = self.call
        node_type = self.node_type = (registry or installed_registry())[call.node_type]
        check_size(call.input, call.max_payload_bytes, f"the input of node {call.node_id}")
        parameters = validated(node_type.parameters, call.parameters, call, "parameters")
        input = validated(node_type.input, call.input, call, "input")
        if call.gpu:
            self.device = _cuda_device(self.notes)
        self.meter.start(self.device)
        with listed(call, self), closing(Workdir(settings().home, call.node_id)) as workdir:
            yield node_type, parameters, input, self._context(workdir)

    async def until_stopped(self, work: Coroutine[Any, Any, Any], context: NodeContext) -> Any:
        """Await ``work``, ended at the deadline or by :func:`cancel`: a coroutine need not look at either."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        self.wake = lambda: loop.call_soon_threadsafe(woken.set)
        task, waiter = asyncio.ensure_future(work), asyncio.ensure_future(woken.wait())
        try:
            await asyncio.wait(
                {task, waiter}, timeout=context.remaining(), return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                return task.result()
            context.check_canceled()
            raise self._timeout("was stopped at")
        finally:
            self.wake = lambda: None
            for pending in (task, waiter):
                pending.cancel()
            await asyncio.wait({task, waiter})

    def complete(self, node_type: NodeType, result: Any) -> None:
        """Take the function's result as the output, unless it came too late."""
        if self._late():
            raise self._timeout(f"ended after {self.meter.wall():.1f} s, past")
        self.output = checked_output(node_type, result, self.call)

    def fail(self, error: BaseException) -> None:
        """Take the exception as the error. What must not be swallowed is raised again."""
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            raise error
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise error
        self.output = None
        if isinstance(error, Terminate):
            try:
                self._end(error)
                return
            except RealmError as refused:
                error = refused
        if isinstance(error, SystemExit):
            # On a Dask worker it would end the worker and take the other nodes there with it.
            error = RealmError(Code.INTERNAL_ERROR, f"the node called sys.exit({error.code!r})")
        elif isinstance(error, KeyboardInterrupt):
            error = RealmError(Code.CANCELLED, f"node {self.call.node_id} was interrupted")
        record = to_record(error, self.node_type)
        if record.code is Code.CANCELLED and self._late() and not self._canceled_in_time():
            # The runtime cancels what outlives its timeout: the reason is the timeout.
            record = self._timeout("was stopped at").record
        self.error = record

    def _end(self, terminate: Terminate) -> None:
        """Complete the attempt with how the instance ends, as its output and as a note for the run."""
        record = terminate.termination.to_dict()
        check_size(record, self.call.max_payload_bytes, f"the output of node {self.call.node_id}")
        self.output, self.notes[NOTE] = record, record

    def outcome(self) -> NodeOutcome:
        """The attempt told as data."""
        self.progress.flush()
        return NodeOutcome(
            output=self.output,
            error=self.error.to_dict() if self.error else None,
            started_at=self.started_at,
            completed_at=_now(),
            worker=worker_name(self.worker),
            pid=self.meter.pid,
            device=self.device,
            resource_usage=self.meter.stop(),
            notes=self.notes,
        )

    def _context(self, workdir: Workdir) -> NodeContext:
        call = self.call
        return NodeContext(
            execution_key=call.execution_key,
            instance_id=call.instance_id,
            node_id=call.node_id,
            attempt=call.attempt,
            private=workdir,
            artifacts=ArtifactStore.open(settings()),
            settings=settings(),
            roots=_paths(call.roots),
            device=self.device,
            gpu_wanted=call.gpu_wanted,
            deadline=self.deadline,
            logger=logging.getLogger(f"mirror_realm.node.{call.node_type.replace('/', '.')}"),
            report=self.progress,
            canceled=self.canceled,
            notes=self.notes,
            evaluator=self.evaluator,
        )

    def _timeout(self, verb: str) -> RealmError:
        return RealmError(
            Code.NODE_EXECUTION_TIMEOUT,
            f"node {self.call.node_id} {verb} its timeout of {self.call.timeout:g} s",
            hint="raise the node's `timeout`, or give it less work",
        )

    def _late(self) -> bool:
        return self.deadline is not None and monotonic() > self.deadline

    def _canceled_in_time(self) -> bool:
        return self.canceled_at is not None and self.deadline is not None and self.canceled_at < self.deadline


_running: dict[tuple[str, int], Running] = {}
_running_lock = threading.Lock()


class _Progress:
    """Sends at most one event per interval, and the last one always (at :meth:`flush`)."""

    def __init__(self, call: NodeCall, worker: Any, report: Report | None) -> None:
        self._call = call
        self._send = self._through_dask(worker) if worker is not None and call.progress_topic else report
        self._lock = threading.Lock()
        self._next = 0.0
        self._pending: dict[str, Any] | None = None

    def __call__(self, fraction: float, message: str) -> None:
        if self._send is None:
            return
        event = {
            "execution_key": self._call.execution_key,
            "instance_id": self._call.instance_id,
            "node_id": self._call.node_id,
            "attempt": self._call.attempt,
            "fraction": float(fraction),
            "message": str(message),
            "at": _now(),
        }
        with self._lock:
            self._pending = event
            if monotonic() < self._next:
                return
            self._next = monotonic() + PROGRESS_INTERVAL
        self.flush()

    def flush(self) -> None:
        """Send what waits."""
        with self._lock:
            event, self._pending = self._pending, None
        if event is None or self._send is None:
            return
        try:
            self._send(event)
        except Exception as error:  # noqa: BLE001 - a watcher that fails must not fail the node
            logging.getLogger(__name__).debug("progress was not delivered: %s", error)

    def _through_dask(self, worker: Any) -> Report:
        topic = self._call.progress_topic
        return lambda event: worker.log_event(topic, event)


@lru_cache(maxsize=16)
def _paths(roots: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(map(Path, roots))


def _cuda_device(notes: dict[str, Any]) -> str:
    """``cuda:0`` (each GPU worker sees its own GPU only), or ``cpu`` with a note when torch sees none."""
    try:
        import torch
    except ImportError:
        notes["gpu"] = "granted, but torch is not installed on this worker; ran on the CPU"
        return "cpu"
    if torch.cuda.is_available():
        return "cuda:0"
    notes["gpu"] = "granted, but torch sees no CUDA device on this worker; ran on the CPU"
    return "cpu"


def _now() -> str:
    return datetime.now(UTC).isoformat()
