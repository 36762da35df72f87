"""In the run: a node's call with what follows it at once, so that one task does all of it.

The nodes that follow go the usual way after it, only that their first attempts have been made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ...core.resources import Resources
from ...tasks.executor import NodeCall, NodeOutcome
from .steps import Steps, around, watched, wire
from .worker import SECONDS, Chain, Followed

if TYPE_CHECKING:
    from ..scope import Handle


async def on_a_worker(
    handle: Handle, call: NodeCall, resources: Resources, listen: Callable[[dict[str, Any]], None]
) -> NodeOutcome:
    """An attempt of a node on a worker. The attempts that are made there of what follows it are kept for these."""
    run = handle.scope.run
    outcome = await run.runner.run(_with_followers(handle, call), resources, handle.node.priority, listen)
    if isinstance(outcome, Followed):
        handle.scope.made = {**handle.scope.made, **outcome.made}
    return outcome


def _with_followers(handle: Handle, call: NodeCall) -> NodeCall:
    """The call of a node, with the nodes that are fused to it, unless an earlier life of the instance began these."""
    scope = handle.scope
    followers = scope.fused.get(handle.node.id, [])
    if not followers or watched(scope.run) or any(one.key in scope.past for one in followers):
        return call
    steps = Steps(tuple((one.node, tuple(map(wire, scope.incoming[one.node.id]))) for one in followers))
    common = {one.name: getattr(call, one.name) for one in fields(call)}
    # None begins later than that after the first, so that only one can be late.
    common["timeout"] = call.timeout + SECONDS + max(steps.timeouts())
    return Chain(
        **common,
        steps=steps,
        around=around(steps, scope),
        prefix=scope.prefix,
        reuse=scope.run.env.settings.reuse,
        head=call,
        node_id_of_head=handle.node.id,
    )
