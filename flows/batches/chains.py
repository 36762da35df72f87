"""In the run: a node's call with what follows it at once, so that one task does all of it.

The nodes that follow go the usual way after it, only that their first attempts have been made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ...core.resources import Resources
from ...tasks.batching import shared
from ...tasks.executor import NodeCall, NodeOutcome
from ...tasks.registry import registry
from ..calls import resources_of
from .steps import Steps, around, watched, wire
from .worker import SECONDS, Chain, Followed

if TYPE_CHECKING:
    from ..scope import Handle


async def on_a_worker(
    handle: Handle, call: NodeCall, resources: Resources, listen: Callable[[dict[str, Any]], None]
) -> NodeOutcome:
    """An attempt of a node on a worker. The attempts that are made there of what follows it are kept for these."""
    run = handle.scope.run
    call, resources = _with_followers(handle, call, resources)
    outcome = await run.runner.run(call, resources, handle.node.priority, listen)
    if isinstance(outcome, Followed):
        handle.scope.made = {**handle.scope.made, **outcome.made}
    return outcome


def _with_followers(handle: Handle, call: NodeCall, resources: Resources) -> tuple[NodeCall, Resources]:
    """The call of a node, with the nodes that are fused to it, unless an earlier life of the instance began these; and
    what the one that wants most of them needs."""
    scope = handle.scope
    followers = scope.fused.get(handle.node.id, [])
    if not followers or watched(scope.run) or any(one.key in scope.past for one in followers):
        return call, resources
    types = registry()
    on_workers = [one for one in followers if types[one.node.type].where == "worker"]
    together = shared([resources, *(resources_of(one, types[one.node.type]) for one in on_workers)])
    if together is None:
        return call, resources
    steps = Steps(tuple((one.node, tuple(map(wire, scope.incoming[one.node.id]))) for one in followers))
    common = {one.name: getattr(call, one.name) for one in fields(call)}
    # None begins later than that after the first, so that only one can be late.
    common["timeout"] = call.timeout + SECONDS + max(steps.timeouts())
    chain = Chain(
        **common,
        steps=steps,
        around=around(steps, scope),
        prefix=scope.prefix,
        reuse=scope.run.env.settings.reuse,
        head=call,
        node_id_of_head=handle.node.id,
    )
    return chain, together
