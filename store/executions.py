"""Node executions and their attempts: the journal proper."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, literal, null, select, update

from ..core.errors import Code, ErrorRecord, RealmError
from ..core.ids import new_id
from ..core.status import NodeStatus
from .cleaning import plain_json
from .engine import Database
from .execution_events import change_of, changes_of, guard_execution, guard_node
from .history import BEGAN, CANCELED, ENDED, REOPENED, SKIPPED, Change, append, guard, words
from .models import NodeAttemptRow, NodeExecutionRow
from .records import NodeAttempt, NodeExecution, Shape
from .types import Status, UtcDateTime, moment, seconds_between
from .upsert import DIALECTS, Insert, insert

_execution = Shape(NodeExecution, NodeExecutionRow, without=("attempts",))
_attempt = Shape(NodeAttempt, NodeAttemptRow)

_OPEN = (NodeStatus.PENDING, NodeStatus.RUNNING, NodeStatus.RETRYING)
_FINISHES = (NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.CANCELED, NodeStatus.RETRYING)

_Error = ErrorRecord | Mapping[str, Any] | None


class Executions:
    """What became of each node of each instance.

    Each change is told by an event (:mod:`.history`) in the same transaction. With an ``epoch``, a change by a life of
    the instance that is not the present one is ABORTED.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self,
        instance_id: str,
        node_id: str,
        node_type: str,
        *,
        attempt: int,
        iteration: str = "",
        input: Any = None,
        max_attempts: int = 1,
        execution_key: str | None = None,
        started_at: datetime | None = None,
        epoch: int | None = None,
    ) -> NodeExecution:
        """Record that attempt number ``attempt`` (from 1) of a node starts; the execution becomes running.

        An attempt still open from a process that died is closed as failed. Repeating the very same call
        changes nothing. FAILED_PRECONDITION when the node is completed (see :meth:`reopen`), ABORTED when
        somebody else began this attempt: two processes run the same instance.
        """
        started_at = moment(started_at)
        values = {
            "id": new_id("node"),
            "instance_id": instance_id,
            "node_id": node_id,
            "iteration": iteration,
            "node_type": node_type,
            "execution_key": execution_key,
            "status": NodeStatus.RUNNING,
            "started_at": started_at,
            "input": input,
            "retry_count": attempt - 1,
            "max_retries": max_attempts - 1,
        }
        with self._database.write() as connection:
            life, before = guard_node(connection, instance_id, node_id, iteration, epoch)
            row = connection.execute(_BEGIN[connection.dialect.name], values).one_or_none()
            if row is None:
                raise RealmError(
                    Code.FAILED_PRECONDITION,
                    f"node {node_id} of {instance_id} has completed, or is past attempt {attempt}",
                    hint="reopen the node to run it again",
                )
            execution = _execution(row)
            if attempt > 1:
                _close_abandoned(connection, execution.id, attempt, started_at)
            first = NodeAttempt(attempt=attempt, status=NodeStatus.RUNNING, started_at=started_at)
            made = connection.execute(
                _BEGIN_ATTEMPT[connection.dialect.name],
                {
                    "execution_id": execution.id,
                    "attempt": attempt,
                    "status": first.status,
                    "started_at": started_at,
                },
            )
            if made.one_or_none() is None:
                _check_repeat(connection, execution, attempt, started_at)
            else:
                began = change_of(BEGAN, execution, before, NodeStatus.RUNNING, started_at, attempt=attempt)
                append(connection, instance_id, life, began)
            if attempt == 1:
                return replace(execution, attempts=(first,))
            return with_attempts(connection, [execution])[0]

    def finish(
        self,
        execution_id: str,
        attempt: int,
        *,
        status: NodeStatus,
        output: Any = None,
        error: _Error = None,
        worker: str | None = None,
        device: str | None = None,
        resource_usage: Mapping[str, Any] | None = None,
        notes: Mapping[str, Any] | None = None,
        completed_at: datetime | None = None,
        epoch: int | None = None,
    ) -> None:
        """Record how an attempt ended. ``retrying`` closes the attempt as failed and keeps the node open.

        Repeating the very same call changes nothing; ending an attempt in two ways is FAILED_PRECONDITION.
        """
        if status not in _FINISHES:
            raise RealmError(Code.INVALID_ARGUMENT, f"an attempt does not end as {status}")
        completed_at = moment(completed_at)
        retrying = status is NodeStatus.RETRYING
        ended = NodeStatus.FAILED if retrying else status
        usage, failure = plain_json(resource_usage), _error_json(error)
        with self._database.write() as connection:
            node = guard_execution(connection, execution_id, epoch)
            closed = connection.execute(
                _CLOSE_ATTEMPT,
                {
                    "of_execution": execution_id,
                    "of_attempt": attempt,
                    "end": completed_at,
                    "status": ended,
                    "completed_at": completed_at,
                    "worker": worker,
                    "device": device,
                    "error": failure,
                    "resource_usage": usage,
                    "notes": plain_json(notes),
                },
            )
            if closed.rowcount == 0:
                _check_repeated_end(connection, execution_id, attempt, ended, completed_at)
                return
            connection.execute(
                _CLOSE_EXECUTION,
                {
                    "of_execution": execution_id,
                    "of_retry": attempt - 1,
                    "end": None if retrying else completed_at,
                    "status": status,
                    "completed_at": None if retrying else completed_at,
                    "output": output,
                    "error": failure,
                    "resource_usage": usage,
                },
            )
            told = {"worker": worker, "code": (failure or {}).get("code")}
            data = {name: value for name, value in told.items() if value}
            before = NodeStatus.RUNNING
            told_end = change_of(
                ENDED, node, before, status, completed_at, attempt=attempt, data=data or None
            )
            append(connection, node.instance_id, node.epoch, told_end)

    def skip(
        self,
        instance_id: str,
        node_id: str,
        node_type: str,
        *,
        iteration: str = "",
        reason: str,
        at: datetime | None = None,
        epoch: int | None = None,
    ) -> None:
        """Record that a node will not run, and why. Skipping again changes the reason; FAILED_PRECONDITION
        when the node is running or has completed."""
        at = moment(at)
        values = {
            "id": new_id("node"),
            "instance_id": instance_id,
            "node_id": node_id,
            "iteration": iteration,
            "node_type": node_type,
            "status": NodeStatus.SKIPPED,
            "started_at": at,
            "completed_at": at,
            "duration": 0.0,
            "reason": reason,
            "retry_count": 0,
            "max_retries": 0,
        }
        with self._database.write() as connection:
            life, before = guard_node(connection, instance_id, node_id, iteration, epoch)
            statement = insert(connection, NodeExecutionRow)
            new = statement.excluded
            statement = statement.on_conflict_do_update(
                index_elements=_IDENTITY,
                set_={"status": new.status, "reason": new.reason, "completed_at": new.completed_at},
                where=NodeExecutionRow.status.not_in([NodeStatus.RUNNING, NodeStatus.COMPLETED]),
            )
            if connection.execute(statement.returning(NodeExecutionRow.id), values).one_or_none() is None:
                raise RealmError(
                    Code.FAILED_PRECONDITION,
                    f"node {node_id} of {instance_id} is running or has completed: it cannot be skipped",
                )
            skipped = Change(
                type=SKIPPED,
                at=at,
                before=before,
                after=NodeStatus.SKIPPED,
                node_id=node_id,
                iteration=iteration,
                data=words(reason),
            )
            append(connection, instance_id, life, skipped)

    def cancel_open(
        self,
        instance_id: str,
        reason: str,
        *,
        under: str = "",
        iteration: str = "",
        at: datetime | None = None,
        epoch: int | None = None,
    ) -> int:
        """Cancel every undecided node of the instance, with its open attempt; returns how many nodes.

        ``under`` is the beginning of the node ids to cancel, such as ``each/``, in the given ``iteration`` and those
        inside it; without it, all of them.
        """
        at = moment(at)
        undecided = (NodeExecutionRow.instance_id == instance_id) & NodeExecutionRow.status.in_(_OPEN)
        if under:
            undecided &= NodeExecutionRow.node_id.startswith(under, autoescape=True)
        if iteration:
            inside = NodeExecutionRow.iteration.startswith(f"{iteration}.", autoescape=True)
            undecided &= (NodeExecutionRow.iteration == iteration) | inside
        ids = select(NodeExecutionRow.id).where(undecided)
        end = literal(at, UtcDateTime())
        with self._database.write() as connection:
            life = guard(connection, instance_id, epoch)
            canceled = changes_of(connection, undecided, CANCELED, NodeStatus.CANCELED, at, words(reason))
            if not canceled:
                return 0
            connection.execute(
                update(NodeAttemptRow)
                .where(NodeAttemptRow.execution_id.in_(ids), NodeAttemptRow.status == NodeStatus.RUNNING)
                .values(
                    status=NodeStatus.CANCELED,
                    completed_at=at,
                    duration=seconds_between(NodeAttemptRow.started_at, end),
                    error=ErrorRecord(Code.CANCELLED, reason).to_dict(),
                )
            )
            connection.execute(
                update(NodeExecutionRow)
                .where(undecided)
                .values(
                    status=NodeStatus.CANCELED,
                    reason=reason,
                    completed_at=at,
                    duration=seconds_between(NodeExecutionRow.started_at, end),
                )
            )
            append(connection, instance_id, life, *canceled)
            return len(canceled)

    def reopen(
        self,
        instance_id: str,
        nodes: Collection[str | tuple[str, str]],
        *,
        under: Collection[tuple[str, str]] = (),
        at: datetime | None = None,
    ) -> int:
        """Let decided nodes run again: they become retrying; returns how many. A node is its id, in all iterations, or
        ``(id, iteration)``. ``under`` are beginnings of ids, as ``each/``, with iterations: what completed or failed in
        there, but for what undid something or followed a failure."""
        at = moment(at)
        ids = [node for node in nodes if isinstance(node, str)]
        pairs = {node for node in nodes if not isinstance(node, str)}
        with self._database.write() as connection:
            life, row = guard(connection, instance_id), NodeExecutionRow
            decided = (row.instance_id == instance_id) & row.status.not_in(_OPEN)
            columns = select(row.id, row.node_id, row.iteration, row.status).where(decided)
            found = [
                one.id
                for one in connection.execute(columns)
                if one.node_id in ids
                or (one.node_id, one.iteration) in pairs
                or (one.status in (NodeStatus.COMPLETED, NodeStatus.FAILED) and _is_under(one, under))
            ]
            for start in range(0, len(found), _MOST_AT_ONCE):
                chosen = row.id.in_(found[start : start + _MOST_AT_ONCE])
                reopened = changes_of(connection, chosen, REOPENED, NodeStatus.RETRYING, at)
                again: dict[str, Any] = dict.fromkeys(("reason", "completed_at", "duration"))
                again |= {"status": NodeStatus.RETRYING}
                connection.execute(update(row).where(chosen).values(again))
                append(connection, instance_id, life, *reopened)
            return len(found)

    def for_instance(self, instance_id: str, iteration: str | None = None) -> list[NodeExecution]:
        """The node executions of an instance, or those of one ``iteration`` (``""`` outside of loops), in the order
        they started, each with its attempts in order."""
        chosen = NodeExecutionRow.instance_id == instance_id
        if iteration is not None:
            chosen &= NodeExecutionRow.iteration == iteration
        statement = (
            select(*_execution.columns)
            .where(chosen)
            .order_by(NodeExecutionRow.started_at, NodeExecutionRow.id)
        )
        with self._database.read() as connection:
            found = [_execution(row) for row in connection.execute(statement)]
            return with_attempts(connection, found)


