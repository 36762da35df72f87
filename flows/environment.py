"""What a run needs around it: the journal, a runner, the allowed folders, and who listens.

``realm run``, ``realm serve`` and the tests set one with :func:`use`. A flow that runs without one (a plain Prefect
worker, say) gets a default from the settings: its own store, the configured Dask scheduler, else threads.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.settings import Settings, settings
from .journal import Journal
from .runners import DaskRunner, Runner, ThreadRunner

log = logging.getLogger(__name__)

Event = dict[str, Any]


def _ignore(event: Event) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The surroundings of runs in one process. ``resumable`` keeps an interrupted instance open for the next start."""

    journal: Journal
    runner: Runner
    settings: Settings
    roots: tuple[Path, ...] = ()
    on_event: Callable[[Event], None] = _ignore
    resumable: bool = False

    @property
    def owner(self) -> str:
        """Who runs the instances of this process, as their rows say: a home's server, or one run of a person's."""
        host = socket.gethostname()
        return f"{host}:{self.settings.home}" if self.resumable else f"run:{host}:{os.getpid()}"


_current: ContextVar[Environment | None] = ContextVar("mirror_realm_environment", default=None)


@contextlib.contextmanager
def use(environment: Environment) -> Iterator[Environment]:
    """Make ``environment`` the one that runs started inside find."""
    token = _current.set(environment)
    try:
        yield environment
    finally:
        _current.reset(token)


@contextlib.asynccontextmanager
async def current() -> AsyncIterator[Environment]:
    """The environment in force, or one of the settings that lives as long as the run."""
    if (environment := _current.get()) is not None:
        yield environment
        return
    from ..store import Store

    configured = settings()
    store = Store.open(configured.database)
    journal = Journal(store)
    runner: Runner
    if configured.dask_scheduler:
        runner = await DaskRunner.connect(configured.dask_scheduler)
    else:
        log.warning("no Dask scheduler is configured: nodes run in threads of this process")
        runner = ThreadRunner()
    try:
        yield Environment(journal, runner, configured, default_roots(configured))
    finally:
        await runner.close()
        journal.close()
        store.close()


def default_roots(configured: Settings) -> tuple[Path, ...]:
    """The folders that nodes may touch: those configured, else the working directory."""
    return tuple(root.expanduser().resolve() for root in configured.roots) or (Path.cwd(),)
