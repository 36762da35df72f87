"""Undoing: the steps of a transaction, or of a whole instance, that completed before it failed.

A step that completes is registered with the finished call that undoes it (:mod:`.steps`). Undoing makes those
calls, the last completed step first, as node executions named ``<step>!compensate``: journaled before and after,
retried by the same rules, at least once with a stable execution key. After a crash it goes on where it was.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..core.errors import FINAL, Code, ErrorRecord
from ..core.status import NodeStatus
from ..tasks.registry import registry
from .calls import bare_call
from .declarations import Node, Retry
from .nodes import execute
from .scope import Aside, Handle

if TYPE_CHECKING:
    from ..store import NodeExecution
    from ..store.sagas import Saga, SagaStep
    from .run import Run

log = logging.getLogger("mirror_realm.run")

UNDO = "!compensate"
"""What the journal adds to the id of a step for the execution that undoes it."""
COMPENSATION = "compensation"
"""The key of an error's details that says what was undone for it."""
STOP = "stop"
"""The key in there that says, while it is undone, that a step that cannot be undone ends it."""


async def compensate(
    run: Run, node_id: str, iteration: str, attempt: int, error: ErrorRecord, *, stop: bool = False
) -> ErrorRecord:
    """Undo what completed inside a node (``""``: in the instance) that failed with ``error``. The error, with what was
    undone and what was not in its details. ``stop``: leave the rest when undoing one step fails."""
    journal = run.env.journal
    begin = journal.store.sagas.begin
    kept = error
    if stop:  # A later life that goes on with it must know.
        noted = {**(error.details.get(COMPENSATION) or {}), STOP: True}
        kept = replace(error, details={**error.details, COMPENSATION: noted})
    saga = await journal.call(begin, run.instance_id, node_id, iteration, attempt, kept)
    return error if saga is None else await undo(run, saga)


async def undo(run: Run, saga: Saga) -> ErrorRecord:
    """Undo what is left of a saga; see :func:`compensate`."""
    journal, sagas = run.env.journal, run.env.journal.store.sagas
    noted = ErrorRecord.from_dict(saga.error).details.get(COMPENSATION) or {}
    stop = bool(noted.get(STOP))
    rows: dict[str, Mapping[str, NodeExecution]] = {}
    stopped = False
    for step in await journal.call(sagas.of, saga.id):
        if step.status in ("registered", "undoing"):
            if step.iteration not in rows:
                rows[step.iteration] = await journal.past(run.instance_id, step.iteration)
            left = ErrorRecord(Code.ABORTED, "undoing stopped before it") if stopped else None
            error = left or await _undo_step(run, step, rows[step.iteration])
            await journal.call(sagas.decide, step, error)
            stopped = stopped or (stop and error is not None)
        else:
            stopped = stopped or (stop and step.status == "failed")
    await journal.call(sagas.finish, saga.id)
    return _with_outcome(ErrorRecord.from_dict(saga.error), await journal.call(sagas.of, saga.id))


async def recall(run: Run) -> None:
    """Learn which steps are undone, so that they run again."""
    undone = await run.env.journal.call(run.env.journal.store.sagas.undone, run.instance_id)
    run.undone = {(step.node_id, step.iteration): step for step in undone}


async def _undo_step(run: Run, step: SagaStep, past: Mapping[str, NodeExecution]) -> ErrorRecord | None:
    """Make the call that undoes a step; its error, if it failed for good."""
    journal = run.env.journal
    if step.error is not None:
        return ErrorRecord.from_dict(step.error)
    before, _, name = step.node_id.rpartition("/")
    scope = Aside(run, f"{before}/" if before else "", iteration=step.iteration)
    retry = None if step.retry is None else Retry(**{**step.retry, "on": tuple(step.retry.get("on") or ())})
    handle = Handle(Node(name + UNDO, step.node_type, retry=retry), scope)
    row = past.get(handle.key)
    if row is not None and row.status is NodeStatus.COMPLETED:
        if step.status == "undoing":  # The process ended between the two rows.
            return None
        place = (handle.key, step.iteration)  # It undid an earlier completion of the step.
        await journal.call(journal.store.executions.reopen, run.instance_id, [place])
    scope.past = {} if row is None else {handle.key: row}
    await journal.call(journal.store.sagas.undoing, step)
    node_type = registry()[step.node_type]
    call = replace(
        bare_call(handle, step.position),
        parameters=dict(step.parameters),
        input=dict(step.input),
        timeout=node_type.timeout,
        roots=tuple(str(root) for root in run.env.roots),
        gpu_wanted=node_type.resources.gpu != "none",
    )
    log.info("%s is undone", step.label)
    await execute(handle, (), call)
    return handle.error if handle.status is NodeStatus.FAILED else None


@dataclass(frozen=True, slots=True)
class _Outcome:
    undone: list[str]
    failed: list[dict[str, Any]]

    @classmethod
    def noted(cls, error: ErrorRecord) -> _Outcome:
        """What inner transactions have undone for the error before."""
        known = error.details.get(COMPENSATION) or {}
        return cls(list(known.get("undone", ())), list(known.get("failed", ())))


def _with_outcome(error: ErrorRecord, steps: Sequence[SagaStep]) -> ErrorRecord:
    """The error with what was undone for it; a person must undo the rest, so trying again is no way out then."""
    outcome = _Outcome.noted(error)
    for step in steps:
        if step.status == "undone":
            outcome.undone.append(step.label)
        else:
            left = {"node": step.label, "type": step.node_type, "input": dict(step.input)}
            outcome.failed.append({**left, "error": dict(step.error or {})})
    status = "compensation_failed" if outcome.failed else "compensated"
    told = {"status": status, "undone": outcome.undone, "failed": outcome.failed}
    details = {**error.details, COMPENSATION: told, **({FINAL: True} if outcome.failed else {})}
    hint = error.hint
    if outcome.failed:
        hint = f"undo by hand: {', '.join(one['node'] for one in outcome.failed)}"
    return replace(error, details=details, hint=hint)