def _is_under(row: Any, under: Collection[tuple[str, str]]) -> bool:
    return "!" not in row.node_id and any(
        row.node_id.startswith(begin) and (not own or f"{row.iteration}.".startswith(f"{own}."))
        for begin, own in under
    )


_IDENTITY = ["instance_id", "node_id", "iteration"]
_MOST_AT_ONCE = 500
"""Ids in one statement."""


_CLOSE_ATTEMPT = (
    update(NodeAttemptRow)
    .where(
        NodeAttemptRow.execution_id == bindparam("of_execution"),
        NodeAttemptRow.attempt == bindparam("of_attempt"),
        NodeAttemptRow.status == literal(NodeStatus.RUNNING, Status(NodeStatus)),
    )
    .values(duration=seconds_between(NodeAttemptRow.started_at, bindparam("end", type_=UtcDateTime())))
)
_CLOSE_EXECUTION = (
    update(NodeExecutionRow)
    .where(
        NodeExecutionRow.id == bindparam("of_execution"),
        NodeExecutionRow.retry_count == bindparam("of_retry"),
    )
    .values(duration=seconds_between(NodeExecutionRow.started_at, bindparam("end", type_=UtcDateTime())))
)


def _begin(insert: Insert) -> Any:
    new: Any = insert.excluded
    taken = ("node_type", "execution_key", "status", "input", "retry_count", "max_retries")
    forgotten = dict.fromkeys(
        ("completed_at", "duration", "output", "error", "reason", "resource_usage"), null()
    )
    repeatable = NodeExecutionRow.status != literal(NodeStatus.COMPLETED, Status(NodeStatus))
    return insert.on_conflict_do_update(
        index_elements=_IDENTITY,
        set_={name: new[name] for name in taken} | forgotten,
        where=repeatable & (NodeExecutionRow.retry_count <= new.retry_count),
    ).returning(*_execution.columns)


