"""Instances: accepted once, claimed by one dispatcher, moved only along the table of transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, func, select, update

from ..core.errors import Code, ErrorRecord, RealmError
from ..core.ids import new_id
from ..core.status import InstanceStatus, check_instance_transition
from .cleaning import plain_json
from .engine import Database
from .history import ACCEPTED, ASKED, MOVED, Change, append, check_life
from .models import DEFAULT_PROJECT, InstanceRow
from .records import Instance, NewInstance, Shape
from .types import moment
from .upsert import insert

_instance = Shape(Instance, InstanceRow)

Request = Literal["cancel", "undo", "pause", "resume"]
"""``undo``: to cancel, once what it did is undone."""
_DONE_BY: Mapping[InstanceStatus, Request] = {
    InstanceStatus.RUNNING: "resume",
    InstanceStatus.COMPENSATING: "resume",
    InstanceStatus.PAUSED: "pause",
}
"""The request that a move fulfils."""
_PENDING = InstanceRow.status == InstanceStatus.PENDING
_RESUMABLE = InstanceRow.requested == "resume"

CLAIM_LEASE = 300.0
"""Seconds after which another dispatcher may take over a claim that led to nothing."""


_TAKEN_UP = (InstanceStatus.RUNNING, InstanceStatus.COMPENSATING)
"""What an instance may be moved to although it is: another process carries it on."""


class Instances:
    """The journal's instances."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, new: NewInstance) -> tuple[Instance, bool]:
        """Accept an instance as ``pending``; returns it and whether it is new.

        A second one of the same workflow with the same ``idempotency_key`` is the first one, even when two
        processes ask at once.
        """
        with self._database.write() as connection:
            statement = (
                insert(connection, InstanceRow)
                .values(
                    id=new_id("instance"),
                    status=InstanceStatus.PENDING,
                    epoch=0,
                    created_at=(now := datetime.now(UTC)),
                    claimed_at=now if new.claimed_by else None,
                    retry_count=0,
                    **asdict(new),
                )
                .on_conflict_do_nothing(index_elements=["project_id", "workflow", "idempotency_key"])
                .returning(*_instance.columns)
            )
            if (row := connection.execute(statement).one_or_none()) is not None:
                accepted = Change(type=ACCEPTED, at=now, after=InstanceStatus.PENDING)
                append(connection, (made := _instance(row)).id, 0, accepted)
                return made, True
            existing = select(*_instance.columns).where(
                InstanceRow.project_id == new.project_id,
                InstanceRow.workflow == new.workflow,
                InstanceRow.idempotency_key == new.idempotency_key,
            )
            return _instance(connection.execute(existing).one()), False

    def get(self, id: str) -> Instance:
        """The instance; NOT_FOUND when there is none."""
        with self._database.read() as connection:
            return _get(connection, id)

    def lock(self, id: str) -> Instance:
        """The instance, which nobody else changes until the transaction that this is called in ends."""
        with self._database.write() as connection:
            return _get(connection, id, lock=True)

    def list(
        self,
        status: InstanceStatus | None = None,
        workflow: str | None = None,
        trigger_type: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        limit: int = 50,
        offset: int = 0,
        project_id: str = DEFAULT_PROJECT,
    ) -> list[Instance]:
        """Instances created from ``since`` up to before ``until``, newest first."""
        chosen = _where(status, workflow, trigger_type, since, until, project_id)
        statement = (
            select(*_instance.columns)
            .where(*chosen)
            .order_by(InstanceRow.created_at.desc(), InstanceRow.id.desc())
            .limit(limit)
            .offset(offset)
        )
        with self._database.read() as connection:
            return [_instance(row) for row in connection.execute(statement)]

    def count(
        self,
        status: InstanceStatus | None = None,
        workflow: str | None = None,
        trigger_type: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        project_id: str = DEFAULT_PROJECT,
    ) -> int:
        """How many instances :meth:`list` would go through."""
        chosen = _where(status, workflow, trigger_type, since, until, project_id)
        with self._database.read() as connection:
            return connection.execute(
                select(func.count()).select_from(InstanceRow).where(*chosen)
            ).scalar_one()

    def claim(self, limit: int, owner: str) -> list[Instance]:
        """Take up to ``limit`` instances for the dispatcher ``owner``, those to resume and then those pending: lowest
        priority number first, then oldest. They stay as they are; no other dispatcher gets them until they are
        released."""
        with self._database.write() as connection:
            ids: list[str] = []
            # One statement for each, as each has its index; and selected first, since in one statement with the update
            # PostgreSQL may run the locking sub-query twice and exceed the limit.
            for wanted in (_RESUMABLE, _PENDING):
                free = (
                    select(InstanceRow.id)
                    .where(wanted, InstanceRow.claimed_by.is_(None))
                    .order_by(InstanceRow.priority, InstanceRow.created_at, InstanceRow.id)
                    .limit(limit - len(ids))
                    .with_for_update(skip_locked=True)
                )
                ids += connection.execute(free).scalars()
            if not ids:
                return []
            statement = (
                update(InstanceRow)
                .where(InstanceRow.id.in_(ids))
                .values(claimed_by=owner, claimed_at=datetime.now(UTC))
                .returning(*_instance.columns)
            )
            claimed = [_instance(row) for row in connection.execute(statement)]
        return sorted(claimed, key=lambda one: (one.priority, one.created_at, one.id))

    def release(self, owner: str | None = None, *, lease: float = CLAIM_LEASE) -> int:
        """Give back the claims on instances that have not begun, or are to be resumed: all of ``owner``, or any older
        than ``lease`` seconds; returns how many. A dispatcher calls it for itself when it starts and when it ends."""
        expired = InstanceRow.claimed_at < datetime.now(UTC) - timedelta(seconds=lease)
        whose = expired if owner is None else (InstanceRow.claimed_by == owner) | expired
        statement = (
            update(InstanceRow)
            .where(_PENDING | _RESUMABLE, InstanceRow.claimed_by.is_not(None), whose)
            .values(claimed_by=None, claimed_at=None)
        )
        with self._database.write() as connection:
            return connection.execute(statement).rowcount

    def transition(
        self,
        id: str,
        new: InstanceStatus,
        *,
        output: Any = None,
        error: ErrorRecord | Mapping[str, Any] | None = None,
        flow_run_id: str | None = None,
        wake_at: datetime | None = None,
        claimed_by: str | None = None,
        runner_id: str | None = None,
        epoch: int | None = None,
        at: datetime | None = None,
    ) -> Instance:
        """Move an instance to ``new``; FAILED_PRECONDITION when the table does not allow it.

        Each move to ``running``, also of one that is, begins a new life by ``claimed_by`` in the process ``runner_id``
        (and so does one from ``compensating`` to itself): its ``epoch`` is the next, and with an older ``epoch``
        nothing can be written any more (ABORTED). ``wake_at`` is when a ``waiting`` one
        goes on by itself. A retry forgets the old output, error and end. Two processes that move the same instance come
        one after the other, and the second is checked against the outcome of the first.
        """
        at = moment(at)
        with self._database.write() as connection:
            old = _get(connection, id, lock=True)
            check_life(id, old.epoch, epoch)
            changes: dict[str, Any] = {} if flow_run_id is None else {"flow_run_id": flow_run_id}
            changes |= {"wake_at": wake_at if new is InstanceStatus.WAITING else None}
            changes |= _life(old, new, claimed_by, runner_id, at)
            if not (old.status is new and new in _TAKEN_UP):
                check_instance_transition(old.status, new)
                changes |= _changes(old, new, at) | _outcome(output, error)
            statement = update(InstanceRow).where(InstanceRow.id == id).values(changes)
            moved = _instance(connection.execute(statement.returning(*_instance.columns)).one())
            told = {"code": (moved.error or {}).get("code"), "by": claimed_by, "flow_run_id": flow_run_id}
            data = {name: value for name, value in told.items() if value}
            event = Change(type=MOVED, at=at, before=old.status, after=new, data=data or None)
            append(connection, id, moved.epoch, event)
            return moved

    def ask(
        self,
        id: str,
        request: Request,
        *,
        by: str | None = None,
        claimed_by: str | None = None,
        at: datetime | None = None,
    ) -> Instance:
        """Leave a request to whoever runs the instance, or would run it. A request to cancel stands, also when the
        instance is to be carried on, unless that is to undo it; any other gives way to a later one. Asking for the same
        again changes nothing. An instance to ``resume`` is left to a dispatcher, or to ``claimed_by``."""
        with self._database.write() as connection:
            old = _get(connection, id, lock=True)
            undoing = old.status is InstanceStatus.COMPENSATING  # The request to end is being followed.
            stands = old.requested == "cancel" or (old.requested == "undo" and request != "cancel")
            stands = stands and not (undoing and request == "resume")
            if stands or (old.requested == request and claimed_by is None):
                return old
            changes: dict[str, Any] = {"requested": request}
            if request == "resume":
                changes |= {"claimed_by": claimed_by, "claimed_at": moment(at) if claimed_by else None}
            statement = update(InstanceRow).where(InstanceRow.id == id).values(changes)
            asked = _instance(connection.execute(statement.returning(*_instance.columns)).one())
            data = {"request": request, **({"by": by} if by else {})}
            append(connection, id, old.epoch, Change(type=ASKED, at=moment(at), data=data))
            return asked

    def requests(self) -> dict[str, str]:
        """What is asked of instances and not done yet, by id."""
        statement = select(InstanceRow.id, InstanceRow.requested).where(InstanceRow.requested.is_not(None))
        with self._database.read() as connection:
            return {row.id: row.requested for row in connection.execute(statement)}

    def change(
        self, id: str, *, version: str | None = None, definition_hash: str | None = None, input: Any = None
    ) -> Instance:
        """Let an instance go on with another version of its workflow, or another input. FAILED_PRECONDITION while it
        runs."""
        values = {"version": version, "definition_hash": definition_hash, "input": input}
        with self._database.write() as connection:
            old = _get(connection, id, lock=True)
            if old.status is InstanceStatus.RUNNING:
                raise RealmError(
                    Code.FAILED_PRECONDITION, f"instance {id} is running: nothing of it can change"
                )
            given = {name: value for name, value in values.items() if value is not None}
            if not given:
                return old
            statement = update(InstanceRow).where(InstanceRow.id == id).values(given)
            return _instance(connection.execute(statement.returning(*_instance.columns)).one())


