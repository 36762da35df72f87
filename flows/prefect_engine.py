"""The Prefect engine: one tracked task run per node, named after it, with edges, states, retries and logs.

The body of a node runs in the flow process and awaits the attempt, which a runner executes elsewhere
(``docs/decisions.md``: a tenth of the cost of submitting through ``DaskTaskRunner``).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext
from prefect.logging.handlers import APILogHandler
from prefect.settings import get_current_settings
from prefect.states import AwaitingRetry, Cancelled, Completed, Failed

from ..core.errors import Code, ErrorRecord, RealmError
from . import stopping, task_runs
from .declarations import Workflow
from .engines import Body, FlowFunction, log_completed
from .journal import now
from .task_runs import TrackedRun, state
from .waits import Suspended

if TYPE_CHECKING:
    from .scope import Handle

log = logging.getLogger("mirror_realm.run")


class PrefectEngine:
    """Tracks the nodes of the flow run in whose context it was made."""

    name = "prefect"

    def __init__(self) -> None:
        self._task_runs: dict[str, UUID] = {}

    async def node(self, handle: Handle, after: Sequence[Handle], body: Body, most: int) -> None:
        """See :class:`.engines.Engine`."""
        run = self._run(handle, after, retries=most - 1)
        with run.entered():
            try:
                await _attempts(run, handle, body)
            except asyncio.CancelledError as stopped:
                if handle.scope.run.waits.leaving:
                    run.enter(state(StateType.PAUSED, "Waiting", "its instance was put aside"))
                else:
                    await run.crashed(stopped)
                raise
            except BaseException as error:
                # The body itself broke: a fault of ours, which must not pass for the node's result.
                await run.crashed(error)
                raise

    async def skipped(self, handle: Handle, after: Sequence[Handle], reason: str) -> None:
        """See :class:`.engines.Engine`."""
        run = self._run(handle, after)
        with run.entered():
            log.info("%s skipped: %s", handle.label, reason)
            run.enter(state(StateType.COMPLETED, "Skipped", reason))

    def _run(self, handle: Handle, after: Sequence[Handle], retries: int = 0) -> TrackedRun:
        # The edges in Prefect's graph.
        upstream = [run_id for h in after if (run_id := self._task_runs.get(h.label))]
        run = TrackedRun(handle.label, handle.node.type, upstream, retries)
        self._task_runs[handle.label] = run.id
        return run


async def _attempts(run: TrackedRun, handle: Handle, body: Body) -> None:
    """Attempts of a node until one completes or was the last."""
    attempt = 1
    run.enter(state(StateType.RUNNING))
    while (failure := await body(attempt)) is not None and failure.delay is not None:
        run.enter(AwaitingRetry(scheduled_time=now() + timedelta(seconds=failure.delay)))
        await asyncio.sleep(failure.delay)
        attempt += 1
        run.enter(state(StateType.RUNNING, "Retrying"))
    if failure is not None:
        run.enter(_failed(failure.error))
        return
    run.enter(state(StateType.COMPLETED, message=handle.summary))
    asyncio.get_running_loop().call_later(task_runs.SOON, log_completed, handle)


def prefect_flow(workflow: Workflow, function: FlowFunction) -> Any:
    """``function`` as a Prefect flow. Timeouts and results are ours: the journal must see them.

    An instance that failed ends the flow run in a state that says so in a sentence; only a fault of ours shows a
    traceback.
    """

    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        _log_to_prefect()
        stopping.keep()
        try:
            return await function(*args, **kwargs)
        except Suspended as aside:
            return Completed(name="Waiting", message=f"{aside} waits; it is carried on in another flow run")
        except RealmError as error:
            if error.record.code is Code.CANCELLED:
                return Cancelled(message=error.record.message)
            return _failed(error.record)
        finally:
            if (context := FlowRunContext.get()) is not None and context.flow_run is not None:
                task_runs.tell_all(context.flow_run.id)

    return flow(
        name=workflow.name,
        version=workflow.version,
        description=workflow.description or workflow.title or function.__doc__,
        flow_run_name=flow_run_name,
        persist_result=False,
        # Nothing is ever written there, but without it Prefect asks its server for a place, twice a run.
        result_storage=Path(get_current_settings().results.local_storage_path),
    )(run)


def _failed(error: ErrorRecord) -> State[Any]:
    """A failed state instead of an exception: Prefect would print the traceback of the user's own mistake."""
    if error.traceback:
        log.error("%s", error.traceback)
    hint = f" ({error.hint})" if error.hint else ""
    return Failed(message=f"{error.code}: {error.message}{hint}", data=RealmError.from_record(error))


class _ToFlowRun(APILogHandler):
    """Sends the lines that belong to a flow run; the same process may run others under the local engine."""

    def emit(self, record: logging.LogRecord) -> None:
        if FlowRunContext.get() is not None:
            record.task_run_id = task_runs.current.get()
            super().emit(record)


@functools.cache
def _log_to_prefect() -> None:
    """Send the runtime's own log lines to the flow run or task run that they belong to."""
    log.setLevel(logging.INFO)
    log.addHandler(_ToFlowRun())


def flow_run_name() -> str:
    """A name that a person recognises: the file that started the run, else the instance."""
    from prefect.runtime import flow_run

    parameters: dict[str, Any] = flow_run.parameters or {}
    trigger = parameters.get("trigger") or {}
    given = parameters.get("input") or {}
    path = (trigger.get("payload") or {}).get("file_path") or given.get("file_path")
    instance = parameters.get("instance_id")
    parts = [str(part) for part in (instance, os.path.basename(str(path)) if path else None) if part]
    return " ".join(parts) or f"{flow_run.flow_name}-{str(flow_run.id)[:8]}"


def current_flow_run_id() -> str | None:
    """The id of the Prefect flow run that this code is in."""
    context = FlowRunContext.get()
    return str(context.flow_run.id) if context and context.flow_run else None