# Built once: these run for every node.
_BEGIN = {name: _begin(insert(name, NodeExecutionRow)) for name in DIALECTS}
_BEGIN_ATTEMPT = {
    name: insert(name, NodeAttemptRow).on_conflict_do_nothing().returning(NodeAttemptRow.attempt)
    for name in DIALECTS
}


def _close_abandoned(connection: Connection, execution_id: str, attempt: int, at: datetime) -> None:
    error = ErrorRecord(
        Code.TRANSIENT_ERROR, "the process that ran this attempt ended without recording its end"
    )
    connection.execute(
        update(NodeAttemptRow)
        .where(
            NodeAttemptRow.execution_id == execution_id,
            NodeAttemptRow.attempt < attempt,
            NodeAttemptRow.status == NodeStatus.RUNNING,
        )
        .values(status=NodeStatus.FAILED, completed_at=at, error=error.to_dict())
    )


def _check_repeat(
    connection: Connection, execution: NodeExecution, attempt: int, started_at: datetime
) -> None:
    row = _attempt_row(connection, execution.id, attempt)
    if row is None or row.started_at != started_at or row.status is not NodeStatus.RUNNING:
        raise RealmError(
            Code.ABORTED,
            f"attempt {attempt} of node {execution.node_id} was begun by somebody else: "
            f"two processes run {execution.instance_id}",
        )


