"""What the repositories return: frozen, detached from the database, every moment in UTC, durations in
seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Column

from ..core.status import InstanceStatus, NodeStatus
from .models import DEFAULT_PROJECT, Row

Json = Any
"""A JSON value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowVersion:
    """A published version of a workflow, with the workflow's own ``status``."""

    id: str
    workflow_id: str
    name: str
    version: str
    hash: str
    definition: Mapping[str, Any]
    display_name: str
    description: str
    tags: list[str]
    source_text: str | None
    source_name: str | None
    status: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInstance:
    """What makes an instance. ``priority`` is 0 (first) to 9 (last); ``timeout`` is in seconds."""

    workflow: str
    version: str
    input: Json
    trigger_type: str
    trigger_payload: Json = None
    idempotency_key: str | None = None
    priority: int = 5
    timeout: float | None = None
    created_by: str = "local"
    parent_instance_id: str | None = None
    workflow_id: str | None = None
    definition_hash: str | None = None
    claimed_by: str | None = None
    """Who runs it at once; ``None`` leaves it to a dispatcher."""
    project_id: str = DEFAULT_PROJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One run of a workflow version. ``duration`` runs from the first start to the last end; ``resumed_at`` is when its
    present life began, ``wake_at`` when one that waits is to go on by itself. Each life has its own ``epoch``, counted
    from 1, and ``runner_id`` is the process that lives it; ``requested`` is what a person asked of it and it has not
    done yet: cancel, pause or resume."""

    id: str
    project_id: str
    workflow_id: str | None
    workflow: str
    version: str
    definition_hash: str | None
    status: InstanceStatus
    trigger_type: str
    trigger_payload: Json
    idempotency_key: str | None
    input: Json
    output: Json
    error: Mapping[str, Any] | None
    priority: int
    timeout: float | None
    created_at: datetime
    created_by: str
    started_at: datetime | None
    resumed_at: datetime | None
    wake_at: datetime | None
    completed_at: datetime | None
    duration: float | None
    retry_count: int
    flow_run_id: str | None
    claimed_by: str | None
    claimed_at: datetime | None
    epoch: int
    requested: str | None
    runner_id: str | None
    parent_instance_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAttempt:
    """One attempt of a node execution."""

    attempt: int
    status: NodeStatus
    started_at: datetime
    completed_at: datetime | None = None
    duration: float | None = None
    worker: str | None = None
    device: str | None = None
    error: Mapping[str, Any] | None = None
    resource_usage: Mapping[str, Any] | None = None
    notes: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeExecution:
    """One node of one instance and iteration, with its attempts in order. ``reason`` is why it was skipped or
    canceled. ``retry_count`` is the number of its last attempt less one."""

    id: str
    instance_id: str
    node_id: str
    iteration: str
    node_type: str
    execution_key: str | None
    status: NodeStatus
    started_at: datetime
    completed_at: datetime | None
    duration: float | None
    input: Json
    output: Json
    error: Mapping[str, Any] | None
    reason: str | None
    retry_count: int
    max_retries: int
    resource_usage: Mapping[str, Any] | None
    attempts: tuple[NodeAttempt, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedNode:
    """A node that completed at its first attempt, or was skipped (``reason`` says why): written when it is over.
    ``files`` are the file references in its output."""

    node_id: str
    node_type: str
    iteration: str
    status: NodeStatus
    started_at: datetime
    completed_at: datetime
    execution_key: str | None = None
    input: Json = None
    output: Json = None
    reason: str | None = None
    max_retries: int = 0
    worker: str | None = None
    device: str | None = None
    resource_usage: Mapping[str, Any] | None = None
    notes: Mapping[str, Any] | None = None
    files: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """A file that a trigger has taken, and the instance it became."""

    workflow: str
    path: str
    size: int
    mtime_ns: int
    sha256: str
    instance_id: str | None
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a node put into artifact storage."""

    id: str
    instance_id: str
    execution_id: str | None
    uri: str
    sha256: str
    size: int
    media_type: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFile:
    """A media file as found, or as made from the one ``original_id`` names."""

    id: str
    project_id: str
    workflow_instance_id: str | None
    path: str
    filename: str
    mime_type: str
    size: int
    sha256: str
    status: str
    original_id: str | None
    version: int
    metadata: Mapping[str, Any]
    exif: Mapping[str, Any]
    ai_analysis: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    processed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaTask:
    """One processing step of one media file."""

    id: str
    file_id: str
    task_type: str
    parameters: Mapping[str, Any]
    status: str
    priority: int
    queued_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    duration: float | None
    worker_id: str | None
    input_path: str | None
    output_path: str | None
    error: Mapping[str, Any] | None
    retry_count: int
    max_retries: int
    resource_requirements: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaTag:
    """A word about a media file."""

    file_id: str
    tag_type: str
    tag_value: str
    confidence: float
    source: str
    created_at: datetime


R = TypeVar("R")


class Shape(Generic[R]):
    """How a record class is read from its table: ``columns`` to select, and a row of them to a record."""

    def __init__(self, record: type[R], table: type[Row], *, without: tuple[str, ...] = ()) -> None:
        self._record = record
        self._names = [one.name for one in fields(record) if one.name not in without]  # pyright: ignore[reportArgumentType]
        self.columns: list[Column[Any]] = [table.__table__.c[name] for name in self._names]  # pyright: ignore[reportAttributeAccessIssue]

    def __call__(self, row: Sequence[Any], **more: Any) -> R:
        """The record of a row selected with :attr:`columns`."""
        return self._record(**dict(zip(self._names, row, strict=True)), **more)
