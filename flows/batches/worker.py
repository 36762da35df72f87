"""On a worker: go through the nodes of a part, for one item after another."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import Any, cast

from ...core.errors import Code, ErrorRecord, RealmError
from ...core.settings import Settings, settings
from ...core.status import NodeStatus
from ...core.termination import NOTE
from ...store.records import DecidedNode
from ...tasks.exceptions import to_record
from ...tasks.executor import NodeCall, NodeOutcome, Report, cancel, execute, listed
from ...tasks.registry import registry
from ..calls import call_of, verdict_of
from ..declarations import Edge, Node
from ..engines import LocalEngine
from ..evaluation import ScopeEvaluator
from ..journal import file_references
from ..retries import attempts_allowed
from ..scope import Handle, Scope
from .records import ForTheRun, Records
from .steps import Around, Steps

log = logging.getLogger(__name__)

SECONDS = 2.0
"""After which a batch takes no further item: what a worker's death costs, and a request to end has to wait for."""
MOST_BYTES = 16 << 20
"""JSON of the nodes' outputs after which a batch takes no further item."""


@dataclass(frozen=True, slots=True)
class Made:
    """An attempt that a worker has made: what it was given, and what it came to. ``recorded``: that is also where it is
    to be remembered, if it is."""

    parameters: Mapping[str, Any]
    input: Mapping[str, Any]
    outcome: NodeOutcome
    recorded: bool = True

    def of(self, call: NodeCall) -> bool:
        """Whether it is the first attempt of ``call``."""
        return call.attempt == 1 and call.parameters == self.parameters and call.input == self.input


@dataclass(frozen=True, slots=True)
class Item:
    """One item: its ``iteration``, the names that it binds, and what nodes without predecessors get."""

    index: int
    iteration: str
    names: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """An item of which every node completed or was skipped: the nodes, and what it gives, as JSON."""

    index: int
    nodes: tuple[DecidedNode, ...]
    output: str


@dataclass(frozen=True, slots=True)
class Left:
    """An item that goes on in the run, with the attempts that were made of it, by the nodes' keys."""

    index: int
    made: Mapping[str, Made]


@dataclass(frozen=True, slots=True)
class Together(NodeCall):
    """Nodes to go through in one task. ``prefix`` is what the journal's ids of them begin with; with ``reuse``, what is
    remembered by content is looked up, and recorded."""

    steps: Steps = field(default_factory=lambda: Steps(()))
    around: Around = field(default_factory=lambda: Around({}))
    prefix: str = ""
    reuse: bool = False


@dataclass(frozen=True, slots=True)
class Chain(Together):
    """A node, and those that follow it at once. Its outcome is the node's, with :class:`Made` of the others."""

    head: NodeCall | None = None
    node_id_of_head: str = ""

    def perform(self, report: Report | None = None) -> NodeOutcome:
        """Run the node, then what follows it; see :class:`NodeCall`."""
        assert self.head is not None
        own = replace(self.head, gpu=self.gpu, progress_topic=self.progress_topic)
        outcome = own.perform(report)
        if not outcome.ok or NOTE in outcome.notes:
            return outcome
        return Followed(
            **{one.name: getattr(outcome, one.name) for one in fields(outcome)},
            made=_Walk(self).after(outcome),
        )


@dataclass(frozen=True, slots=True)
class Followed(NodeOutcome):
    """The outcome of a node, with the attempts that were made of those after it."""

    made: Mapping[str, Made] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch(Together):
    """Items to go through. Its outcome's output is a list of :class:`Done` and :class:`Left`, for the first items or
    all of them."""

    items: tuple[Item, ...] = ()
    in_order: bool = True
    """Whether nothing may begin after an item that goes on in the run."""

    def perform(self, report: Report | None = None) -> NodeOutcome:
        """Go through the items; see :class:`NodeCall`."""
        return _Walk(self).outcome()


