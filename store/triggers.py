"""What triggers remember: their own state, and the files they have taken."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, select

from .cleaning import clean_text
from .engine import Database
from .models import KnownFileRow, TriggerStateRow
from .records import KnownFile, Shape
from .upsert import insert

_file = Shape(KnownFile, KnownFileRow)


class Triggers:
    """The memory of triggers, by the workflow's name. A moved file is recognised by its content (sha256)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, workflow: str, trigger_key: str) -> dict[str, Any] | None:
        """The state that was put last; ``None`` at first."""
        statement = select(TriggerStateRow.state).where(
            TriggerStateRow.workflow == workflow, TriggerStateRow.trigger_key == trigger_key
        )
        with self._database.read() as connection:
            return connection.execute(statement).scalar_one_or_none()

    def put(self, workflow: str, trigger_key: str, state: dict[str, Any]) -> None:
        """Remember ``state`` in the place of what was there."""
        with self._database.write() as connection:
            statement = insert(connection, TriggerStateRow)
            new = statement.excluded
            statement = statement.on_conflict_do_update(
                index_elements=["workflow", "trigger_key"],
                set_={"state": new.state, "updated_at": new.updated_at},
            )
            now = datetime.now(UTC)
            values = {"workflow": workflow, "trigger_key": trigger_key, "state": state, "updated_at": now}
            connection.execute(statement, values)

    def seen(self, workflow: str, sha256: str) -> KnownFile | None:
        """The first file with this content that the workflow took, wherever it lay."""
        return self._first(
            select(*_file.columns)
            .where(KnownFileRow.workflow == workflow, KnownFileRow.sha256 == sha256)
            .order_by(KnownFileRow.seen_at)
            .limit(1)
        )

    def known_file(self, workflow: str, path: str) -> KnownFile | None:
        """What is known of the file at ``path``."""
        return self._first(
            select(*_file.columns).where(
                KnownFileRow.workflow == workflow, KnownFileRow.path_key == _path_key(path)
            )
        )

    def remember_file(
        self, workflow: str, path: str, size: int, mtime_ns: int, sha256: str, instance_id: str | None
    ) -> None:
        """Note the file as taken, in the place of what was known of its path."""
        with self._database.write() as connection:
            statement = insert(connection, KnownFileRow)
            new = statement.excluded
            taken = ("size", "mtime_ns", "sha256", "instance_id", "seen_at")
            statement = statement.on_conflict_do_update(
                index_elements=["workflow", "path_key"], set_={name: new[name] for name in taken}
            )
            values = {
                "workflow": workflow,
                "path_key": _path_key(path),
                "path": path,
                "size": size,
                "mtime_ns": mtime_ns,
                "sha256": sha256,
                "instance_id": instance_id,
                "seen_at": datetime.now(UTC),
            }
            connection.execute(statement, values)

    def _first(self, statement: Select[Any]) -> KnownFile | None:
        with self._database.read() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else _file(row)


def _path_key(path: str) -> str:
    return hashlib.sha256(clean_text(path).encode()).hexdigest()
