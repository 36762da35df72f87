"""What people ask of running instances, told to their runs: one look at the store for all runs of a process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..core.errors import RealmError

if TYPE_CHECKING:
    from .journal import Journal

log = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks."""
MOST = 500
"""Runs of one process that are debugged at the same time."""

Hear = Callable[[str], None]
HearRevision = Callable[[int], None]


class Requests:
    """Looks as long as there are runs to tell. A run shorter than :data:`LOOK` costs nothing."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._runs: dict[str, Hear] = {}
        self._revisions: dict[str, HearRevision] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def heard(self, instance_id: str, hear: Hear, debugged: HearRevision) -> Iterator[None]:
        """Inside the block, call ``hear`` with what is asked of the instance, again as long as it is asked, and
        ``debugged`` with the revision of its debugging."""
        self._runs[instance_id] = hear
        self._revisions[instance_id] = debugged
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="requests")
        try:
            yield
        finally:
            if (
                self._runs.get(instance_id) is hear
            ):  # Not so for a run that a newer one of the instance replaced.
                del self._runs[instance_id]
                del self._revisions[instance_id]
            if not self._runs and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                store = self._journal.store
                asked = await self._journal.call(store.instances.requests)
                debugged = await self._journal.call(store.debugging.revisions, list(self._runs)[:MOST])
            except RealmError as error:
                log.warning("what is asked of instances cannot be read now: %s", error)
                continue
            for instance_id in asked.keys() & self._runs.keys():
                self._runs[instance_id](asked[instance_id])
            for instance_id in debugged.keys() & self._revisions.keys():
                self._revisions[instance_id](debugged[instance_id])
