"""What must have happened for a reference to lead to something: its node ran and did not fail, a branch was over, the
nodes inside ran; ``loop.last`` has something from the second round on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..expressions.shapes import shape_of_model
from ..expressions.syntax import Binary, Chain, Name, Select
from ..expressions.syntax import Literal as Constant
from .constructs import parameters_of

if TYPE_CHECKING:
    from ..scopes import Scope
    from .net import Net, Nets

_IN_FIRST_ROUND = Binary("<=", Select(Name("loop"), "index"), Constant(0))
_MOST_SUBSETS = 200
"""Of a fork's branches: of more it is not asked which of them are over together."""
_ERROR = frozenset({"status", "error"})
"""What others get of a node that failed."""

Lack = Literal["skipped", "failed", "completed", "cancelled", "first round"]
"""What has happened where a factor does not hold: to a node, to a branch, or nothing yet."""


@dataclass(frozen=True, slots=True)
class Factor:
    """Something that must hold, and ``lack``: what has happened to ``node`` of ``scope`` where it does not.
    ``complete``: nothing else can be missing."""

    function: int
    lack: Lack
    scope: Scope
    node: str
    complete: bool = False


def factors(nets: Nets, chain: Chain, scope: Scope) -> Iterator[Factor]:
    """What ``chain``, read in ``scope``, needs; nothing, where that is not known or nothing can be missing."""
    if chain.root == "nodes" and chain.path and (found := nets.find(str(chain.path[0]), scope)):
        yield from _of_node(nets, *found, chain.path[1:])
    elif chain.root == "loop" and len(chain.path) > 1:
        first = first_round(nets, chain, scope)
        if first is not None:
            yield Factor(first ^ 1, "first round", scope, "")


def first_round(nets: Nets, chain: Chain, scope: Scope) -> int | None:
    """Where the loop whose ``last`` is read is in its first round."""
    if chain.root != "loop" or chain.path[:1] != ("last",):
        return None
    binder = next((one for one in scope.around() if "loop" in one.names), None)
    if binder is None or not repeats(nets, binder):
        return None
    return nets.holds(_IN_FIRST_ROUND, scope)


def repeats(nets: Nets, part: Scope) -> bool:
    """Whether ``part`` is the body of a loop, whose rounds follow each other."""
    owner = part.owner
    if owner is None or owner.type not in nets.registry:
        return False
    return any(deferred.in_parts for deferred in nets.registry[owner.type].deferred.values())


def _of_node(nets: Nets, scope: Scope, node_id: str, rest: tuple[str | int, ...]) -> Iterator[Factor]:
    net = nets.of(scope)
    if net is None or node_id not in net.runs:
        return
    yield Factor(net.runs[node_id], "skipped", scope, node_id, complete=not rest)
    if not rest:
        return
    certain = rest[0] in _certain(nets, net, node_id)
    if (failing := net.failing.get(node_id)) is not None:
        if rest[0] in _ERROR and not certain:
            yield Factor(failing.fine ^ 1, "completed", scope, node_id, complete=True)
            return
        yield Factor(failing.fine, "failed", scope, node_id)
    inside = list(_inside(nets, net, node_id, rest))
    yield from inside
    if not inside and certain and len(rest) == 1:
        yield Factor(net.runs[node_id], "skipped", scope, node_id, complete=True)


def _inside(nets: Nets, net: Net, node_id: str, rest: tuple[str | int, ...]) -> Iterator[Factor]:
    """What the output of a construct needs of its parts, where the path leads into them."""
    parts, kind = net.scope.parts_of(node_id), net.scope.graph.by_id[node_id].type
    if not parts or kind not in nets.registry:
        return
    parameters = parameters_of(net.raw[node_id])
    if nets.registry[kind].parts == "branches":
        part = next((one for one in parts if one.name == rest[0]), None)
        if part is None:
            return
        if parameters.get("wait_for", "all") not in ("all", len(parts)):
            _finish(nets, parts, parameters.get("wait_for"))
            yield Factor(nets.unfinished[part.path], "cancelled", part, "", complete=len(rest) == 1)
        rest = rest[1:]
    elif nets.registry[kind].binds(parameters):
        return  # A list of rounds.
    else:
        part = parts[0]
    if rest and "output" not in nets.document.value(part.path) and rest[0] in part.graph:
        yield from _of_node(nets, part, str(rest[0]), rest[1:])


def _finish(nets: Nets, parts: Sequence[Scope], wait_for: Any) -> None:
    """When each branch of a fork is over: as many are as it waits for, so that the last of them are where too few of
    the others are."""
    wanted = 1 if wait_for == "any" else wait_for if isinstance(wait_for, int) else 0
    for index, part in enumerate(parts):
        if part.path in nets.unfinished:
            continue
        over, spare = nets.diagrams.variable(), wanted - (len(parts) - index)
        if spare >= 0 and math.comb(index, spare + 1) <= _MOST_SUBSETS:
            earlier = [nets.unfinished[one.path] for one in parts[:index]]
            enough = [nets.product(*some) ^ 1 for some in itertools.combinations(earlier, spare + 1)]
            over = nets.product(over ^ 1, nets.product(*enough) ^ 1) ^ 1
        nets.unfinished[part.path] = over


def _certain(nets: Nets, net: Net, node_id: str) -> frozenset[str]:
    """The fields that a completed node surely gives."""
    kind = net.scope.graph.by_id[node_id].type
    if kind not in nets.registry or net.scope.parts_of(node_id):
        return frozenset()
    return shape_of_model(nets.registry[kind].output).certain
