"""One node of a run, from its edges to its result: guard → inputs → attempts → journal → successors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..core.errors import FINAL, Code, ErrorRecord, RealmError
from ..core.status import NodeStatus
from ..core.termination import Termination
from ..tasks.executor import NodeCall, NodeOutcome, execute_in_flow
from ..tasks.registry import registry
from ..tasks.sdk import NodeType
from .breakers import CIRCUIT, count_failure, guarded
from .caching import cached
from .calls import bare_call, call_of, resources_of, verdict_of
from .declarations import Edge
from .engines import Failure
from .evaluation import ScopeEvaluator
from .joins import Verdict
from .restoring import attempts_before, fails_the_scope, restore
from .results import CACHED
from .retries import attempts_allowed, next_delay
from .routes import fallback, goto, ignores
from .stages import once
from .steps import step_of

if TYPE_CHECKING:
    from .scope import Handle

log = logging.getLogger("mirror_realm.run")

MOST_DEATHS = 3
"""Worker processes that one node may kill before it is held responsible."""


async def drive(handle: Handle, incoming: Sequence[Edge]) -> None:
    """Bring ``handle`` to a decision. Never raises for a node's failure; ``handle.decided`` is always set."""
    scope = handle.scope
    try:
        for one in incoming:
            await one.source.decided.wait()
        # What a worker went ahead with has happened, and is told whatever failed beside it.
        if scope.failed is not None and handle.key not in scope.made:
            handle.status, handle.reason = NodeStatus.CANCELED, f"{scope.failed.label} failed before"
            return
        if scope.stopped:
            handle.status, handle.reason = NodeStatus.CANCELED, "the run was ended before"
            return
        if not await restore(handle, incoming):
            await _run(handle, incoming)
        if not handle.status.terminal:
            raise RealmError(Code.INTERNAL_ERROR, f"node {handle.label!r} ended without a verdict")
        if fails_the_scope(handle) and scope.failure is None:
            scope.failure = handle
    except asyncio.CancelledError:
        handle.status = NodeStatus.CANCELED
        raise
    finally:
        handle.decided.set()


async def _run(handle: Handle, incoming: Sequence[Edge]) -> None:
    """Skip the node, or run it to its end."""
    await handle.scope.run.waits.gate()
    try:
        verdict, call = await _decided(handle, incoming)
    except RealmError as error:
        await _fail_before_start(handle, incoming, error.record)
        return
    if call is None:
        await _skip(handle, incoming, verdict.reason)
    else:
        await execute(handle, incoming, call)


async def _decided(handle: Handle, incoming: Sequence[Edge]) -> tuple[Verdict, NodeCall | None]:
    """Whether the node runs, and with what. At a breakpoint it is decided again once the node may go on, since
    variables may have changed meanwhile."""
    run = handle.scope.run
    if run.env.replay is not None:
        run.names["vars"] = run.env.replay.variables(handle, run.workflow.variables)
    verdict = verdict_of(handle, incoming)
    call = call_of(handle, verdict) if verdict.runs else None
    if call is None or (because := run.breakpoints.why(handle)) is None:
        return verdict, call
    await run.breakpoints.stop(handle, call, because)
    await run.waits.gate()
    verdict = verdict_of(handle, incoming)
    return verdict, call_of(handle, verdict) if verdict.runs else None


async def _skip(handle: Handle, incoming: Sequence[Edge], reason: str) -> None:
    handle.status, handle.reason = NodeStatus.SKIPPED, reason
    await _journal_skipped(handle)
    await handle.scope.engine.skipped(handle, [e.source for e in incoming], reason)
    handle.scope.run.emit_node(handle, message=reason)


async def skipped(handle: Handle) -> None:
    """Journal a node that is not in the flow since it never runs; once, however many lives the instance has."""
    past = handle.scope.past.get(handle.key)
    if past is None or past.status not in (NodeStatus.SKIPPED, NodeStatus.RUNNING, NodeStatus.COMPLETED):
        await _journal_skipped(handle)
    handle.scope.run.emit_node(handle, message=handle.reason)


