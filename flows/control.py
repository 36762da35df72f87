"""What a person does to an instance: cancel, pause, resume, retry, signal. Verbs over the store.

An instance that runs is asked, and its run does it (:mod:`.requests`), in whatever process it is; any other is changed
at once. Each verb may be repeated, and says what it did.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..core.errors import Code, ErrorRecord, RealmError
from ..core.status import InstanceStatus
from .aftermath import UNDO, half_done
from .journal import close_open
from .presence import here
from .rerun import Rerun

if TYPE_CHECKING:
    from ..store import Event, Instance, Store
    from ..store.instances import Request

_S = InstanceStatus

CANCELED = ErrorRecord(Code.CANCELLED, "it was canceled on request")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request. Not ``done``, it was left for the run, which does it within a second or two."""

    instance: Instance
    message: str
    done: bool = True


def cancel(
    store: Store,
    instance_id: str,
    *,
    undo: bool = False,
    owner: str | None = None,
    by: str | None = None,
    force: bool = False,
) -> Answer:
    """End an instance as canceled. FAILED_PRECONDITION when it has completed or failed.

    What its transactions left half done is undone, with ``undo`` everything that can be; of one that nobody runs by
    ``owner``, else by the next dispatcher. ``force`` does not ask its run: should that be alive after all, it can write
    nothing any more.
    """
    with store.transaction():
        instance = store.instances.lock(instance_id)
        if instance.status is _S.CANCELED:
            return Answer(instance, "was canceled before")
        if instance.status.terminal:
            raise refused(instance, "there is nothing to cancel")
        if (
            instance.status in (_S.RUNNING, _S.COMPENSATING)
            and not force
            and abandoned(instance, store) is not True
        ):
            request: Request = "undo" if undo else "cancel"
            return Answer(store.instances.ask(instance_id, request, by=by), "was asked to end", done=False)
        if instance.status is _S.RUNNING:
            store.instances.transition(
                instance_id, _S.RUNNING
            )  # A new life, so that the old one writes no more.
        error = replace(CANCELED, details={UNDO: "all" if undo else "transactions"})
        undone = instance.status is not _S.COMPENSATING and _begin_undoing(store, instance, error, undo)
        close_open(store, instance_id, CANCELED.message)
        if not undone:
            return Answer(store.instances.transition(instance_id, _S.CANCELED, error=CANCELED), "is canceled")
        if instance.status is not _S.RUNNING:
            store.instances.transition(instance_id, _S.RUNNING)
        store.instances.transition(instance_id, _S.COMPENSATING, error=error)
        asked = store.instances.ask(instance_id, "resume", by=by, claimed_by=owner)
        return Answer(asked, "ends once what it did is undone", done=False)


def _begin_undoing(store: Store, instance: Instance, error: ErrorRecord, undo: bool) -> bool:
    """Whether something is to be undone of an instance that nobody runs: all that can be, or half transactions."""
    if undo:
        return store.sagas.begin(instance.id, "", "", instance.retry_count + 1, error) is not None
    return bool(half_done(store, instance.id, error))


def pause(store: Store, instance_id: str, *, by: str | None = None, force: bool = False) -> Answer:
    """Let no more nodes start: what runs finishes, then the instance is ``paused`` and holds nothing. ``force`` does
    not ask its run.

    FAILED_PRECONDITION for one that has not begun or is over.
    """
    with store.transaction():
        instance = store.instances.lock(instance_id)
        if instance.status is _S.PAUSED and instance.requested != "resume":
            return Answer(instance, "was paused before")
        if instance.status is _S.RUNNING and not force and abandoned(instance, store) is not True:
            return Answer(store.instances.ask(instance_id, "pause", by=by), "was asked to pause", done=False)
        if instance.status not in (_S.RUNNING, _S.WAITING, _S.PAUSED):
            raise refused(instance, "only an instance that runs or waits can be paused")
        if instance.status is _S.RUNNING and force:
            store.instances.transition(
                instance_id, _S.RUNNING
            )  # A new life, so that the old one writes no more.
        store.instances.ask(instance_id, "pause", by=by)
        return Answer(_settled(store, instance_id, _S.PAUSED), "is paused")


def resume(
    store: Store,
    instance_id: str,
    *,
    owner: str | None = None,
    by: str | None = None,
    force: bool = False,
    stay: bool = False,
) -> Answer:
    """Let a paused instance, one that stands at a breakpoint, or one whose process is gone, go on from its journal: run
    by ``owner``, else by the next dispatcher. FAILED_PRECONDITION for any other; ``force`` takes a running one away
    from its process. At a breakpoint it goes on from there, unless it is to ``stay`` for a debugger to ask."""
    with store.transaction():
        instance = store.instances.lock(instance_id)
        if instance.requested == "resume" and owner is None:
            return Answer(instance, "is to be resumed already", done=False)
        if instance.status in (_S.RUNNING, _S.COMPENSATING):
            if not force and abandoned(instance, store) is not True:
                raise refused(
                    instance, f"{instance.claimed_by} runs it", hint="if that process is gone, add --force"
                )
        elif (
            instance.status not in (_S.PAUSED, _S.RETRYING)
            # Its process died between accepting it and beginning: no dispatcher takes what a person runs.
            and not (instance.status is _S.PENDING and abandoned(instance, store))
            and not stands(store, instance)
        ):
            raise refused(
                instance, _INSTEAD.get(instance.status, "it cannot be resumed"), hint=_way(instance)
            )
        if not stay:
            store.debugging.release(instance_id, by=by)
        return Answer(
            store.instances.ask(instance_id, "resume", by=by, claimed_by=owner), "goes on", done=False
        )


