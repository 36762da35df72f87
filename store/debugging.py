"""Debugging: where an instance is to stop, where it stands, and which of its variables a person changed.

Each change is an event of the instance, in the same transaction. A run learns of changes by their ``revision``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from .cleaning import encode_json, plain_json
from .debug_models import BreakpointStopRow, InstanceDebugRow
from .engine import Database
from .history import DEBUGGED, RELEASED, SET, STOPPED, Change, append, guard
from .records import Shape
from .types import moment
from .upsert import insert as upsert

MOST_SHOWN = 1000
"""Characters of an old or new value that the event of its change keeps; the row has all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugState:
    """``stepping`` stops before every node, ``breakpoints`` (``each/resize`` or ``each/resize[7]``) before these,
    ``ignoring`` passes those that the definition has; ``variables`` are those that were changed."""

    instance_id: str
    stepping: bool = False
    ignoring: bool = False
    breakpoints: Sequence[str] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One time that an instance stopped before a node. ``state`` is open, released (it may go on), passed (it did), or
    dropped (the node was not run after all). ``names`` are what expressions see there of the rounds around it,
    ``scopes`` the prefixes and iterations of the nodes in reach, from the inside."""

    instance_id: str
    number: int
    node_id: str
    iteration: str
    node_type: str
    because: str
    state: str
    parameters: Mapping[str, Any]
    input: Any
    names: Mapping[str, Any]
    scopes: Sequence[Sequence[str]]
    reached_at: datetime
    released_at: datetime | None
    released_by: str | None

    @property
    def label(self) -> str:
        """What people call the node: its id, and the round it is in, as ``each/resize[3]``."""
        return f"{self.node_id}[{self.iteration}]" if self.iteration else self.node_id


_state = Shape(DebugState, InstanceDebugRow)
_stop = Shape(Stop, BreakpointStopRow)


class Debugging:
    """The debugging of instances."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, instance_id: str) -> DebugState:
        """What was asked of an instance; nothing, at revision 0, of most."""
        with self._database.read() as connection:
            return _get(connection, instance_id)

    def revisions(self, instance_ids: Collection[str]) -> dict[str, int]:
        """The revisions of those of the instances that are debugged."""
        chosen = InstanceDebugRow.instance_id.in_(instance_ids)
        statement = select(InstanceDebugRow.instance_id, InstanceDebugRow.revision).where(chosen)
        with self._database.read() as connection:
            return {row.instance_id: row.revision for row in connection.execute(statement)}

    def change(
        self,
        instance_id: str,
        *,
        stepping: bool | None = None,
        ignoring: bool | None = None,
        breakpoints: Sequence[str] | None = None,
        by: str | None = None,
        at: datetime | None = None,
    ) -> DebugState:
        """Change where an instance stops; what is ``None`` stays. NOT_FOUND for no such instance."""
        given = {"stepping": stepping, "ignoring": ignoring}
        given |= {"breakpoints": None if breakpoints is None else list(breakpoints)}
        with self._database.write() as connection:
            epoch = guard(connection, instance_id)
            old = _get(connection, instance_id)
            new = {name: value for name, value in given.items() if value not in (None, _as_json(old, name))}
            if new:
                data = {**new, **({"by": by} if by else {})}
                append(connection, instance_id, epoch, Change(type=DEBUGGED, at=moment(at), data=data))
            return _put(connection, replace(old, **new))

    def set(
        self,
        instance_id: str,
        name: str,
        old: Any,
        new: Any,
        *,
        by: str,
        at: datetime | None = None,
    ) -> DebugState:
        """Give a variable another value, from here on. The event of it says who did, when, and both values."""
        with self._database.write() as connection:
            epoch = guard(connection, instance_id)
            state = _get(connection, instance_id)
            data = {"name": name, "old": _shown(old), "new": _shown(new), "by": by}
            append(connection, instance_id, epoch, Change(type=SET, at=moment(at), data=data))
            return _put(connection, replace(state, variables={**state.variables, name: plain_json(new)}))

    def stop(
        self,
        instance_id: str,
        node_id: str,
        iteration: str,
        node_type: str,
        *,
        because: str,
        parameters: Mapping[str, Any],
        input: Any,
        names: Mapping[str, Any],
        scopes: Sequence[Sequence[str]],
        epoch: int | None = None,
        at: datetime | None = None,
    ) -> Stop:
        """Note that an instance stands before a node. One that an earlier life of the instance noted, and that the node
        has not passed, is that one, with what the node would be given now."""
        at = moment(at)
        shown = {
            "parameters": plain_json(parameters),
            "input": plain_json(input),
            "names": plain_json(names),
            "scopes": plain_json(scopes),
        }
        row = BreakpointStopRow
        mine = (row.instance_id == instance_id, row.node_id == node_id, row.iteration == iteration)
        with self._database.write() as connection:
            life = guard(connection, instance_id, epoch)
            left = update(row).where(*mine, row.state.in_(("open", "released"))).values(shown)
            if (found := connection.execute(left.returning(*_stop.columns)).first()) is not None:
                return _stop(found)
            last = select(func.coalesce(func.max(row.number), 0)).where(row.instance_id == instance_id)
            values: dict[str, Any] = {
                "instance_id": instance_id,
                "number": connection.execute(last).scalar_one() + 1,
                "node_id": node_id,
                "iteration": iteration,
                "node_type": node_type,
                "because": because,
                "state": "open",
                "reached_at": at,
                **shown,
            }
            made = insert(row).values(values).returning(*_stop.columns)
            stop = _stop(connection.execute(made).one())
            append(connection, instance_id, life, _change(STOPPED, stop, at, {"because": because}))
            return stop

    def stops(self, instance_id: str, *states: str) -> list[Stop]:
        """Where an instance stopped, in order; only stops in one of the ``states``, if there are any."""
        statement = select(*_stop.columns).where(BreakpointStopRow.instance_id == instance_id)
        if states:
            statement = statement.where(BreakpointStopRow.state.in_(states))
        with self._database.read() as connection:
            return [_stop(row) for row in connection.execute(statement.order_by(BreakpointStopRow.number))]

    def release(
        self,
        instance_id: str,
        numbers: Collection[int] | None = None,
        *,
        by: str | None = None,
        at: datetime | None = None,
    ) -> list[Stop]:
        """Let an instance go on past the open stops with these ``numbers`` (``None``: all); those let go."""
        at, row = moment(at), BreakpointStopRow
        with self._database.write() as connection:
            epoch = guard(connection, instance_id)
            chosen = [row.instance_id == instance_id, row.state == "open"]
            if numbers is not None:
                chosen.append(row.number.in_(numbers))
            values = {"state": "released", "released_at": at, "released_by": by}
            statement = update(row).where(*chosen).values(values).returning(*_stop.columns)
            found = sorted(map(_stop, connection.execute(statement)), key=lambda stop: stop.number)
            data = {"by": by} if by else None
            append(connection, instance_id, epoch, *(_change(RELEASED, stop, at, data) for stop in found))
            if found:
                _put(connection, _get(connection, instance_id))
            return found

    def passed(self, instance_id: str, number: int) -> None:
        """The run went on past a stop that was released."""
        self._move(instance_id, number, "passed", at=None)

    def drop(self, instance_id: str, number: int | None = None) -> None:
        """Close a stop (``None``: every one) whose node is not run after all."""
        self._move(instance_id, number, "dropped", at=moment())

    def _move(self, instance_id: str, number: int | None, state: str, at: datetime | None) -> None:
        row = BreakpointStopRow
        chosen = [row.instance_id == instance_id, row.state.in_(("open", "released"))]
        if number is not None:
            chosen.append(row.number == number)
        values: dict[str, Any] = {"state": state}
        if at is not None:
            values["released_at"] = func.coalesce(row.released_at, at)
        with self._database.write() as connection:
            connection.execute(update(row).where(*chosen).values(values))


def _get(connection: Connection, instance_id: str) -> DebugState:
    statement = select(*_state.columns).where(InstanceDebugRow.instance_id == instance_id)
    row = connection.execute(statement).one_or_none()
    return DebugState(instance_id=instance_id) if row is None else _state(row)


def _put(connection: Connection, state: DebugState) -> DebugState:
    new = replace(state, revision=state.revision + 1)
    values: dict[str, Any] = {
        "stepping": new.stepping,
        "ignoring": new.ignoring,
        "breakpoints": list(new.breakpoints),
        "variables": dict(new.variables),
        "revision": new.revision,
    }
    statement = upsert(connection, InstanceDebugRow).values(instance_id=state.instance_id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["instance_id"], set_=values))
    return new


def _as_json(state: DebugState, name: str) -> Any:
    value = getattr(state, name)
    return list(value) if name == "breakpoints" else value


def _change(type: str, stop: Stop, at: datetime, data: Mapping[str, Any] | None) -> Change:
    return Change(type=type, at=at, node_id=stop.node_id, iteration=stop.iteration, data=data)


def _shown(value: Any) -> Any:
    """A value as an event keeps it: a long one as the beginning of its text."""
    text = encode_json(value)
    return plain_json(value) if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
