"""What follows the failure of an instance: its steps are undone, its handler runs, people are told.

Meanwhile the instance is ``compensating``: a process that carries it on then goes on here, and starts none of its
nodes. Nothing here changes that the instance has failed, and why.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..core.errors import ErrorRecord
from ..core.status import InstanceStatus, NodeStatus
from .declarations import Node, Retry
from .sagas import recall, undo
from .scope import Aside

if TYPE_CHECKING:
    from ..store import Store
    from ..store.sagas import Saga
    from .declarations import SubWorkflow, Workflow
    from .run import Run
    from .scope import Part, Scope

log = logging.getLogger("mirror_realm.run")

PREFIX = "!on-failure/"
"""What the journal's ids of the nodes begin with that run because the instance, or a workflow inside it, failed."""
UNDO = "undo"
"""The key of the details of a cancel's error that says what is undone: ``all``, or half-done ``transactions``."""
_NEWS = {
    "type": "failure",
    "title": "{{ execution.workflow }} failed",
    "body": "{{ execution.id }}: {{ error.code }}: {{ error.message }}",
}


async def take_up(run: Run) -> None:
    """Go on with the transactions that an earlier life of the instance was undoing, and learn what it had undone."""
    journal = run.env.journal
    for saga in await journal.call(journal.store.sagas.unfinished, run.instance_id):
        if saga.node_id:
            await undo(run, saga)
    await recall(run)


async def undone(run: Run, error: ErrorRecord) -> ErrorRecord:
    """Undo what an instance did that ends as canceled: all of it where the ``error`` says so, else what transactions
    had left half done in earlier lives, and this one did not take up; the error, with what was undone. Its handlers do
    not run, since it did not fail."""
    if error.details.get(UNDO) == "all":
        saga = await run.env.journal.call(_begin_undoing, run, error)
        sagas = [] if saga is None else [saga]
    else:
        sagas = await run.env.journal.call(_begin_half_done, run, error)
    if sagas:
        run.emit_instance(InstanceStatus.COMPENSATING, error)
    for saga in sagas:
        error = await undo(run, saga)
    return error


def half_done(store: Store, instance_id: str, error: ErrorRecord) -> list[Saga]:
    """Begin to undo the transactions that neither completed nor failed, nor were undone when they were cancelled; what
    is to be done, in that order."""
    over = (NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.SKIPPED)
    half = [
        row
        for row in store.executions.for_instance(instance_id)
        if row.node_type == "control/transaction" and row.status not in over
    ]
    # The innermost first: what it leaves is its outer one's.
    half.sort(key=lambda row: -row.node_id.count("/"))
    begun = [
        store.sagas.begin(instance_id, row.node_id, row.iteration, row.retry_count + 1, error) for row in half
    ]
    return [saga for saga in begun if saga is not None and saga.status == "compensating"]


def _begin_half_done(run: Run, error: ErrorRecord) -> list[Saga]:
    """In one transaction: that half-done transactions are to be undone, and that the instance is at it."""
    store = run.env.journal.store
    error = replace(error, details={**error.details, UNDO: "transactions"})
    with store.transaction():
        sagas = half_done(store, run.instance_id, error)
        _compensating(run, error, needed=bool(sagas))
    return sagas


def _begin_undoing(run: Run, error: ErrorRecord) -> Saga | None:
    store = run.env.journal.store
    with store.transaction():
        instance = store.instances.get(run.instance_id)
        saga = store.sagas.begin(run.instance_id, "", "", instance.retry_count + 1, error)
        _compensating(run, error, needed=saga is not None)
    return saga


def _compensating(run: Run, error: ErrorRecord, *, needed: bool) -> None:
    store, compensating = run.env.journal.store, InstanceStatus.COMPENSATING
    if needed and store.instances.get(run.instance_id).status is not compensating:
        epoch = run.env.journal.epoch
        store.instances.transition(run.instance_id, compensating, error=error.to_dict(), epoch=epoch)


