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
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..core.durations import format_duration
from ..core.errors import Code, ErrorRecord, RealmError, StoreLost, Superseded
from ..core.status import InstanceStatus
from ..core.termination import Termination
from . import aftermath, environment, media
from .aftermath import UNDO
from .clock import Clock
from .debugging import Breakpoints
from .declarations import Edge, Node, Workflow
from .engines import Engine, LocalEngine, current_engine
from .environment import Environment
from .failures import of_fault, of_node
from .instances import open_instance, spent
from .journal import now
from .runners import DaskRunner, Runner, ThreadRunner
from .scope import Handle, Part, Scope
from .stopping import is_stop
from .waits import Suspended, Waits

if TYPE_CHECKING:
    from ..store import Instance
    from ..store.history import Failures
    from ..store.sagas import Undone

log = logging.getLogger(__name__)


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
        *,
        on_failure: Part | None = None,
    ) -> None:
        self.workflow = workflow
        self.on_failure = on_failure
        """Starts the nodes that run when the instance has failed."""
        self.input: dict[str, Any] = dict(input or {})
        self.trigger: dict[str, Any] = dict(trigger or {})
        self.instance_id = instance_id or ""
        self.output: dict[str, Any] = {}
        self.resumed = False
        """Whether an earlier life of the instance has run some of it."""
        self.carried_on = False
        """Whether that life ended without a verdict; not so for an instance that is retried."""
        self.undone: dict[tuple[str, str], Undone] = {}
        """The nodes, with their iterations, that earlier lives of the instance completed and undid."""
        self.closing = False
        """Whether the instance is past saving, so that what is cancelled inside it leaves undoing to it."""
        self.waits = Waits()
        self.clock = Clock()
        self.breakpoints = Breakpoints(self)
        self._failures: asyncio.Task[Failures] | None = None
        self._ending: Termination | None = None
        self._undo = False
        self._ended = asyncio.Event()
        self._stack = AsyncExitStack()
        self._over = False
        self._stands = False
        """Whether it stood at a breakpoint when it was put aside."""

    env: Environment
    engine: Engine
    """Who tracks the run; its nodes too, unless there are to be very many of them."""
    root: Scope
    """The workflow's own nodes; each handle leads to those inside it."""
    runner: Runner
    started: float
    started_at: datetime
    accepted_at: datetime
    """When the instance was accepted, before it began."""
    names: dict[str, Any]
    timeout: float

    async def __aenter__(self) -> Run:
        self.env = await self._stack.enter_async_context(environment.current())
        self.engine = current_engine()
        self.root = Scope(self, LocalEngine() if self.workflow.profile == "bulk" else self.engine)
        self.library = media.Library(self)
        self.runner = await self._stack.enter_async_context(self._chosen_runner())
        try:
            instance = await open_instance(self)
        except BaseException:
            await self._stack.aclose()
            raise
        self._over = instance.status is InstanceStatus.COMPLETED
        self.root.carried = self.resumed
        self.accepted_at = instance.created_at
        self.timeout = instance.timeout or self.workflow.timeout
        self.started = asyncio.get_running_loop().time() - spent(self, instance)
        self.started_at = now()
        self.root.given = {**self.input, "trigger": self.trigger}
        self.names = self._names()
        if not self._over:
            self._stack.enter_context(self.env.journal.presence.running(self.instance_id))
            heard = self.env.journal.requests.heard(self.instance_id, self._hear, self.breakpoints.hear)
            self._stack.enter_context(heard)
            self._stack.push_async_callback(self.breakpoints.close)
        self.emit_instance(instance.status)
        if self.resumed:
            await self._take_up(instance)
        return self

    async def _take_up(self, instance: Instance) -> None:
        """Go on with undoing that an earlier life began; raises the error of an instance that is left to undo."""
        try:
            await aftermath.take_up(self)
            if instance.status is InstanceStatus.COMPENSATING:
                error = ErrorRecord.from_dict(instance.error or {})
                await (self._cancel(error) if UNDO in error.details else self._fail(error))
        except BaseException:
            await self._stack.aclose()
            raise

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

    def start(
        self,
        node: Node,
        after: Handle | Edge | Sequence[Handle | Edge] | None = None,
        *,
        body: Part | None = None,
        branches: Mapping[str, Part] | None = None,
        fuse: bool = False,
    ) -> Handle:
        """Start ``node`` once its edges are decided; see :meth:`.scope.Scope.start`."""
        return self.root.start(node, after, body=body, branches=branches, fuse=fuse)

    def leave_out(self, node: Node, because: str) -> None:
        """Journal a node that never runs; see :meth:`.scope.Scope.leave_out`."""
        self.root.leave_out(node, because)

    def _hear(self, request: str) -> None:
        """Do what a person asks of the instance, from this process or another."""
        if request == "cancel":
            self.end(Termination("canceled", "it was canceled on request"))
        elif request == "undo":
            self.end(Termination("canceled", "it was canceled on request, to be undone"), undo=True)
        elif request == "pause":
            self.waits.pause()

    @property
    def ended(self) -> bool:
        """Whether a node or a person ended the instance."""
        return self._ended.is_set()

    def end(self, ending: Termination, *, undo: bool = False) -> None:
        """End the instance here, whatever else is under way, and ``undo`` what it did."""
        if self._ending is None:
            self._ending, self._undo = ending, undo
        self._ended.set()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                self.closing = True
                self.waits.leaving = self.env.resumable or isinstance(error, Superseded | StoreLost)
                await self.root.stop()
                await self._interrupted(error)
                return
            await self._finish()
        finally:
            await self._stack.aclose()

    async def _finish(self) -> None:
        elapsed = asyncio.get_running_loop().time() - self.started
        limit = asyncio.timeout(max(0.0, self.timeout - elapsed))
        aside: InstanceStatus | None = None
        try:
            async with limit:
                with self.clock.keeps(limit):
                    aside = await self._settle()
        except TimeoutError as error:
            self.closing = True
            await self.root.stop()
            if not limit.expired():  # A fault inside that happens to be of this type.
                await self._interrupted(error)
                raise
            message = f"instance {self.instance_id} ran past its timeout of {format_duration(self.timeout)}"
            await self._fail(
                ErrorRecord(Code.DEADLINE_EXCEEDED, message, hint="raise the definition's `timeout`")
            )
        except BaseException as error:
            canceled = isinstance(error, asyncio.CancelledError) or is_stop(error)
            self.closing = True
            lost = isinstance(error, Superseded | StoreLost)
            self.waits.leaving = (self.env.resumable and canceled) or lost
            await self.root.stop()
            await self._interrupted(error)
            raise
        if aside is not None:
            await self._suspend(aside)
        if self._ending is not None and self._ending.status != "completed":
            await self._end(self._ending)
        if self.root.failure is not None and self._ending is None:
            await self._fail(of_node(self.root.failure))
        try:
            self.output = self._output()
        except RealmError as error:
            await self._fail(error.record)
        if not self._over:
            await self._record(failed=False)
            await self.env.journal.transition(self.instance_id, InstanceStatus.COMPLETED, output=self.output)
            await self._publish()
        self.emit_instance(InstanceStatus.COMPLETED)

    def _output(self) -> dict[str, Any]:
        if self._ending is not None and self._ending.output is not None:
            return dict(self._ending.output)
        # In a replay, those of the node that was decided last were in force.
        self.names["vars"].update(self.breakpoints.variables)
        return self.root.result(self.workflow.output, ends_only=True)

    async def _settle(self) -> InstanceStatus | None:
        """Wait until every node is decided, or a node or a person ended the instance; how it is to be put aside, when
        nothing is left but to wait, or it is to be paused."""
        settled = asyncio.create_task(self.root.settle())
        failed = False
        ends = (self._ended.wait(), self.waits.paused())
        others: list[asyncio.Task[Any]] = [asyncio.create_task(end) for end in ends]
        if self.env.patience is not None:
            others.append(asyncio.create_task(self.waits.nothing_else(self.env.patience)))
        elif self.env.debugger is None:
            others.append(asyncio.create_task(self.waits.nothing_but_stops()))
        try:
            await asyncio.wait([settled, *others], return_when=asyncio.FIRST_COMPLETED)
            if settled.done():
                await settled
                return None
            # One that failed while it was to be paused fails: it must not be put aside with its failure undecided.
            failed = self.waits.pausing and self.root.failure is not None
            self._stands = self.clock.stands
            self.waits.leaving = not self._ended.is_set() and not failed
            if not self.waits.leaving:
                return None
            aside = self.waits.pausing and not self.waits.stays_open
            return InstanceStatus.PAUSED if aside else InstanceStatus.WAITING
        except asyncio.CancelledError:
            # Said before what is inside is cancelled too: it goes on in the next life, and is not undone for this.
            self.closing = self.closing or self.env.resumable
            if not self.closing:
                await self.root.stop("the run was cancelled")
            raise
        finally:
            for task in (settled, *others):
                task.cancel()
            await asyncio.gather(settled, *others, return_exceptions=True)
            if self._ended.is_set() or self.waits.leaving or failed:
                await self.root.stop((self._ending and self._ending.message) or "a node ended the instance")

    async def _suspend(self, status: InstanceStatus) -> None:
        """Put the instance aside; its open nodes stay open in the journal. It is carried on at its timeout too, unless
        it stands at a breakpoint: then it has no timeout."""
        elapsed = asyncio.get_running_loop().time() - self.started - self.clock.stood(self.started_at)
        end = None if self._stands else now() + timedelta(seconds=self.timeout - elapsed)
        wake_at = min((moment for moment in (end, self.waits.wake_at) if moment), default=None)
        instance = await self.env.journal.transition(self.instance_id, status, wake_at=wake_at)
        if instance.requested is not None:
            # It came while the instance was put aside, and nobody polls for one that is.
            from .control import deliver

            instance = await self.env.journal.call(deliver, self.env.journal.store, self.instance_id)
        self.emit_instance(instance.status)
        raise Suspended(self.instance_id)

    async def _end(self, ending: Termination) -> None:
        """The verdict of a node that ended the instance as failed or canceled."""
        if ending.status == "failed":
            await self._fail(ErrorRecord(Code.ABORTED, ending.message or "a node ended the instance"))
        record = ErrorRecord(Code.CANCELLED, ending.message or "a node ended the instance")
        await self._cancel(replace(record, details={UNDO: "all"}) if self._undo else record)

    async def _cancel(self, record: ErrorRecord) -> None:
        """End as canceled, once what is to be undone is."""
        self.closing = True
        await self.env.journal.close_open(self.instance_id, record.message)
        await self._record(failed=True)
        try:
            record = await aftermath.undone(self, record)
        except BaseException as interruption:
            await self._interrupted(interruption)
            raise
        await self.env.journal.transition(self.instance_id, InstanceStatus.CANCELED, error=record.to_dict())
        await self._publish()
        self.emit_instance(InstanceStatus.CANCELED, record)
        raise RealmError.from_record(record)

    async def _fail(self, error: ErrorRecord) -> None:
        self.closing = True
        await self.env.journal.close_open(self.instance_id, error.message)
        await self._record(failed=True)
        try:
            error = await aftermath.follow(self, error)
        except BaseException as interruption:
            await self._interrupted(interruption)
            raise
        await self.env.journal.transition(self.instance_id, InstanceStatus.FAILED, error=error.to_dict())
        await self._publish()
        self.emit_instance(InstanceStatus.FAILED, error)
        raise RealmError.from_record(error)

    async def _interrupted(self, error: BaseException) -> None:
        """The run ends without a verdict of its own: cancelled from outside, or a fault in the flow function."""
        canceled = is_stop(error) or isinstance(
            error, asyncio.CancelledError | KeyboardInterrupt | SystemExit | GeneratorExit
        )
        if self._over:
            return
        if isinstance(error, Superseded):
            log.warning("%s; this run of it stops", error.record.message)
            return
        if isinstance(error, StoreLost):
            log.error("%s; %s is carried on from its journal", error.record.message, self.instance_id)
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
        record = error.record if isinstance(error, RealmError) else of_fault(error)
        await self.env.journal.transition(self.instance_id, InstanceStatus.FAILED, error=record.to_dict())
        self.emit_instance(InstanceStatus.FAILED, record)

    async def _record(self, *, failed: bool) -> None:
        """The media library's rows, before the instance is decided: dying in between repeats them harmlessly."""
        await self.library.note(self.root, failed=failed)

    async def _publish(self) -> None:
        if self.engine.name == "prefect":
            from .reports import publish

            await publish(self)

    def _names(self) -> dict[str, Any]:
        """What expressions see everywhere in this run, beside the nodes' outputs."""
        return {
            "input": self.input,
            "trigger": self.trigger,
            "vars": {**self.workflow.variables, **self.breakpoints.variables},
            "execution": {
                "id": self.instance_id,
                "workflow": self.workflow.name,
                "version": self.workflow.version,
                "started_at": self.started_at.isoformat(),
            },
            "env": {name: os.environ[name] for name in self.env.settings.env_allow if name in os.environ},
        }

    async def failures(self) -> Failures:
        """What had failed when this life began. Looked up once: of what began since, nothing is in it."""
        if self._failures is None:
            journal = self.env.journal
            self._failures = asyncio.create_task(
                journal.call(journal.store.history.failures, self.instance_id)
            )
        return await asyncio.shield(self._failures)

    def emit_node(self, handle: Handle, **extra: Any) -> None:
        """Tell the listener where a node stands."""
        self.env.on_event(
            {
                "type": "node",
                "instance_id": self.instance_id,
                "node_id": handle.key,
                "iteration": handle.scope.iteration,
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
