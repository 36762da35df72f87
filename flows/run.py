"""One run of a workflow: an emitted flow function starts its nodes here, in topological order.

``start`` returns at once; each node waits for its own incoming edges, so that everything that can run at the same time
does. Leaving the ``async with`` block waits for all of them and decides the instance.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Any

from ..core.durations import format_duration
from ..core.errors import Code, ErrorRecord, RealmError
from ..core.status import InstanceStatus, NodeStatus
from . import environment, media
from .declarations import Edge, Node, Workflow, edges
from .engines import Engine, current_engine
from .environment import Environment
from .instances import open_instance
from .joins import passes
from .journal import now
from .nodes import drive
from .runners import DaskRunner, Runner, ThreadRunner

log = logging.getLogger(__name__)


class Handle:
    """A node of this run: what it is, where it stands, what it gave. ``decided`` is set when it is over."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.status = NodeStatus.PENDING
        self.output: dict[str, Any] = {}
        self.error: ErrorRecord | None = None
        self.reason = ""
        self.attempts = 0
        self.restored = False
        self.ignored = False
        self.seconds = 0.0
        self.worker = ""
        self.decided = asyncio.Event()

    @property
    def summary(self) -> str:
        """One line for logs and Prefect's state message."""
        where = f" on {self.worker}" if self.worker else ""
        again = f", attempt {self.attempts}" if self.attempts > 1 else ""
        return f"{format_duration(self.seconds)}{where}{again}"

    def __repr__(self) -> str:
        return f"<{self.node.id}: {self.status}>"


