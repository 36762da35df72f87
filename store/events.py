"""Events, and the nodes that wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, exists, select, tuple_, update
from sqlalchemy.orm import aliased

from ..core.errors import Code, RealmError
from ..core.ids import new_id
from .cleaning import encode_json
from .correlation import fits, key_of
from .engine import Database
from .models import DEFAULT_PROJECT
from .records import Shape
from .types import moment
from .upsert import insert
from .waiting_models import EventRow, EventWaitRow

MAX_EVENT_BYTES = 256 << 10
"""The most bytes of JSON that a payload and its correlation may be."""
_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, as recorded. ``source`` says who emitted it."""

    id: str
    project_id: str
    type: str
    payload: Any
    correlation: Any
    source: str
    idempotency_key: str | None
    created_at: datetime

    def public(self) -> dict[str, Any]:
        """What expressions (as ``event``), outputs and people see of it."""
        shown = {name: getattr(self, name) for name in ("id", "type", "payload", "correlation", "source")}
        return {**shown, "created_at": self.created_at.isoformat()}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWait:
    """A node of an instance, in one iteration, that waits for an event. ``filter`` is a condition on ``event`` that is
    judged by the run; ``since`` is when the oldest event that counts may have come; ``state`` is waiting, satisfied (by
    ``event_id``), timed_out or canceled."""

    id: str
    project_id: str
    instance_id: str
    node_id: str
    iteration: str
    type: str
    correlation: Any
    filter: str | None
    since: datetime
    deadline: datetime | None
    state: str
    event_id: str | None
    created_at: datetime
    decided_at: datetime | None


_event = Shape(Event, EventRow)
_wait = Shape(EventWait, EventWaitRow)


