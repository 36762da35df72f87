"""Engines: who tracks a run. Prefect, or nobody but our own journal (``--engine local``).

The same emitted source runs under both: its ``@flow`` is Prefect's under the first and a plain callable under the
second, which spares the two seconds that importing Prefect takes.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..core.errors import ErrorRecord
from .declarations import Workflow
from .waits import Suspended

if TYPE_CHECKING:
    from .scope import Handle

log = logging.getLogger("mirror_realm.run")

ENGINE_VARIABLE = "MIRROR_REALM_ENGINE"
engine_choice: ContextVar[str | None] = ContextVar("mirror_realm_engine", default=None)
"""``prefect`` or ``local``; unset, the variable ``MIRROR_REALM_ENGINE`` decides, else Prefect."""

FlowFunction = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Failure:
    """What one attempt came to: its error, and the seconds until the next attempt (``None``: it was the last)."""

    error: ErrorRecord
    delay: float | None


Body = Callable[[int], Awaitable[Failure | None]]
"""One attempt, given its number from 1: ``None`` when it completed."""


class Engine(Protocol):
    """Tracks the nodes of one run."""

    name: str

    async def node(self, handle: Handle, after: Sequence[Handle], body: Body, most: int) -> None:
        """Run attempts of a node, ``most`` at most, until one completes or was the last."""
        ...

    async def skipped(self, handle: Handle, after: Sequence[Handle], reason: str) -> None:
        """Show a node that did not run."""
        ...


class LocalEngine:
    """No tracking beside the journal."""

    name = "local"

    async def node(self, handle: Handle, after: Sequence[Handle], body: Body, most: int) -> None:
        """See :class:`Engine`."""
        attempt = 1
        while (failure := await body(attempt)) is not None and failure.delay is not None:
            await asyncio.sleep(failure.delay)
            attempt += 1
        if failure is None:
            log_completed(handle)

    async def skipped(self, handle: Handle, after: Sequence[Handle], reason: str) -> None:
        """See :class:`Engine`."""


def log_completed(handle: Handle) -> None:
    """One line for a node that completed; of a hundred thousand items, the log shows the construct's own."""
    level = logging.DEBUG if handle.scope.iteration else logging.INFO
    log.log(level, "%s completed in %s", handle.label, handle.summary)


class LocalFlow:
    """What ``@flow`` makes under the local engine: the function itself, with the names that a Prefect flow has."""

    def __init__(self, function: FlowFunction, workflow: Workflow) -> None:
        self.fn = function
        self.name = workflow.name
        self.version = workflow.version
        functools.update_wrapper(self, function)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow function; ``None`` when its instance was put aside."""
        try:
            return await self.fn(*args, **kwargs)
        except Suspended:
            return None


def chosen() -> str:
    """The engine in force in this context."""
    return engine_choice.get() or os.environ.get(ENGINE_VARIABLE) or "prefect"


def flow(workflow: Workflow) -> Callable[[FlowFunction], Any]:
    """Make an async function the flow of ``workflow``: a Prefect flow, or under the local engine the plain function."""

    def decorate(function: FlowFunction) -> Any:
        if chosen() == "local":
            return LocalFlow(function, workflow)
        from .prefect_engine import prefect_flow

        return prefect_flow(workflow, function)

    return decorate


def current_engine() -> Engine:
    """The engine that tracks a run started here: Prefect's inside a Prefect flow run, else the local one."""
    import sys

    if "prefect.context" in sys.modules:
        from prefect.context import FlowRunContext

        if FlowRunContext.get() is not None:
            from .prefect_engine import PrefectEngine

            return PrefectEngine()
    return LocalEngine()
