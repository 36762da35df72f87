"""The tables of the journal: workflows, versions, instances, node executions, triggers, artifacts.

Columns and checks follow the platform specification (§4.5; data model §2.1), with the statuses of
:mod:`..core.status`. Durations and timeouts are seconds. A change here needs a migration beside it
(``store/migrations``); a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from ..core.status import InstanceStatus, NodeStatus
from .types import Json, Status, UtcDateTime, Words

DEFAULT_PROJECT = "default"
"""The project that everything belongs to until there are more."""


class Row(DeclarativeBase):
    """The base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own name
        datetime: UtcDateTime(),
        dict[str, Any]: Json,
        list[str]: Json,
        float: Float(),
        str: Words(),
        InstanceStatus: Status(InstanceStatus),
        NodeStatus: Status(NodeStatus),
    }


def one_of(column: str, values: Iterable[StrEnum | str]) -> CheckConstraint:
    """A check that ``column`` holds one of ``values``."""
    words = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({words})", name=column)


def key(**options: Any) -> Mapped[str]:
    """A primary key in the form of :mod:`..core.ids`."""
    return mapped_column(String(40), primary_key=True, **options)


def belongs_to(column: str, on_delete: str = "CASCADE", **options: Any) -> Mapped[Any]:
    """A foreign key to ``table.id``."""
    return mapped_column(String(40), ForeignKey(column, ondelete=on_delete), **options)


class ProjectRow(Row):
    """A project: the owner of workflows, instances and media."""

    __tablename__ = "projects"

    id: Mapped[str] = key()
    name: Mapped[str] = mapped_column(Words(255), unique=True)
    created_at: Mapped[datetime]


WORKFLOW_STATUSES = ("active", "inactive", "archived", "deleted")


class WorkflowRow(Row):
    """A workflow by name. ``version`` is its highest published version."""

    __tablename__ = "workflows"

    id: Mapped[str] = key()
    project_id: Mapped[str] = belongs_to("projects.id")
    name: Mapped[str] = mapped_column(Words(255))
    version: Mapped[str | None] = mapped_column(Words(64))
    status: Mapped[str] = mapped_column(Words(20))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(Words(255))
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        one_of("status", WORKFLOW_STATUSES),
        Index(None, "status", "updated_at"),
    )