def _check_repeated_end(
    connection: Connection, execution_id: str, attempt: int, ended: NodeStatus, at: datetime
) -> None:
    row = _attempt_row(connection, execution_id, attempt)
    if row is None:
        raise RealmError(Code.NOT_FOUND, f"no attempt {attempt} of node execution {execution_id!r}")
    if row.status is not ended or row.completed_at != at:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"attempt {attempt} of {execution_id} has ended as {row.status}: it cannot end as {ended}",
        )


def _attempt_row(connection: Connection, execution_id: str, attempt: int) -> NodeAttempt | None:
    statement = select(*_attempt.columns).where(
        NodeAttemptRow.execution_id == execution_id, NodeAttemptRow.attempt == attempt
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else _attempt(row)


def with_attempts(connection: Connection, executions: Iterable[NodeExecution]) -> list[NodeExecution]:
    """The executions with the attempts of each, in order."""
    found = {one.id: one for one in executions}
    attempts: dict[str, list[NodeAttempt]] = {id: [] for id in found}
    ids = list(found)
    for start in range(0, len(ids), _MOST_AT_ONCE):
        statement = (
            select(NodeAttemptRow.execution_id, *_attempt.columns)
            .where(NodeAttemptRow.execution_id.in_(ids[start : start + _MOST_AT_ONCE]))
            .order_by(NodeAttemptRow.execution_id, NodeAttemptRow.attempt)
        )
        for execution_id, *columns in connection.execute(statement):
            attempts[execution_id].append(_attempt(columns))
    return [replace(one, attempts=tuple(attempts[one.id])) for one in found.values()]


def _error_json(error: _Error) -> Any:
    return plain_json(error.to_dict() if isinstance(error, ErrorRecord) else error)