def retry(
    store: Store,
    instance_id: str,
    rerun: Rerun,
    *,
    input: dict[str, Any] | None = None,
    owner: str | None = None,
    by: str | None = None,
) -> Answer:
    """Run a decided instance again where ``rerun`` says: run by ``owner``, else by the next dispatcher.

    Completed nodes that it does not name are not run again. FAILED_PRECONDITION for an instance that is not decided,
    and for a completed one of which nothing is to run again.
    """
    with store.transaction():
        instance = store.instances.lock(instance_id)
        if instance.status is _S.RETRYING and instance.requested == "resume":
            return Answer(instance, "is to be retried already", done=False)
        if not instance.status.terminal:
            raise refused(instance, "only one that has ended can be retried", hint=_way(instance))
        if instance.status is _S.COMPLETED and not rerun.rows:
            raise refused(instance, "nothing failed", hint="name a node with --from to run it again")
        store.executions.reopen(instance_id, rerun.rows)
        store.waiting.reopen(instance_id, rerun.rows)
        definition = rerun.definition
        digest = definition.hash.removeprefix("sha256:")
        store.definitions.keep(digest, definition.document(), rerun.source_name)
        version = definition.version or instance.version
        store.instances.change(instance_id, version=version, definition_hash=digest, input=input)
        store.instances.transition(instance_id, _S.RETRYING)
        asked = store.instances.ask(instance_id, "resume", by=by, claimed_by=owner)
        return Answer(asked, f"runs again ({len(rerun.rows)} results are dropped)", done=False)


def signal(
    store: Store,
    instance_id: str,
    type: str | None = None,
    payload: Any = None,
    *,
    by: str = "cli",
    key: str | None = None,
) -> Event:
    """Emit an event for an instance: of the type, and with the correlation, that it waits for.

    Without an open wait of that type the event is correlated to ``{"instance": id}`` and kept. FAILED_PRECONDITION
    without a ``type`` when the instance does not wait for exactly one, and for an instance that is over.
    """
    instance = store.instances.get(instance_id)
    if instance.status.terminal:
        raise refused(instance, "it waits for nothing any more")
    waits = [wait for wait in store.waiting.open_waits(instance_id) if type in (None, wait.type)]
    types = sorted({wait.type for wait in waits})
    if type is None and len(types) != 1:
        waited = f"it waits for {', '.join(types)}" if types else "it waits for no event"
        raise refused(instance, waited, hint="name the type of the event")
    correlation = waits[0].correlation if waits else {"instance": instance_id}
    event, _ = store.events.emit(
        type or types[0], payload, source=by, correlation=correlation, idempotency_key=key
    )
    return event


def deliver(store: Store, instance_id: str) -> Instance:
    """Do what was asked of an instance that nobody runs any more; the instance as it then stands."""
    requested = store.instances.get(instance_id).requested
    if requested in ("cancel", "undo"):
        return cancel(store, instance_id, undo=requested == "undo").instance
    if requested == "pause":
        return pause(store, instance_id).instance
    return store.instances.get(instance_id)


def abandoned(instance: Instance, store: Store | None = None) -> bool | None:
    """Whether the process that runs an instance is gone; ``None`` where that cannot be seen from here."""
    if instance.claimed_by is None and instance.requested == "resume":
        return True  # It was taken from a process that died, and nobody has begun with it yet.
    runner = store.runners.get(instance.runner_id) if store is not None and instance.runner_id else None
    if runner is not None:
        return not runner.identity.alive() if runner.host == here() else None
    kind, _, place = (instance.claimed_by or "").partition(":")
    host, _, pid = place.rpartition(":")
    if kind != "run" or host != socket.gethostname() or not pid.isdigit():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def stands(store: Store, instance: Instance) -> bool:
    """Whether an instance was put aside at a breakpoint."""
    stops = store.debugging.stops(instance.id, "open", "released")
    return instance.status is _S.WAITING and bool(stops)


def _settled(store: Store, instance_id: str, status: InstanceStatus) -> Instance:
    instance = store.instances.get(instance_id)
    return instance if instance.status is status else store.instances.transition(instance_id, status)


_INSTEAD = {
    _S.WAITING: "it goes on by itself when what it waits for has come",
    _S.PENDING: "it has not begun; `realm serve` begins it",
    _S.COMPLETED: "it is over",
    _S.FAILED: "it is over",
    _S.CANCELED: "it is over",
}


def _way(instance: Instance) -> str | None:
    """The command that is meant instead."""
    id = instance.id
    if instance.status is _S.WAITING:
        return f"`realm instances signal {id}` tells it that its event has come"
    if instance.status in (_S.FAILED, _S.CANCELED):
        return f"`realm instances retry {id}` runs it again from there"
    if instance.status is _S.COMPLETED:
        return f"`realm instances retry {id} --from NODE` runs it again from a node"
    if instance.status is _S.PAUSED:
        return f"`realm instances resume {id}` lets it go on"
    return f"`realm instances cancel {id}` ends it" if instance.status is _S.RUNNING else None


def refused(instance: Instance, why: str, *, hint: str | None = None) -> RealmError:
    """The error of a request that an instance in its status cannot follow."""
    return RealmError(
        Code.FAILED_PRECONDITION, f"instance {instance.id} is {instance.status}: {why}", hint=hint
    )
