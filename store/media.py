"""Media files, from the original found to what was made of it; their tasks, tags and likeness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, case, select, update
from sqlalchemy import insert as plain_insert

from ..core.errors import Code, ErrorRecord, RealmError
from ..core.ids import new_id
from .cleaning import plain_json
from .engine import Database
from .media_models import MediaFileRow, MediaSimilarityRow, MediaTagRow, MediaTaskRow
from .models import DEFAULT_PROJECT
from .records import MediaFile, MediaTag, MediaTask, Shape
from .upsert import insert

_file = Shape(MediaFile, MediaFileRow)
_task = Shape(MediaTask, MediaTaskRow)
_tag = Shape(MediaTag, MediaTagRow)


class Media:
    """The media library. A file is known by its content: the same bytes at the same path are one version."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_original(
        self,
        project: str,
        path: str,
        filename: str,
        mime_type: str,
        size: int,
        sha256: str,
        instance_id: str | None = None,
        exif: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> MediaFile:
        """Note a file as found. The same content at the same path is the row there is; another content there
        is the next version of it."""
        values = {
            "workflow_instance_id": instance_id,
            "filename": filename,
            "mime_type": mime_type,
            "size": size,
            "exif": plain_json(exif or {}),
            "metadata": plain_json(metadata or {}),
            "ai_analysis": {},
            "status": "raw",
        }
        with self._database.write() as connection:
            return _add(connection, project, path, sha256, values)

    def record_processed(
        self,
        original_id: str,
        path: str,
        filename: str,
        mime_type: str,
        size: int,
        sha256: str,
        instance_id: str | None = None,
        exif: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        ai_analysis: Mapping[str, Any] | None = None,
        status: str = "processed",
    ) -> MediaFile:
        """Note what was made of an original, and mark the original as processed (or ``failed``, …) too.

        The same content at the same path is the row there is, with the newer analysis.
        """
        now = datetime.now(UTC)
        values = {
            "workflow_instance_id": instance_id,
            "filename": filename,
            "mime_type": mime_type,
            "size": size,
            "exif": plain_json(exif or {}),
            "metadata": plain_json(metadata or {}),
            "ai_analysis": plain_json(ai_analysis or {}),
            "status": status,
            "original_id": original_id,
            "processed_at": now,
        }
        with self._database.write() as connection:
            original = _get(connection, original_id)
            made = _add(connection, original.project_id, path, sha256, values)
            changes = {
                name: values[name] for name in ("ai_analysis", "status", "processed_at", "metadata", "exif")
            }
            _change(connection, made.id, changes)
            if made.id != original_id:
                _change(connection, original_id, {"status": status, "processed_at": now})
            return _get(connection, made.id)

    def set_status(self, file_id: str, status: str) -> None:
        """Mark a file as raw, processing, processed, failed or archived."""
        with self._database.write() as connection:
            if not _change(connection, file_id, {"status": status}):
                raise _unknown(file_id)

    def get(self, file_id: str) -> MediaFile:
        """The file; NOT_FOUND when there is none."""
        with self._database.read() as connection:
            return _get(connection, file_id)

    def list(
        self,
        *,
        project: str = DEFAULT_PROJECT,
        status: str | None = None,
        sha256: str | None = None,
        tag: str | None = None,
        original_id: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[MediaFile]:
        """Files by status, content, tag value or original; newest first."""
        statement = select(*_file.columns).where(MediaFileRow.project_id == project)
        if status is not None:
            statement = statement.where(MediaFileRow.status == status)
        if sha256 is not None:
            statement = statement.where(MediaFileRow.sha256 == sha256)
        if original_id is not None:
            statement = statement.where(MediaFileRow.original_id == original_id)
        if tag is not None:
            tagged = select(MediaTagRow.file_id).where(MediaTagRow.tag_value == tag)
            statement = statement.where(MediaFileRow.id.in_(tagged))
        ordered = (
            statement.order_by(MediaFileRow.created_at.desc(), MediaFileRow.id).limit(limit).offset(offset)
        )
        with self._database.read() as connection:
            return [_file(row) for row in connection.execute(ordered)]

    def by_contents(self, contents: Iterable[str], *, project: str = DEFAULT_PROJECT) -> dict[str, MediaFile]:
        """The newest file of each content (sha256) that the library knows."""
        statement = select(*_file.columns).where(
            MediaFileRow.project_id == project, MediaFileRow.sha256.in_(list(contents))
        )
        with self._database.read() as connection:
            rows = connection.execute(statement.order_by(MediaFileRow.created_at, MediaFileRow.version))
            return {file.sha256: file for file in map(_file, rows)}

    def lineage(self, file_id: str) -> Sequence[MediaFile]:
        """A file's original, all versions of that, and everything made from them, oldest first."""
        row = MediaFileRow
        with self._database.read() as connection:
            file = _get(connection, file_id)
            original = _get(connection, file.original_id) if file.original_id else file
            versions = select(row.id).where(
                row.project_id == original.project_id, row.path == original.path, row.original_id.is_(None)
            )
            family = (row.id == file_id) | row.id.in_(versions) | row.original_id.in_(versions)
            statement = select(*_file.columns).where(family)
            return [_file(one) for one in connection.execute(statement.order_by(row.created_at, row.id))]

    def add_tags(self, file_id: str, tags: Iterable[tuple[str, str, float, str]]) -> None:
        """Add ``(tag_type, tag_value, confidence, source)``; a word that is there gets the new confidence."""
        now = datetime.now(UTC)
        # The last of several equal words counts; PostgreSQL refuses to touch a row twice in one statement.
        words = {(kind, value): (confidence, source) for kind, value, confidence, source in tags}
        if not words:
            return
        with self._database.write() as connection:
            rows = [
                {
                    "file_id": file_id,
                    "tag_type": kind,
                    "tag_value": value,
                    "confidence": confidence,
                    "source": source,
                    "created_at": now,
                }
                for (kind, value), (confidence, source) in words.items()
            ]
            connection.execute(_add_tags(connection.dialect.name), rows)

    def tags(self, file_id: str) -> Sequence[MediaTag]:
        """The words about a file, the surest first."""
        statement = select(*_tag.columns).where(MediaTagRow.file_id == file_id)
        with self._database.read() as connection:
            rows = connection.execute(
                statement.order_by(MediaTagRow.confidence.desc(), MediaTagRow.tag_value)
            )
            return [_tag(row) for row in rows]

    def set_similarity(self, file_id: str, other_id: str, algorithm: str, score: float) -> None:
        """Note how alike two files are (0 to 1), in the place of an older score of the same algorithm."""
        first, second = sorted((file_id, other_id))
        with self._database.write() as connection:
            statement = insert(connection, MediaSimilarityRow).values(
                file_id1=first,
                file_id2=second,
                algorithm=algorithm,
                similarity_score=score,
                created_at=datetime.now(UTC),
            )
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["file_id1", "file_id2", "algorithm"],
                    set_={"similarity_score": statement.excluded.similarity_score},
                )
            )

    def similar(self, file_id: str, *, at_least: float = 0.0) -> Sequence[tuple[str, str, float]]:
        """``(other file's id, algorithm, score)``, the most alike first."""
        pair = MediaSimilarityRow
        other = case((pair.file_id1 == file_id, pair.file_id2), else_=pair.file_id1)
        statement = (
            select(other, pair.algorithm, pair.similarity_score)
            .where((pair.file_id1 == file_id) | (pair.file_id2 == file_id), pair.similarity_score >= at_least)
            .order_by(pair.similarity_score.desc())
        )
        with self._database.read() as connection:
            return [(id, algorithm, score) for id, algorithm, score in connection.execute(statement)]

    def record_task(
        self,
        file_id: str,
        task_type: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        status: str = "completed",
        priority: int = 5,
        worker_id: str | None = None,
        input_path: str | None = None,
        output_path: str | None = None,
        error: ErrorRecord | Mapping[str, Any] | None = None,
        retry_count: int = 0,
        max_retries: int = 3,
    ) -> MediaTask:
        """Note a processing step of a file that is over (completed, failed or canceled)."""
        now = datetime.now(UTC)
        with self._database.write() as connection:
            row = {
                "id": new_id("task"),
                "file_id": file_id,
                "task_type": task_type,
                "parameters": plain_json(parameters or {}),
                "status": status,
                "priority": priority,
                "queued_at": now,
                "started_at": now,
                "completed_at": now,
                "duration": 0.0,
                "worker_id": worker_id,
                "input_path": input_path,
                "output_path": output_path,
                "error": plain_json(error.to_dict() if isinstance(error, ErrorRecord) else error),
                "retry_count": retry_count,
                "max_retries": max_retries,
                "resource_requirements": {},
            }
            return _task(connection.execute(_ADD_TASK, row).one())

    def tasks(self, file_id: str) -> Sequence[MediaTask]:
        """The processing steps of a file, in the order they started."""
        statement = select(*_task.columns).where(MediaTaskRow.file_id == file_id)
        with self._database.read() as connection:
            return [_task(row) for row in connection.execute(statement.order_by(MediaTaskRow.queued_at))]