class Events:
    """What was emitted, and who waits. An event goes to everyone who waits for it; a node that waits several times, in
    a loop, gets each event once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def emit(
        self,
        type: str,
        payload: Any = None,
        *,
        source: str,
        correlation: Any = None,
        idempotency_key: str | None = None,
        project_id: str = DEFAULT_PROJECT,
        at: datetime | None = None,
    ) -> tuple[Event, bool]:
        """Record an event; and whether it is new. With an ``idempotency_key`` that was used, it is the event of then.

        OUT_OF_RANGE when it is larger than :data:`MAX_EVENT_BYTES`.
        """
        _check_size(payload, correlation)
        values = {
            "id": new_id("event"),
            "project_id": project_id,
            "type": type,
            "payload": payload,
            "correlation": correlation,
            "correlation_key": key_of(correlation),
            "source": source,
            "idempotency_key": idempotency_key,
            "created_at": moment(at),
        }
        with self._database.write() as connection:
            statement = insert(connection, EventRow).values(values)
            unless_there = statement.on_conflict_do_nothing(index_elements=["project_id", "idempotency_key"])
            made = connection.execute(unless_there.returning(*_event.columns)).one_or_none()
            if made is not None:
                return _event(made), True
            there = select(*_event.columns).where(
                EventRow.project_id == project_id, EventRow.idempotency_key == idempotency_key
            )
            return _event(connection.execute(there).one()), False

    def get(self, event_id: str) -> Event:
        """The event; NOT_FOUND when there is none."""
        with self._database.read() as connection:
            row = connection.execute(select(*_event.columns).where(EventRow.id == event_id)).one_or_none()
        if row is None:
            raise RealmError(Code.NOT_FOUND, f"no event {event_id!r}", hint="realm events list shows them")
        return _event(row)

    def list(
        self,
        type: str | None = None,
        correlation: Any = None,
        since: datetime | None = None,
        *,
        limit: int = 50,
        project_id: str = DEFAULT_PROJECT,
    ) -> list[Event]:
        """Events, newest first; of one type, of exactly one correlation, from ``since`` on."""
        statement = select(*_event.columns).where(EventRow.project_id == project_id)
        if type is not None:
            statement = statement.where(EventRow.type == type)
        if correlation is not None:
            statement = statement.where(EventRow.correlation_key == key_of(correlation))
        if since is not None:
            statement = statement.where(EventRow.created_at >= moment(since))
        statement = statement.order_by(EventRow.created_at.desc(), EventRow.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [_event(row) for row in connection.execute(statement)]

    def wait(
        self,
        instance_id: str,
        node_id: str,
        type: str,
        *,
        since: datetime,
        iteration: str = "",
        correlation: Any = None,
        filter: str | None = None,
        deadline: datetime | None = None,
        project_id: str = DEFAULT_PROJECT,
        at: datetime | None = None,
    ) -> EventWait:
        """Let a node wait. Repeated for the same iteration, it is the wait of then, decided or not; a canceled one
        waits again."""
        _check_size(None, correlation)
        what = {
            "type": type,
            "correlation": correlation,
            "correlation_key": None if isinstance(correlation, dict) else key_of(correlation),
            "filter": filter,
            "since": moment(since),
            "deadline": None if deadline is None else moment(deadline),
        }
        who = {"instance_id": instance_id, "node_id": node_id, "iteration": iteration}
        new = {"id": new_id("wait"), "project_id": project_id, "state": "waiting", "created_at": moment(at)}
        with self._database.write() as connection:
            statement = insert(connection, EventWaitRow).values({**new, **who, **what})
            again = statement.on_conflict_do_update(
                index_elements=list(who),
                set_={**what, "state": "waiting", "decided_at": None},
                where=EventWaitRow.state == "canceled",
            )
            row = connection.execute(again.returning(*_wait.columns)).one_or_none()
            if row is None:
                row = connection.execute(select(*_wait.columns).filter_by(**who)).one()
            return _wait(row)

    def matching(self, wait_id: str, *, after: Event | None = None, limit: int = 100) -> list[Event]:
        """Events that a wait is for, but for its filter: oldest first, later than ``after``, none that the same node
        has got in another iteration."""
        with self._database.read() as connection:
            wait = _get_wait(connection, wait_id)
            found: list[Event] = []
            for event in _candidates(connection, wait, after):
                if fits(event.correlation, wait.correlation):
                    found.append(event)
                    if len(found) == limit:
                        break
            return found

    def waiting(self, event: Event) -> list[EventWait]:
        """The waits that are open for ``event``, but for their filters; the oldest first."""
        key = EventWaitRow.correlation_key
        statement = (
            select(*_wait.columns)
            .where(
                EventWaitRow.state == "waiting",
                EventWaitRow.project_id == event.project_id,
                EventWaitRow.type == event.type,
                EventWaitRow.since <= event.created_at,
                key.is_(None) | (key == key_of(event.correlation)),
            )
            .order_by(EventWaitRow.created_at, EventWaitRow.id)
        )
        with self._database.read() as connection:
            found = [_wait(row) for row in connection.execute(statement)]
        return [wait for wait in found if fits(event.correlation, wait.correlation)]

    def satisfy(self, wait_id: str, event_id: str, *, at: datetime | None = None) -> EventWait:
        """Give a wait its event, if it still waits and its node has not got the event in another iteration.

        Returns the wait as it then is: whoever came second sees what the first one did.
        """
        other = aliased(EventWaitRow)
        taken = exists().where(
            other.instance_id == EventWaitRow.instance_id,
            other.node_id == EventWaitRow.node_id,
            other.event_id == event_id,
        )
        return self._decide(wait_id, {"state": "satisfied", "event_id": event_id}, ~taken, at=at)

    def time_out(self, wait_id: str, *, at: datetime | None = None) -> EventWait:
        """End a wait whose deadline has come, if it still waits; the wait as it then is."""
        at = moment(at)
        return self._decide(wait_id, {"state": "timed_out"}, EventWaitRow.deadline <= at, at=at)

    def due(self, at: datetime | None = None, *, limit: int = 1000) -> list[EventWait]:
        """The open waits whose deadline has come, the oldest deadline first."""
        statement = (
            select(*_wait.columns)
            .where(EventWaitRow.state == "waiting", EventWaitRow.deadline <= moment(at))
            .order_by(EventWaitRow.deadline, EventWaitRow.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_wait(row) for row in connection.execute(statement)]

    def cancel(self, instance_id: str, *, wait_id: str | None = None, at: datetime | None = None) -> int:
        """End the open waits of an instance, or one of them; returns how many."""
        chosen = (EventWaitRow.instance_id == instance_id) & (EventWaitRow.state == "waiting")
        if wait_id is not None:
            chosen &= EventWaitRow.id == wait_id
        statement = update(EventWaitRow).where(chosen).values(state="canceled", decided_at=moment(at))
        with self._database.write() as connection:
            return connection.execute(statement).rowcount

    def _decide(
        self, wait_id: str, values: dict[str, Any], provided: Any, *, at: datetime | None
    ) -> EventWait:
        statement = (
            update(EventWaitRow)
            .where(EventWaitRow.id == wait_id, EventWaitRow.state == "waiting", provided)
            .values(decided_at=moment(at), **values)
        )
        with self._database.write() as connection:
            connection.execute(statement)
            return _get_wait(connection, wait_id)


def _candidates(connection: Connection, wait: EventWait, after: Event | None) -> Iterator[Event]:
    statement = _fitting(wait).order_by(EventRow.created_at, EventRow.id).limit(_PAGE)
    while True:
        page = statement
        if after is not None:
            page = page.where(tuple_(EventRow.created_at, EventRow.id) > (after.created_at, after.id))
        rows = connection.execute(page).all()
        yield from map(_event, rows)
        if len(rows) < _PAGE:
            return
        after = _event(rows[-1])


def _fitting(wait: EventWait) -> Select[Any]:
    got = select(EventWaitRow.event_id).where(
        EventWaitRow.instance_id == wait.instance_id,
        EventWaitRow.node_id == wait.node_id,
        EventWaitRow.event_id.is_not(None),
    )
    statement = select(*_event.columns).where(
        EventRow.project_id == wait.project_id,
        EventRow.type == wait.type,
        EventRow.created_at >= wait.since,
        EventRow.id.not_in(got),
    )
    if wait.correlation is None or isinstance(wait.correlation, dict):
        return statement
    return statement.where(EventRow.correlation_key == key_of(wait.correlation))


def _get_wait(connection: Connection, wait_id: str) -> EventWait:
    row = connection.execute(select(*_wait.columns).where(EventWaitRow.id == wait_id)).one_or_none()
    if row is None:
        raise RealmError(Code.NOT_FOUND, f"nobody waits as {wait_id!r}")
    return _wait(row)


def _check_size(payload: Any, correlation: Any) -> None:
    size = sum(len(encode_json(value).encode()) for value in (payload, correlation))
    if size > MAX_EVENT_BYTES:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"the event is {size} bytes of JSON; at most {MAX_EVENT_BYTES} are allowed",
            hint="put large data into a file, and its reference into the event",
        )
