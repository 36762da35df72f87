"""What an earlier life of the instance did with a node, and whether that still stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.errors import ErrorRecord
from ..core.status import NodeStatus
from ..core.termination import Termination
from .declarations import Edge
from .joins import passes
from .routes import goto, ignores

if TYPE_CHECKING:
    from ..store.sagas import Undone
    from .scope import Handle


async def restore(handle: Handle, incoming: Sequence[Edge]) -> bool:
    """Take the node's result from the journal when an earlier life of the instance decided it: as completed, as a
    failure that the definition lets pass, or as one for good where the instance is only carried on. What was undone
    since, and what follows it, runs again."""
    row = handle.scope.past.get(handle.key)
    _mark_again(handle, incoming)
    if row is None or row.status not in (NodeStatus.COMPLETED, NodeStatus.FAILED):
        return False
    stands = row.status is NodeStatus.FAILED and not handle.anew and await _stands(handle)
    if stands:
        handle.again = False  # What was undone inside it was undone for that very failure.
    elif handle.again:
        await _reopen(handle)
        return False
    error = ErrorRecord.from_dict(row.error) if row.status is NodeStatus.FAILED and row.error else None
    if row.status is NodeStatus.FAILED:
        route(handle, error)
        if not stands and handle.node.fail_on_error and not handle.ignored and handle.goto is None:
            return False
    output = {} if row.output is None else row.output
    handle.status, handle.output, handle.error, handle.restored = row.status, output, error, True
    handle.attempts = attempts_before(handle) or 1
    handle.scope.run.emit_node(handle, message="restored from the journal")
    if row.attempts and (ending := Termination.noted(row.attempts[-1].notes)) is not None:
        handle.scope.run.end(ending)
    return True


async def _stands(handle: Handle) -> bool:
    """Whether the node's failure is a verdict on the present attempt of what is around it, of which only the process
    died; not so when that began again since, or the instance was retried."""
    scope = handle.scope
    if not scope.carried:
        return False
    around = None if scope.owner is None else (scope.owner.key, scope.owner.scope.iteration)
    return (await scope.run.failures()).stands((handle.key, scope.iteration), around)


async def _reopen(handle: Handle) -> None:
    """Let the node run again, and with it what follows it; in one transaction, since a later life that finds the node
    completed again could not tell that what follows is older."""
    scope = handle.scope
    following = _following(handle)
    anew = [handle, *following] if handle.anew else following
    iteration = scope.iteration
    over = (NodeStatus.COMPLETED, NodeStatus.FAILED)
    past = {key for key, row in scope.past.items() if row.status in over}
    places = [(one.key, iteration) for one in (handle, *following) if one.key in past]
    under = [(f"{one.key}/", iteration) for one in anew if one.parts]
    scope.reopened = True
    journal = scope.run.env.journal
    await journal.call(journal.store.executions.reopen, scope.run.instance_id, places, under=under)


def _following(handle: Handle) -> list[Handle]:
    """The nodes of the scope that come after one, however far."""
    scope, found, left = handle.scope, {handle.node.id}, {handle.node.id}
    while left:
        left = {
            id for id, edges in scope.incoming.items() if any(one.source.node.id in left for one in edges)
        }
        left -= found
        found |= left
    return [
        one for id, one in scope.handles.items() if id in found and one is not handle and id in scope.incoming
    ]


def attempts_before(handle: Handle) -> int:
    """How many attempts the node had in earlier lives of the instance."""
    row = handle.scope.past.get(handle.key)
    return max((attempt.attempt for attempt in row.attempts), default=0) if row else 0


def fails_the_scope(handle: Handle) -> bool:
    """Whether the node failed, and nothing in the definition says how to go on then."""
    return handle.status is NodeStatus.FAILED and not passes(handle) and handle.goto is None


def route(handle: Handle, error: ErrorRecord | None) -> None:
    """Note on a failed node where its rules let the scope go on."""
    if error is not None:
        handle.ignored, handle.goto = ignores(handle.node, error.code), goto(handle.node, error.code)


def _mark_again(handle: Handle, incoming: Sequence[Edge]) -> None:
    """Whether the node runs again although it has run: it was undone, or something before or inside it was. What is
    inside one that runs anew was reopened with it. What a transaction inside it undid when it failed is that one's
    affair."""
    undone = handle.scope.run.undone
    itself = (handle.key, handle.scope.iteration) in undone
    handle.anew = itself or any(edge.source.again for edge in incoming)
    handle.again = handle.anew or any(_inside(handle, step) for step in undone.values())


def _inside(handle: Handle, step: Undone) -> bool:
    """Whether a step inside the node was undone for the failure of something around the node."""
    own = handle.scope.iteration
    deeper = not own or step.iteration == own or step.iteration.startswith(f"{own}.")
    around = not step.around or handle.key.startswith(f"{step.around}/")
    return deeper and around and step.node_id.startswith(f"{handle.key}/")
