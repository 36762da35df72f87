"""Instances that nobody runs any more: taken from the dead, ended where that was asked for, given up where too old."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ...core.durations import format_duration
from ...core.errors import Code, ErrorRecord, RealmError
from ...core.status import InstanceStatus
from .. import control
from ..journal import close_open
from . import findings

if TYPE_CHECKING:
    from ...store import Store
    from ...store.runners import Held, Runner
    from .findings import Report

log = logging.getLogger(__name__)

BY = "reconciler"
"""Who asked, in the events of an instance."""
_S = InstanceStatus


def settle(
    store: Store,
    held: Held,
    why: str,
    runner: Runner | None,
    *,
    at: datetime,
    recovery: timedelta,
    report: Report,
) -> None:
    """Do with an instance whose process is dead what is right. Changes nothing where it has moved meanwhile."""
    action = _action(held, _last_sign(held, runner), at, recovery)
    if report.dry_run or _done(store, held, why, action, recovery):
        report.add(held.id, why, action, workflow=held.workflow, status=str(held.status))


def _action(held: Held, last: datetime, at: datetime, recovery: timedelta) -> str:
    if at - last > recovery:
        return findings.FAILED
    if held.status is _S.RUNNING and held.requested in ("cancel", "undo"):
        return findings.CANCELED
    if held.status is _S.RUNNING and held.requested == "pause":
        return findings.PAUSED
    return findings.RESUMED


def _done(store: Store, held: Held, why: str, action: str, recovery: timedelta) -> bool:
    try:
        if action == findings.CANCELED:
            control.cancel(store, held.id, undo=held.requested == "undo", by=BY, force=True)
            return True
        if action == findings.PAUSED:
            return control.pause(store, held.id, by=BY, force=True).done
        if action == findings.FAILED:
            return _give_up(store, held, why, recovery)
        return store.runners.take(held, by=BY, reason=why)
    except RealmError as error:
        if error.code in (
            Code.FAILED_PRECONDITION,
            Code.ABORTED,
        ):  # It moved: somebody runs it, or it is over.
            log.info("%s is left as it is: %s", held.id, error.record.message)
            return False
        raise


def _last_sign(held: Held, runner: Runner | None) -> datetime:
    """When an instance last had a process that was seen to live."""
    moments = [held.created_at, held.started_at, held.resumed_at, held.claimed_at]
    if runner is not None:
        moments.append(runner.alive_at)
    return max(moment for moment in moments if moment is not None)


def _give_up(store: Store, held: Held, why: str, recovery: timedelta) -> bool:
    with store.transaction():
        instance = store.instances.lock(held.id)
        if (instance.status, instance.epoch) != (held.status, held.epoch):
            return False
        days = format_duration(recovery.total_seconds())
        error = ErrorRecord(
            Code.ABORTED,
            f"{why}, and it was not carried on within {days}",
            hint=f"`realm instances retry {held.id}` runs it again from there; MIRROR_REALM_RECOVERY_DAYS is the limit",
            details={"failure": dict(instance.error)} if instance.error else {},
        )
        if instance.status is not _S.RETRYING:  # A new life, so that the old one writes no more.
            store.instances.transition(held.id, instance.status)
        close_open(store, held.id, error.message)
        store.instances.transition(held.id, _S.FAILED, error=error)
        return True
