"""``control/transaction``: a part that counts as one step. When it fails, what completed inside it is undone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ...core.errors import NO_VERDICTS, Code, ErrorRecord, RealmError
from ...core.status import NodeStatus
from ...tasks.control.constructs import TransactionParameters
from .. import sagas
from ..runners import overdue
from ..together import ended
from .site import Site

if TYPE_CHECKING:
    from ...store.sagas import Saga


async def transaction(site: Site, parameters: TransactionParameters) -> Any:
    """What the part gives. Raises the error of the node that failed it, with what was undone in its details.

    What completed stays undoable by what is around it: an outer transaction, or the instance.
    """
    run, call = site.handle.scope.run, site.call
    stop = parameters.on_compensation_error == "stop"
    place = (site.handle.key, call.iteration, call.attempt)
    saga = await site.call_store(site.store.sagas.find, call.instance_id, *place) or await _stopped_at(site)
    if saga is not None:
        # An earlier life began to undo this very attempt, or the one that it was stopped at.
        raise RealmError.from_record(await sagas.undo(run, saga))
    if call.attempt > 1:
        await sagas.recall(run)
    try:
        return (await site.run(site.parts[""]))[1]
    except NO_VERDICTS:
        raise
    except RealmError as failure:
        raise RealmError.from_record(await _undo(site, failure.record, stop=stop)) from failure
    except asyncio.CancelledError:
        if not (run.closing or run.waits.leaving):
            # Half of it must not stay, though nobody asks for the rest.
            label = site.handle.label
            error = overdue(call) if site.expired else ErrorRecord(Code.CANCELLED, f"{label} was cancelled")
            await _undo(site, error, stop=stop)
        raise


async def _undo(site: Site, error: ErrorRecord, *, stop: bool) -> ErrorRecord:
    """Undo what completed inside; the error, with what was undone. Once begun it goes on to its end: neither the time
    limit of the transaction cuts it short nor what fails or is cancelled around it. A process that ends leaves it to
    the next one."""
    run, call = site.handle.scope.run, site.call
    undoing = asyncio.ensure_future(
        sagas.compensate(run, site.handle.key, call.iteration, call.attempt, error, stop=stop)
    )
    cancelled: asyncio.CancelledError | None = None
    while not undoing.done():
        try:
            await asyncio.wait([undoing])
        except asyncio.CancelledError as request:
            if run.closing or run.waits.leaving:
                await ended([undoing])
                raise
            cancelled = request
    site.verdict = undoing.result()
    if cancelled is not None:
        raise cancelled
    return site.verdict


async def _stopped_at(site: Site) -> Saga | None:
    """What undid the attempt before this one, where that had failed, and the run was stopped in order meanwhile: its
    failure is the verdict, as it would be had the process died."""
    scope, call = site.handle.scope, site.call
    row = scope.past.get(site.handle.key)
    if not scope.run.carried_on or row is None or row.status is not NodeStatus.CANCELED:
        return None
    if row.attempts[-1].attempt != call.attempt - 1:
        return None
    place = (site.handle.key, call.iteration, call.attempt - 1)
    saga = await site.call_store(site.store.sagas.find, call.instance_id, *place)
    return None if saga is None or saga.error.get("code") == Code.CANCELLED else saga
