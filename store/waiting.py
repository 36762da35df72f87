"""Which instances that were put aside may go on. Each question is one statement, whatever number waits."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, exists, or_, select, update

from ..core.status import InstanceStatus
from .debug_models import BreakpointStopRow
from .engine import Database
from .events import Event, EventWait
from .models import InstanceRow
from .records import Instance, Shape
from .types import moment
from .waiting_models import EventRow, EventWaitRow, HumanTaskRow

_instance = Shape(Instance, InstanceRow)
_wait = Shape(EventWait, EventWaitRow)
_event = Shape(Event, EventRow)


class Waiting:
    """The instances that wait, and what for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, owner: str, at: datetime | None = None, *, limit: int = 1000) -> list[Instance]:
        """The waiting instances of ``owner`` whose own time has come, one of whose people has decided, or that was
        let go on from a breakpoint, since they were last looked at, or one of whose deadlines is over."""
        at = moment(at)
        task_here = HumanTaskRow.instance_id == InstanceRow.id
        decided = exists().where(task_here, HumanTaskRow.decided_at >= InstanceRow.resumed_at)
        asked = exists().where(task_here, HumanTaskRow.status == "open", HumanTaskRow.deadline <= at)
        wait_here = (EventWaitRow.instance_id == InstanceRow.id) & (EventWaitRow.state == "waiting")
        over = exists().where(wait_here, EventWaitRow.deadline <= at)
        let_go = exists().where(
            BreakpointStopRow.instance_id == InstanceRow.id,
            BreakpointStopRow.state == "released",
            BreakpointStopRow.released_at >= InstanceRow.resumed_at,
        )
        statement = (
            select(*_instance.columns)
            .where(*_of(owner), or_(InstanceRow.wake_at <= at, decided, asked, over, let_go))
            .order_by(InstanceRow.priority, InstanceRow.created_at)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_instance(row) for row in connection.execute(statement)]

    def waits(self, owner: str) -> list[EventWait]:
        """The open waits of the waiting instances of ``owner``."""
        statement = (
            select(*_wait.columns)
            .join(InstanceRow, InstanceRow.id == EventWaitRow.instance_id)
            .where(*_of(owner), EventWaitRow.state == "waiting")
        )
        with self._database.read() as connection:
            return [_wait(row) for row in connection.execute(statement)]

    def open_waits(self, instance_id: str | None = None) -> list[EventWait]:
        """The open waits, of one instance or of all."""
        statement = select(*_wait.columns).where(EventWaitRow.state == "waiting")
        if instance_id is not None:
            statement = statement.where(EventWaitRow.instance_id == instance_id)
        with self._database.read() as connection:
            return [_wait(row) for row in connection.execute(statement.order_by(EventWaitRow.created_at))]

    def reopen(self, instance_id: str, nodes: Collection[tuple[str, str]]) -> None:
        """Let nodes that run again, by id and iteration, wait anew: for another event, for another decision."""
        with self._database.write() as connection:
            for table, again in (
                (EventWaitRow, {"state": "canceled", "event_id": None}),
                (HumanTaskRow, {"status": "canceled", "outcome": None}),
            ):
                rows = select(table.id, table.node_id, table.iteration).where(
                    table.instance_id == instance_id
                )
                found = [row.id for row in connection.execute(rows) if (row.node_id, row.iteration) in nodes]
                connection.execute(update(table).where(table.id.in_(found)).values(again))

    def events_after(self, event: Event | None, *, limit: int = 1000) -> list[Event]:
        """Events later than ``event`` (all of them without it), oldest first."""
        statement = select(*_event.columns).order_by(EventRow.created_at, EventRow.id).limit(limit)
        if event is not None:
            # The very moment again: two events may share it, and one may be written a little later.
            statement = statement.where(EventRow.created_at >= event.created_at, EventRow.id != event.id)
        with self._database.read() as connection:
            return [_event(row) for row in connection.execute(statement)]


def _of(owner: str) -> tuple[ColumnElement[bool], ...]:
    return InstanceRow.status == InstanceStatus.WAITING, InstanceRow.claimed_by == owner
