"""One node of a run, from its edges to its result: guard → inputs → attempts → journal → successors."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..core.errors import FINAL, Code, ErrorRecord, RealmError
from ..core.resources import Resources
from ..core.status import NodeStatus
from ..tasks.executor import NodeCall, NodeOutcome, execute_in_flow
from ..tasks.registry import registry
from ..tasks.sdk import NodeType
from .declarations import Edge
from .engines import Failure
from .joins import Verdict, decide, fired, passes
from .retries import attempts_allowed, fallback, ignores, next_delay

if TYPE_CHECKING:
    from .run import Handle, Run

log = logging.getLogger("mirror_realm.run")

MOST_DEATHS = 3
"""Worker processes that one node may kill before it is held responsible."""


async def drive(run: Run, handle: Handle, incoming: Sequence[Edge]) -> None:
    """Bring ``handle`` to a decision. Never raises for a node's failure; ``handle.decided`` is always set."""
    try:
        for one in incoming:
            await one.source.decided.wait()
        if run.failure is not None:
            handle.status, handle.reason = NodeStatus.CANCELED, "the instance failed before"
            return
        if _restore(run, handle):
            return
        try:
            verdict = _verdict(run, handle, incoming)
            call = _call(run, handle, verdict) if verdict.runs else None
        except RealmError as error:
            await _fail_before_start(run, handle, incoming, error.record)
        else:
            if call is None:
                await _skip(run, handle, incoming, verdict.reason)
            else:
                await _execute(run, handle, incoming, call)
        if not handle.status.terminal:
            raise RealmError(Code.INTERNAL_ERROR, f"node {handle.node.id!r} ended without a verdict")
        if handle.status is NodeStatus.FAILED and not passes(handle) and run.failure is None:
            run.failure = handle
    except asyncio.CancelledError:
        handle.status = NodeStatus.CANCELED
        raise
    finally:
        handle.decided.set()


def _restore(run: Run, handle: Handle) -> bool:
    """Take the node's result from the journal when an earlier life of the instance completed it."""
    if (row := run.restored.get(handle.node.id)) is None:
        return False
    handle.status, handle.output, handle.restored = NodeStatus.COMPLETED, dict(row.output or {}), True
    handle.attempts = run.attempts_before.get(handle.node.id, 1)
    run.emit_node(handle, message="restored from the journal")
    return True


def _verdict(run: Run, handle: Handle, incoming: Sequence[Edge]) -> Verdict:
    from ..compiler.expressions import holds

    scope = run.scope()

    def condition(when: str | bool) -> bool:
        return holds(when, scope)

    live = [e for e in incoming if fired(e, run.outgoing[e.source.node.id], condition)]
    verdict = decide(handle.node, incoming, live)
    if verdict.runs and handle.node.when is not None and not condition(handle.node.when):
        return Verdict(False, reason=f"its guard does not hold: {handle.node.when}")
    return verdict


def _call(run: Run, handle: Handle, verdict: Verdict) -> NodeCall:
    from ..compiler.expressions import render

    node, env = handle.node, run.env
    node_type = registry()[node.type]
    scope = run.scope()
    given = _bounded(handle, _input(run, handle, verdict, scope), env.settings.max_payload_bytes)
    return NodeCall(
        node_type=node.type,
        node_id=node.id,
        instance_id=run.instance_id,
        execution_key=f"{run.instance_id}/{node.id}",
        attempt=1,
        parameters=render(dict(node.parameters), scope),
        input=given,
        timeout=node.timeout or node_type.timeout,
        roots=tuple(str(root) for root in env.roots),
        gpu=False,
        gpu_wanted=_resources(handle, node_type).gpu != "none",
        max_payload_bytes=env.settings.max_payload_bytes,
        progress_topic=None,
    )


def _input(run: Run, handle: Handle, verdict: Verdict, scope: Mapping[str, Any]) -> dict[str, Any]:
    """What the node gets: its own mapping, else its live predecessors' outputs merged, else the instance's input."""
    from ..compiler.expressions import apply_mapping, render

    if handle.node.input is not None:
        return render(dict(handle.node.input), scope)
    if not verdict.live:
        return {**run.input, "trigger": run.trigger}
    merged: dict[str, Any] = {}
    for edge in verdict.live:
        source = _given(edge.source)
        _merge(merged, apply_mapping(edge.mapping, source, scope) if edge.mapping is not None else source)
    return merged


def _given(source: Handle) -> dict[str, Any]:
    if source.status is NodeStatus.FAILED and source.error is not None:
        return {"status": "failed", "error": source.error.to_dict()}
    return source.output


def _merge(target: dict[str, Any], update: Mapping[str, Any]) -> None:
    for key, value in update.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            target[key] = dict(target[key])
            _merge(target[key], value)
        else:
            target[key] = value