def _get(connection: Connection, id: str, *, lock: bool = False) -> Instance:
    statement = select(*_instance.columns).where(InstanceRow.id == id)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise RealmError(Code.NOT_FOUND, f"no instance {id!r}", hint="realm instances list shows them")
    return _instance(row)


def _where(
    status: InstanceStatus | None,
    workflow: str | None,
    trigger_type: str | None,
    since: datetime | None,
    until: datetime | None,
    project_id: str,
) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = [InstanceRow.project_id == project_id]
    if status is not None:
        chosen.append(InstanceRow.status == status)
    if workflow is not None:
        chosen.append(InstanceRow.workflow == workflow)
    if trigger_type is not None:
        chosen.append(InstanceRow.trigger_type == trigger_type)
    if since is not None:
        chosen.append(InstanceRow.created_at >= since)
    if until is not None:
        chosen.append(InstanceRow.created_at < until)
    return chosen


def _life(
    old: Instance, new: InstanceStatus, claimed_by: str | None, runner_id: str | None, at: datetime
) -> dict[str, Any]:
    """What a move changes of the instance's life, and of what was asked of it."""
    changes: dict[str, Any] = {}
    if new is InstanceStatus.RUNNING or (old.status is new and new in _TAKEN_UP):
        changes |= {"epoch": old.epoch + 1, "runner_id": runner_id}
        if old.status is not new:
            changes["resumed_at"] = at
        if claimed_by is not None:
            changes |= {"claimed_by": claimed_by, "claimed_at": at}
    if new.terminal or (old.requested is not None and old.requested == _DONE_BY.get(new)):
        changes["requested"] = None
    return changes


def _changes(old: Instance, new: InstanceStatus, at: datetime) -> dict[str, Any]:
    changes: dict[str, Any] = {"status": new}
    if new is InstanceStatus.RUNNING and old.started_at is None:
        changes["started_at"] = at
    if new is InstanceStatus.RETRYING:
        changes |= {"retry_count": old.retry_count + 1, "output": None, "error": None}
        changes |= {"completed_at": None, "duration": None}
    if new.terminal:
        changes["completed_at"] = at
        if old.started_at is not None:
            changes["duration"] = max(0.0, (at - old.started_at).total_seconds())
    return changes


def _outcome(output: Any, error: ErrorRecord | Mapping[str, Any] | None) -> dict[str, Any]:
    outcome: dict[str, Any] = {}
    if output is not None:
        outcome["output"] = output
    if error is not None:
        outcome["error"] = plain_json(error.to_dict() if isinstance(error, ErrorRecord) else error)
    return outcome
