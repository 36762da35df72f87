"""Scopes of a run: the workflow itself, one round of a loop, one item of a foreach, one branch of a fork.

A scope starts its nodes as soon as their edges are decided, and is over when all of them are. An emitted flow function
starts the nodes of the outermost one; the functions of its parts are handed the scope of their round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.durations import format_duration
from ..core.errors import ErrorRecord
from ..core.status import NodeStatus
from .declarations import Edge, Node, edges
from .joins import passes
from .nodes import drive, skipped
from .together import ended, settled

if TYPE_CHECKING:
    from ..store import NodeExecution
    from .batches.worker import Made
    from .engines import Engine
    from .run import Run

Json = Mapping[str, Any]
Part = Callable[["Scope"], Json | None]
"""The function of a part: it starts the part's nodes and returns what the part gives (``None``: each node's output)."""


class Handle:
    """A node of a scope: what it is, where it stands, what it gave. ``decided`` is set when it is over.

    ``key`` is its id in the journal: the ids of the nodes around it and its own, as ``each/resize``; ``parts`` are the
    functions of its own parts by name (a body's is ``""``).
    """

    def __init__(self, node: Node, scope: Scope, parts: Mapping[str, Part] | None = None) -> None:
        self.node = node
        self.scope = scope
        self.parts: Mapping[str, Part] = parts or {}
        self.status = NodeStatus.PENDING
        self.output: Any = {}
        self.error: ErrorRecord | None = None
        self.reason = ""
        self.attempts = 0
        self.restored = False
        self.reused = False
        """Whether its output is one that was made before, of the same content or under the same key."""
        self.ignored = False
        self.goto: str | None = None
        """The node that goes on in its place, once it has failed for good."""
        self.again = False
        """Whether it runs again although an earlier life completed it, so that what follows it does too."""
        self.anew = False
        """Whether that goes for everything inside it."""
        self.head: Handle | None = None
        """The node in whose task it runs."""
        self.seconds = 0.0
        self.worker = ""
        self.decided = asyncio.Event()

    @property
    def key(self) -> str:
        """Its id in the journal; with the scope's iteration, its identity in the instance."""
        return self.scope.prefix + self.node.id

    @property
    def label(self) -> str:
        """What people call it: ``each/resize[3]``."""
        return self.key + (f"[{self.scope.iteration}]" if self.scope.iteration else "")

    @property
    def ran(self) -> bool:
        """Whether it is over and has something to give."""
        return self.decided.is_set() and self.status not in (NodeStatus.SKIPPED, NodeStatus.CANCELED)

    @property
    def given(self) -> Any:
        """What others get of it: its output, or of a failed one its error."""
        if self.status is NodeStatus.FAILED and self.error is not None:
            return {"status": "failed", "error": self.error.to_dict()}
        return self.output

    @property
    def summary(self) -> str:
        """One line for logs and Prefect's state message."""
        where = f" on {self.worker}" if self.worker else ""
        again = f", attempt {self.attempts}" if self.attempts > 1 else ""
        return f"{format_duration(self.seconds)}{where}{again}"

    def __repr__(self) -> str:
        return f"<{self.label}: {self.status}>"


class Scope:
    """One scope. ``names`` are what it binds for expressions, ``given`` what nodes without predecessors get."""

    def __init__(
        self,
        run: Run,
        engine: Engine,
        *,
        owner: Handle | None = None,
        name: str = "",
        index: int | None = None,
        names: Mapping[str, Any] | None = None,
        given: Mapping[str, Any] | None = None,
        isolated: bool = False,
    ) -> None:
        self.run = run
        self.engine = engine
        self.owner = owner
        self.parent = parent = owner.scope if owner else None
        outer = parent.iteration if parent else ""
        own = "" if index is None else str(index)
        self.iteration = ".".join(part for part in (outer, own) if part)
        """The indices of the rounds that lead here, from the outermost loop on: ``3`` or ``3.1``."""
        self.prefix = f"{owner.key}/{name}/" if owner and name else f"{owner.key}/" if owner else ""
        self.isolated = isolated
        """Whether expressions here see nothing of the scopes around: a sub-workflow."""
        self.names: dict[str, Any] = {**(parent.names if parent and not isolated else {}), **(names or {})}
        self.given: Mapping[str, Any] = given or {}
        self.handles: dict[str, Handle] = {}
        self.incoming: dict[str, tuple[Edge, ...]] = {}
        self.outgoing: dict[str, list[Edge]] = {}
        self.failure: Handle | None = None
        self.past: Mapping[str, NodeExecution] = parent.past if parent and index is None else {}
        """What earlier lives of the instance did in this iteration, by the nodes' keys."""
        self.carried = False
        """Whether an earlier life began what is around, and this one goes on with it."""
        self.made: Mapping[str, Made] = {}
        """First attempts that a worker has made already, by the nodes' keys."""
        self.fused: dict[str, list[Handle]] = {}
        """The nodes that follow one in its own task, by its id."""
        self.reopened = False
        """Whether nodes here are to run again that may not get to it."""
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False

    def start(
        self,
        node: Node,
        after: Handle | Edge | Sequence[Handle | Edge] | None = None,
        *,
        body: Part | None = None,
        branches: Mapping[str, Part] | None = None,
        fuse: bool = False,
    ) -> Handle:
        """Start ``node`` once its edges are decided; the handle stands for its run. A construct gets its ``body``, or
        its ``branches`` by name. With ``fuse`` it runs in the task of the one node before it, where it can."""
        incoming = self.incoming[node.id] = edges(after)
        parts = {"": body} if body is not None else branches
        handle = self.handles[node.id] = Handle(node, self, parts)
        for one in incoming:
            self.outgoing.setdefault(one.source.node.id, []).append(one)
        if fuse:
            handle.head = incoming[0].source.head or incoming[0].source
            self.fused.setdefault(handle.head.node.id, []).append(handle)
        self._tasks.append(asyncio.create_task(drive(handle, incoming), name=handle.label))
        return handle

    def leave_out(self, node: Node, because: str) -> None:
        """Journal that ``node``, of which the compiler knows that it never runs, is skipped here."""
        handle = Handle(node, self)
        handle.status, handle.reason = NodeStatus.SKIPPED, because
        handle.decided.set()
        self._tasks.append(asyncio.create_task(skipped(handle), name=handle.label))

    async def recall(self, *, again: bool = False) -> None:
        """Learn what an earlier life of the instance did here; ``again``, what an earlier attempt in this life did."""
        if again or (self.run.resumed and (self.parent is None or self.parent.iteration != self.iteration)):
            self.past = await self.run.env.journal.past(self.run.instance_id, self.iteration)

    async def settle(self) -> None:
        """Wait until every node is decided."""
        await settled(self._tasks)

    async def stop(self, reason: str = "it was cancelled") -> None:
        """Cancel what is not over yet, wait for it to end, and journal that it did. Nothing starts from now on."""
        self._stopped = True
        await ended(self._tasks)
        if self.run.waits.leaving:
            return
        if any(handle.status is NodeStatus.CANCELED for handle in self.handles.values()):
            await self.run.env.journal.cancel_open(
                self.run.instance_id, reason, under=self.prefix, iteration=self.iteration
            )

    @property
    def stopped(self) -> bool:
        """Whether this scope, one around it, or the run is being ended: a cancellation takes its time to get here."""
        return self._stopped or (self.parent.stopped if self.parent else self.run.ended)

    @property
    def failed(self) -> Handle | None:
        """The node that failed this scope or one around it."""
        return self.failure or (self.parent.failed if self.parent else None)

    def result(self, output: Json | None, *, ends_only: bool = False) -> Any:
        """What the scope gives: ``output`` rendered, else ``{node: output}`` of the nodes that ran (of those at the
        ends of the graph, if ``ends_only``)."""
        if output is None:
            return {
                h.node.id: h.output
                for h in self.handles.values()
                if passes(h) and not (ends_only and h.node.id in self.outgoing)
            }
        from ..compiler.expressions import render

        rendered = render(dict(output), self.expressions())
        return rendered if isinstance(rendered, dict) else {"output": rendered}

    def expressions(self, **names: Any) -> dict[str, Any]:
        """What expressions see here: the run's names, those that scopes bind, and the outputs decided so far."""
        return {**self.run.names, **self.names, **names, "nodes": Outputs(self)}


class Aside(Scope):
    """A scope beside the run's own nodes, for what follows a failure. It reads their outputs, and their failure does
    not stop it. ``prefix`` is what the journal's ids of its nodes begin with."""

    def __init__(
        self,
        run: Run,
        prefix: str,
        *,
        iteration: str = "",
        names: Mapping[str, Any] | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(run, run.root.engine, names=names, given=given)
        self.parent = run.root
        self.carried = run.resumed
        self.prefix = prefix
        self.iteration = iteration

    @property
    def failed(self) -> Handle | None:
        """See :class:`Scope`; only its own nodes count."""
        return self.failure

    @property
    def stopped(self) -> bool:
        """See :class:`Scope`; what is around has ended."""
        return self._stopped


class Outputs(Mapping[str, Any]):
    """The outputs of the nodes of a scope and those around it that ran, by node id. A node that was skipped is absent.
    A view: nothing is copied."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __getitem__(self, node_id: str) -> Any:
        scope: Scope | None = self._scope
        while scope is not None:
            if (handle := scope.handles.get(node_id)) is not None and handle.ran:
                return handle.given
            scope = None if scope.isolated else scope.parent
        raise KeyError(node_id)

    def __iter__(self) -> Iterator[str]:
        seen: set[str] = set()
        scope: Scope | None = self._scope
        while scope is not None:
            for node_id, handle in scope.handles.items():
                if node_id not in seen and handle.ran:
                    seen.add(node_id)
                    yield node_id
            scope = None if scope.isolated else scope.parent

    def __len__(self) -> int:
        return sum(1 for _ in self)
