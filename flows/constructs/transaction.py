"""``control/transaction``: a part that counts as one step. When it fails, what completed inside it is undone."""

from __future__ import annotations

import asyncio
from typing import Any

from ...core.errors import NO_VERDICTS, Code, ErrorRecord, RealmError
from ...tasks.control.constructs import TransactionParameters
from .. import sagas
from .site import Site


async def transaction(site: Site, parameters: TransactionParameters) -> Any:
    """What the part gives. Raises the error of the node that failed it, with what was undone in its details.

    What completed stays undoable by what is around it: an outer transaction, or the instance.
    """
    run, call = site.handle.scope.run, site.call
    stop = parameters.on_compensation_error == "stop"
    place = (site.handle.key, call.iteration, call.attempt)
    saga = await site.call_store(site.store.sagas.find, call.instance_id, *place)
    if saga is not None:  # An earlier life began to undo this very attempt.
        raise RealmError.from_record(await sagas.undo(run, saga))
    if call.attempt > 1:
        await sagas.recall(run)
    try:
        return (await site.run(site.parts[""]))[1]
    except NO_VERDICTS:
        raise
    except RealmError as failure:
        raise RealmError.from_record(
            await sagas.compensate(run, *place, failure.record, stop=stop)
        ) from failure
    except asyncio.CancelledError:
        if not (
            run.closing or run.waits.leaving
        ):  # Half of it must not stay, though nobody asks for the rest.
            error = ErrorRecord(Code.CANCELLED, f"{site.handle.label} was cancelled")
            await sagas.compensate(run, *place, error, stop=stop)
        raise