class WorkflowVersionRow(Row):
    """One published version: immutable."""

    __tablename__ = "workflow_versions"

    id: Mapped[str] = key()
    workflow_id: Mapped[str] = belongs_to("workflows.id")
    version: Mapped[str] = mapped_column(Words(64))
    hash: Mapped[str] = mapped_column(Words(80))
    definition: Mapped[dict[str, Any]]
    display_name: Mapped[str] = mapped_column(Words(255))
    description: Mapped[str]
    tags: Mapped[list[str]]
    source_text: Mapped[str | None]
    source_name: Mapped[str | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(Words(255))

    __table_args__ = (UniqueConstraint("workflow_id", "version"), Index(None, "hash"))


class InstanceRow(Row):
    """One run of a workflow version."""

    __tablename__ = "workflow_instances"

    id: Mapped[str] = key()
    project_id: Mapped[str] = belongs_to("projects.id")
    workflow_id: Mapped[str | None] = belongs_to("workflows.id")
    workflow: Mapped[str] = mapped_column(Words(255))
    version: Mapped[str] = mapped_column(Words(64))
    definition_hash: Mapped[str | None] = mapped_column(Words(80))
    status: Mapped[InstanceStatus]
    trigger_type: Mapped[str] = mapped_column(Words(50))
    trigger_payload: Mapped[Any] = mapped_column(Json, nullable=True)
    idempotency_key: Mapped[str | None] = mapped_column(Words(255))
    input: Mapped[Any] = mapped_column(Json, nullable=False)
    output: Mapped[Any] = mapped_column(Json, nullable=True)
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    priority: Mapped[int]
    timeout: Mapped[float | None]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(Words(255))
    started_at: Mapped[datetime | None]
    resumed_at: Mapped[datetime | None]
    wake_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    duration: Mapped[float | None]
    retry_count: Mapped[int]
    flow_run_id: Mapped[str | None] = mapped_column(Words(64))
    claimed_by: Mapped[str | None] = mapped_column(Words(255))
    claimed_at: Mapped[datetime | None]
    epoch: Mapped[int] = mapped_column(server_default=text("0"))
    requested: Mapped[str | None] = mapped_column(String(20))
    runner_id: Mapped[str | None] = mapped_column(String(40))
    parent_instance_id: Mapped[str | None] = belongs_to("workflow_instances.id", index=True)

    __table_args__ = (
        UniqueConstraint("project_id", "workflow", "idempotency_key"),
        one_of("status", InstanceStatus),
        CheckConstraint("priority BETWEEN 0 AND 9", name="priority"),
        Index(
            "ix_workflow_instances_pending",
            "priority",
            "created_at",
            sqlite_where=text("status = 'pending'"),
            postgresql_where=text("status = 'pending'"),
        ),
        Index(None, "created_at"),
        Index(
            "ix_workflow_instances_waiting",
            "claimed_by",
            "wake_at",
            sqlite_where=text("status = 'waiting'"),
            postgresql_where=text("status = 'waiting'"),
        ),
        Index(
            "ix_workflow_instances_requested",
            "requested",
            sqlite_where=text("requested IS NOT NULL"),
            postgresql_where=text("requested IS NOT NULL"),
        ),
        Index(None, "status", "created_at"),
        Index(None, "workflow", "created_at"),
        Index(None, "workflow_id"),
        Index(None, "started_at"),
        Index(None, "flow_run_id"),
    )


class NodeExecutionRow(Row):
    """One node of one instance (and one iteration of its loops): what came of it."""

    __tablename__ = "node_executions"

    id: Mapped[str] = key()
    instance_id: Mapped[str] = belongs_to("workflow_instances.id")
    node_id: Mapped[str] = mapped_column(Words(255))
    iteration: Mapped[str] = mapped_column(Words(255))
    node_type: Mapped[str] = mapped_column(Words(255))
    execution_key: Mapped[str | None] = mapped_column(Words(255))
    status: Mapped[NodeStatus]
    started_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    duration: Mapped[float | None]
    input: Mapped[Any] = mapped_column(Json, nullable=True)
    output: Mapped[Any] = mapped_column(Json, nullable=True)
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    reason: Mapped[str | None]
    retry_count: Mapped[int]
    max_retries: Mapped[int]
    resource_usage: Mapped[dict[str, Any] | None] = mapped_column(Json)

    __table_args__ = (
        UniqueConstraint("instance_id", "node_id", "iteration"),
        one_of("status", NodeStatus),
        Index(None, "instance_id", "iteration"),
        Index(None, "status", "started_at"),
        Index(None, "node_id", "started_at"),
    )


ATTEMPT_STATUSES = (NodeStatus.RUNNING, NodeStatus.COMPLETED, NodeStatus.FAILED, NodeStatus.CANCELED)


class NodeAttemptRow(Row):
    """One attempt of a node execution: where it ran, what it used, how it ended."""

    __tablename__ = "node_attempts"

    execution_id: Mapped[str] = belongs_to("node_executions.id", primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    status: Mapped[NodeStatus]
    started_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    duration: Mapped[float | None]
    worker: Mapped[str | None]
    device: Mapped[str | None]
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    resource_usage: Mapped[dict[str, Any] | None] = mapped_column(Json)
    notes: Mapped[dict[str, Any] | None] = mapped_column(Json)

    __table_args__ = (
        one_of("status", ATTEMPT_STATUSES),
        CheckConstraint("attempt >= 1", name="attempt"),
    )


class TriggerStateRow(Row):
    """What a trigger must remember between starts."""

    __tablename__ = "trigger_state"

    workflow: Mapped[str] = mapped_column(Words(255), primary_key=True)
    trigger_key: Mapped[str] = mapped_column(Words(255), primary_key=True)
    state: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime]


class KnownFileRow(Row):
    """A file that a filesystem trigger has taken. ``path_key`` is the path's sha256: paths outgrow index
    rows."""

    __tablename__ = "known_files"

    workflow: Mapped[str] = mapped_column(Words(255), primary_key=True)
    path_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    path: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    instance_id: Mapped[str | None] = belongs_to("workflow_instances.id", "SET NULL", index=True)
    seen_at: Mapped[datetime]

    __table_args__ = (Index(None, "workflow", "sha256"),)


class ArtifactRow(Row):
    """A file that a node put into artifact storage."""

    __tablename__ = "artifacts"

    id: Mapped[str] = key()
    instance_id: Mapped[str] = belongs_to("workflow_instances.id", index=True)
    execution_id: Mapped[str | None] = belongs_to("node_executions.id")
    uri: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(Words(255))
    name: Mapped[str]
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("execution_id", "sha256", "name"),)
