"""Soundness of each scope as a workflow net (van der Aalst 1998), in the terms of this runtime.

Nothing gets stuck here: an edge that is not taken skips what waits for it. What can be wrong is that a node runs in no
execution, or that a join keeps an execution from reaching any end although work was done for it. All executions are
explored at once in the scope's :mod:`.net`, in which sequences and forks whose ways meet again are reduced to their
first node by construction; what that cannot settle within its work is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..diagnostics import Path
from .branches import Judgement
from .branches import judge as judge_branches
from .diagrams import FALSE, TRUE
from .net import TERMINATE, Net, Nets
from .refutations import refute, shown

if TYPE_CHECKING:
    from ..scopes import Scope

NEVER_RUNS = "MR240"
NO_END = "MR241"


def judge(nets: Nets, scope: Scope) -> Iterator[Judgement]:
    """Verdicts on the nodes of ``scope`` and, for the definition itself, on its ends."""
    net = nets.of(scope)
    if net is None:
        return
    dead = [node.id for node in scope.graph.nodes if node.id in net.runs and _never(nets, net, node.id)]
    if dead:
        yield from _dead(nets, net, dead)
    elif net.unclear:
        why = f"there is too much to follow at {min(net.unclear)!r}"
        yield Judgement(NEVER_RUNS, "unknown", why, scope.path)
    else:
        yield Judgement(NEVER_RUNS, "proved", "every node runs in some execution", scope.path)
    tree = nets.document.value(())
    if scope.owner is None and isinstance(tree, dict) and "output" not in tree:
        yield _ends(nets, net)


def _never(nets: Nets, net: Net, node_id: str) -> bool:
    return nets.product(net.around, net.runs[node_id]) == FALSE


# --- nodes that never run ---------------------------------------------------------------------------------------


def _dead(nets: Nets, net: Net, dead: list[str]) -> Iterator[Judgement]:
    """The nodes with which it begins, unless what is wrong with their conditions says it already."""
    begins = [] if net.around == FALSE else [one for one in dead if _begins(net, one, frozenset(dead))]
    if not begins:
        yield Judgement(NEVER_RUNS, "unknown", "a condition keeps nodes from running", net.scope.path)
        return
    found = judge_branches(nets.document, net.scope, nets.registry)
    told = [one.path for one in found if one.severity == "error"]
    graph = net.scope.graph
    for node_id in begins:
        incoming = net.incoming(node_id)
        places: list[Path] = [graph.by_id[node_id].path, *(edge.path for edge in incoming)]
        places += [graph.by_id[edge.source].path for edge in incoming]
        if not any(path[: len(place)] == place for path in told for place in places):
            message = f"node {node_id!r} never runs: {_why(net, node_id)}"
            hint = "remove it, or change what leads to it"
            yield Judgement(NEVER_RUNS, "refuted", message, (*places[0], "node_id"), hint, "error")


def _begins(net: Net, node_id: str, dead: frozenset[str]) -> bool:
    """Whether it is not for the nodes before it, nor for too few edges, nor for a condition that is false in itself:
    that is a switch which somebody set."""
    incoming = net.incoming(node_id)
    if net.needed(node_id) > len(incoming) or not dead.isdisjoint(edge.source for edge in incoming):
        return False
    return FALSE not in (net.guards[node_id], *(net.holds(edge) for edge in incoming))


def _why(net: Net, node_id: str) -> str:
    if net.joins[node_id] != FALSE:
        guard = shown(net.guard(node_id))
        return f"its guard {guard} does not hold where it is reached"
    ending = next((e.source for e in net.incoming(node_id) if _ends_instance(net, e.source)), None)
    if ending is not None:
        return f"it follows {ending!r}, which ends the instance"
    asked = [edge for edge in net.incoming(node_id) if net.taken(edge) == FALSE]
    if len(asked) == 1 and asked[0].condition is not None:
        return f"where {asked[0].source!r} runs, {shown(asked[0].condition)} does not hold"
    return "the edges that it waits for are never taken together"


def _ends_instance(net: Net, node_id: str) -> bool:
    return net.scope.graph.by_id[node_id].type == TERMINATE


# --- ends -------------------------------------------------------------------------------------------------------


def _ends(nets: Nets, net: Net) -> Judgement:
    """Whether some end is reached, or the way ended at a condition before any join: then it was meant to."""
    graph, where = net.scope.graph, net.scope.path
    exits = [node_id for node_id in graph.exits if node_id in net.runs]
    none = nets.product(*(net.runs[node_id] ^ 1 for node_id in exits))
    if none == FALSE:
        return Judgement(NO_END, "proved", "every execution reaches an end", where)
    none = nets.product(none, *(net.runs[node_id] ^ 1 for node_id in net.ending))
    for node_id in graph.order:
        needed, incoming = (net.needed(node_id), net.incoming(node_id)) if node_id in net.runs else (0, ())
        if needed < 2 or node_id in net.unclear or net.joins[node_id] in (TRUE, FALSE):
            continue
        if not graph.reachable([node_id]).issuperset(exits):
            continue
        some = nets.product(*(net.taken(edge) ^ 1 for edge in incoming)) ^ 1
        refutation = refute(nets, nets.product(none, net.joins[node_id] ^ 1, some), [(net.scope, node_id)])
        if refutation is None:
            continue
        causes = " and ".join(refutation.causes(net, node_id))
        what = "all its edges" if needed == len(incoming) else f"{needed} of its {len(incoming)} edges"
        trace = refutation.trace(net, node_id)
        message = f"no end is reached when {causes}: {node_id!r} waits for {what} ({trace})"
        hint = f"write join: any, so that {node_id!r} runs after those that are taken, or give the definition an output"
        path: Path = (*graph.by_id[node_id].path, "join")
        return Judgement(NO_END, refutation.verdict, message, path, hint, "warning")
    return Judgement(NO_END, "proved", "no join keeps an execution from an end", where)
