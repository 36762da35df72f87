"""The events of node executions: the instance locked for them, and what is told of each change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, select

from ..core.errors import Code, RealmError
from ..core.status import NodeStatus
from .history import Change, check_life, guard
from .models import InstanceRow, NodeExecutionRow
from .records import NodeExecution


@dataclass(frozen=True, slots=True)
class NodeOfInstance:
    """A node execution, and the present life of its instance."""

    instance_id: str
    node_id: str
    iteration: str
    epoch: int


_GUARD_NODE = (
    select(InstanceRow.epoch, NodeExecutionRow.status)
    .outerjoin(
        NodeExecutionRow,
        (NodeExecutionRow.instance_id == InstanceRow.id)
        & (NodeExecutionRow.node_id == bindparam("of_node"))
        & (NodeExecutionRow.iteration == bindparam("of_iteration")),
    )
    .where(InstanceRow.id == bindparam("of_instance"))
    .with_for_update(key_share=True, of=InstanceRow)
)
_GUARD_EXECUTION = (
    select(InstanceRow.id, NodeExecutionRow.node_id, NodeExecutionRow.iteration, InstanceRow.epoch)
    .join(NodeExecutionRow, NodeExecutionRow.instance_id == InstanceRow.id)
    .where(NodeExecutionRow.id == bindparam("of_execution"))
    .with_for_update(key_share=True, of=InstanceRow)
)


def guard_node(
    connection: Connection, instance_id: str, node_id: str, iteration: str, epoch: int | None
) -> tuple[int, NodeStatus | None]:
    """:func:`.history.guard`, and the status of one node."""
    of = {"of_instance": instance_id, "of_node": node_id, "of_iteration": iteration}
    row = connection.execute(_GUARD_NODE, of).one_or_none()
    if row is None:
        return guard(connection, instance_id, epoch), None
    check_life(instance_id, row.epoch, epoch)
    return row.epoch, row.status


def guard_execution(connection: Connection, execution_id: str, epoch: int | None) -> NodeOfInstance:
    """:func:`.history.guard` of the instance that an execution belongs to."""
    row = connection.execute(_GUARD_EXECUTION, {"of_execution": execution_id}).one_or_none()
    if row is None:
        raise RealmError(Code.NOT_FOUND, f"no node execution {execution_id!r}")
    check_life(row.id, row.epoch, epoch)
    return NodeOfInstance(*row)


def change_of(
    type: str,
    node: NodeExecution | NodeOfInstance,
    before: NodeStatus | None,
    after: NodeStatus,
    at: datetime,
    *,
    attempt: int | None = None,
    data: Mapping[str, Any] | None = None,
) -> Change:
    """The event of a change to one node."""
    return Change(
        type=type,
        at=at,
        before=before,
        after=after,
        node_id=node.node_id,
        iteration=node.iteration,
        attempt=attempt,
        data=data,
    )


def changes_of(
    connection: Connection,
    chosen: ColumnElement[bool],
    type: str,
    after: NodeStatus,
    at: datetime,
    data: Mapping[str, Any] | None = None,
) -> list[Change]:
    """The events of a change to all chosen nodes at once."""
    columns = select(
        NodeExecutionRow.node_id,
        NodeExecutionRow.iteration,
        NodeExecutionRow.status,
        NodeExecutionRow.retry_count,
    )
    ordered = columns.where(chosen).order_by(NodeExecutionRow.started_at, NodeExecutionRow.id)
    return [
        Change(
            type=type,
            at=at,
            before=row.status,
            after=after,
            node_id=row.node_id,
            iteration=row.iteration,
            attempt=row.retry_count + 1,
            data=data,
        )
        for row in connection.execute(ordered)
    ]
