"""A past instance decided again from its journal, without running a node, asking anybody, or writing a row.

The flow itself runs, with a journal that gives each node what it gave. So every guard, edge, join, mapping and round of
a loop is evaluated again, and whatever comes out otherwise than it did is a difference.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from ..core.errors import Code, ErrorRecord, RealmError
from ..core.status import InstanceStatus, NodeStatus
from ..core.termination import Termination
from .environment import Environment, use
from .journal import Journal, now
from .restoring import route
from .results import label
from .runners import ThreadRunner

if TYPE_CHECKING:
    from ..core.settings import Settings
    from ..store import Instance, NodeExecution, Store
    from ..store.sagas import NewStep
    from ..tasks.executor import NodeCall, NodeOutcome
    from .scope import Handle

T = TypeVar("T")

PATIENCE = 0.2
"""Seconds without a decision after which nothing is left but nodes that were cut off."""
NEVER = timedelta(days=36500)

_DRIVEN = (NodeStatus.COMPLETED, NodeStatus.CANCELED, NodeStatus.RUNNING, NodeStatus.RETRYING)
"""Constructs that ended so are gone through; a failed one is taken from the journal, as undoing it was no decision."""


@dataclass
class Replayed:
    """What a replay found: the status of each node as decided again, the instance's output, and what differs."""

    instance_id: str
    decisions: dict[str, str] = field(default_factory=dict)
    output: Any = None
    differences: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "instance_id": self.instance_id,
            "decisions": dict(self.decisions),
            "output": self.output,
            "differences": list(self.differences),
        }


async def replay(flow: Callable[..., Any], store: Store, instance_id: str, settings: Settings) -> Replayed:
    """Decide a decided instance again. ``flow`` must be that of its definition, under the local engine.

    FAILED_PRECONDITION for an instance that is not decided.
    """
    instance = store.instances.get(instance_id)
    if not instance.status.terminal:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"instance {instance_id} is {instance.status}: only what is over can be replayed",
        )
    recorded = _Recorded(instance, store)
    runner = ThreadRunner(1)
    environment = Environment(recorded, runner, settings, (Path.cwd(),), patience=PATIENCE, replay=recorded)
    try:
        with use(environment), contextlib.suppress(_Over, RealmError):
            await flow(instance_id=instance_id)
    finally:
        await runner.close()
        recorded.close()
    return recorded.compared()


class _Over(Exception):
    """Ends a replay where the instance ended without completing: what followed was no decision."""