class Run:
    """The run of one instance. ``output`` is the instance's result once the block was left without an error.

    With an ``instance_id`` the persisted instance is run (or carried on: nodes that completed in an earlier life are
    restored from the journal and do not run again); without one a new instance is persisted first.
    """

    def __init__(
        self,
        workflow: Workflow,
        input: Mapping[str, Any] | None = None,
        trigger: Mapping[str, Any] | None = None,
        instance_id: str | None = None,
    ) -> None:
        self.workflow = workflow
        self.input: dict[str, Any] = dict(input or {})
        self.trigger: dict[str, Any] = dict(trigger or {})
        self.instance_id = instance_id or ""
        self.output: dict[str, Any] = {}
        self.handles: dict[str, Handle] = {}
        self.incoming: dict[str, tuple[Edge, ...]] = {}
        self.outgoing: dict[str, list[Edge]] = {}
        self.failure: Handle | None = None
        self.restored: dict[str, Any] = {}
        self.attempts_before: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()
        self._over = False

    env: Environment
    engine: Engine
    runner: Runner
    started: float
    started_at: datetime
    timeout: float

    async def __aenter__(self) -> Run:
        self.env = await self._stack.enter_async_context(environment.current())
        self.engine = current_engine()
        self.runner = await self._stack.enter_async_context(self._chosen_runner())
        try:
            instance = await open_instance(self)
        except BaseException:
            await self._stack.aclose()
            raise
        self._over = instance.status is InstanceStatus.COMPLETED
        self.timeout = instance.timeout or self.workflow.timeout
        self.started = asyncio.get_running_loop().time()
        self.started_at = now()
        self.emit_instance(InstanceStatus.RUNNING)
        return self

    @asynccontextmanager
    async def _chosen_runner(self) -> AsyncIterator[Runner]:
        """The environment's runner, or the one that the definition's ``execution.task_runner`` asks for."""
        wanted, given = self.workflow.task_runner, self.env.runner
        if wanted == given.name or not isinstance(given, DaskRunner) or wanted == "dask":
            yield given
            return
        if wanted == "prefect-dask" and self.engine.name == "prefect":
            from .prefect_dask import PrefectDaskRunner

            runner: Runner = PrefectDaskRunner(given)
        else:
            runner = ThreadRunner()
        try:
            yield runner
        finally:
            await runner.close()

    def start(self, node: Node, after: Handle | Edge | Sequence[Handle | Edge] | None = None) -> Handle:
        """Start ``node`` once its edges are decided; the handle stands for its run."""
        incoming = self.incoming[node.id] = edges(after)
        handle = self.handles[node.id] = Handle(node)
        for one in incoming:
            self.outgoing.setdefault(one.source.node.id, []).append(one)
        self._tasks.append(asyncio.create_task(drive(self, handle, incoming), name=node.id))
        return handle

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                await self._stop()
                await self._interrupted(error)
                return
            await self._finish()
        finally:
            await self._stack.aclose()

    async def _finish(self) -> None:
        elapsed = asyncio.get_running_loop().time() - self.started
        limit = asyncio.timeout(max(0.0, self.timeout - elapsed))
        try:
            async with limit:
                await asyncio.gather(*self._tasks)
        except TimeoutError as error:
            await self._stop()
            if not limit.expired():  # A fault inside that happens to be of this type.
                await self._interrupted(error)
                raise
            message = f"instance {self.instance_id} ran past its timeout of {format_duration(self.timeout)}"
            await self._fail(
                ErrorRecord(Code.DEADLINE_EXCEEDED, message, hint="raise the definition's `timeout`")
            )
        except BaseException as error:
            await self._stop()
            await self._interrupted(error)
            raise
        if self.failure is not None and self.failure.error is not None:
            await self._fail(_of_node(self.failure, self.failure.error))
        try:
            self.output = self._result()
        except RealmError as error:
            await self._fail(error.record)
        if not self._over:
            await self._record(failed=False)
            await self.env.journal.transition(self.instance_id, InstanceStatus.COMPLETED, output=self.output)
            await self._publish()
        self.emit_instance(InstanceStatus.COMPLETED)

    def _result(self) -> dict[str, Any]:
        if self.workflow.output is None:
            ends = [h for h in self.handles.values() if h.node.id not in self.outgoing]
            return {h.node.id: h.output for h in ends if passes(h)}
        from ..compiler.expressions import render

        rendered = render(dict(self.workflow.output), self.scope())
        return rendered if isinstance(rendered, dict) else {"output": rendered}

    async def _fail(self, error: ErrorRecord) -> None:
        await self.env.journal.cancel_open(self.instance_id, error.message)
        await self._record(failed=True)
        await self.env.journal.transition(self.instance_id, InstanceStatus.FAILED, error=error.to_dict())
        await self._publish()
        self.emit_instance(InstanceStatus.FAILED, error)
        raise RealmError.from_record(error)

    async def _interrupted(self, error: BaseException) -> None:
        """The run ends without a verdict of its own: cancelled from outside, or a fault in the flow function."""
        canceled = isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit | GeneratorExit)
        if self._over:
            return
        await self.env.journal.cancel_open(self.instance_id, "the run was interrupted")
        if canceled and self.env.resumable:
            log.info("instance %s is interrupted; the next start carries it on", self.instance_id)
            return
        if canceled:
            record = ErrorRecord(Code.CANCELLED, "the run was cancelled")
            await self.env.journal.transition(
                self.instance_id, InstanceStatus.CANCELED, error=record.to_dict()
            )
            self.emit_instance(InstanceStatus.CANCELED, record)
            return
        record = error.record if isinstance(error, RealmError) else _fault(error)
        await self.env.journal.transition(self.instance_id, InstanceStatus.FAILED, error=record.to_dict())
        self.emit_instance(InstanceStatus.FAILED, record)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _record(self, *, failed: bool) -> None:
        """The media library's rows, before the instance is decided: dying in between repeats them harmlessly."""
        handles, store = list(self.handles.values()), self.env.journal.store
        try:
            await self.env.journal.call(media.record, store, self.instance_id, handles, failed=failed)
        except Exception:
            # Rows of the library are a view of the outputs, which may be anybody's: they must not decide an instance.
            log.exception("the media library's rows of instance %s could not be written", self.instance_id)

    async def _publish(self) -> None:
        if self.engine.name == "prefect":
            from .reports import publish

            await publish(self)

    def scope(self) -> dict[str, Any]:
        """What expressions see: the instance's input and trigger, and the outputs of the nodes decided so far."""
        return {
            "input": self.input,
            "trigger": self.trigger,
            "nodes": {h.node.id: h.output for h in self.handles.values() if h.decided.is_set()},
            "vars": dict(self.workflow.variables),
            "execution": {
                "id": self.instance_id,
                "workflow": self.workflow.name,
                "version": self.workflow.version,
                "started_at": self.started_at.isoformat(),
            },
            "env": {name: os.environ[name] for name in self.env.settings.env_allow if name in os.environ},
        }

    def emit_node(self, handle: Handle, **extra: Any) -> None:
        """Tell the listener where a node stands."""
        self.env.on_event(
            {
                "type": "node",
                "instance_id": self.instance_id,
                "node_id": handle.node.id,
                "status": str(handle.status),
                "attempt": handle.attempts,
                "worker": handle.worker,
                "duration": handle.seconds,
                "progress": None,
                "message": "",
                **extra,
            }
        )

    def emit_instance(self, status: InstanceStatus, error: ErrorRecord | None = None) -> None:
        """Tell the listener where the instance stands."""
        self.env.on_event(
            {
                "type": "instance",
                "instance_id": self.instance_id,
                "workflow": self.workflow.name,
                "version": self.workflow.version,
                "status": str(status),
                "error": error.to_dict() if error else None,
            }
        )


def _of_node(handle: Handle, error: ErrorRecord) -> ErrorRecord:
    """The instance's error: the node's own, with the place where it happened."""
    node = handle.node
    context = {
        "node_id": node.id,
        "node_type": node.type,
        "attempt": handle.attempts,
        "worker": handle.worker,
    }
    if node.at:
        context["at"] = node.at
    details = {**error.details, **{key: value for key, value in context.items() if value}}
    return ErrorRecord(
        error.code,
        f"node {node.id!r}: {error.message}",
        error.hint,
        details,
        error.exception,
        error.traceback,
    )


def _fault(error: BaseException) -> ErrorRecord:
    import traceback

    return ErrorRecord(
        Code.INTERNAL_ERROR,
        f"{type(error).__name__}: {error}",
        exception=f"{type(error).__module__}.{type(error).__name__}",
        traceback="".join(traceback.format_exception(error)),
    )
