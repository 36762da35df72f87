"""Node executions that are written when they are over: those of a batch, in sets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select

from ..core.ids import new_id
from ..core.status import NodeStatus
from .cleaning import plain_json
from .engine import Database
from .history import BEGAN, ENDED, SKIPPED, Change, append, guard, words
from .models import NodeAttemptRow, NodeExecutionRow
from .records import DecidedNode

_THERE = select(NodeExecutionRow.id).where(
    NodeExecutionRow.instance_id == bindparam("of_instance"),
    NodeExecutionRow.node_id == bindparam("of_node"),
    NodeExecutionRow.iteration == bindparam("of_iteration"),
)
_EXECUTIONS = insert(NodeExecutionRow)
_ATTEMPTS = insert(NodeAttemptRow)


class DecidedNodes:
    """Writes nodes of which nothing is in the journal yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self,
        instance_id: str,
        nodes: Sequence[DecidedNode],
        at: datetime,
        *,
        epoch: int | None = None,
    ) -> list[tuple[str, DecidedNode]]:
        """Write the nodes, their attempts and events in one transaction; each with its execution's id. The events are
        of the moment ``at`` at which the journal learns of them. Nothing, where the very same call has been made
        before. :class:`Superseded` when ``epoch`` is not the present life of the instance."""
        if not nodes:
            return []
        with self._database.write() as connection:
            life = guard(connection, instance_id, epoch)
            first = nodes[0]
            place = {
                "of_instance": instance_id,
                "of_node": first.node_id,
                "of_iteration": first.iteration,
            }
            if connection.execute(_THERE, place).first() is not None:
                return []
            made = [(new_id("node"), node) for node in nodes]
            connection.execute(_EXECUTIONS, [_execution(instance_id, *one) for one in made])
            attempts = [_attempt(*one) for one in made if one[1].status is not NodeStatus.SKIPPED]
            if attempts:
                connection.execute(_ATTEMPTS, attempts)
            append(connection, instance_id, life, *(told for node in nodes for told in _told(node, at)))
            return made


def _execution(instance_id: str, id: str, node: DecidedNode) -> dict[str, Any]:
    return {
        "id": id,
        "instance_id": instance_id,
        "node_id": node.node_id,
        "iteration": node.iteration,
        "node_type": node.node_type,
        "execution_key": node.execution_key,
        "status": node.status,
        "started_at": node.started_at,
        "completed_at": node.completed_at,
        "duration": _duration(node),
        "input": node.input,
        "output": node.output,
        "reason": node.reason,
        "retry_count": 0,
        "max_retries": node.max_retries,
        "resource_usage": node.resource_usage,
    }


def _attempt(id: str, node: DecidedNode) -> dict[str, Any]:
    return {
        "execution_id": id,
        "attempt": 1,
        "status": node.status,
        "started_at": node.started_at,
        "completed_at": node.completed_at,
        "duration": _duration(node),
        "worker": node.worker,
        "device": node.device,
        "resource_usage": node.resource_usage,
        "notes": plain_json(node.notes) if node.notes else None,
    }


def _duration(node: DecidedNode) -> float:
    return max(round((node.completed_at - node.started_at).total_seconds(), 4), 0.0)


def _told(node: DecidedNode, at: datetime) -> list[Change]:
    def change(type: str, after: NodeStatus, **more: Any) -> Change:
        return Change(type=type, at=at, after=after, node_id=node.node_id, iteration=node.iteration, **more)

    if node.status is NodeStatus.SKIPPED:
        return [change(SKIPPED, node.status, data=words(node.reason))]
    data = {"worker": node.worker} if node.worker else None
    return [
        change(BEGAN, NodeStatus.RUNNING, attempt=1),
        change(ENDED, node.status, before=NodeStatus.RUNNING, attempt=1, data=data),
    ]