async def _journal_skipped(handle: Handle) -> None:
    scope, run = handle.scope, handle.scope.run
    await run.env.journal.skip(run.instance_id, handle.key, handle.node.type, handle.reason, scope.iteration)


async def execute(handle: Handle, incoming: Sequence[Edge], call: NodeCall) -> None:
    """Make the attempts of a node, until one completes or was the last; each is journaled before and after."""
    node_type, run = registry()[handle.node.type], handle.scope.run
    if run.env.replay is not None and await run.env.replay.takes(handle, call):
        return
    attempts = _Attempts(handle, node_type, call)
    with nullcontext() if node_type.where == "run" else run.waits.working():
        await handle.scope.engine.node(handle, [e.source for e in incoming], attempts.make, attempts.most)


class _Attempts:
    """The attempts of one node in this life of the instance."""

    def __init__(self, handle: Handle, node_type: NodeType, call: NodeCall) -> None:
        self.handle, self.node_type, self.call = handle, node_type, call
        self.parameters = call.parameters
        own_rule = handle.node.retry is not None and node_type.where == "run"
        self.limit = None if own_rule else node_type.max_attempts
        self.most = attempts_allowed(handle.node.retry, self.limit) + 1
        past = handle.scope.past.get(handle.key)
        goes_on = node_type.where == "run" and past is not None and past.status is NodeStatus.RUNNING
        self.left = past if goes_on else None
        """The row of a construct that an earlier life left open: what it did is in the rows of its nodes."""
        self.earlier = attempts_before(handle) - (1 if self.left else 0)
        self.deaths = 0

    async def make(self, attempt: int) -> Failure | None:
        """One attempt, number ``attempt`` of this life."""
        handle, run = self.handle, self.handle.scope.run
        handle.attempts, handle.status = self.earlier + attempt, NodeStatus.RUNNING
        this = replace(self.call, attempt=handle.attempts, parameters=self.parameters)
        again = self.left if attempt == 1 else None
        row = again or await run.env.journal.begin(this, max_attempts=self.most)
        run.emit_node(handle)
        began = asyncio.get_running_loop().time()
        began_at = row.attempts[-1].started_at
        outcome = await _attempt(handle, self.node_type, this, began_at, carried=again is not None)
        handle.seconds, handle.worker = asyncio.get_running_loop().time() - began, outcome.worker
        degraded = self.parameters is not self.call.parameters
        error = ErrorRecord.from_dict(outcome.error) if outcome.error else None
        delay = None
        if error is not None:
            error, delay = self._judge(error, attempt)
        handle.error, handle.output = error, {} if outcome.output is None else outcome.output
        handle.reused = CACHED in outcome.notes
        handle.status = _status(error, delay)
        if degraded:
            outcome = replace(outcome, notes={**outcome.notes, "fallback": True})
        step = step_of(handle, this, handle.output) if error is None and CACHED not in outcome.notes else None
        await run.env.journal.finish(row, handle.attempts, handle.status, outcome, error, step)
        if step is not None:  # What was undone is there again.
            run.undone.pop((handle.key, handle.scope.iteration), None)
        _tell(handle, delay)
        if (ending := Termination.noted(outcome.notes)) is not None:
            run.end(ending)
        return None if error is None else Failure(error, delay)

    def _judge(self, error: ErrorRecord, attempt: int) -> tuple[ErrorRecord, float | None]:
        """The error to journal, and the seconds until the next attempt (``None``: there is none)."""
        handle, node = self.handle, self.handle.node
        self.deaths += bool(error.details.get("worker_died"))
        error = _responsible(error, self.deaths)
        delay = next_delay(error, attempt, node.retry, max_attempts=self.limit)
        if delay is not None and handle.scope.run.env.mocks is not None:
            delay = 0.0  # A test does not sit the pauses out.
        if (delay is None or CIRCUIT in error.details) and self.parameters is self.call.parameters:
            self.parameters = fallback(node, error.code, self.parameters)
            delay = delay if self.parameters is self.call.parameters else 0.0
        if delay is None:
            handle.ignored, handle.goto = ignores(node, error.code), goto(node, error.code)
        return error, delay


