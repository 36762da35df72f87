"""A computed result is never computed again: a plugin of the Dask scheduler.

Dask keeps how a task is computed, so that a result which is lost with its worker is computed elsewhere. Of a node that
would be a second run that nobody asked for and no journal knows, even of one whose result we have long had. Without
the recipe a lost result is only lost: its future is cancelled, and the run decides what follows.
"""

from __future__ import annotations

from typing import Any

from distributed.diagnostics.plugin import SchedulerPlugin

from .marks import MARK


class NeverAgain(SchedulerPlugin):
    """Forgets how a node's task is computed as soon as its result is there."""

    name = "mirror-realm-never-again"
    idempotent = True

    def __init__(self) -> None:
        self._scheduler: Any = None

    async def start(self, scheduler: Any) -> None:
        """Dask's hook: the plugin is installed."""
        self._scheduler = scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Dask's hook: a task has changed its state."""
        if finish == "memory" and isinstance(key, str) and key.startswith(MARK):
            task = self._scheduler.tasks.get(key)
            if task is not None:
                task.run_spec = None
