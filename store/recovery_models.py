"""The tables of what carries instances over failures: undone steps, cached results, circuit breakers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .models import Row, belongs_to, key, one_of
from .types import Json, Words

SAGA_STATUSES = ("compensating", "compensated", "compensation_failed")
STEP_STATUSES = ("registered", "undoing", "undone", "failed")
CACHE_STATES = ("computing", "ready")
BREAKER_STATES = ("closed", "open", "half_open")


class SagaRow(Row):
    """The undoing of one attempt of a transaction, or (``node_id`` empty) of one life of an instance."""

    __tablename__ = "sagas"

    id: Mapped[str] = key()
    instance_id: Mapped[str] = belongs_to("workflow_instances.id")
    node_id: Mapped[str] = mapped_column(Words(255))
    iteration: Mapped[str] = mapped_column(Words(255))
    attempt: Mapped[int]
    status: Mapped[str] = mapped_column(Words(20))
    error: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("instance_id", "node_id", "iteration", "attempt"),
        one_of("status", SAGA_STATUSES),
    )


class SagaStepRow(Row):
    """A completed node that can be undone, and the call that undoes it. ``position`` counts in the order in which
    the nodes of an instance completed."""

    __tablename__ = "saga_steps"

    instance_id: Mapped[str] = belongs_to("workflow_instances.id", primary_key=True)
    node_id: Mapped[str] = mapped_column(Words(255), primary_key=True)
    iteration: Mapped[str] = mapped_column(Words(255), primary_key=True)
    position: Mapped[int]
    status: Mapped[str] = mapped_column(Words(20))
    node_type: Mapped[str] = mapped_column(Words(255))
    parameters: Mapped[dict[str, Any]]
    input: Mapped[dict[str, Any]]
    retry: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    saga_id: Mapped[str | None] = belongs_to("sagas.id", "SET NULL", index=True)
    registered_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("instance_id", "position"),
        one_of("status", STEP_STATUSES),
    )


class CachedResultRow(Row):
    """The output of a node type for a key, or the lease of whoever computes it."""

    __tablename__ = "cached_results"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(Words(20))
    node_type: Mapped[str] = mapped_column(Words(255))
    workflow: Mapped[str] = mapped_column(Words(255))
    node_id: Mapped[str] = mapped_column(Words(255))
    instance_id: Mapped[str] = mapped_column(Words(40))
    owner: Mapped[str] = mapped_column(Words(64))
    alive_at: Mapped[datetime]
    output: Mapped[Any] = mapped_column(Json, nullable=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]

    __table_args__ = (
        one_of("state", CACHE_STATES),
        Index(None, "workflow"),
        Index(None, "node_type"),
        Index(None, "expires_at"),
    )


class BreakerRow(Row):
    """How one operation of a service fares. There is a row only after a failure."""

    __tablename__ = "circuit_breakers"

    service: Mapped[str] = mapped_column(Words(255), primary_key=True)
    operation: Mapped[str] = mapped_column(Words(255), primary_key=True)
    state: Mapped[str] = mapped_column(Words(20))
    failures: Mapped[int] = mapped_column(Integer)
    retry_at: Mapped[datetime | None]
    error: Mapped[str]
    updated_at: Mapped[datetime]

    __table_args__ = (one_of("state", BREAKER_STATES),)