class _Walk:
    """Nodes that are gone through together."""

    def __init__(self, call: Together) -> None:
        self.call = call
        self.end = monotonic() + SECONDS
        self.canceled = threading.Event()
        self.canceled_at: float | None = None
        self.wake: Callable[[], object] = lambda: None
        self._size = 0
        self._records = Records(settings(), call.instance_id, reuse=call.reuse)
        self._for_the_run = False
        """Whether nothing more can be done here: the records are out of reach, or a service is left alone."""

    @cached_property
    def _outer(self) -> Scope:
        return _outer(self.call)

    @cached_property
    def _most(self) -> Mapping[str, int]:
        """The retries that each node may have."""
        return {
            node.id: attempts_allowed(node.retry, registry()[node.type].max_attempts)
            for node, _ in self.call.steps.nodes
        }

    @property
    def _over(self) -> bool:
        """Whether it is time to bring home what there is."""
        return monotonic() > self.end or self._size > MOST_BYTES or self._records.service_failed

    def after(self, outcome: NodeOutcome) -> dict[str, Made]:
        """The attempts of the nodes after the head of a chain, which has completed: as many as there is time for."""
        call = cast("Chain", self.call)
        try:
            scope = _ItemScope(self._outer, call.prefix, Item(0, call.iteration))
            scope.know(call.node_id_of_head, outcome.output)
            for node, wires in call.steps.nodes:
                scope.add(node, wires)
            with listed(call, self), closing(self._records):
                return self.follow(scope, in_time=True)[0]
        except Exception:  # A fault of ours: what follows then goes the usual way.
            log.exception("what follows %s could not be gone through", call.node_id)
            return {}

    def outcome(self) -> NodeOutcome:
        """The batch's outcome: a list, or CANCELLED."""
        batch = cast("Batch", self.call)
        began = datetime.now(UTC).isoformat()
        error: ErrorRecord | None = None
        done: list[Done | Left] = []
        try:
            with listed(batch, self), closing(self._records):
                done = list(self._items(batch))
            if self.canceled.is_set():
                error = RealmError(Code.CANCELLED, "the batch was cancelled").record
        except Exception as fault:  # noqa: BLE001 - a fault of ours: the items then go the usual way
            error = to_record(fault)
        return NodeOutcome(
            output=done,
            error=error.to_dict() if error else None,
            started_at=began,
            completed_at=datetime.now(UTC).isoformat(),
            worker="",
            pid=0,
            device="cpu",
            resource_usage={},
            notes={},
        )

    def _items(self, batch: Batch) -> Iterable[Done | Left]:
        for item in batch.items:
            done = Left(item.index, {}) if self._for_the_run else self._item(item)
            if self.canceled.is_set():
                return
            yield done
            if self._for_the_run:  # Nothing of the others begins here, so that they may all come home.
                continue
            if self._over or (batch.in_order and isinstance(done, Left)):
                return

    def _item(self, item: Item) -> Done | Left:
        scope = _ItemScope(self._outer, self.call.prefix, item)
        for node, wires in self.call.steps.nodes:
            scope.add(node, wires)
        made, nodes, whole = self.follow(scope)
        if whole:
            nodes += [self._never(scope, node, because) for node, because in self.call.steps.left_out]
            try:
                output = scope.result(self.call.steps.output)
                text = json.dumps(output, ensure_ascii=False, separators=(",", ":"))
                return Done(item.index, tuple(nodes), text)
            except (RealmError, ValueError):
                pass  # The run says what is wrong with it.
        return Left(item.index, made)

    def follow(
        self, scope: Scope, *, in_time: bool = False
    ) -> tuple[dict[str, Made], list[DecidedNode], bool]:
        """Decide and run the nodes of a scope, until one is not for a worker to decide: the attempts made, the nodes
        decided, and whether that is all there is to say of them. With ``in_time``, none begins late."""
        made: dict[str, Made] = {}
        nodes: list[DecidedNode] = []
        for handle in scope.handles.values():
            if handle.decided.is_set():
                continue
            if in_time and self._over:
                return made, nodes, False
            try:
                verdict = verdict_of(handle, scope.incoming[handle.node.id])
                call = call_of(handle, verdict) if verdict.runs else None
            except RealmError:
                return made, nodes, False
            if call is None:
                handle.status, handle.reason = NodeStatus.SKIPPED, verdict.reason
                nodes.append(self._skipped(handle, datetime.now(UTC)))
            else:
                try:
                    attempt = made[handle.key] = self._attempt(scope, call)
                except ForTheRun as because:
                    log.warning("what is left of a task goes through the run: %s", because)
                    self._for_the_run = True
                    return made, nodes, False
                outcome = attempt.outcome
                self._size += len(json.dumps(outcome.output))
                if not (outcome.ok and attempt.recorded) or NOTE in outcome.notes or self.canceled.is_set():
                    return made, nodes, False
                handle.status, handle.output = NodeStatus.COMPLETED, outcome.output
                nodes.append(self._completed(handle, call, outcome))
            handle.decided.set()
        return made, nodes, True

    def _attempt(self, scope: Scope, call: NodeCall) -> Made:
        """One attempt of a node, unless what it comes to is known. Raises :class:`.records.ForTheRun`."""
        if self.call.gpu:
            call = replace(call, gpu=True)
        self.wake = lambda: cancel(call.execution_key, call.attempt)

        def attempt() -> NodeOutcome:
            return execute(call, evaluator=ScopeEvaluator(scope.expressions()), brief=True)

        attempted = self._records.attempt(registry()[call.node_type], call, attempt)
        return Made(call.parameters, call.input, *attempted)

    def _completed(self, handle: Handle, call: NodeCall, outcome: NodeOutcome) -> DecidedNode:
        return DecidedNode(
            node_id=handle.key,
            node_type=handle.node.type,
            iteration=handle.scope.iteration,
            status=NodeStatus.COMPLETED,
            started_at=datetime.fromisoformat(outcome.started_at),
            completed_at=datetime.fromisoformat(outcome.completed_at),
            execution_key=call.execution_key,
            input=call.input,
            output=outcome.output,
            max_retries=self._most[handle.node.id],
            worker=outcome.worker,
            device=outcome.device,
            resource_usage=outcome.resource_usage,
            notes=outcome.notes,
            files=file_references(outcome.output),
        )

    def _skipped(self, handle: Handle, at: datetime) -> DecidedNode:
        return DecidedNode(
            node_id=handle.key,
            node_type=handle.node.type,
            iteration=handle.scope.iteration,
            status=NodeStatus.SKIPPED,
            started_at=at,
            completed_at=at,
            reason=handle.reason,
        )

    def _never(self, scope: Scope, node: Node, because: str) -> DecidedNode:
        handle = Handle(node, scope)
        handle.reason = because
        return self._skipped(handle, datetime.now(UTC))


