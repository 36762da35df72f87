"""Executions inside loops, of which an instance may have very many: counted, and the ones that went wrong."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select

from ..core.status import NodeStatus
from .engine import Database
from .executions import with_attempts
from .models import NodeExecutionRow
from .records import NodeExecution, Shape

_execution = Shape(NodeExecution, NodeExecutionRow, without=("attempts",))


class Rounds:
    """The rounds of an instance's loops."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self, instance_id: str) -> dict[str, dict[NodeStatus, int]]:
        """How many executions each node inside a loop has, by status."""
        row = NodeExecutionRow
        statement = (
            select(row.node_id, row.status, func.count())
            .where(row.instance_id == instance_id, row.iteration != "")
            .group_by(row.node_id, row.status)
            .order_by(row.node_id)
        )
        found: dict[str, dict[NodeStatus, int]] = {}
        with self._database.read() as connection:
            for node_id, status, count in connection.execute(statement):
                found.setdefault(node_id, {})[status] = count
        return found

    def past(self, instance_id: str, iterations: Collection[str]) -> dict[str, dict[str, NodeExecution]]:
        """The node executions of some iterations, by iteration and node id; nothing for those that never began. One
        query for some hundreds of them."""
        row = NodeExecutionRow
        statement = (
            select(*_execution.columns)
            .where(row.instance_id == instance_id, row.iteration.in_(iterations))
            .order_by(row.started_at, row.id)
        )
        found: dict[str, dict[str, NodeExecution]] = {}
        with self._database.read() as connection:
            for one in with_attempts(connection, map(_execution, connection.execute(statement))):
                found.setdefault(one.iteration, {})[one.node_id] = one
        return found

    def in_trouble(self, instance_id: str, *, limit: int) -> list[NodeExecution]:
        """The first failed executions of nodes inside loops."""
        row = NodeExecutionRow
        statement = (
            select(*_execution.columns)
            .where(row.instance_id == instance_id, row.iteration != "", row.status == NodeStatus.FAILED)
            .order_by(row.started_at, row.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return with_attempts(connection, [_execution(row) for row in connection.execute(statement)])