def _bounded(handle: Handle, value: dict[str, Any], limit: int) -> dict[str, Any]:
    size = len(json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"))
    if size > limit:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"the input of node {handle.node.id!r} is {size} bytes of JSON, more than the limit of {limit}",
            hint="pass a file reference, or map only the fields that it needs",
        )
    return value


def _resources(handle: Handle, node_type: NodeType) -> Resources:
    return Resources.model_validate({**node_type.resources.model_dump(), **dict(handle.node.resources or {})})


async def _skip(run: Run, handle: Handle, incoming: Sequence[Edge], reason: str) -> None:
    handle.status, handle.reason = NodeStatus.SKIPPED, reason
    await run.env.journal.skip(run.instance_id, handle.node.id, handle.node.type, reason)
    await run.engine.skipped(handle, [e.source for e in incoming], reason)
    run.emit_node(handle, message=reason)


async def _execute(run: Run, handle: Handle, incoming: Sequence[Edge], call: NodeCall) -> None:
    node, node_type = handle.node, registry()[handle.node.type]
    most = attempts_allowed(node.retry, node_type.max_attempts) + 1
    earlier = run.attempts_before.get(node.id, 0)
    loop = asyncio.get_running_loop()
    deaths = 0
    parameters = call.parameters

    async def body(attempt: int) -> Failure | None:
        nonlocal deaths, parameters
        handle.attempts, handle.status = earlier + attempt, NodeStatus.RUNNING
        this = replace(call, attempt=handle.attempts, parameters=parameters)
        row = await run.env.journal.begin(this, max_attempts=most)
        run.emit_node(handle)
        began = loop.time()
        outcome = await _attempt(run, handle, node_type, this)
        handle.seconds, handle.worker = loop.time() - began, outcome.worker
        error = ErrorRecord.from_dict(outcome.error) if outcome.error else None
        delay = None
        if error is not None:
            deaths += bool(error.details.get("worker_died"))
            error = _responsible(error, deaths)
            delay = next_delay(error, attempt, node.retry, max_attempts=node_type.max_attempts)
            if delay is None and parameters is call.parameters:
                parameters = fallback(node, error.code, parameters)
                delay = None if parameters is call.parameters else 0.0
            handle.ignored = delay is None and ignores(node, error.code)
        handle.error, handle.output = error, outcome.output or {}
        handle.status = _status(error, delay)
        if parameters is not call.parameters:
            outcome = replace(outcome, notes={**outcome.notes, "fallback": True})
        await run.env.journal.finish(row, handle.attempts, handle.status, outcome, error)
        _tell(run, handle, delay)
        return None if error is None else Failure(error, delay)

    await run.engine.node(handle, [e.source for e in incoming], body, most)


async def _attempt(run: Run, handle: Handle, node_type: NodeType, call: NodeCall) -> NodeOutcome:
    def listen(event: dict[str, Any]) -> None:
        handle.worker = event.get("worker") or handle.worker
        run.emit_node(handle, progress=event.get("fraction"), message=event.get("message") or "")

    if node_type.where == "flow":
        return await execute_in_flow(call)
    return await run.runner.run(call, _resources(handle, node_type), handle.node.priority, listen)


async def _fail_before_start(run: Run, handle: Handle, incoming: Sequence[Edge], error: ErrorRecord) -> None:
    """A condition, a template or the input could not be evaluated: journaled as the node's one failed attempt."""
    from .runners import failed

    node = handle.node
    call = NodeCall(
        node_type=node.type, node_id=node.id, instance_id=run.instance_id,
        execution_key=f"{run.instance_id}/{node.id}", attempt=run.attempts_before.get(node.id, 0) + 1,
        parameters={}, input={}, timeout=0.0, roots=(), gpu=False, gpu_wanted=False,
        max_payload_bytes=run.env.settings.max_payload_bytes, progress_topic=None,
    )  # fmt: skip

    async def body(attempt: int) -> Failure | None:
        row = await run.env.journal.begin(call, max_attempts=1)
        handle.attempts, handle.status, handle.error = call.attempt, NodeStatus.FAILED, error
        await run.env.journal.finish(row, call.attempt, NodeStatus.FAILED, failed(call, error), error)
        _tell(run, handle, None)
        return Failure(error, None)

    await run.engine.node(handle, [e.source for e in incoming], body, 1)


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


def _tell(run: Run, handle: Handle, delay: float | None) -> None:
    if handle.error is None:
        log.info("%s completed in %s", handle.node.id, handle.summary)
        run.emit_node(handle)
        return
    again = f"; again in {delay:.1f} s" if delay is not None else ""
    log.warning("%s failed (%s): %s%s", handle.node.id, handle.summary, _sentence(handle.error), again)
    run.emit_node(handle, message=_sentence(handle.error) + again)


def _sentence(error: ErrorRecord) -> str:
    return f"{error.code}: {error.message}" + (f" ({error.hint})" if error.hint else "")
