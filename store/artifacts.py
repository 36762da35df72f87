"""Which files the nodes of an instance put into artifact storage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from ..core.ids import new_id
from .engine import Database
from .models import ArtifactRow
from .records import Artifact, Shape
from .upsert import insert

_artifact = Shape(Artifact, ArtifactRow)


class Artifacts:
    """References to artifacts; the bytes are elsewhere."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, instance_id: str, execution_id: str | None, references: Iterable[Mapping[str, Any]]
    ) -> None:
        """Note the files (``uri, sha256, size, media_type, name``) that a node made. The same file of the
        same node execution is noted once, so a retry may record again; more keys are ignored."""
        now = datetime.now(UTC)
        rows = [
            {
                "id": new_id("artifact"),
                "instance_id": instance_id,
                "execution_id": execution_id,
                "created_at": now,
                "media_type": reference.get("media_type") or "application/octet-stream",
                **{name: reference[name] for name in ("uri", "sha256", "size", "name")},
            }
            for reference in references
        ]
        if rows:
            with self._database.write() as connection:
                connection.execute(insert(connection, ArtifactRow).on_conflict_do_nothing(), rows)

    def for_instance(self, instance_id: str) -> list[Artifact]:
        """The artifacts of an instance, in the order they were recorded."""
        statement = (
            select(*_artifact.columns)
            .where(ArtifactRow.instance_id == instance_id)
            .order_by(ArtifactRow.created_at, ArtifactRow.name)
        )
        with self._database.read() as connection:
            return [_artifact(row) for row in connection.execute(statement)]