class _Recorded(Journal):
    """A journal whose past is what the nodes give, and to which nothing is written."""

    def __init__(self, instance: Instance, store: Store) -> None:
        super().__init__(store)
        self._instance = instance
        self._rows = {(row.node_id, row.iteration): row for row in store.executions.for_instance(instance.id)}
        from ..store.history import BEGAN, SET, SKIPPED

        events = store.history.of(instance.id)
        self._sets = [event for event in events if event.type == SET]
        self._set_last = store.debugging.get(instance.id).variables
        self._began: dict[tuple[str, str], int] = {}
        """The number of the event with which each node last began, or was skipped."""
        for event in events:
            if event.node_id is not None and event.type in (BEGAN, SKIPPED):
                self._began[event.node_id, event.iteration or ""] = event.sequence
        self._ended: InstanceStatus | None = None
        self._found = Replayed(instance.id)

    def of_life(self, epoch: int) -> _Recorded:
        """The same: a replay has one life."""
        return self

    async def takes(self, handle: Handle, call: NodeCall) -> bool:
        """Whether the node's result is what the journal says; not so for a construct whose parts are to be decided."""
        row = self._rows.get((handle.key, handle.scope.iteration))
        if row is None or row.status is NodeStatus.SKIPPED:
            was = "was skipped" if row is not None else "was not reached"
            self._differs(f"{handle.label} runs in the replay, but {was}")
            handle.status, handle.reason = NodeStatus.CANCELED, "there is no result to replay"
            return True
        if row.input is not None and row.input != call.input:
            self._differs(f"{handle.label} gets another input in the replay")
        if handle.parts and row.status in _DRIVEN:
            return False
        if row.status not in (NodeStatus.COMPLETED, NodeStatus.FAILED):
            await handle.scope.run.waits.at(now() + NEVER)  # It was cut off, and never gave anything.
        self._give(handle, row)
        return True

    def variables(self, handle: Handle, declared: Mapping[str, Any]) -> dict[str, Any]:
        """See :class:`.environment.Replays`."""
        decided = self._began.get((handle.key, handle.scope.iteration))
        found = dict(declared)
        for event in self._sets:
            name = (event.data or {}).get("name")
            if name in found and (decided is None or event.sequence < decided):
                # An event keeps only the beginning of a long value; the last one is in the row as a whole.
                later = any(
                    (other.data or {}).get("name") == name
                    for other in self._sets
                    if other.sequence > event.sequence
                )
                found[name] = (event.data or {}).get("new") if later else self._set_last[name]
        return found

    def _give(self, handle: Handle, row: NodeExecution) -> None:
        self._found.decisions[handle.label] = str(row.status)
        handle.status, handle.output = row.status, {} if row.output is None else row.output
        handle.restored, handle.attempts = True, len(row.attempts)
        if row.status is NodeStatus.FAILED:
            handle.error = ErrorRecord.from_dict(row.error or {})
            route(handle, handle.error)
        if row.attempts and (ending := Termination.noted(row.attempts[-1].notes)) is not None:
            handle.scope.run.end(ending)

    def compared(self) -> Replayed:
        """The decisions beside those of then."""
        found, instance = self._found, self._instance
        if self._ended is None and instance.status is InstanceStatus.COMPLETED:
            self._differs("the instance completed, but does not in the replay")
        if self._ended is InstanceStatus.COMPLETED and instance.status is not InstanceStatus.COMPLETED:
            self._differs(f"the instance completes in the replay, but {instance.status} then")
        if self._ended is InstanceStatus.COMPLETED and found.output != instance.output:
            self._differs("the output of the instance is another one in the replay")
        for row in self._rows.values():
            decided = found.decisions.get(label(row))
            if row.status in (NodeStatus.COMPLETED, NodeStatus.SKIPPED) and decided is None:
                self._differs(f"{label(row)} {_was(row)}, but is not reached in the replay")
        return found

    def _differs(self, sentence: str) -> None:
        if sentence not in self._found.differences:
            self._found.differences.append(sentence)

    async def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Only what a replay reads of the store is read; everything else does nothing."""
        debugging = self.store.debugging
        if function in (self.store.instances.requests, debugging.get, debugging.revisions):
            return await super().call(function, *args, **kwargs)
        nothing: Any = None
        return nothing

    async def instance(self, instance_id: str) -> Instance:
        """The instance as it was accepted."""
        return replace(
            self._instance, status=InstanceStatus.PENDING, started_at=None, output=None, error=None
        )

    async def past(self, instance_id: str, iteration: str = "") -> dict[str, NodeExecution]:
        """Nothing: every decision is made again."""
        return {}

    async def transition(self, instance_id: str, status: InstanceStatus, **changes: Any) -> Instance:
        """Note the verdict."""
        if status.terminal:
            self._ended, self._found.output = status, changes.get("output")
        return replace(self._instance, status=status, requested=None)

    async def close_open(self, instance_id: str, reason: str) -> NoReturn:
        """The instance fails or is canceled here."""
        self._ended = InstanceStatus.FAILED
        raise _Over

    async def begin(self, call: NodeCall, *, max_attempts: int) -> NodeExecution:
        """The row of then, of a construct that is gone through, or a node that failed before it began."""
        row = self._rows.get((call.node_id, call.iteration))
        if row is None:
            self._differs(f"{call.node_id} fails before it begins in the replay, but was not reached")
            raise _Over
        return row

    async def finish(
        self,
        execution: NodeExecution,
        attempt: int,
        status: NodeStatus,
        outcome: NodeOutcome,
        error: ErrorRecord | None,
        step: NewStep | None = None,
    ) -> None:
        """Compare what a construct gives with what it gave."""
        self._found.decisions[label(execution)] = str(status)
        if execution.status is NodeStatus.COMPLETED and (status, outcome.output) != (
            NodeStatus.COMPLETED,
            execution.output,
        ):
            self._differs(f"{label(execution)} gives something else in the replay")

    async def skip(
        self, instance_id: str, node_id: str, node_type: str, reason: str, iteration: str = ""
    ) -> None:
        """Compare with what became of the node."""
        name = f"{node_id}[{iteration}]" if iteration else node_id
        self._found.decisions[name] = str(NodeStatus.SKIPPED)
        row = self._rows.get((node_id, iteration))
        if row is None or row.status is not NodeStatus.SKIPPED:
            self._differs(f"{name} is skipped in the replay ({reason}), but {_was(row)}")

    async def cancel_open(self, *arguments: Any, **options: Any) -> None:
        """Nothing is open."""


def _was(row: NodeExecution | None) -> str:
    if row is None:
        return "was not reached"
    return f"was {row.status}" if row.status is not NodeStatus.COMPLETED else "completed"
