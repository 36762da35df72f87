"""What instances went through: events that are only ever added, and any moment of the past rebuilt from them.

An event is written in the transaction of the change that it tells, by whoever makes the change: :func:`guard` locks the
instance and checks that the writer's life of it is still the present one, :func:`append` adds the events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from ..core.errors import Code, RealmError, Superseded
from ..core.status import InstanceStatus, NodeStatus
from .engine import Database
from .history_models import InstanceEventRow, InstanceSnapshotRow
from .models import InstanceRow
from .records import Shape
from .upsert import insert as upsert

ACCEPTED, MOVED, ASKED = "instance.accepted", "instance.moved", "instance.asked"
BEGAN, ENDED = "node.began", "node.ended"
SKIPPED, CANCELED, REOPENED = "node.skipped", "node.canceled", "node.reopened"
STOPPED, RELEASED, DEBUGGED, SET = "node.stopped", "node.released", "instance.debugged", "instance.set"
"""What debugging does. It changes no status: a node that is stopped has not begun."""

SNAPSHOT_EVERY = 1000
"""Events that are read to rebuild a state before what they come to is kept."""
MOST_WORDS = 300
"""Characters of a reason that an event keeps; the row that it tells of has all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEvent:
    """One change. ``node_id`` and ``iteration`` are ``None`` where the instance itself changed; ``before`` and
    ``after`` are statuses, ``epoch`` is the life of the instance in which it happened; ``data`` holds a few words,
    never outputs."""

    instance_id: str
    sequence: int
    type: str
    node_id: str | None
    iteration: str | None
    attempt: int | None
    before: str | None
    after: str | None
    epoch: int
    at: datetime
    data: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class PastNode:
    """A node as it stood: its status, and that of each of its attempts by number."""

    status: NodeStatus
    attempts: Mapping[int, NodeStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PastState:
    """An instance as it stood after event ``sequence``; its nodes by id and iteration."""

    status: InstanceStatus
    sequence: int
    epoch: int
    at: datetime
    nodes: Mapping[tuple[str, str], PastNode] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failures:
    """Which nodes of an instance have failed, and when what is around them began: numbers of events, the last ones.

    A node is its id and its iteration. ``retried`` is the event since which the instance runs again after it had ended.
    """

    ended: Mapping[tuple[str, str], int]
    began: Mapping[tuple[str, str], int]
    retried: int

    def stands(self, node: tuple[str, str], around: tuple[str, str] | None) -> bool:
        """Whether a node has failed since the construct ``around`` it (``None``: the instance) last began."""
        since = self.retried if around is None else max(self.retried, self.began.get(around, 0))
        return self.ended.get(node, 0) > since


_event = Shape(HistoryEvent, InstanceEventRow)


class History:
    """The events of instances."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(
        self, instance_id: str, *, after: int = 0, up_to: int | None = None, limit: int | None = None
    ) -> list[HistoryEvent]:
        """The events of an instance later than number ``after``, to number ``up_to``, in order."""
        statement = (
            select(*_event.columns)
            .where(InstanceEventRow.instance_id == instance_id, InstanceEventRow.sequence > after)
            .order_by(InstanceEventRow.sequence)
            .limit(limit)
        )
        if up_to is not None:
            statement = statement.where(InstanceEventRow.sequence <= up_to)
        with self._database.read() as connection:
            return [_event(row) for row in connection.execute(statement)]

    def state_at(
        self, instance_id: str, *, moment: datetime | None = None, sequence: int | None = None
    ) -> PastState:
        """The instance as it stood at a moment, or after event number ``sequence``; as it stands without either.

        NOT_FOUND for one that had not been accepted then. What many events come to is kept for whoever asks next: each
        time after as many events as there are nodes by then, so that all that is kept stays in proportion to them.
        """
        last = self._last(instance_id, moment, sequence)
        if last == 0:
            raise RealmError(Code.NOT_FOUND, f"there was no instance {instance_id!r} yet")
        state = self._snapshot(instance_id, last)
        while state is None or state.sequence < last:
            size = max(SNAPSHOT_EVERY, len(state.nodes) if state else 0)
            after = state.sequence if state else 0
            events = self.of(instance_id, after=after, up_to=last, limit=size)
            state = fold(events, state)
            if len(events) == size:
                self._keep(instance_id, state)
        return state

    def failures(self, instance_id: str) -> Failures:
        """See :class:`Failures`."""
        row = InstanceEventRow
        failed = (row.type == ENDED) & (row.after == NodeStatus.FAILED)
        retried = row.node_id.is_(None) & (row.after == InstanceStatus.RETRYING)
        statement = (
            select(row.type, row.node_id, row.iteration, func.max(row.sequence).label("last"))
            .where(row.instance_id == instance_id, failed | retried | (row.type == BEGAN))
            .group_by(row.type, row.node_id, row.iteration)
        )
        found: dict[str, dict[tuple[str, str], int]] = {ENDED: {}, BEGAN: {}, MOVED: {}}
        with self._database.read() as connection:
            for type, node_id, iteration, last in connection.execute(statement):
                found.setdefault(type, {})[node_id or "", iteration or ""] = last
        return Failures(found[ENDED], found[BEGAN], max(found[MOVED].values(), default=0))

    def _last(self, instance_id: str, moment: datetime | None, sequence: int | None) -> int:
        """The number of the last event then; 0 when there was none."""
        statement = select(func.max(InstanceEventRow.sequence)).where(
            InstanceEventRow.instance_id == instance_id
        )
        if sequence is not None:
            statement = statement.where(InstanceEventRow.sequence <= sequence)
        if moment is not None:
            statement = statement.where(InstanceEventRow.at <= moment)
        with self._database.read() as connection:
            return connection.execute(statement).scalar_one() or 0

    def _snapshot(self, instance_id: str, last: int) -> PastState | None:
        statement = (
            select(InstanceSnapshotRow.sequence, InstanceSnapshotRow.state)
            .where(InstanceSnapshotRow.instance_id == instance_id, InstanceSnapshotRow.sequence <= last)
            .order_by(InstanceSnapshotRow.sequence.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else _loaded(row.sequence, row.state)

    def _keep(self, instance_id: str, state: PastState) -> None:
        values = {"instance_id": instance_id, "sequence": state.sequence, "state": _dumped(state)}
        with self._database.write() as connection:
            statement = upsert(connection, InstanceSnapshotRow).values(values)
            connection.execute(statement.on_conflict_do_nothing())


def fold(events: Iterable[HistoryEvent], before: PastState | None = None) -> PastState:
    """What the events of one instance come to: all of them, or those after the state ``before``."""
    state = before
    nodes: dict[tuple[str, str], PastNode] = dict(before.nodes) if before is not None else {}
    for event in events:
        if event.node_id is not None and event.type not in (STOPPED, RELEASED):
            key = (event.node_id, event.iteration or "")
            nodes[key] = _node_after(nodes.get(key), event)
        status = state.status if state is not None else InstanceStatus.PENDING
        if event.node_id is None and event.after is not None:
            status = InstanceStatus(event.after)
        state = PastState(status, event.sequence, event.epoch, event.at, nodes)
    if state is None:
        raise ValueError("no events")
    return state


def _dumped(state: PastState) -> dict[str, Any]:
    nodes = [
        [*key, str(node.status), {str(n): str(status) for n, status in node.attempts.items()}]
        for key, node in state.nodes.items()
    ]
    return {"status": str(state.status), "epoch": state.epoch, "at": state.at.isoformat(), "nodes": nodes}


def _loaded(sequence: int, kept: Mapping[str, Any]) -> PastState:
    nodes = {
        (node_id, iteration): PastNode(
            NodeStatus(status), {int(n): NodeStatus(one) for n, one in attempts.items()}
        )
        for node_id, iteration, status, attempts in kept["nodes"]
    }
    at = datetime.fromisoformat(kept["at"])
    return PastState(InstanceStatus(kept["status"]), sequence, kept["epoch"], at, nodes)


def _node_after(node: PastNode | None, event: HistoryEvent) -> PastNode:
    status = NodeStatus(event.after or NodeStatus.PENDING)
    attempts = dict(node.attempts) if node is not None else {}
    if event.type == BEGAN and event.attempt is not None:
        # What a process that died had left open was closed as failed.
        attempts = _closed(attempts, NodeStatus.FAILED) | {event.attempt: NodeStatus.RUNNING}
    elif event.type == ENDED and event.attempt is not None:
        attempts[event.attempt] = NodeStatus.FAILED if status is NodeStatus.RETRYING else status
    elif event.type == CANCELED:
        attempts = _closed(attempts, NodeStatus.CANCELED)
    return PastNode(status, attempts)


def _closed(attempts: Mapping[int, NodeStatus], status: NodeStatus) -> dict[int, NodeStatus]:
    return {n: status if was is NodeStatus.RUNNING else was for n, was in attempts.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An event to be: see :class:`HistoryEvent`."""

    type: str
    at: datetime
    before: str | None = None
    after: str | None = None
    node_id: str | None = None
    iteration: str | None = None
    attempt: int | None = None
    data: Mapping[str, Any] | None = None


_GUARD = (
    select(InstanceRow.epoch)
    .where(InstanceRow.id == bindparam("of_instance"))
    .with_for_update(key_share=True)
)


def guard(connection: Connection, instance_id: str, epoch: int | None = None) -> int:
    """Lock an instance against other writers of its events until the transaction ends; its present life.

    NOT_FOUND when there is none, :class:`Superseded` when ``epoch`` is not its present life.
    """
    present = connection.execute(_GUARD, {"of_instance": instance_id}).scalar_one_or_none()
    if present is None:
        raise RealmError(
            Code.NOT_FOUND, f"no instance {instance_id!r}", hint="realm instances list shows them"
        )
    check_life(instance_id, present, epoch)
    return present


def check_life(instance_id: str, present: int, epoch: int | None) -> None:
    """Raise :class:`Superseded` unless ``epoch`` (any, for ``None``) is the ``present`` life of the instance."""
    if epoch is not None and epoch != present:
        raise Superseded(
            Code.ABORTED,
            f"instance {instance_id} is run by somebody else now: this is its life {epoch}, the present one is "
            f"{present}",
            hint="nothing is lost: what this process did before is in the journal",
        )


_SEQUENCE = (
    select(func.coalesce(func.max(InstanceEventRow.sequence), 0) + 1)
    .where(InstanceEventRow.instance_id == bindparam("of_instance"))
    .scalar_subquery()
)
_APPEND = insert(InstanceEventRow).values(sequence=_SEQUENCE)
_APPEND_MANY = insert(InstanceEventRow)


def append(connection: Connection, instance_id: str, epoch: int, *changes: Change) -> None:
    """Add events, in order. The instance must be locked: by :func:`guard`, or by being made in this transaction."""
    if not changes:
        return
    rows = [
        {
            "instance_id": instance_id,
            "epoch": epoch,
            "type": one.type,
            "node_id": one.node_id,
            "iteration": one.iteration,
            "attempt": one.attempt,
            "before": one.before,
            "after": one.after,
            "at": one.at,
            "data": one.data,
        }
        for one in changes
    ]
    if len(rows) == 1:
        connection.execute(_APPEND, {"of_instance": instance_id, **rows[0]})
        return
    first = connection.execute(select(_SEQUENCE), {"of_instance": instance_id}).scalar_one()
    connection.execute(_APPEND_MANY, [{**row, "sequence": first + n} for n, row in enumerate(rows)])


def words(reason: str | None) -> dict[str, Any] | None:
    """A reason as the data of an event."""
    return {"reason": reason[:MOST_WORDS]} if reason else None
