"""What a part's function would start: the function is called with a :class:`Recorder` in place of a scope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .declarations import edges

if TYPE_CHECKING:
    from .declarations import Edge, Node


@dataclass(slots=True)
class Started:
    """A node as it would be started, with the functions of its own parts; stands for its handle."""

    node: Node
    parts: Mapping[str, Any] = field(default_factory=dict)


class Recorder:
    """Stands for a scope, and notes what is started in it."""

    def __init__(self) -> None:
        self.nodes: dict[str, Started] = {}
        self.incoming: dict[str, tuple[Edge, ...]] = {}
        self.left_out: list[tuple[Node, str]] = []

    def start(
        self,
        node: Node,
        after: Any = None,
        *,
        body: Any = None,
        branches: Mapping[str, Any] | None = None,
        fuse: bool = False,
    ) -> Started:
        """Note ``node`` and its edges. In whose task it would run does not matter here."""
        self.incoming[node.id] = edges(after)
        started = Started(node, {"": body} if body is not None else branches or {})
        self.nodes[node.id] = started
        return started

    def leave_out(self, node: Node, because: str) -> None:
        """Note a node that never runs."""
        self.left_out.append((node, because))
