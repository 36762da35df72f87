"""The result of an instance as one JSON object, read from the journal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..store import NodeExecution, Store


def instance_result(store: Store, instance_id: str) -> dict[str, Any]:
    """What ``realm run --json`` and ``realm instances show --json`` print.

    ``nodes`` maps node ids to status, attempts, output, error and where each ran; ``duration`` is in seconds.
    """
    instance = store.instances.get(instance_id)
    executions = store.executions.for_instance(instance_id)
    return {
        "instance_id": instance.id,
        "workflow": instance.workflow,
        "version": instance.version,
        "status": str(instance.status),
        "trigger": {"type": instance.trigger_type, "payload": instance.trigger_payload},
        "input": instance.input,
        "output": instance.output,
        "error": public_error(instance.error),
        "created_at": _text(instance.created_at),
        "started_at": _text(instance.started_at),
        "completed_at": _text(instance.completed_at),
        "duration": _seconds(instance),
        "flow_run_id": instance.flow_run_id,
        "nodes": {row.node_id: node_result(row) for row in executions},
        "artifacts": [
            {"uri": a.uri, "sha256": a.sha256, "size": a.size, "media_type": a.media_type, "name": a.name}
            for a in store.artifacts.for_instance(instance_id)
        ],
    }


def node_result(row: NodeExecution) -> dict[str, Any]:
    """One node of :func:`instance_result`."""
    last = row.attempts[-1] if row.attempts else None
    return {
        "type": row.node_type,
        "status": str(row.status),
        "attempts": len(row.attempts),
        "output": row.output,
        "error": public_error(row.error),
        "cached": False,
        "reason": row.reason,
        "started_at": _text(row.started_at),
        "duration": _seconds(row),
        "worker": last.worker if last else None,
        "device": last.device if last else None,
        "history": [
            {
                "attempt": a.attempt,
                "status": str(a.status),
                "worker": a.worker,
                "error": public_error(a.error),
                "duration": _seconds(a),
            }
            for a in row.attempts
        ],
    }


def public_error(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """An error without its traceback, which stays in the journal and the log."""
    return {key: value for key, value in error.items() if key != "traceback"} if error else None


def _seconds(row: Any) -> float | None:
    if row.started_at is None or row.completed_at is None:
        return None
    return round((row.completed_at - row.started_at).total_seconds(), 3)


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
