"""Which edges fire, and whether a node runs: the pure rules of joins, skipping and failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.status import NodeStatus
from .declarations import Edge, Join, Node

if TYPE_CHECKING:
    from .scope import Handle

ELSE = "else"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a node runs; if not, ``reason`` says why in a sentence. ``live`` are the edges that fired."""

    runs: bool
    live: tuple[Edge, ...] = ()
    reason: str = ""


def passes(source: Handle) -> bool:
    """Whether edges out of a node may fire: it completed, or it failed and the definition lets the instance go on."""
    if source.status is NodeStatus.FAILED:
        return source.ignored or not source.node.fail_on_error
    return source.status is NodeStatus.COMPLETED


def fired(
    edge: Edge, siblings: Sequence[Edge], holds: Callable[[str | bool], bool], target: str = ""
) -> bool:
    """Whether a decided edge fires. ``siblings`` are all edges out of the same source; ``target`` is where it leads,
    which counts for the way of an error."""
    if edge.on_error:
        return edge.source.status is NodeStatus.FAILED and edge.source.goto == target
    if not passes(edge.source):
        return False
    if edge.when is None:
        return True
    if edge.when == ELSE:
        others = [s.when for s in siblings if s.when is not None and s.when != ELSE]
        return not any(holds(condition) for condition in others)
    return holds(edge.when)


def decide(node: Node, incoming: Sequence[Edge], live: Sequence[Edge]) -> Verdict:
    """Whether ``node`` runs, now that every incoming edge is decided and ``live`` of them fired."""
    if not incoming:
        return Verdict(True)
    needed = _needed(node.join, len(incoming))
    if len(live) >= needed:
        return Verdict(True, tuple(live))
    if not live:
        sources = ", ".join(dict.fromkeys(e.source.node.id for e in incoming))
        return Verdict(False, reason=f"no edge into it was taken (from {sources})")
    return Verdict(False, reason=f"join needs {needed} of {len(incoming)} edges, {len(live)} were taken")


def _needed(join: Join, incoming: int) -> int:
    if join == "any":
        return 1
    return incoming if join == "all" else int(join)
