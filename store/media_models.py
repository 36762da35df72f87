"""The tables of the media pipeline (data model §2.1.3): files, their versions, tasks, tags and likeness."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Float, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from .models import Row, belongs_to, key, one_of
from .types import Json, Words

MEDIA_STATUSES = ("raw", "processing", "processed", "failed", "archived")
TASK_STATUSES = ("pending", "running", "completed", "failed", "canceled")


class MediaFileRow(Row):
    """A media file as found (``original_id`` empty) or as made from one."""

    __tablename__ = "media_files"

    id: Mapped[str] = key()
    project_id: Mapped[str] = belongs_to("projects.id")
    workflow_instance_id: Mapped[str | None] = belongs_to("workflow_instances.id", "SET NULL", index=True)
    path: Mapped[str] = mapped_column(Words(1024))
    filename: Mapped[str] = mapped_column(Words(255))
    mime_type: Mapped[str] = mapped_column(Words(100))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(Words(20))
    original_id: Mapped[str | None] = belongs_to("media_files.id", "SET NULL", index=True)
    version: Mapped[int]
    media_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", Json)
    exif: Mapped[dict[str, Any]] = mapped_column(Json)
    ai_analysis: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("project_id", "path", "version"),
        one_of("status", MEDIA_STATUSES),
        Index(None, "project_id", "sha256"),
        Index(None, "project_id", "created_at"),
        Index(
            "ix_media_files_pending",
            "status",
            "created_at",
            sqlite_where=text("status IN ('raw', 'failed')"),
            postgresql_where=text("status IN ('raw', 'failed')"),
        ),
        Index(None, "processed_at"),
    )


class MediaTaskRow(Row):
    """One processing step of one media file."""

    __tablename__ = "media_processing_tasks"

    id: Mapped[str] = key()
    file_id: Mapped[str] = belongs_to("media_files.id", index=True)
    task_type: Mapped[str] = mapped_column(Words(50))
    parameters: Mapped[dict[str, Any]] = mapped_column(Json)
    status: Mapped[str] = mapped_column(Words(20))
    priority: Mapped[int]
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    duration: Mapped[float | None]
    worker_id: Mapped[str | None] = mapped_column(Words(255), index=True)
    input_path: Mapped[str | None] = mapped_column(Words(1024))
    output_path: Mapped[str | None] = mapped_column(Words(1024))
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    retry_count: Mapped[int]
    max_retries: Mapped[int]
    resource_requirements: Mapped[dict[str, Any]] = mapped_column(Json)

    __table_args__ = (
        one_of("status", TASK_STATUSES),
        CheckConstraint("priority BETWEEN 0 AND 9", name="priority"),
        Index(None, "status", "priority", "queued_at"),
    )


class MediaTagRow(Row):
    """A word about a media file, with the confidence (0 to 1) of what said it."""

    __tablename__ = "media_tags"

    file_id: Mapped[str] = belongs_to("media_files.id", primary_key=True)
    tag_type: Mapped[str] = mapped_column(Words(50), primary_key=True)
    tag_value: Mapped[str] = mapped_column(Words(255), primary_key=True)
    confidence: Mapped[float]
    source: Mapped[str] = mapped_column(Words(50))
    created_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence"),
        Index(None, "tag_type", "tag_value"),
        Index(None, "tag_value"),
    )


class MediaSimilarityRow(Row):
    """How alike two media files are by one algorithm (0 to 1); each pair is stored once."""

    __tablename__ = "media_similarity"

    file_id1: Mapped[str] = belongs_to("media_files.id", primary_key=True)
    file_id2: Mapped[str] = belongs_to("media_files.id", primary_key=True, index=True)
    algorithm: Mapped[str] = mapped_column(Words(50), primary_key=True)
    similarity_score: Mapped[float] = mapped_column(Float)
    created_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("file_id1 < file_id2", name="order"),
        Index(None, "similarity_score"),
    )
