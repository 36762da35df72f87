"""The past of an instance for people: every transition in order, and why one node stands as it does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..core.durations import format_duration
from ..core.errors import Code, RealmError
from ..core.status import InstanceStatus, NodeStatus
from .results import CACHED, label

if TYPE_CHECKING:
    from ..compiler import Definition
    from ..store import HistoryEvent, NodeExecution, Store


@dataclass(frozen=True, slots=True)
class Entry:
    """One transition: of a node, or (``node`` empty) of the instance. ``since_start`` and ``lasted`` are in seconds;
    ``lasted`` is how long it had stood as it did before."""

    sequence: int
    at: datetime
    since_start: float
    epoch: int
    node: str
    attempt: int | None
    before: str | None
    after: str | None
    lasted: float | None
    note: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        names = ("sequence", "epoch", "node", "attempt", "before", "after", "lasted", "note")
        shown = {name: getattr(self, name) for name in names}
        return {**shown, "at": self.at.isoformat(), "since_start": self.since_start}


def timeline(store: Store, instance_id: str) -> list[Entry]:
    """Every transition of an instance and its nodes, in order."""
    return list(_entries(store.history.of(instance_id)))


def _entries(events: Sequence[HistoryEvent]) -> Iterator[Entry]:
    last: dict[str, datetime] = {}
    for event in events:
        node = _label(event)
        before = last.get(node)
        yield Entry(
            sequence=event.sequence,
            at=event.at,
            since_start=round((event.at - events[0].at).total_seconds(), 3),
            epoch=event.epoch,
            node=node,
            attempt=event.attempt,
            before=event.before,
            after=event.after,
            lasted=None if before is None else max(0.0, round((event.at - before).total_seconds(), 3)),
            note=_note(event),
        )
        if event.after is not None:
            last[node] = event.at


def _label(event: HistoryEvent) -> str:
    if event.node_id is None:
        return ""
    return f"{event.node_id}[{event.iteration}]" if event.iteration else event.node_id


def _note(event: HistoryEvent) -> str:
    from ..store.history import DEBUGGED, RELEASED, SET, STOPPED

    data = dict(event.data or {})
    if event.type in (STOPPED, RELEASED):
        did = f"stopped before it ({data.get('because')})" if event.type == STOPPED else "let go on"
        return did + (f" by {data['by']}" if data.get("by") else "")
    if event.type == SET:
        return f"vars.{data['name']} was {_json(data['old'])}, is {_json(data['new'])}, set by {data['by']}"
    if event.type == DEBUGGED:
        return _debugging(data)
    if "request" in data:
        return f"{data['request']} was asked for" + (f" by {data['by']}" if data.get("by") else "")
    words = [str(data[name]) for name in ("code", "reason") if data.get(name)]
    words += [f"on {data['worker']}"] if data.get("worker") else []
    words += [f"by {data['by']}"] if data.get("by") else []
    return ", ".join(words)


def _debugging(data: Mapping[str, Any]) -> str:
    said = []
    if "stepping" in data:
        said.append("stops before every node" if data["stepping"] else "stops at breakpoints only")
    if "breakpoints" in data:
        said.append(f"breakpoints: {', '.join(data['breakpoints']) or 'none'}")
    if "ignoring" in data:
        said.append(
            "passes the definition's breakpoints"
            if data["ignoring"]
            else "heeds the definition's breakpoints"
        )
    return "; ".join(said) + (f", by {data['by']}" if data.get("by") else "")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def explain(store: Store, instance_id: str, node: str, definition: Definition | None = None) -> list[str]:
    """Why a node (``each/resize[3]`` in a loop) ran, was skipped, used again, canceled, or has not run; and what it
    waited for, where the ``definition`` is known. NOT_FOUND for a node that neither knows."""
    rows = {label(row): row for row in store.executions.for_instance(instance_id)}
    key, _, rest = node.partition("[")
    edges = _edges_into(definition, key)
    if node not in rows and edges is None:
        hint = f"it has {', '.join(list(rows)[:12])}" if rows else None
        raise RealmError(Code.NOT_FOUND, f"instance {instance_id} has no node {node}", hint=hint)
    events = [event for event in store.history.of(instance_id) if _label(event) == node]
    said = list(_edges_said(edges or [], rows, key, rest.removesuffix("]")))
    row = rows.get(node)
    said += _stops_said(events)
    return [*said, *(_why_not(store, instance_id) if row is None else _story(row, events, said))]


def _stops_said(events: Sequence[HistoryEvent]) -> Iterator[str]:
    """Where it stood at a breakpoint, and until when."""
    from ..store.history import RELEASED, STOPPED

    stopped: HistoryEvent | None = None
    for event in events:
        if event.type == STOPPED:
            stopped = event
        elif event.type == RELEASED and stopped is not None:
            by = f" by {event.data['by']}" if event.data and event.data.get("by") else ""
            yield f"stopped before it at {_time(stopped.at)} ({_because(stopped)}), let go on at {_time(event.at)}{by}"
            stopped = None
    if stopped is not None:
        yield f"stopped before it at {_time(stopped.at)} ({_because(stopped)})"


def _because(event: HistoryEvent) -> str:
    because = (event.data or {}).get("because")
    return {"step": "stepping", "break": "--break", "breakpoint": "its breakpoint"}.get(
        str(because), str(because)
    )


def _edges_into(definition: Definition | None, key: str) -> list[tuple[str, str | None]] | None:
    """The edges into a node, as journal ids of their sources with the conditions; ``None`` for no such node."""
    if definition is None:
        return None
    from ..compiler.document import Document
    from ..compiler.scopes import build_scopes
    from ..tasks.registry import registry

    root = build_scopes(Document(definition.document(), 0, ""), registry())
    for scope in root.walk():
        prefix = f"{scope.key}/" if scope.key else ""
        for found in scope.graph.nodes:
            if prefix + found.id == key:
                return [(prefix + edge.source, edge.condition) for edge in scope.graph.incoming(found.id)]
    return None


def _edges_said(
    edges: Sequence[tuple[str, str | None]], rows: dict[str, NodeExecution], key: str, iteration: str
) -> Iterator[str]:
    for source, condition in edges:
        row = rows.get(f"{source}[{iteration}]" if iteration else source)
        state = "has not run" if row is None else f"is {row.status}"
        if row is not None and row.completed_at is not None:
            state += f" since {_time(row.completed_at)}"
        yield f"follows {source}, which {state}" + (f"; if {condition}" if condition else "")


def _story(row: NodeExecution, events: Sequence[HistoryEvent], edges: Sequence[str]) -> Iterator[str]:
    if row.status is NodeStatus.SKIPPED:
        yield f"skipped: {row.reason}"
        return
    if not edges and "/" not in row.node_id:
        yield "nothing comes before it"
    for attempt in row.attempts:
        ran = "" if attempt.duration is None else f" after {format_duration(round(attempt.duration, 2))}"
        where = f" on {attempt.worker}" if attempt.worker else ""
        error = f": {attempt.error.get('code')}: {attempt.error.get('message')}" if attempt.error else ""
        used = (attempt.notes or {}).get(CACHED)
        yield (
            f"attempt {attempt.attempt} began at {_time(attempt.started_at)}, {attempt.status}{ran}{where}{error}"
            + (f"; its result was used again: {used}" if used else "")
        )
    for event in events:
        if event.type == "node.reopened":
            yield f"its result was dropped at {_time(event.at)}, so that it runs again"
    if row.status is NodeStatus.CANCELED:
        yield f"canceled: {row.reason}"
    lives = sorted({event.epoch for event in events})
    if row.status is NodeStatus.COMPLETED and len(lives) > 1:
        yield f"it ran in lives {', '.join(map(str, lives))} of the instance"


def _why_not(store: Store, instance_id: str) -> Iterator[str]:
    instance = store.instances.get(instance_id)
    stops = () if instance.status.terminal else store.debugging.stops(instance_id, "open")
    if stops and instance.status in (InstanceStatus.RUNNING, InstanceStatus.WAITING):
        labels = ", ".join(stop.label for stop in stops)
        yield f"it has not run: the instance stands before {labels}"
        return
    error = instance.error or {}
    why = f": {error.get('message')}" if error.get("message") else ""
    yield f"it has not run: the instance is {instance.status}{why}"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S.%f}"[:-3]