async def _attempt(
    handle: Handle, node_type: NodeType, call: NodeCall, since: datetime, *, carried: bool
) -> NodeOutcome:
    run = handle.scope.run

    def listen(event: dict[str, Any]) -> None:
        handle.worker = event.get("worker") or handle.worker
        run.emit_node(handle, progress=event.get("fraction"), message=event.get("message") or "")

    async def attempt() -> NodeOutcome:
        if run.env.mocks is not None and (mocked := await run.env.mocks.outcome(handle, call)) is not None:
            return mocked
        if made is not None and made.of(call):
            return made.outcome
        if node_type.where == "run":
            from .constructs import Site, drive_construct

            def report(fraction: float, message: str) -> None:
                listen({"fraction": fraction, "message": message})

            return await drive_construct(Site(handle, call, since, carried, report), node_type, call)
        if node_type.where == "flow":
            return await execute_in_flow(call, evaluator=ScopeEvaluator(handle.scope.expressions()))
        from .batches.chains import on_a_worker

        return await on_a_worker(handle, call, resources_of(handle, node_type), listen)

    async def guarded_attempt() -> NodeOutcome:
        return await guarded(run, node_type, call, attempt)

    made = handle.scope.made.get(handle.key)
    if made is not None and made.recorded and made.of(call):
        await count_failure(run, node_type, call, made.outcome)
        return made.outcome
    if handle.node.cache is not None:
        return await cached(handle, node_type, call, guarded_attempt)
    if node_type.once is not None and run.env.settings.reuse:
        return await once(handle, node_type, call, guarded_attempt)
    return await guarded_attempt()


async def _fail_before_start(handle: Handle, incoming: Sequence[Edge], error: ErrorRecord) -> None:
    """A condition, a template or the input could not be evaluated: journaled as the node's one failed attempt."""
    from .runners import failed

    run = handle.scope.run
    call = replace(bare_call(handle), attempt=attempts_before(handle) + 1)

    async def body(attempt: int) -> Failure | None:
        row = await run.env.journal.begin(call, max_attempts=1)
        handle.attempts, handle.status, handle.error = call.attempt, NodeStatus.FAILED, error
        handle.ignored, handle.goto = ignores(handle.node, error.code), goto(handle.node, error.code)
        await run.env.journal.finish(row, call.attempt, NodeStatus.FAILED, failed(call, error), error)
        _tell(handle, None)
        return Failure(error, None)

    await handle.scope.engine.node(handle, [e.source for e in incoming], body, 1)


def _status(error: ErrorRecord | None, delay: float | None) -> NodeStatus:
    if error is None:
        return NodeStatus.COMPLETED
    return NodeStatus.FAILED if delay is None else NodeStatus.RETRYING


def _responsible(error: ErrorRecord, deaths: int) -> ErrorRecord:
    """The error of a dead worker; from the third death on the node itself is to blame, and the error is final."""
    if deaths < MOST_DEATHS:
        return error
    return ErrorRecord(
        Code.INTERNAL_ERROR,
        f"{deaths} worker processes died while they ran this node: the node kills its workers",
        error.hint,
        {**error.details, FINAL: True},
        error.exception,
    )


def _tell(handle: Handle, delay: float | None) -> None:
    run = handle.scope.run
    if handle.error is None:
        run.emit_node(handle)  # Each engine logs it: Prefect with the state's message.
        return
    again = f"; again in {delay:.1f} s" if delay is not None else ""
    log.warning("%s failed (%s): %s%s", handle.label, handle.summary, _sentence(handle.error), again)
    run.emit_node(handle, message=_sentence(handle.error) + again)


def _sentence(error: ErrorRecord) -> str:
    return f"{error.code}: {error.message}" + (f" ({error.hint})" if error.hint else "")