class _OuterScope(Scope):
    """A scope that knows what nodes gave."""

    def know(self, node_id: str, output: Any) -> None:
        """What a node gave that has completed."""
        handle = self.handles[node_id] = Handle(Node(node_id, ""), self)
        handle.status, handle.output = NodeStatus.COMPLETED, output
        handle.decided.set()


class _ItemScope(_OuterScope):
    """The scope of one item, on a worker."""

    def __init__(self, outer: Scope, prefix: str, item: Item) -> None:
        super().__init__(outer.run, outer.engine, names=item.names, given=item.given)
        self.parent = outer
        self.prefix, self.iteration = prefix, item.iteration

    def add(self, node: Node, wires: Iterable[Any]) -> None:
        """A node, after its sources."""
        handle = self.handles[node.id] = Handle(node, self)
        incoming = tuple(
            Edge(self.handles[wire.source], wire.when, wire.mapping, wire.on_error) for wire in wires
        )
        self.incoming[handle.node.id] = incoming
        for edge in incoming:
            self.outgoing.setdefault(edge.source.node.id, []).append(edge)


@dataclass(frozen=True, slots=True)
class _Env:
    settings: Settings
    roots: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """As much of a run as deciding takes."""

    names: Mapping[str, Any]
    instance_id: str
    env: _Env
    undone: Mapping[Any, Any] = field(default_factory=dict)


def _outer(call: Together) -> Scope:
    """A scope that holds the outputs from around."""
    configured = settings().model_copy(update={"max_payload_bytes": call.max_payload_bytes})
    env = _Env(configured, tuple(Path(root) for root in call.roots))
    run = _Run(call.around.names, call.instance_id, env)
    scope = _OuterScope(cast("Any", run), LocalEngine())
    for node_id, output in call.around.outputs.items():
        scope.know(node_id, output)
    return scope