async def follow(run: Run, error: ErrorRecord) -> ErrorRecord:
    """Do what follows ``error``; the error, with what was undone for it."""
    handled = run.on_failure is not None or bool(_notify(run.workflow))
    saga, begins = await run.env.journal.call(_begin, run, error, handled)
    if saga is None and not handled:
        return error
    run.emit_instance(InstanceStatus.COMPENSATING, error)
    if saga is not None:
        error = await undo(run, saga)
    if handled:
        if begins and run.resumed:
            await _forget(run, PREFIX, "")
        await _handle(lambda: _aside(run, error), run.workflow, run.on_failure)
    return error


async def follow_inside(scope: Scope, part: SubWorkflow, error: ErrorRecord, *, begins: bool) -> None:
    """Do what a workflow that runs inside another one says is to follow its failure. ``begins``: it had not begun in an
    earlier life."""
    prefix = scope.prefix + PREFIX
    if begins:
        await _forget(scope.run, prefix, scope.iteration)

    async def aside() -> Aside:
        told = _told(error)
        made = Aside(
            scope.run,
            prefix,
            iteration=scope.iteration,
            names={**scope.names, "error": told},
            given={"input": scope.names["input"], "error": told},
        )
        made.parent = scope
        await made.recall(again=True)
        return made

    await _handle(aside, part.workflow, part.on_failure)


async def _handle(aside: Callable[[], Awaitable[Aside]], workflow: Workflow, on_failure: Part | None) -> None:
    """Run the handler of a workflow, and then tell people."""
    if on_failure is not None:
        scope = await aside()
        on_failure(scope)
        await _settle(scope)
    if notify := _notify(workflow):
        scope = await aside()
        for number, entry in enumerate(notify, 1):
            scope.start(_notification(number, entry))
        await _settle(scope)


def _notify(workflow: Workflow) -> Sequence[str | Mapping[str, Any]]:
    return (workflow.error_handling or {}).get("notify") or ()


def _begin(run: Run, error: ErrorRecord, handled: bool) -> tuple[Saga | None, bool]:
    """In one transaction: what is to be undone, and that the instance is at it. Whether that begins now."""
    store = run.env.journal.store
    with store.transaction():
        instance = store.instances.get(run.instance_id)
        begins = instance.status is not InstanceStatus.COMPENSATING
        saga = store.sagas.begin(run.instance_id, "", "", instance.retry_count + 1, error)
        if begins and (saga is not None or handled):
            store.instances.transition(
                run.instance_id,
                InstanceStatus.COMPENSATING,
                error=error.to_dict(),
                epoch=run.env.journal.epoch,
            )
    return saga, begins


async def _forget(run: Run, prefix: str, iteration: str) -> None:
    """A handler that ran for an earlier failure runs again for this one."""
    executions = run.env.journal.store.executions
    rows = await run.env.journal.call(executions.for_instance, run.instance_id)
    inside = [row for row in rows if row.node_id.startswith(prefix)]
    own = [row for row in inside if not iteration or f"{row.iteration}.".startswith(f"{iteration}.")]
    ran = [(row.node_id, row.iteration) for row in own]
    if ran:
        await run.env.journal.call(executions.reopen, run.instance_id, ran)


async def _aside(run: Run, error: ErrorRecord) -> Aside:
    told = _told(error)
    scope = Aside(run, PREFIX, names={"error": told}, given={"input": run.input, "error": told})
    await scope.recall(again=run.resumed)
    return scope


def _told(error: ErrorRecord) -> dict[str, Any]:
    return {name: value for name, value in error.to_dict().items() if name != "traceback"}


async def _settle(scope: Aside) -> None:
    try:
        await scope.settle()
    except BaseException:
        await scope.stop()
        raise
    for handle in scope.handles.values():
        if handle.status is NodeStatus.FAILED and handle.error is not None:
            log.warning(
                "%s, run because its workflow failed, failed too: %s", handle.label, handle.error.message
            )


def _notification(number: int, entry: str | Mapping[str, Any]) -> Node:
    """A node that tells people: an Apprise URL, the name of a variable that holds some, or ``notify/send``'s own
    parameters."""
    if isinstance(entry, str):
        entry = {"urls": [entry]} if "://" in entry else {"urls_from": entry}
    once_more = Retry(max_attempts=2, initial=1.0)
    parameters = {**_NEWS, **entry}
    return Node(f"notify-{number}", "notify/send", parameters, retry=once_more, fail_on_error=False)
