"""The least time that graphs take: the critical path of what surely waits, against the timeouts around it.

Only waits of a known length count (a delay's duration); work, events and people may be as fast as they like. A node
that may be skipped counts where it runs: a timeout that it always overruns is too short for that branch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core.durations import format_duration, parse_duration
from .branches import Judgement
from .constructs import at_once, least_rounds, parameters_of
from .facts import Facts
from .logic import every
from .logic.conditions import conditions
from .paths import Paths

if TYPE_CHECKING:
    from ...tasks.registry import Registry
    from ..analysis import Analysis
    from ..diagnostics import Path
    from ..document import Document
    from ..graph import GraphNode
    from ..scopes import Scope

CODE = "MR270"
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Least:
    """The least seconds that something takes, and the waits on the way, first to last."""

    seconds: float = 0.0
    waits: tuple[GraphNode, ...] = ()


_NOTHING = Least()


class Timing:
    """Least times in one definition, whose graphs have no cycles."""

    def __init__(
        self, document: Document, registry: Registry, subworkflows: Mapping[Path, Analysis] | None = None
    ) -> None:
        self._document = document
        self._registry = registry
        self._subworkflows = subworkflows or {}
        self._known: dict[int, Least] = {}

    def of_scope(self, scope: Scope) -> Least:
        """The least time of the slowest way through a scope that some execution takes."""
        if (found := self._known.get(id(scope))) is None:
            times = {
                node.id: least for node in scope.graph.nodes if (least := self.of_node(scope, node)).seconds
            }
            found = self._known[id(scope)] = self._critical(scope, times) if times else _NOTHING
        return found

    def of_node(self, scope: Scope, node: GraphNode) -> Least:
        """The least time of one node that runs."""
        if node.type not in self._registry:
            return _NOTHING
        raw = self._document.value(node.path)
        if (seconds := self._registry[node.type].waits(parameters_of(raw))) > 0:
            return Least(seconds, (node,))
        inner = self._subworkflows.get(node.path)
        if inner is not None and inner.scope is not None and inner.document is not None:
            within = Timing(inner.document, self._registry, inner.subworkflows).of_scope(inner.scope)
            return Least(within.seconds, (node,))
        parts = [self.of_scope(part) for part in scope.parts_of(node.id)]
        return self._of_parts(node, raw, parts) if any(part.seconds for part in parts) else _NOTHING

    def _of_parts(self, node: GraphNode, raw: Mapping[str, Any], parts: list[Least]) -> Least:
        node_type = self._registry[node.type]
        if node_type.parts == "branches":
            wanted = parameters_of(raw).get("wait_for", "all")
            needed = 1 if wanted == "any" else wanted if type(wanted) is int else len(parts)
            return sorted(parts, key=lambda least: least.seconds)[min(max(needed, 1), len(parts)) - 1]
        turns = math.ceil(least_rounds(node_type, raw) / at_once(node_type, raw))
        return Least(parts[0].seconds * turns, parts[0].waits) if turns else _NOTHING

    def _critical(self, scope: Scope, times: Mapping[str, Least]) -> Least:
        """The slowest path; only of nodes that always run, where those on the slowest never run together."""
        slowest = _slowest(scope, times)
        if len(slowest.path) > 1:
            facts = Facts(self._document, scope, self._registry)
            paths = Paths(facts)
            formulas = {node_id: paths.runs(node_id) for node_id in times}
            together = every(*(formulas[node_id] for node_id in slowest.path))
            if conditions(together) and facts.prover(far=True).possible(together).verdict != "yes":
                slowest = max(
                    _slowest(scope, {n: t for n, t in times.items() if not conditions(formulas[n])}),
                    *(_Path(least.seconds, (node_id,)) for node_id, least in times.items()),
                    key=lambda path: path.seconds,
                )
        return Least(slowest.seconds, tuple(node for one in slowest.path for node in times[one].waits))


@dataclass(frozen=True, slots=True)
class _Path:
    seconds: float = 0.0
    path: tuple[str, ...] = ()


def _slowest(scope: Scope, times: Mapping[str, Least]) -> _Path:
    ends: dict[str, _Path] = {}
    for node_id in scope.graph.order:
        # A node with an edge to itself is its own predecessor.
        before = (ends[source] for source in scope.graph.predecessors(node_id) if source != node_id)
        longest = max(before, key=lambda path: path.seconds, default=_Path())
        if (own := times.get(node_id)) is not None:
            longest = _Path(longest.seconds + own.seconds, (*longest.path, node_id))
        ends[node_id] = longest
    return max(ends.values(), key=lambda path: path.seconds, default=_Path())


def judge(
    document: Document,
    scope: Scope,
    registry: Registry,
    timeout: float,
    subworkflows: Mapping[Path, Analysis] | None = None,
) -> Iterator[Judgement]:
    """MR270: the ``timeout`` of the definition, and those of its nodes, against the least time of what they bound."""
    timing = Timing(document, registry, subworkflows)
    for part in scope.walk():
        for node in part.graph.nodes:
            given = document.value(node.path).get("timeout")
            limit = seconds_of(given)
            if limit is not None and (least := timing.of_node(part, node)).seconds > limit:
                way = "" if least.waits == (node,) else _way(least)
                message = (
                    f"node {node.id!r} takes at least {format_duration(least.seconds)}{way}, and its timeout is "
                    f"{format_duration(limit)}"
                )
                yield Judgement(CODE, "refuted", message, (*node.path, "timeout"), _HINT, "warning")
    least = timing.of_scope(scope)
    tree: Any = document.tree
    written = isinstance(tree, dict) and "timeout" in tree
    if least.seconds > timeout:
        message = (
            f"the workflow takes at least {format_duration(least.seconds)}{_way(least)}, and its timeout is "
            f"{format_duration(timeout)}" + ("" if written else ", as none is written")
        )
        where: Path = ("timeout",) if written else (*least.waits[-1].path, "node_id")
        yield Judgement(CODE, "refuted", message, where, _HINT, "warning")


_HINT = "raise the timeout, or wait for less"


def seconds_of(timeout: Any) -> float | None:
    """A timeout as it is written, in seconds; ``None`` where it is none, or an expression."""
    try:
        return parse_duration(timeout) if isinstance(timeout, str | int | float) else None
    except ValueError:
        return None


def _way(least: Least) -> str:
    ids = [node.id for node in least.waits]
    shown = ids if len(ids) <= _MOST_SHOWN else [*ids[:2], "…", *ids[-2:]]
    return f" ({' → '.join(shown)})"
