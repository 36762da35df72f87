"""``control/delay``: wait for a duration, or until a moment."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

from ...core.durations import parse_duration
from ...tasks.control.basics import DelayParameters
from ..journal import now
from .site import Site


async def delay(site: Site, parameters: DelayParameters) -> Any:
    """The input, and how long the wait was. A wait that began in an earlier life of the instance ends when it would
    have."""
    until = parameters.until
    if until is None:
        until = site.since + timedelta(seconds=parse_duration(parameters.duration or 0))
    elif until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    await site.handle.scope.run.waits.at(until)
    waited = max((now() - site.since).total_seconds(), 0.0)
    return {**site.call.input, "waited_seconds": round(waited, 3)}
