"""A part as data: the nodes that its function starts, their edges, and what they read from around."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...core.resources import Resources
from ...tasks.batching import alone, bound_to_the_run, shared
from ...tasks.registry import registry
from ..declarations import Node
from ..recorder import Recorder

if TYPE_CHECKING:
    from ..run import Run
    from ..scope import Part, Scope


@dataclass(frozen=True, slots=True)
class Wire:
    """An edge whose source is a node's id."""

    source: str
    when: str | bool | None = None
    mapping: Mapping[str, Any] | None = None
    on_error: bool = False


@dataclass(frozen=True, slots=True)
class Steps:
    """The nodes of a part in the order in which they start, with the edges into each; ``output`` is what the part says
    that it gives, ``left_out`` are nodes that never run, each with why."""

    nodes: tuple[tuple[Node, tuple[Wire, ...]], ...]
    output: Mapping[str, Any] | None = None
    left_out: tuple[tuple[Node, str], ...] = ()

    def timeouts(self) -> list[float]:
        """Seconds that each node may take."""
        return [node.timeout or registry()[node.type].timeout for node, _ in self.nodes]

    @property
    def rooted(self) -> bool:
        """Whether some node gets what its scope is given."""
        return any(node.input is None and not wires for node, wires in self.nodes)

    def words(self) -> str:
        """Everything in which an expression can stand, as one text."""
        said = [
            [node.parameters, node.input, node.when, [(wire.when, wire.mapping) for wire in wires]]
            for node, wires in self.nodes
        ]
        return json.dumps([said, self.output], ensure_ascii=False, default=str)


@dataclass(frozen=True, slots=True)
class Around:
    """What expressions inside a batch may read of what is around it: names, and outputs by node id."""

    names: Mapping[str, Any]
    outputs: Mapping[str, Any] = field(default_factory=dict)


class Unfit(Exception):
    """A part cannot be run by a worker; the message says why."""


def steps_of(part: Part) -> tuple[Steps, Resources]:
    """A part's steps, and what one task needs for them. Raises :class:`Unfit`."""
    recorder = Recorder()
    try:
        output = part(recorder)  # pyright: ignore[reportArgumentType] - it stands for the scope
    except Exception as error:
        raise Unfit(f"its function does more than starting nodes: {error}") from error
    nodes = ((one.node, tuple(map(wire, recorder.incoming[id]))) for id, one in recorder.nodes.items())
    steps = Steps(tuple(nodes), output, tuple(recorder.left_out))
    types = registry()
    for node, _ in steps.nodes:
        if recorder.nodes[node.id].parts:
            raise Unfit(f"{node.id}: the run itself drives it")
        if (because := alone(node, types[node.type])) is not None:
            raise Unfit(f"{node.id}: {because}")
    if (because := bound_to_the_run(steps.words())) is not None:
        raise Unfit(because)
    on_workers = [(node, types[node.type]) for node, _ in steps.nodes if types[node.type].where == "worker"]
    resources = shared(
        Resources.model_validate({**kind.resources.model_dump(), **dict(node.resources or {})})
        for node, kind in on_workers
    )
    if resources is None:
        raise Unfit("its nodes belong on different workers")
    return steps, resources


def watched(run: Run) -> bool:
    """Whether each node of a run is looked at by itself, and so must not run among others: in a test, a replay, under a
    debugger, or where it may have to stop."""
    env = run.env
    return any(one is not None for one in (env.replay, env.debugger, env.mocks)) or run.breakpoints.armed


def around(steps: Steps, scope: Scope) -> Around:
    """What ``steps`` may read of ``scope`` and those around it: everything whose name stands somewhere in them."""
    words = steps.words()
    seen = scope.expressions()
    outputs = seen.pop("nodes")
    names = {name: value for name, value in seen.items() if name in words}
    read = {node_id: outputs[node_id] for node_id in outputs if _said(node_id, words)}
    return Around(names, read)


def _said(node_id: str, words: str) -> bool:
    """Whether a node is named in a text, in any of the ways in which expressions can."""
    escaped = json.dumps(node_id, ensure_ascii=False)[1:-1]
    return any(one in words for one in {node_id, escaped, node_id.replace("-", "_")})


def wire(edge: Any) -> Wire:
    """An edge as data."""
    return Wire(edge.source.node.id, edge.when, edge.mapping, edge.on_error)
