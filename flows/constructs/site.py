"""Where a construct is at work: its node, and what it needs to start scopes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...core.errors import Code, ErrorRecord, RealmError
from ...tasks.artifacts import ArtifactStore
from ...tasks.exceptions import to_record
from ..engines import Engine, LocalEngine
from ..failures import of_node
from ..retries import next_delay
from ..scope import Handle, Part, Scope

if TYPE_CHECKING:
    from ...store import NodeExecution, Store
    from ...tasks.executor import NodeCall
    from ..batches.worker import Made
    from ..run import Run

T = TypeVar("T")

log = logging.getLogger("mirror_realm.run")

AT_ONCE = 250
"""Rounds of one construct whose earlier lives are looked up together."""

MOST_TRACKED = 100
"""Rounds of one construct whose nodes are tracked as task runs; the nodes of later ones are only in the journal."""


@dataclass
class Site:
    """One attempt of a construct. ``report`` tells how far it is: a fraction and a line."""

    handle: Handle
    call: NodeCall
    since: datetime
    """When this attempt began; in a later life of the instance too."""
    carried: bool
    """Whether it began in an earlier life."""
    report: Callable[[float, str], None]
    notes: dict[str, Any] = field(default_factory=dict)
    limit: asyncio.Timeout | None = None
    """The time that is left to this attempt."""
    verdict: ErrorRecord | None = None
    """What is to be said where the limit runs out; by default, that it did."""
    _past: Past | None = None

    @property
    def expired(self) -> bool:
        """Whether the time limit ran out."""
        return self.limit is not None and self.limit.expired()

    @property
    def parts(self) -> Mapping[str, Part]:
        """The functions of its parts, by name."""
        return self.handle.parts

    @property
    def names(self) -> Mapping[str, Any]:
        """What expressions at the construct see from the loops around it."""
        return self.handle.scope.names

    async def run(
        self,
        part: Part,
        *,
        name: str = "",
        index: int | None = None,
        names: Mapping[str, Any] | None = None,
        given: Mapping[str, Any] | None = None,
        past: Mapping[str, NodeExecution] | None = None,
        made: Mapping[str, Made] | None = None,
    ) -> tuple[Scope, Any]:
        """Run a part to its end: its scope and what it gives. Raises the error of the node that failed it; cancelled,
        it takes its nodes along. ``made`` are attempts that a worker has made already."""
        scope = await self.open(name=name, index=index, names=names, given=given, past=past)
        scope.made = made or {}
        return scope, scope.result(await self.settle(scope, part))

    async def settle(self, scope: Scope, part: Part) -> Mapping[str, Any] | None:
        """Run a part in a scope that was opened for it; what the part says that it gives. Raises as :meth:`run`."""
        try:
            output = part(scope)
            await scope.settle()
        except BaseException:
            await scope.stop()
            raise
        await scope.run.library.note(scope, failed=scope.failed is not None)
        if scope.reopened and scope.failed is not None:
            await self.handle.scope.run.env.journal.cancel_open(
                self.call.instance_id,
                f"{scope.failed.label} failed before",
                under=scope.prefix,
                iteration=scope.iteration,
            )
        if scope.failure is not None:
            raise RealmError.from_record(of_node(scope.failure))
        if (other := scope.failed) is not None:  # Its nodes did not start: what is around it has failed.
            raise RealmError(Code.CANCELLED, f"{other.label} failed before")
        return output

    async def until(self, look: Callable[..., T | None], *arguments: Any, due: datetime | None = None) -> T:
        """What a function of the store gives, as soon as it gives something; it is also asked when ``due`` has come."""
        journal, waits = self.handle.scope.run.env.journal, self.handle.scope.run.waits
        return await waits.until(lambda: journal.call(look, *arguments), due=due)

    async def call_store(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call a function of the store, off the event loop."""
        return await self.handle.scope.run.env.journal.call(function, *arguments, **options)

    @property
    def store(self) -> Store:
        """The store."""
        return self.handle.scope.run.env.journal.store

    async def keep(self, path: Path, *, name: str, media_type: str) -> dict[str, Any]:
        """Put a file into artifact storage; its reference as JSON. Where there is no room, or it does not answer, it is
        tried again as a node would be: what is inside the construct must not be lost for it."""
        settings = self.handle.scope.run.env.settings
        store = ArtifactStore.open(settings)
        attempt = 1
        while True:
            try:
                reference = await asyncio.to_thread(store.put, path, name=name, media_type=media_type)
                return reference.model_dump(mode="json")
            except (RealmError, OSError) as failure:
                error = to_record(failure)
                delay = next_delay(error, attempt, self.handle.node.retry)
                if delay is None:
                    raise
            log.warning("%s: %s; again in %.1f s", self.handle.label, error.message, delay)
            self.report(1.0, f"{error.code}: {error.message}; again in {delay:.1f} s")
            await asyncio.sleep(delay)
            attempt += 1

    async def open(
        self,
        *,
        name: str = "",
        index: int | None = None,
        names: Mapping[str, Any] | None = None,
        given: Mapping[str, Any] | None = None,
        isolated: bool = False,
        past: Mapping[str, NodeExecution] | None = None,
    ) -> Scope:
        """A scope inside this construct, with what an earlier life of the instance did in it (``past``, where that was
        looked up)."""
        around = self.handle.scope
        engine: Engine = around.engine if (index or 0) < MOST_TRACKED else LocalEngine()
        scope = Scope(
            around.run,
            engine,
            owner=self.handle,
            name=name,
            index=index,
            names=names,
            given=self.call.input if given is None else given,
            isolated=isolated,
        )
        scope.carried = self.carried
        if past is not None:
            scope.past = past
        elif index is not None:
            scope.past = await self.past(index)
        else:
            await scope.recall(again=self.call.attempt > 1)
        return scope

    async def past(self, index: int) -> Mapping[str, NodeExecution]:
        """What happened in a round before, in an earlier life or in an earlier attempt of this one, by the nodes' keys.
        Each round may be asked for once."""
        run = self.handle.scope.run
        if not run.resumed and self.call.attempt == 1:
            return {}
        self._past = self._past or Past(run, self.handle.scope.iteration)
        return await self._past.of(index)


class Past:
    """What happened in the rounds of a construct before, looked up for :data:`AT_ONCE` of them at a time."""

    def __init__(self, run: Run, around: str) -> None:
        self._run = run
        self._around = around
        self._page: int | None = None
        self._rounds: asyncio.Task[dict[str, dict[str, NodeExecution]]] | None = None

    async def of(self, index: int) -> Mapping[str, NodeExecution]:
        """The node executions of a round, by the nodes' keys. Rounds are asked for in order, each once."""
        if self._rounds is None or self._page != index // AT_ONCE:
            self._page = index // AT_ONCE
            self._rounds = asyncio.create_task(self._look_up(self._page))
        rounds = await asyncio.shield(self._rounds)
        return rounds.pop(self._iteration(index), {})

    async def _look_up(self, page: int) -> dict[str, dict[str, NodeExecution]]:
        journal = self._run.env.journal
        first = page * AT_ONCE
        iterations = [self._iteration(index) for index in range(first, first + AT_ONCE)]
        return await journal.call(journal.store.rounds.past, self._run.instance_id, iterations)

    def _iteration(self, index: int) -> str:
        return f"{self._around}.{index}" if self._around else str(index)
