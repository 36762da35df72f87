"""The journal: what a run writes to the store, in order, off the event loop.

One thread per process writes, so that rows appear in the order in which things happened and SQLite has one writer.
A node's result is written before any successor starts: callers await each call.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from ..core.errors import ErrorRecord, RealmError, StoreLost, Superseded
from ..core.references import FileRef
from ..core.status import InstanceStatus, NodeStatus
from ..store.engine import OUTCOME_UNKNOWN, STORE_AWAY
from .presence import Presence
from .requests import Requests

if TYPE_CHECKING:
    from ..store import DecidedNode, Instance, NodeExecution, Store
    from ..store.sagas import NewStep
    from ..tasks.executor import NodeCall, NodeOutcome

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds for which a store that does not answer is asked again."""
FIRST_PAUSE, LAST_PAUSE = 0.1, 5.0
"""Seconds between two times."""


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


class Journal:
    """The asynchronous face of the store for runs. Shared by all runs of a process."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.requests = Requests(self)
        self.presence = Presence(self)
        self.epoch: int | None = None
        """The life whose writes these are; in a later life of the instance they are ABORTED."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")

    def of_life(self, epoch: int) -> Journal:
        """The same journal, for the writes of one life of an instance."""
        own = copy.copy(self)
        own.epoch = epoch
        return own

    async def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """:meth:`once`, again while the store does not answer, for :data:`PATIENCE` seconds; :class:`StoreLost` then.

        The call must be one that can be repeated: nobody knows of a commit that was cut whether it counted.
        """
        loop = asyncio.get_running_loop()
        pause, end = FIRST_PAUSE, loop.time() + PATIENCE
        while True:
            try:
                return await self.once(function, *args, **kwargs)
            except RealmError as error:
                if not error.record.details.get(STORE_AWAY):
                    raise
                if loop.time() + pause > end:
                    raise StoreLost.from_record(error.record) from error
                log.warning("%s; asked again in %.1f s", error.record.message, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE)

    async def once(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run one store call on the journal's thread. Shielded: a row that was begun is written."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(_left_behind)
            raise

    def close(self) -> None:
        """Write what is queued and end the thread; the store stays open."""
        self._thread.shutdown(wait=True)

    async def instance(self, instance_id: str) -> Instance:
        """The instance's row."""
        return await self.call(self.store.instances.get, instance_id)

    async def transition(self, instance_id: str, status: InstanceStatus, **changes: Any) -> Instance:
        """Move the instance to ``status``; the store refuses an illegal move."""
        return await self.call(self._move, instance_id, status, changes, [])

    def _move(
        self, instance_id: str, status: InstanceStatus, changes: Mapping[str, Any], unsure: list[RealmError]
    ) -> Instance:
        """One move, also when it is asked for again since the answer to the first time was lost (``unsure``)."""
        try:
            return self.store.instances.transition(instance_id, status, epoch=self.epoch, **changes)
        except RealmError as error:
            if error.record.details.get(OUTCOME_UNKNOWN):
                unsure.append(error)
            elif unsure:
                # It was made after all: from where it stands now, it cannot be made a second time.
                instance = self.store.instances.get(instance_id)
                if instance.status is status and self.epoch in (None, instance.epoch):
                    return instance
            raise

    async def past(self, instance_id: str, iteration: str = "") -> dict[str, NodeExecution]:
        """The node executions of earlier lives of this instance in one iteration, by node id: those that completed are
        not run again."""
        rows = await self.call(self.store.executions.for_instance, instance_id, iteration)
        return {row.node_id: row for row in rows}

    async def begin(self, call: NodeCall, *, max_attempts: int) -> NodeExecution:
        """The attempt's row, before anything runs."""
        return await self.call(
            self.store.executions.begin,
            call.instance_id,
            call.node_id,
            call.node_type,
            iteration=call.iteration,
            attempt=call.attempt,
            input=call.input,
            max_attempts=max_attempts,
            execution_key=call.execution_key,
            started_at=now(),
            epoch=self.epoch,
        )

    async def finish(
        self,
        execution: NodeExecution,
        attempt: int,
        status: NodeStatus,
        outcome: NodeOutcome,
        error: ErrorRecord | None,
        step: NewStep | None = None,
    ) -> None:
        """The attempt's result and, unless it is retried, the node's; with ``step``, how to undo it."""
        # The moment is taken once: asked again after an answer that was lost, it must be the very same call.
        await self.call(self._finish, execution, attempt, status, outcome, error, step, now())

    def _finish(
        self,
        execution: NodeExecution,
        attempt: int,
        status: NodeStatus,
        outcome: NodeOutcome,
        error: ErrorRecord | None,
        step: NewStep | None,
        at: datetime,
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
                completed_at=at,
                epoch=self.epoch,
            )
            if outcome.output is not None and (references := file_references(outcome.output)):
                self.store.artifacts.record(execution.instance_id, execution.id, references)
            if step is not None:
                self.store.sagas.register(step)

    async def record(
        self,
        instance_id: str,
        nodes: Sequence[DecidedNode],
        beside: Callable[[Store], None] | None = None,
    ) -> None:
        """Nodes that were decided elsewhere, all at once, and what is to be written ``beside`` them."""
        await self.call(record, self.store, instance_id, nodes, now(), beside, epoch=self.epoch)

    async def skip(
        self, instance_id: str, node_id: str, node_type: str, reason: str, iteration: str = ""
    ) -> None:
        """A node that will not run, and why."""
        await self.call(
            self.store.executions.skip,
            instance_id,
            node_id,
            node_type,
            iteration=iteration,
            reason=reason,
            at=now(),
            epoch=self.epoch,
        )

    async def close_open(self, instance_id: str, reason: str) -> None:
        """See :func:`close_open`."""
        await self.call(close_open, self.store, instance_id, reason, epoch=self.epoch)

    async def cancel_open(
        self, instance_id: str, reason: str, *, under: str = "", iteration: str = ""
    ) -> None:
        """Close the rows of nodes that were running when the run ended, or of those inside the node ``under`` in an
        iteration."""
        await self.call(
            self.store.executions.cancel_open,
            instance_id,
            reason,
            under=under,
            iteration=iteration,
            epoch=self.epoch,
        )


def record(
    store: Store,
    instance_id: str,
    nodes: Sequence[DecidedNode],
    at: datetime,
    beside: Callable[[Store], None] | None = None,
    *,
    epoch: int | None = None,
) -> None:
    """See :meth:`Journal.record`. Repeating the very same call changes nothing."""
    with store.transaction():
        written = store.decided.record(instance_id, nodes, at, epoch=epoch)
        for execution_id, node in written:
            if node.files:
                store.artifacts.record(instance_id, execution_id, node.files)
        if written and beside is not None:
            beside(store)


def close_open(store: Store, instance_id: str, reason: str, *, epoch: int | None = None) -> None:
    """Close what is open of an instance that ends without having completed: its nodes, what it waits for, what it asks
    people."""
    with store.transaction():
        store.executions.cancel_open(instance_id, reason, epoch=epoch)
        store.events.cancel(instance_id)
        store.human_tasks.cancel(instance_id)
        store.debugging.drop(instance_id)


def _left_behind(future: asyncio.Future[Any]) -> None:
    """Nobody waits for this write any more; that it failed must be seen all the same."""
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, Superseded):
        log.error("a row of the journal could not be written", exc_info=error)


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
