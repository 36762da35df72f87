"""What a run needs around it: the journal, a runner, the allowed folders, and who listens.

``realm run``, ``realm serve`` and the tests set one with :func:`use`. A flow that runs without one (a plain Prefect
worker, say) gets a default from the settings: its own store, the configured Dask scheduler, else threads.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from ..core.settings import Settings, settings
from .journal import Journal
from .runners import DaskRunner, Runner, ThreadRunner

if TYPE_CHECKING:
    from ..tasks.executor import NodeCall, NodeOutcome
    from .debugging import Standing
    from .scope import Handle

log = logging.getLogger(__name__)

Event = dict[str, Any]


def _ignore(event: Event) -> None:
    """Nobody listens."""


class Debugger(Protocol):
    """Asks a person what to do at a breakpoint; see :mod:`.debugging`."""

    async def at(self, standing: Standing) -> None:
        """Do what the person says, until the node may go on or is left standing."""
        ...


class Mocks(Protocol):
    """Stands in for nodes, in a test of a workflow; see :mod:`.mocks`."""

    async def outcome(self, handle: Handle, call: NodeCall) -> NodeOutcome | None:
        """What an attempt of a node comes to; ``None``: it is run."""
        ...


class Replays(Protocol):
    """What nodes gave; see :mod:`.replay`."""

    async def takes(self, handle: Handle, call: NodeCall) -> bool:
        """Whether the node now has the result of then."""
        ...

    def variables(self, handle: Handle, declared: Mapping[str, Any]) -> dict[str, Any]:
        """The variables as they were when the node was decided."""
        ...


@dataclass(frozen=True, slots=True)
class Environment:
    """The surroundings of runs in one process. ``resumable`` keeps an interrupted instance open for the next start."""

    journal: Journal
    runner: Runner
    settings: Settings
    roots: tuple[Path, ...] = ()
    on_event: Callable[[Event], None] = _ignore
    resumable: bool = False
    patience: float | None = None
    """Seconds after which a run that only waits is put aside, for a dispatcher to carry on; ``None``: never."""
    replay: Replays | None = None
    """Gives the nodes what they gave, in a replay; ``None`` in a run."""
    debugger: Debugger | None = None
    """Asks at breakpoints; without one a run that stands at one is put aside."""
    mocks: Mocks | None = None
    """Stands in for nodes, in a test; ``None`` in a run."""

    @property
    def owner(self) -> str:
        """Who runs the instances of this process, as their rows say: a home's server, or one run of a person's."""
        if not self.resumable:
            return run_owner()
        return f"home:{home_id(self.settings.home)}"


def run_owner() -> str:
    """This process as the owner of the instances that a person runs in it."""
    return f"run:{socket.gethostname()}:{os.getpid()}"


@cache
def home_id(home: Path) -> str:
    """The identity of a home, kept in it: it stays the same under another host name, as in a container that is made
    anew, and when the folder moves."""
    file = home / "id"
    home.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        own = file.with_name(f".id.{uuid4().hex}")
        own.write_text(uuid4().hex, encoding="ascii")
        with contextlib.suppress(FileExistsError):  # Of two that begin at once, both take the first one's.
            os.link(own, file)
        own.unlink()
    return file.read_text(encoding="ascii").strip()


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
    async with contextlib.AsyncExitStack() as stack:
        store = stack.enter_context(Store.open(configured.database))
        journal = Journal(store)
        stack.callback(journal.close)
        runner: Runner
        if configured.dask_scheduler:
            runner = await DaskRunner.connect(configured.dask_scheduler)
        else:
            log.warning("no Dask scheduler is configured: nodes run in threads of this process")
            runner = ThreadRunner()
        stack.push_async_callback(runner.close)
        stack.push_async_callback(journal.presence.leave)
        yield Environment(journal, runner, configured, default_roots(configured))


def default_roots(configured: Settings) -> tuple[Path, ...]:
    """The folders that nodes may touch: those configured, else the working directory."""
    return tuple(root.expanduser().resolve() for root in configured.roots) or (Path.cwd(),)
