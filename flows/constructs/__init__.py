"""Constructs: how the run drives nodes that have nodes of their own. One module each, one line in :data:`CONSTRUCTS`.

A construct is a coroutine ``(site, parameters) -> output``. What it starts are scopes (:mod:`..scope`), so that every
construct may stand in every other. It raises :class:`~mirror_realm.core.errors.RealmError` when it fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ...core.errors import NO_VERDICTS, ErrorRecord, RealmError
from ...tasks.exceptions import to_record
from ...tasks.executor import NodeCall, NodeOutcome
from ...tasks.payload import validated
from ...tasks.sdk import NodeType
from ..journal import now
from .delay import delay
from .events import emit_event, wait_event
from .foreach import foreach
from .human_task import human_task
from .loop import loop
from .parallel import parallel
from .site import Site
from .subworkflow import subworkflow
from .transaction import transaction

Construct = Callable[[Site, Any], Awaitable[Any]]

CONSTRUCTS: Mapping[str, Construct] = {
    "control/delay": delay,
    "control/emit-event": emit_event,
    "control/foreach": foreach,
    "control/human-task": human_task,
    "control/loop": loop,
    "control/parallel": parallel,
    "control/subworkflow": subworkflow,
    "control/transaction": transaction,
    "control/wait-event": wait_event,
}


async def drive_construct(site: Site, node_type: NodeType, call: NodeCall) -> NodeOutcome:
    """One attempt of a construct, as an outcome. A cancelled one is cancelled with all that it started."""
    from ..runners import overdue

    began = now()
    output: Any = None
    error: ErrorRecord | None = None
    spent = (began - site.since).total_seconds() - site.handle.scope.run.clock.stood(site.since)
    left = max(0.0, call.timeout - spent) if call.timeout else None
    limit = site.limit = asyncio.timeout(left)
    try:
        async with limit:
            with site.handle.scope.run.clock.keeps(limit):
                parameters = validated(node_type.parameters, call.parameters, call, "parameters")
                output = await CONSTRUCTS[node_type.name](site, parameters)
    except TimeoutError:
        if not limit.expired():
            raise
        error = site.verdict or overdue(call)
    except NO_VERDICTS:
        raise
    except RealmError as failure:
        error = failure.record
    except OSError as failure:  # A full disk, say: the construct fails by it, as any other node would.
        error = to_record(failure, node_type)
    return NodeOutcome(
        output=None if error else output,
        error=error.to_dict() if error else None,
        started_at=began.isoformat(),
        completed_at=now().isoformat(),
        worker="",
        pid=0,
        device="cpu",
        resource_usage={},
        notes=site.notes,
    )
