"""Before a call to a service: its circuit breaker is asked; after it, the breaker learns how it went.

Which service a node calls is data on its type (``service``). A call that is refused fails at once as UNAVAILABLE with
``retry_after``, and goes to the node's fallback without trying again where it has one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..core.errors import Code, ErrorRecord, RealmError
from ..tasks.executor import NodeCall, NodeOutcome
from ..tasks.sdk import NodeType
from .journal import now

if TYPE_CHECKING:
    from ..store.breakers import Breaker
    from .run import Run

AT_FAULT = frozenset(
    {Code.UNAVAILABLE, Code.DEPENDENCY_FAILURE, Code.DEADLINE_EXCEEDED, Code.NODE_EXECUTION_TIMEOUT}
)
"""The codes that blame the service; with any other, it has answered."""
CIRCUIT = "circuit"
"""The key of an error's details that says which breaker refused the call."""
LONGEST_NAME = 255


async def guarded(
    run: Run, node_type: NodeType, call: NodeCall, attempt: Callable[[], Awaitable[NodeOutcome]]
) -> NodeOutcome:
    """The outcome of ``attempt``, or of its refusal."""
    place = service_of(node_type, call)
    settings, journal = run.env.settings, run.env.journal
    if place is None or settings.breaker_failures == 0:
        return await attempt()
    breakers = journal.store.breakers
    known = await journal.call(breakers.find, *place)
    probing = known is not None and known.state != "closed"
    if probing:
        refused = await journal.call(breakers.probe, *place, settings.breaker_pause)
        if refused is not None:
            return _refusal(call, refused)
    try:
        outcome = await attempt()
    except BaseException:
        if probing:
            await journal.call(breakers.give_up, *place)
        raise
    if fault_of_service(outcome) is not None:
        await count_failure(run, node_type, call, outcome)
    elif known is not None and outcome.pid:
        await journal.call(breakers.succeeded, *place)
    elif probing:
        await journal.call(breakers.give_up, *place)
    return outcome


async def count_failure(run: Run, node_type: NodeType, call: NodeCall, outcome: NodeOutcome) -> None:
    """Count an attempt that blames the service, wherever it was made; any other changes nothing."""
    service, fault, settings = service_of(node_type, call), fault_of_service(outcome), run.env.settings
    if service is None or fault is None or settings.breaker_failures == 0:
        return
    limits = {"threshold": settings.breaker_failures, "pause": settings.breaker_pause}
    await run.env.journal.call(run.env.journal.store.breakers.failed, *service, fault.message, **limits)


def service_of(node_type: NodeType, call: NodeCall) -> tuple[str, str] | None:
    """The service that a call is to and its operation, as the node type names them."""
    if node_type.service is None:
        return None
    named = node_type.service(call.parameters)
    return None if named is None else (named[0][:LONGEST_NAME], named[1][:LONGEST_NAME])


def fault_of_service(outcome: NodeOutcome) -> ErrorRecord | None:
    """The error of an attempt that blames the service. An attempt that never ran on a worker says nothing of it."""
    if outcome.error is None or not outcome.pid:
        return None
    error = ErrorRecord.from_dict(outcome.error)
    return error if error.code in AT_FAULT else None


def _refusal(call: NodeCall, breaker: Breaker) -> NodeOutcome:
    from .runners import failed

    left = max(0.0, (breaker.retry_at - now()).total_seconds()) if breaker.retry_at else 0.0
    where = f"{breaker.service} {breaker.operation}".strip()
    refused = RealmError(
        Code.UNAVAILABLE,
        f"{where} is left alone for {left:.0f} s: it failed {breaker.failures} times in a row ({breaker.error})",
        hint="it is tried again by itself; on_error: {fallback: …} says what to do meanwhile",
        details={
            "retry_after": round(left, 3),
            CIRCUIT: {"service": breaker.service, "state": breaker.state},
        },
    )
    return failed(call, refused.record)
