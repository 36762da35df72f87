"""The result of an instance as one JSON object, read from the journal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..store import NodeExecution, Store

CACHED = "cached"
"""The note of an attempt that took a cached result: from which instance and node, and when that computed it."""


MOST_ROUNDS = 500
"""Executions inside loops that a result lists one by one; of more, it lists the first that failed."""
MOST_FAILED = 20


def instance_result(store: Store, instance_id: str) -> dict[str, Any]:
    """What ``realm run --json`` and ``realm instances show --json`` print.

    ``nodes`` maps nodes (``each/resize[3]`` inside a loop) to status, attempts, output, error and where each ran;
    ``rounds`` counts the executions of each node inside a loop by status. ``duration`` is in seconds.
    """
    instance = store.instances.get(instance_id)
    rounds = store.rounds.counts(instance_id)
    if sum(sum(counts.values()) for counts in rounds.values()) <= MOST_ROUNDS:
        executions = store.executions.for_instance(instance_id)
    else:
        # Of a hundred thousand items, what went wrong first, and how many went how.
        executions = store.executions.for_instance(instance_id, "")
        executions += store.rounds.in_trouble(instance_id, limit=MOST_FAILED)
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
        "stops": [] if instance.status.terminal else _stops(store, instance_id),
        "nodes": {label(row): node_result(row) for row in executions},
        "rounds": {
            node_id: {str(status): count for status, count in counts.items()}
            for node_id, counts in rounds.items()
        },
        "artifacts": [
            {"uri": a.uri, "sha256": a.sha256, "size": a.size, "media_type": a.media_type, "name": a.name}
            for a in store.artifacts.for_instance(instance_id)
        ],
    }


def _stops(store: Store, instance_id: str) -> list[dict[str, Any]]:
    """Where it stands at a breakpoint."""
    return [
        {"node": stop.label, "type": stop.node_type, "because": stop.because, "since": _text(stop.reached_at)}
        for stop in store.debugging.stops(instance_id, "open")
    ]


def label(row: NodeExecution) -> str:
    """What people call a node execution: its id, and the round it ran in, as ``each/resize[3]``."""
    return f"{row.node_id}[{row.iteration}]" if row.iteration else row.node_id


def node_result(row: NodeExecution) -> dict[str, Any]:
    """One node of :func:`instance_result`."""
    last = row.attempts[-1] if row.attempts else None
    origin = (last.notes or {}).get(CACHED) if last else None
    return {
        "type": row.node_type,
        "status": str(row.status),
        "attempts": len(row.attempts),
        "output": row.output,
        "error": public_error(row.error),
        "cached": origin is not None,
        "cached_from": origin,
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
