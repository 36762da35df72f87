"""Task runs of Prefect, told to its server in as few events as there is something to tell.

Prefect's server learns of task runs from events, which its own task engine sends around the function that it calls:
``Pending``, ``Running``, ``Completed``. Of what that engine does beside, a node uses nothing: results, retries,
timeouts and caching are ours. So the events are sent from here, by the very function that the engine calls; a node
that is over within :data:`BRIEF` seconds is told of once, with both of its times (``docs/decisions.md`` §51).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from prefect.client.schemas.objects import State, StateType, TaskRun, TaskRunPolicy, TaskRunResult
from prefect.context import FlowRunContext
from prefect.events import Event
from prefect.states import exception_to_crashed_state
from prefect.utilities.engine import emit_task_run_state_change_event

log = logging.getLogger(__name__)

BRIEF = 0.05
"""Seconds for which a state must last to be told to the server, unless it is the last one."""
SOON = 0.005
"""Seconds after which the last state is told: at once, it would hold up the node that follows, and a little later
the flow's process only waits for that one's worker."""

current: ContextVar[UUID | None] = ContextVar("mirror_realm_task_run", default=None)
"""The task run that this code is in."""

_untold: dict[UUID | None, set[TrackedRun]] = {}
"""What the server is still to be told, by flow run."""


def tell_all(flow_run_id: UUID | None) -> None:
    """Tell now what a flow run that ends has left to tell."""
    for run in _untold.pop(flow_run_id, set()):
        run.tell()


def state(kind: StateType, name: str = "", message: str | None = None) -> State[Any]:
    """A state; Prefect's own makers look for a trace to carry on each time, which ours do not have."""
    return State(type=kind, name=name or kind.value.capitalize(), message=message)


class TrackedRun:
    """One task run of the flow run in whose context it is made; ``after`` are the task runs that it follows."""

    def __init__(self, name: str, key: str, after: Iterable[UUID], retries: int = 0) -> None:
        self.id = uuid4()
        context = FlowRunContext.get()
        flow_run = context.flow_run if context else None
        inputs: dict[str, Any] = {"after": [TaskRunResult(id=id) for id in after]}
        if (parent := current.get()) is not None:
            inputs["__parents__"] = [TaskRunResult(id=parent)]
        self._run = TaskRun(
            id=self.id,
            name=name,
            flow_run_id=flow_run.id if flow_run else None,
            flow_run_run_count=flow_run.run_count if flow_run else 0,
            task_key=key,
            # A node may run twice in one flow run (a transaction that is tried again): each is one of its own.
            dynamic_key=str(self.id),
            empirical_policy=TaskRunPolicy(retries=retries),
            task_inputs=inputs,
        )
        self._told: tuple[State[Any] | None, Event | None] = (None, None)
        self._due: asyncio.TimerHandle | None = None

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Within it this is the current task run: those that are made there have it as their parent."""
        token = current.set(self.id)
        try:
            yield
        finally:
            current.reset(token)

    async def crashed(self, error: BaseException) -> None:
        """Tell of an error that the run's own code did not see coming."""
        self.enter(await exception_to_crashed_state(error))

    def enter(self, state: State[Any]) -> None:
        """Go into a state: a final one is told soon, another when it has lasted for a moment."""
        run, before = self._run, self._run.state
        state.state_details.task_run_id = run.id
        state.state_details.flow_run_id = run.flow_run_id
        if before is not None:
            # The server puts states in order by their times.
            state.timestamp = max(state.timestamp, before.timestamp + timedelta(microseconds=1))
            if before.is_running():
                run.total_run_time += state.timestamp - before.timestamp
        run.state, run.state_id, run.state_type, run.state_name = state, state.id, state.type, state.name
        run.run_count += state.is_running()
        moment: Any = state.timestamp
        run.expected_start_time = run.expected_start_time or moment
        run.start_time = run.start_time or moment
        run.end_time = moment if state.is_final() else None
        if self._due is not None:
            self._due.cancel()
        last = state.is_final() or state.type is StateType.PAUSED
        self._due = asyncio.get_running_loop().call_later(SOON if last else BRIEF, self.tell)
        _untold.setdefault(run.flow_run_id, set()).add(self)

    def tell(self) -> None:
        """Send the event of the state that it is in."""
        state, (before, event) = self._run.state, self._told
        assert state is not None
        assert self._due is not None
        self._due.cancel()
        _untold.get(self._run.flow_run_id, set()).discard(self)
        try:
            event = emit_task_run_state_change_event(
                task_run=self._run, initial_state=before, validated_state=state, follows=event
            )
        except Exception:
            # An event that Prefect finds too large, say: what it shows is a view, the journal holds the facts.
            log.warning("Prefect was not told that %s is %s", self._run.name, state.name, exc_info=True)
        self._told = (state, event)
