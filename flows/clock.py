"""The time of an instance. It stands still while the instance is stopped at a breakpoint, so that looking at a variable
for an hour fails nothing at its timeout."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from .journal import now


class Clock:
    """The limits of a run and of the constructs in it, and how long each moment of the past stood still."""

    def __init__(self) -> None:
        self._limits: dict[asyncio.Timeout, float | None] = {}
        """Each with the seconds that it had left when the time began to stand still."""
        self._holds = 0
        self._since: datetime | None = None
        self._spans: list[tuple[datetime, datetime]] = []

    @property
    def stands(self) -> bool:
        """Whether the time stands still."""
        return self._holds > 0

    def remember(self, spans: Iterable[tuple[datetime, datetime]]) -> None:
        """Take over when the time stood still in earlier lives; the spans may overlap."""
        for begin, end in sorted(spans):
            if self._spans and begin <= self._spans[-1][1]:
                self._spans[-1] = (self._spans[-1][0], max(end, self._spans[-1][1]))
            else:
                self._spans.append((begin, end))

    def stood(self, since: datetime) -> float:
        """Seconds after ``since`` in which the time stood still."""
        open_one = [(self._since, now())] if self._since is not None else []
        spans = ((max(begin, since), end) for begin, end in (*self._spans, *open_one))
        return sum(max(0.0, (end - begin).total_seconds()) for begin, end in spans)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Inside, the time stands still."""
        self._holds += 1
        if self._holds == 1:
            self._since = now()
            for limit in self._limits:
                self._stop(limit)
        try:
            yield
        finally:
            self._holds -= 1
            if self._holds == 0 and self._since is not None:
                self._spans.append((self._since, now()))
                self._since = None
                for limit, left in self._limits.items():
                    if left is not None:
                        limit.reschedule(asyncio.get_running_loop().time() + left)

    @contextmanager
    def keeps(self, limit: asyncio.Timeout) -> Iterator[None]:
        """Inside, a limit that was entered does not run out while the time stands still."""
        self._limits[limit] = None
        if self._holds:
            self._stop(limit)
        try:
            yield
        finally:
            del self._limits[limit]

    def _stop(self, limit: asyncio.Timeout) -> None:
        when = limit.when()
        self._limits[limit] = None if when is None else when - asyncio.get_running_loop().time()
        if when is not None and not limit.expired():
            limit.reschedule(None)
