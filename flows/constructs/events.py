"""``control/emit-event`` and ``control/wait-event``."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from ...core.durations import format_duration, parse_duration
from ...core.errors import Code, RealmError
from ...store import Event, EventWait
from ...tasks.control.events import EmitParameters, WaitParameters
from ..journal import now
from .site import Site


async def emit_event(site: Site, parameters: EmitParameters) -> Any:
    """Record the event; in a retry, it is the event of then."""
    event, _ = await site.call_store(
        site.store.events.emit,
        parameters.type,
        site.call.input if parameters.payload is None else parameters.payload,
        source=f"{site.call.instance_id}/{site.handle.label}",
        correlation=parameters.correlation,
        idempotency_key=site.call.execution_key,
    )
    return {"event": event.public()}


async def wait_event(site: Site, parameters: WaitParameters) -> Any:
    """The first event that fits, or that none came. DEADLINE_EXCEEDED when none came and that is a failure."""
    run = site.handle.scope.run
    timeout = None if parameters.timeout is None else timedelta(seconds=parse_duration(parameters.timeout))
    wait = await site.call_store(
        site.store.events.wait,
        site.call.instance_id,
        site.handle.key,
        parameters.type,
        since=run.accepted_at if parameters.since == "instance" else site.since,
        iteration=site.call.iteration,
        correlation=parameters.correlation,
        filter=None if parameters.filter is None else str(parameters.filter),
        deadline=None if timeout is None else site.since + timeout,
    )
    site.report(0.0, f"waits for {parameters.type}")
    try:
        found = await site.until(_Looker(site, parameters, wait), due=wait.deadline)
    except asyncio.CancelledError:
        if not run.waits.leaving:
            await site.call_store(site.store.events.cancel, site.call.instance_id, wait_id=wait.id)
        raise
    if found.event_id is not None:
        event = await site.call_store(site.store.events.get, found.event_id)
        return {"event": event.public(), "timed_out": False}
    if parameters.on_timeout == "continue":
        return {"event": None, "timed_out": True}
    waited = format_duration(timeout.total_seconds() if timeout else 0.0)
    raise RealmError(
        Code.DEADLINE_EXCEEDED,
        f"no event {parameters.type!r} came within {waited}",
        hint="raise the timeout, or write on_timeout: continue",
    )


class _Looker:
    """One look after another at the events that could be the one; each is judged by the filter once."""

    def __init__(self, site: Site, parameters: WaitParameters, wait: EventWait) -> None:
        self._site, self._parameters, self._wait = site, parameters, wait
        self._seen: Event | None = None

    def __call__(self) -> EventWait | None:
        """The wait once it is decided."""
        from ...compiler.expressions import holds

        events = self._site.store.events
        wait = self._wait
        if wait.state == "waiting":
            for event in events.matching(wait.id, after=self._seen):
                self._seen = event
                seen = self._site.handle.scope.expressions(event=event.public())
                if self._parameters.filter is None or holds(self._parameters.filter, seen):
                    wait = events.satisfy(wait.id, event.id)
                    if wait.state != "waiting":
                        break
        if wait.state == "waiting" and wait.deadline is not None and wait.deadline <= now():
            wait = events.time_out(wait.id)
        return None if wait.state == "waiting" else wait
