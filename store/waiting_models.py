"""The tables of what instances wait for: events, who waits for one, and tasks of people."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from .models import Row, belongs_to, key, one_of
from .types import Json, Words

WAIT_STATES = ("waiting", "satisfied", "timed_out", "canceled")
TASK_STATUSES = ("open", "decided", "canceled")
OUTCOMES = ("approved", "rejected")
APPROVALS = ("any", "all", "quorum", "sequential")
TIMEOUT_ACTIONS = ("notify", "escalate", "approve", "reject", "retry")


class EventRow(Row):
    """Something that happened. ``correlation_key`` is a digest of the correlation, to look it up by."""

    __tablename__ = "events"

    id: Mapped[str] = key()
    project_id: Mapped[str] = belongs_to("projects.id")
    type: Mapped[str] = mapped_column(Words(255))
    payload: Mapped[Any] = mapped_column(Json, nullable=True)
    correlation: Mapped[Any] = mapped_column(Json, nullable=True)
    correlation_key: Mapped[str | None] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(Words(512))
    idempotency_key: Mapped[str | None] = mapped_column(Words(512))
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("project_id", "idempotency_key"),
        Index(None, "type", "created_at"),
        Index(None, "type", "correlation_key"),
        Index(None, "created_at"),
    )


class EventWaitRow(Row):
    """A node that waits for an event, once for each iteration. ``correlation_key`` is empty where the correlation is a
    mapping, of which an event may have more."""

    __tablename__ = "event_waits"

    id: Mapped[str] = key()
    project_id: Mapped[str] = belongs_to("projects.id")
    instance_id: Mapped[str] = belongs_to("workflow_instances.id")
    node_id: Mapped[str] = mapped_column(Words(255))
    iteration: Mapped[str] = mapped_column(Words(255))
    type: Mapped[str] = mapped_column(Words(255))
    correlation: Mapped[Any] = mapped_column(Json, nullable=True)
    correlation_key: Mapped[str | None] = mapped_column(String(64))
    filter: Mapped[str | None]
    since: Mapped[datetime]
    deadline: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(Words(20))
    event_id: Mapped[str | None] = belongs_to("events.id", "SET NULL", index=True)
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("instance_id", "node_id", "iteration"),
        UniqueConstraint("instance_id", "node_id", "event_id"),
        one_of("state", WAIT_STATES),
        Index(
            "ix_event_waits_waiting",
            "type",
            "correlation_key",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
        Index(
            "ix_event_waits_deadline",
            "deadline",
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
    )


class HumanTaskRow(Row):
    """What people are asked, once for each iteration of a node. ``decisions`` and ``escalations`` only grow."""

    __tablename__ = "human_tasks"

    id: Mapped[str] = key()
    project_id: Mapped[str] = belongs_to("projects.id")
    instance_id: Mapped[str] = belongs_to("workflow_instances.id")
    node_id: Mapped[str] = mapped_column(Words(255))
    iteration: Mapped[str] = mapped_column(Words(255))
    title: Mapped[str] = mapped_column(Words(500))
    description: Mapped[str | None]
    assignees: Mapped[list[str] | None]
    role: Mapped[str | None] = mapped_column(Words(255))
    approval: Mapped[str] = mapped_column(Words(20))
    quorum: Mapped[int | None]
    form: Mapped[dict[str, Any] | None]
    timeout: Mapped[float | None]
    on_timeout: Mapped[str] = mapped_column(Words(20))
    escalate_to: Mapped[list[str] | None]
    status: Mapped[str] = mapped_column(Words(20))
    outcome: Mapped[str | None] = mapped_column(Words(20))
    timed_out: Mapped[bool]
    round: Mapped[int]
    decisions: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    escalations: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    deadline: Mapped[datetime | None]
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("instance_id", "node_id", "iteration"),
        one_of("status", TASK_STATUSES),
        one_of("outcome", OUTCOMES),
        one_of("approval", APPROVALS),
        one_of("on_timeout", TIMEOUT_ACTIONS),
        CheckConstraint("(status = 'decided') = (outcome IS NOT NULL)", name="decided"),
        Index(None, "status", "created_at"),
        Index(
            "ix_human_tasks_deadline",
            "deadline",
            sqlite_where=text("status = 'open'"),
            postgresql_where=text("status = 'open'"),
        ),
    )
