"""This process as one that runs instances: a row of its own in the store, and a sign of life every few seconds.

The sign is a count, so that whoever watches needs no clock but their own: see :mod:`.recovery`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from ..core.errors import RealmError
from ..core.process import identity

if TYPE_CHECKING:
    from .journal import Journal

log = logging.getLogger(__name__)

BEAT = 5.0
"""Seconds between two signs of life."""


@cache
def here() -> str:
    """Where pids mean what they mean to this process: the host, and on Linux its namespace of pids."""
    space = ""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            space = "/" + os.readlink("/proc/self/ns/pid")
    return socket.gethostname() + space


class Presence:
    """Shared by all runs of a process. ``runner_id`` is its row; ``live`` are the instances that it runs now."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = asyncio.Lock()
        self._beats: asyncio.Task[None] | None = None
        self.runner_id: str | None = None
        self.live: Counter[str] = Counter()

    async def announce(self, owner: str, roots: Sequence[str] = ()) -> str:
        """Begin to give signs of life; the id of this process's row. Again, it is the same."""
        async with self._lock:
            if self.runner_id is None:
                me = identity()
                assert me is not None, "this process runs"
                begin = self._journal.store.runners.begin
                self.runner_id = (await self._journal.call(begin, owner, here(), me, roots)).id
                self._beats = asyncio.create_task(self._beat(self.runner_id), name="presence")
        return self.runner_id

    @contextmanager
    def running(self, instance_id: str) -> Iterator[None]:
        """Inside the block, an instance is run here."""
        self.live[instance_id] += 1
        try:
            yield
        finally:
            self.live[instance_id] -= 1
            if not self.live[instance_id]:
                del self.live[instance_id]

    async def leave(self) -> None:
        """Say that the process ends."""
        if self._beats is not None:
            self._beats.cancel()
            self._beats = None
        if self.runner_id is not None:
            with contextlib.suppress(RealmError):  # Then it is taken for dead a little later.
                await self._journal.once(self._journal.store.runners.end, self.runner_id)
            self.runner_id = None

    async def _beat(self, runner_id: str) -> None:
        while True:
            await asyncio.sleep(BEAT)
            try:
                await self._journal.once(self._journal.store.runners.beat, runner_id)
            except RealmError as error:
                log.debug("no sign of life could be given: %s", error)
            except RuntimeError:  # The journal is closed.
                return
