"""A run's own graph with what is inside its nodes, for a picture: the parts' functions are asked what they would start.

Nothing is run. What the journal knows of the instance gives the states.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..compiler.document import Span
from ..compiler.draw import State
from ..compiler.graph import Edge as Line
from ..compiler.graph import Graph, GraphNode
from ..compiler.scopes import Scope as Outline
from ..core.status import NodeStatus
from .recorder import Recorder, Started

if TYPE_CHECKING:
    from ..store import Store
    from .run import Run

log = logging.getLogger(__name__)

MOST = 1500
"""Nodes up to which what is inside others is drawn."""
_NOWHERE = Span(1, 1, 1, 1)
_WORST = (
    NodeStatus.FAILED,
    NodeStatus.RUNNING,
    NodeStatus.CANCELED,
    NodeStatus.COMPLETED,
)


def outline(run: Run) -> Outline:
    """The scope of a run and those inside it, as the drawing takes them."""
    root = Recorder()
    for handle in run.root.handles.values():
        root.nodes[handle.node.id] = Started(handle.node, handle.parts)
        root.incoming[handle.node.id] = run.root.incoming[handle.node.id]
    return _Outliner().outline(root, None, None, None)


def states(run: Run, store: Store, scope: Outline) -> dict[str, State]:
    """The states of a run that is over, by the keys of the nodes of ``scope``; of what is inside a loop, how many
    rounds are done. What nothing came to was skipped."""
    keys = ["/".join(filter(None, (one.key, node.id))) for one in scope.walk() for node in one.graph.nodes]
    found = dict.fromkeys(keys, State(str(NodeStatus.SKIPPED)))
    for one in store.executions.for_instance(run.instance_id, ""):
        found[one.node_id] = State(str(one.status), one.duration)
    for handle in run.root.handles.values():
        found[handle.key] = State(str(handle.status), handle.seconds or None)
    for key, counts in store.rounds.counts(run.instance_id).items():
        done, total = counts.get(NodeStatus.COMPLETED, 0), sum(counts.values())
        shown = next((status for status in _WORST if counts.get(status)), next(iter(counts)))
        found[key] = State(str(shown), done=done, total=total if done < total else None)
    return found


class _Outliner:
    def __init__(self) -> None:
        self.left = MOST

    def outline(
        self, sketch: Recorder, owner: GraphNode | None, parent: Outline | None, name: str | None
    ) -> Outline:
        self.left -= len(sketch.nodes)
        graph = _graph(sketch)
        scope = Outline((), graph, graph, owner, parent, name)
        for node_id, drawn in sketch.nodes.items():
            for part_name, part in drawn.parts.items():
                if (inside := self.inside(part)) is not None:
                    inner = self.outline(inside, graph.by_id[node_id], scope, part_name or None)
                    scope.children.append(inner)
        return scope

    def inside(self, part: Any) -> Recorder | None:
        """What a part would start; nothing, where there is no room or its function does more than starting nodes."""
        if self.left <= 0:
            return None
        sketch = Recorder()
        try:
            part(sketch)
        except Exception:  # A part written by hand may do anything; the picture then stays closed there.
            log.debug("a part could not be drawn", exc_info=True)
            return None
        return sketch


def _graph(sketch: Recorder) -> Graph:
    return Graph(
        nodes=tuple(GraphNode(one.node.id, one.node.type, (), _NOWHERE) for one in sketch.nodes.values()),
        edges=tuple(_lines(sketch)),
    )


def _lines(sketch: Recorder) -> Sequence[Line]:
    return [
        Line(one.source.node.id, target, None if one.when is None else str(one.when), one.mapping)
        for target, incoming in sketch.incoming.items()
        for one in incoming
    ]
