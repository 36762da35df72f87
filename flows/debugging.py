"""Breakpoints of a run: a node that would run now stands still until a person lets it go on.

It holds no worker. Where it stands is a row, so that it stands there in the instance's next life too, and any process
can let it go on (:mod:`.stepping`). A debugger of the environment (``realm run`` in a terminal) is asked at each stop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from ..core.errors import RealmError
from ..core.status import NodeStatus
from ..tasks.executor import NodeCall
from . import stepping
from .journal import now

if TYPE_CHECKING:
    from ..store import DebugState, Stop
    from .run import Run
    from .scope import Handle, Scope

log = logging.getLogger(__name__)

Because = Literal["step", "break", "breakpoint"]
"""Why a node stands: every node does, a person named it, or the definition says so."""


class Breakpoints:
    """The breakpoints of one run, and what was changed of its variables."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._state: DebugState | None = None
        self._left: set[tuple[str, str]] = set()
        """Where earlier lives of the instance stopped and did not pass."""
        self._gates: dict[int, asyncio.Event] = {}
        self._asking = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Learn what was asked for before this life of the instance."""
        journal = self._run.env.journal
        debugging = journal.store.debugging
        self._state = await journal.call(debugging.get, self._run.instance_id)
        if not self._run.resumed:
            return
        stops: list[Stop] = await journal.call(debugging.stops, self._run.instance_id)
        self._left = {(s.node_id, s.iteration) for s in stops if s.state in ("open", "released")}
        self._run.clock.remember((s.reached_at, s.released_at or now()) for s in stops)

    @property
    def armed(self) -> bool:
        """Whether a node may have to stop here for a person, beyond where the definition says so."""
        state = self._state
        return bool(self._left) or (state is not None and bool(state.stepping or state.breakpoints))

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that were changed."""
        return dict(self._state.variables) if self._state is not None else {}

    def hear(self, revision: int) -> None:
        """Learn that something was changed, by whatever process."""
        if self._state is not None and revision != self._state.revision:
            self._spawn(self.reload())

    async def reload(self) -> None:
        """Take in what was changed: variables, where to stop, what goes on."""
        run = self._run
        journal = run.env.journal
        self._state = await journal.call(journal.store.debugging.get, run.instance_id)
        run.names["vars"].update(self._state.variables)
        if self._gates:
            for stop in await journal.call(journal.store.debugging.stops, run.instance_id, "released"):
                if (gate := self._gates.get(stop.number)) is not None:
                    gate.set()

    def why(self, handle: Handle) -> Because | None:
        """Why a node that would run now stands first; ``None``: it does not."""
        state, env = self._state, self._run.env
        if state is None or env.replay is not None or env.mocks is not None or _begun(handle):
            return None
        if (handle.key, handle.scope.iteration) in self._left:
            return "step"  # Its row says why it stopped.
        if state.stepping:
            return "step"
        if not {handle.key, handle.label}.isdisjoint(state.breakpoints):
            return "break"
        return "breakpoint" if handle.node.breakpoint and not state.ignoring else None

    async def stop(self, handle: Handle, call: NodeCall, because: Because) -> None:
        """Return when the node may go on."""
        run, scope = self._run, handle.scope
        journal, debugging = run.env.journal, run.env.journal.store.debugging
        stop: Stop = await journal.call(
            debugging.stop,
            run.instance_id,
            handle.key,
            scope.iteration,
            handle.node.type,
            because=because,
            parameters=call.parameters,
            input=call.input,
            names=scope.names,
            scopes=in_reach(scope),
            epoch=journal.epoch,
        )
        self._left.discard((handle.key, scope.iteration))
        try:
            if stop.state == "open":
                await self._stand(handle, stop)
            with run.waits.working():
                await journal.call(debugging.passed, run.instance_id, stop.number)
        except asyncio.CancelledError:
            if not run.waits.leaving:
                await journal.call(debugging.drop, run.instance_id, stop.number)
            raise

    async def _stand(self, handle: Handle, stop: Stop) -> None:
        run = self._run
        gate = self._gates[stop.number] = asyncio.Event()
        log.info("%s stands at a breakpoint (%s)", handle.label, stop.because)
        run.emit_node(handle, message=f"stopped: {stop.because}", stopped=stop.because)
        if run.env.debugger is not None:
            self._spawn(self._ask(Standing(run, handle, stop, self.reload)))
        try:
            with run.clock.hold(), run.waits.stopped():
                await gate.wait()
        finally:
            del self._gates[stop.number]

    async def _ask(self, standing: Standing) -> None:
        debugger = self._run.env.debugger
        async with self._asking:
            # While it waited for its turn, the one before may have let everything go on.
            gate = self._gates.get(standing.stop.number)
            if debugger is None or gate is None or gate.is_set() or self._run.waits.pausing:
                return
            asked = asyncio.create_task(debugger.at(standing))
            let_go = asyncio.create_task(gate.wait())
            try:
                await asyncio.wait((asked, let_go), return_when=asyncio.FIRST_COMPLETED)
                if standing.answered:
                    await asked
            finally:
                # Somebody else let it go on, or the run ends: then there is nothing to ask any more.
                for task in (asked, let_go):
                    task.cancel()
                await asyncio.gather(asked, let_go, return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("debugging: %s", error, exc_info=None if isinstance(error, RealmError) else error)

    async def close(self) -> None:
        """End what is under way."""
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Standing:
    """A node that stands at a breakpoint, for a debugger."""

    def __init__(self, run: Run, handle: Handle, stop: Stop, reload: Callable[[], Any]) -> None:
        self.run, self.handle, self.stop = run, handle, stop
        self.answered = False
        """Whether the person let it go on, or left it."""
        self._reload = reload

    async def step(self) -> None:
        """Let this node run, and stop before the next ones."""
        self.answered = True
        await self._do(stepping.let_go, numbers=[self.stop.number], on=True)

    async def go_on(self) -> None:
        """Let all that stands run, to the next breakpoint."""
        self.answered = True
        await self._do(stepping.let_go, numbers=None, on=False)

    async def set(self, name: str, value: Any) -> Any:
        """Give a variable of the workflow another value; the old one. The errors of :func:`.stepping.assign`."""
        old = self.run.names["vars"]
        return await self._do(stepping.assign, known=dict(old), name=name, value=value)

    def evaluate(self, expression: str) -> Any:
        """What an expression comes to here. The errors of expressions."""
        from ..compiler.expressions import render

        return render("{{ " + expression + " }}", self.handle.scope.expressions())

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that this node sees."""
        return dict(self.handle.scope.expressions()["vars"])

    async def others(self) -> list[Stop]:
        """Everything that stands, this one included."""
        journal = self.run.env.journal
        return await journal.call(journal.store.debugging.stops, self.run.instance_id, "open")

    def leave(self) -> None:
        """Put the instance aside once what runs has finished; it stands here in its next life."""
        self.answered = True
        self.run.waits.stays_open = True
        self.run.waits.pause()

    async def _do(self, verb: Callable[..., Any], **options: Any) -> Any:
        journal = self.run.env.journal
        result = await journal.call(
            verb, journal.store, self.run.instance_id, by=stepping.person(), **options
        )
        await self._reload()
        return result


def in_reach(scope: Scope) -> list[tuple[str, str]]:
    """The prefixes and iterations of the scopes whose nodes expressions see here, from the inside."""
    found: list[tuple[str, str]] = []
    one: Scope | None = scope
    while one is not None:
        found.append((one.prefix, one.iteration))
        one = None if one.isolated else one.parent
    return found


def _begun(handle: Handle) -> bool:
    """Whether it is a construct that an earlier life left under way: it has passed."""
    past = handle.scope.past.get(handle.key)
    if past is None or past.status is not NodeStatus.RUNNING:
        return False
    from ..tasks.registry import registry

    return registry()[handle.node.type].where == "run"
