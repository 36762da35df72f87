"""The journal: what a run writes to the store, in order, off the event loop.

One thread per process writes, so that rows appear in the order in which things happened and SQLite has one writer.
A node's result is written before any successor starts: callers await each call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from ..core.errors import ErrorRecord
from ..core.references import FileRef
from ..core.status import InstanceStatus, NodeStatus

if TYPE_CHECKING:
    from ..store import Instance, NodeExecution, Store
    from ..tasks.executor import NodeCall, NodeOutcome

T = TypeVar("T")


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


class Journal:
    """The asynchronous face of the store for runs. Shared by all runs of a process."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    async def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run one store call on the journal's thread. Shielded: a row that was begun is written."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))
        return await asyncio.shield(future)

    def close(self) -> None:
        """Write what is queued and end the thread; the store stays open."""
        self._thread.shutdown(wait=True)

    async def instance(self, instance_id: str) -> Instance:
        """The instance's row."""
        return await self.call(self.store.instances.get, instance_id)

    async def transition(self, instance_id: str, status: InstanceStatus, **changes: Any) -> Instance:
        """Move the instance to ``status``; the store refuses an illegal move."""
        return await self.call(self.store.instances.transition, instance_id, status, **changes)

    async def finished(self, instance_id: str) -> dict[str, NodeExecution]:
        """Completed node executions of an earlier life of this instance, by node id: they are not run again."""
        rows = await self.call(self.store.executions.for_instance, instance_id)
        return {row.node_id: row for row in rows if row.status == NodeStatus.COMPLETED}

    async def attempts_before(self, instance_id: str) -> dict[str, int]:
        """How many attempts each node had before this life of the instance."""
        rows = await self.call(self.store.executions.for_instance, instance_id)
        return {row.node_id: max((a.attempt for a in row.attempts), default=0) for row in rows}

    async def begin(self, call: NodeCall, *, max_attempts: int) -> NodeExecution:
        """The attempt's row, before anything runs."""
        return await self.call(
            self.store.executions.begin,
            call.instance_id,
            call.node_id,
            call.node_type,
            attempt=call.attempt,
            input=call.input,
            max_attempts=max_attempts,
            execution_key=call.execution_key,
            started_at=now(),
        )

    async def finish(
        self,
        execution: NodeExecution,
        attempt: int,
        status: NodeStatus,
        outcome: NodeOutcome,
        error: ErrorRecord | None,
    ) -> None:
        """The attempt's result and, unless it is retried, the node's."""
        await self.call(self._finish, execution, attempt, status, outcome, error)

    def _finish(
        self,
        execution: NodeExecution,
        attempt: int,
        status: NodeStatus,
        outcome: NodeOutcome,
        error: ErrorRecord | None,
    ) -> None:
        with self.store.transaction():
            self.store.executions.finish(
                execution.id,
                attempt,
                status=status,
                output=outcome.output,
                error=error.to_dict() if error else None,
                worker=outcome.worker,
                device=outcome.device,
                resource_usage=outcome.resource_usage,
                notes=outcome.notes,
                completed_at=now(),
            )
            if outcome.output is not None and (references := file_references(outcome.output)):
                self.store.artifacts.record(execution.instance_id, execution.id, references)

    async def skip(self, instance_id: str, node_id: str, node_type: str, reason: str) -> None:
        """A node that will not run, and why."""
        await self.call(self.store.executions.skip, instance_id, node_id, node_type, reason=reason, at=now())

    async def cancel_open(self, instance_id: str, reason: str) -> None:
        """Close the rows of nodes that were running when the run ended."""
        await self.call(self.store.executions.cancel_open, instance_id, reason)


def file_references(value: Any) -> list[dict[str, Any]]:
    """Every file reference inside a JSON value, once each by URI."""
    found: dict[str, dict[str, Any]] = {}

    def walk(item: Any) -> None:
        if isinstance(item, Mapping):
            if "uri" in item and "sha256" in item:
                with contextlib.suppress(ValidationError):  # Not a reference, only fields named like one's.
                    reference = FileRef.model_validate(item)
                    found.setdefault(reference.uri, reference.model_dump())
            for inner in item.values():
                walk(inner)
        elif isinstance(item, list):
            for inner in item:
                walk(inner)

    walk(value)
    return list(found.values())
