"""Waiting inside a run: for an event, a person, a moment. It holds no worker, and after a while not even a process.

A node that waits asks the store now and then. When nothing but such nodes is left to do, the run may be put aside
(:class:`Suspended`): the instance is then a row, and a dispatcher carries it on when what it waits for has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from .journal import now

T = TypeVar("T")

FIRST_LOOK, LAST_LOOK = 0.05, 2.0
"""Seconds between looks at the store: the first ones soon, later ones rarer."""
STILL = 0.1
"""Seconds without a step after which a run that is to be paused has nothing under way."""
STANDING = 0.5
"""Seconds without a step after which a run that stands at breakpoints, with nobody to ask, is put aside."""
LONGEST_SLEEP = 60.0
"""A moment far away is approached in such steps, so that a clock that is set meanwhile is noticed."""


class Suspended(Exception):
    """Ends a flow function whose instance is put aside; it is ``waiting`` or ``paused`` in the store."""


class Waits:
    """The waiting of one run."""

    def __init__(self) -> None:
        self._waiting = 0
        self._working = 0
        self._steps = 0
        self._stopped = 0
        self._stands = asyncio.Event()
        self._pausing = asyncio.Event()
        self.stays_open = False
        """Whether a run that is put aside is ``waiting``, although it was told to let no node start any more."""
        self.wake_at: datetime | None = None
        """The first of the moments that it waits for."""
        self.leaving = False
        """Whether the run ends without a verdict, so that what waits must stay open for the next life."""

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around what must not be put aside: an attempt of a node, the pause before its next one."""
        self._working += 1
        self._steps += 1
        try:
            yield
        finally:
            self._working -= 1
            self._steps += 1

    async def until(self, look: Callable[[], Awaitable[T | None]], *, due: datetime | None = None) -> T:
        """What ``look`` gives, as soon as it gives something; it is also asked when ``due`` has come."""
        pause = FIRST_LOOK
        while (found := await look()) is None:
            left = LAST_LOOK if due is None else (due - now()).total_seconds()
            pause = min(pause * 1.5, LAST_LOOK)
            await self._pause(max(0.0, min(pause, left)))
        return found

    async def at(self, moment: datetime) -> None:
        """Return when a moment has come."""
        self.wake_at = min(moment, self.wake_at or moment)
        while (left := (moment - now()).total_seconds()) > 0:
            await self._pause(min(left, LONGEST_SLEEP))

    async def _pause(self, seconds: float) -> None:
        with self._resting():
            await asyncio.sleep(seconds)

    @contextmanager
    def _resting(self) -> Iterator[None]:
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Around the time that a node stands at a breakpoint."""
        self._stopped += 1
        self._stands.set()
        try:
            with self._resting():
                yield
        finally:
            self._stopped -= 1
            self._steps += 1

    @property
    def pausing(self) -> bool:
        """Whether no node may start any more: what runs finishes, then the run is put aside."""
        return self._pausing.is_set()

    def pause(self) -> None:
        """Let no node start any more in this life of the instance."""
        self._pausing.set()

    async def gate(self) -> None:
        """Return at once, or in this life never; every node comes through here before it starts."""
        if self.pausing:
            await asyncio.Event().wait()

    async def paused(self) -> None:
        """Return when nothing runs any more after :meth:`pause`."""
        await self._pausing.wait()
        seen = -1
        while self._working or seen != self._steps:
            seen = self._steps
            await asyncio.sleep(STILL)

    async def nothing_but_stops(self) -> None:
        """Return when some node stands at a breakpoint, and nothing is done but wait."""
        while True:
            await self._stands.wait()
            await self.nothing_else(STANDING)
            if self._stopped:
                return
            self._stands.clear()

    async def nothing_else(self, patience: float) -> None:
        """Return when for ``patience`` seconds nothing was done but wait."""
        loop = asyncio.get_running_loop()
        since, seen = loop.time(), -1
        while True:
            if self._working or not self._waiting or seen != self._steps:
                since, seen = loop.time(), self._steps
            elif loop.time() - since >= patience:
                return
            await asyncio.sleep(min(LAST_LOOK, max(FIRST_LOOK, patience / 4)))