def _get(connection: Connection, file_id: str) -> MediaFile:
    row = connection.execute(select(*_file.columns).where(MediaFileRow.id == file_id)).one_or_none()
    if row is None:
        raise _unknown(file_id)
    return _file(row)


def _unknown(file_id: str) -> RealmError:
    return RealmError(Code.NOT_FOUND, f"no media file {file_id!r}")


# Built once: of a statement that is built for each row, building is most of what it takes.

_VERSIONS = select(*_file.columns).where(
    MediaFileRow.project_id == bindparam("of_project"), MediaFileRow.path == bindparam("of_path")
)
_LATEST = _VERSIONS.order_by(MediaFileRow.version.desc()).limit(1)
_CHANGE = update(MediaFileRow).where(MediaFileRow.id == bindparam("of_file"))
_ADD_TASK = plain_insert(MediaTaskRow).returning(*_task.columns)


@cache
def _add_version(dialect: str) -> Any:
    statement = insert(dialect, MediaFileRow)
    return statement.on_conflict_do_nothing(index_elements=["project_id", "path", "version"]).returning(
        *_file.columns
    )


@cache
def _add_tags(dialect: str) -> Any:
    statement = insert(dialect, MediaTagRow)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["file_id", "tag_type", "tag_value"],
        set_={"confidence": new.confidence, "source": new.source},
    )


def _add(connection: Connection, project: str, path: str, sha256: str, values: dict[str, Any]) -> MediaFile:
    """The newest version at ``path`` if it has this content, else a new version."""
    now = datetime.now(UTC)
    while True:
        last = connection.execute(_LATEST, {"of_project": project, "of_path": path}).one_or_none()
        known = None if last is None else _file(last)
        if known is not None and known.sha256 == sha256:
            return known
        row = {
            "id": new_id("media"),
            "project_id": project,
            "path": path,
            "sha256": sha256,
            "version": 1 if known is None else known.version + 1,
            "created_at": now,
            "updated_at": now,
            **values,
        }
        made = connection.execute(_add_version(connection.dialect.name), row).one_or_none()
        if made is not None:
            return _file(made)
        # another process added this version in between: look again


def _change(connection: Connection, file_id: str, values: dict[str, Any]) -> bool:
    """Change a file; whether there is one."""
    row = {"of_file": file_id, "updated_at": datetime.now(UTC), **values}
    return connection.execute(_CHANGE, row).rowcount > 0
