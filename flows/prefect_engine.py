"""The Prefect engine: one tracked task run per node, named after it, with edges, states, retries and logs.

The task is thin: its body runs in the flow process and awaits the attempt, which a runner executes elsewhere
(``docs/decisions.md``: a tenth of the cost of submitting through ``DaskTaskRunner``).
"""

from __future__ import annotations

import copy
import functools
import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect import Task, flow
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRunResult
from prefect.context import FlowRunContext
from prefect.logging.handlers import APILogHandler
from prefect.states import Cancelled, Completed, Failed
from prefect.task_engine import run_task_async

from ..core.errors import Code, ErrorRecord, RealmError
from . import stopping
from .declarations import Workflow
from .engines import Body, Failure, FlowFunction
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
        attempts = 0
        failure: Failure | None = None

        async def attempt(after: object) -> State[Any]:
            nonlocal attempts, failure
            attempts += 1
            failure = None  # Of this attempt: should the body break, an earlier one's must not stand for it.
            failure = await body(attempts)
            return _failed(failure.error) if failure is not None else Completed(message=handle.summary)

        def may_retry(task: Task[Any, Any], task_run: object, state: object) -> bool:
            delay = failure.delay if failure is not None else None
            # The wait depends on the code of this very error; Prefect reads it right after asking us.
            task.retry_delay_seconds = delay or 0
            return delay is not None

        state = await self._track(handle, after, attempt, retries=most - 1, retry_condition_fn=may_retry)
        if failure is None and not state.is_completed():
            # The body itself broke: a fault of ours, which must not pass for the node's result.
            await state.aresult()

    async def skipped(self, handle: Handle, after: Sequence[Handle], reason: str) -> None:
        """See :class:`.engines.Engine`."""

        async def skip(after: object) -> State[Any]:
            log.info("%s skipped: %s", handle.label, reason)
            return Completed(name="Skipped", message=reason)

        await self._track(handle, after, skip)

    async def _track(
        self, handle: Handle, after: Sequence[Handle], function: Any, **options: Any
    ) -> State[Any]:
        node = handle.node
        # A task is made with a look at the source of its function, which takes more than a millisecond.
        task = copy.copy(_template())
        task.fn = function
        task.name = node.type
        task.task_run_name = handle.label.replace("{", "{{").replace("}", "}}")
        task.description = f"{handle.label} ({node.type}) {node.at or ''}".strip()
        for name, value in options.items():
            setattr(task, name, value)
        # An edge in Prefect's graph, not a condition: ours are decided. `wait_for` would show the same edges, but it
        # fetches every result again, several milliseconds each.
        upstream: Any = {
            TaskRunResult(id=run_id)  # pyright: ignore[reportUnhashable] - it is frozen
            for h in after
            if (run_id := self._task_runs.get(h.label))
        }
        running: Any = run_task_async(
            task, parameters={"after": None}, dependencies={"after": upstream}, return_type="state"
        )
        state: State[Any] = await running
        if (run_id := state.state_details.task_run_id) is not None:
            self._task_runs[handle.label] = run_id
        return state


@functools.cache
def _template() -> Task[Any, Any]:
    """What the tasks of all nodes have in common."""

    async def node(after: object) -> None:
        """Stands for the function of a node's own task."""

    return Task(node, cache_policy=NO_CACHE, persist_result=False)


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

    return flow(
        name=workflow.name,
        version=workflow.version,
        description=workflow.description or workflow.title or function.__doc__,
        flow_run_name=flow_run_name,
        persist_result=False,
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
