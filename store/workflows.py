"""Workflows and their published versions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select, update

from ..core import versions
from ..core.errors import Code, RealmError
from ..core.ids import new_id
from .engine import Database
from .models import DEFAULT_PROJECT, WORKFLOW_STATUSES, WorkflowRow, WorkflowVersionRow
from .records import Shape, WorkflowVersion
from .upsert import insert

FIRST_VERSION = "1.0.0"

_version = Shape(WorkflowVersion, WorkflowVersionRow, without=("name", "status"))
_SELECT = select(*_version.columns, WorkflowRow.name, WorkflowRow.status).join(
    WorkflowRow, WorkflowRow.id == WorkflowVersionRow.workflow_id
)


class Workflows:
    """The registered workflows. Versions are immutable once published."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(
        self,
        definition: dict[str, Any],
        *,
        name: str,
        version: str | None,
        hash: str,
        display_name: str | None = None,
        description: str | None = None,
        tags: Sequence[str] = (),
        source_text: str | None = None,
        source_name: str | None = None,
        created_by: str = "local",
        project_id: str = DEFAULT_PROJECT,
    ) -> tuple[WorkflowVersion, bool]:
        """Publish a version; returns it and whether it is new.

        The hash of the latest version is published only once, unless another ``version`` is asked for.
        Without ``version``, the next patch of the highest one is taken. ALREADY_EXISTS when ``version`` is
        published with another content. A deleted workflow becomes active again.
        """
        now = datetime.now(UTC)
        with self._database.write() as connection:
            workflow_id, latest = self._lock(connection, project_id, name, created_by, now)
            published = self._published(connection, workflow_id)
            wanted = version or latest
            if wanted is not None and published.get(wanted) == hash:
                return self._get(connection, project_id, name, wanted), False
            if version in published:
                free = next_patch(max(published, key=precedence))
                raise RealmError(
                    Code.ALREADY_EXISTS,
                    f"version {version} of {name} has another content, and versions never change",
                    hint=f"publish this one as {free}",
                )
            number = version or (next_patch(latest) if latest else FIRST_VERSION)
            connection.execute(
                insert(connection, WorkflowVersionRow).values(
                    id=new_id("version"),
                    workflow_id=workflow_id,
                    version=number,
                    hash=hash,
                    definition=definition,
                    display_name=display_name or name,
                    description=description or "",
                    tags=list(tags),
                    source_text=source_text,
                    source_name=source_name,
                    created_at=now,
                    created_by=created_by,
                )
            )
            highest = max((number, *published), key=precedence)
            connection.execute(
                update(WorkflowRow)
                .where(WorkflowRow.id == workflow_id)
                .values(version=highest, updated_at=now, deleted_at=None)
            )
            return self._get(connection, project_id, name, number), True

    def get(
        self, name: str, version: str | None = None, *, project_id: str = DEFAULT_PROJECT
    ) -> WorkflowVersion:
        """A version (the highest without ``version``), whatever the workflow's status but deleted.

        NOT_FOUND names close matches, or the versions there are.
        """
        with self._database.read() as connection:
            return self._get(connection, project_id, name, version)

    def list(
        self, status: str | None = "active", *, project_id: str = DEFAULT_PROJECT
    ) -> list[WorkflowVersion]:
        """The highest version of each workflow with ``status`` (any but deleted without one), by name."""
        statement = _SELECT.where(
            WorkflowRow.project_id == project_id, WorkflowRow.version == WorkflowVersionRow.version
        )
        wanted = WorkflowRow.status != "deleted" if status is None else WorkflowRow.status == status
        with self._database.read() as connection:
            return [
                _record(row) for row in connection.execute(statement.where(wanted).order_by(WorkflowRow.name))
            ]

    def versions(self, name: str, *, project_id: str = DEFAULT_PROJECT) -> Sequence[WorkflowVersion]:
        """All versions of a workflow, the highest first; NOT_FOUND when there are none."""
        with self._database.read() as connection:
            rows = connection.execute(
                _SELECT.where(WorkflowRow.project_id == project_id, WorkflowRow.name == name)
            )
            found = [_record(row) for row in rows]
            if not found:
                raise self._unknown(connection, project_id, name)
        return sorted(found, key=lambda one: precedence(one.version), reverse=True)

    def set_status(self, name: str, status: str, *, project_id: str = DEFAULT_PROJECT) -> None:
        """Make a workflow active, inactive, archived or deleted. Its versions and instances stay."""
        if status not in WORKFLOW_STATUSES:
            raise RealmError(
                Code.INVALID_ARGUMENT,
                f"{status!r} is not a status",
                hint=f"one of {', '.join(WORKFLOW_STATUSES)}",
            )
        now = datetime.now(UTC)
        with self._database.write() as connection:
            changed = connection.execute(
                update(WorkflowRow)
                .where(WorkflowRow.project_id == project_id, WorkflowRow.name == name)
                .values(status=status, updated_at=now, deleted_at=now if status == "deleted" else None)
            )
            if changed.rowcount == 0:
                raise self._unknown(connection, project_id, name)

    def _lock(
        self, connection: Connection, project_id: str, name: str, created_by: str, now: datetime
    ) -> tuple[str, str | None]:
        """The workflow's id and highest version; made when new, and locked against a second registration."""
        connection.execute(
            insert(connection, WorkflowRow)
            .values(
                id=new_id("workflow"),
                project_id=project_id,
                name=name,
                status="active",
                created_at=now,
                updated_at=now,
                created_by=created_by,
            )
            .on_conflict_do_nothing(index_elements=["project_id", "name"])
        )
        row = connection.execute(
            select(WorkflowRow.id, WorkflowRow.version, WorkflowRow.status)
            .where(WorkflowRow.project_id == project_id, WorkflowRow.name == name)
            .with_for_update()
        ).one()
        if row.status == "deleted":
            connection.execute(
                update(WorkflowRow).where(WorkflowRow.id == row.id).values(status="active", deleted_at=None)
            )
        return row.id, row.version

    @staticmethod
    def _published(connection: Connection, workflow_id: str) -> dict[str, str]:
        columns = select(WorkflowVersionRow.version, WorkflowVersionRow.hash)
        rows = connection.execute(columns.where(WorkflowVersionRow.workflow_id == workflow_id))
        return {row.version: row.hash for row in rows}

    def _get(
        self, connection: Connection, project_id: str, name: str, version: str | None
    ) -> WorkflowVersion:
        statement = _SELECT.where(
            WorkflowRow.project_id == project_id,
            WorkflowRow.name == name,
            WorkflowRow.status != "deleted",
            WorkflowVersionRow.version == (WorkflowRow.version if version is None else version),
        )
        if (row := connection.execute(statement).one_or_none()) is None:
            raise self._unknown(connection, project_id, name, version)
        return _record(row)

    @staticmethod
    def _unknown(
        connection: Connection, project_id: str, name: str, version: str | None = None
    ) -> RealmError:
        rows = connection.execute(
            select(WorkflowRow.id, WorkflowRow.name).where(
                WorkflowRow.project_id == project_id, WorkflowRow.status != "deleted"
            )
        ).all()
        ids = {row.name: row.id for row in rows}
        if name in ids and version is not None:
            there = sorted(Workflows._published(connection, ids[name]), key=precedence, reverse=True)
            return RealmError(
                Code.NOT_FOUND,
                f"{name} has no version {version}",
                hint=f"it has {', '.join(there[:5])}" + (" and older ones" if len(there) > 5 else ""),
            )
        close = difflib.get_close_matches(name, ids, n=3)
        hint = (
            f"did you mean {' or '.join(close)}?" if close else "realm register adds one from its definition"
        )
        return RealmError(Code.NOT_FOUND, f"no workflow {name!r} is registered", hint=hint)


def _record(row: Any) -> WorkflowVersion:
    *columns, name, status = row
    return _version(columns, name=name, status=status)


_SEMVER = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+.*)?")


def precedence(version: str) -> tuple[Any, ...]:
    """A key that sorts versions as SemVer says; what is not a SemVer comes before all that is.

    >>> sorted(["1.10.0", "1.2.0", "1.10.0-rc.2", "draft"], key=precedence)
    ['draft', '1.2.0', '1.10.0-rc.2', '1.10.0']
    """
    try:
        return (1, *versions.precedence(version))
    except ValueError:
        return (0, version)


def next_patch(version: str) -> str:
    """The version after ``version``: the next patch, or the release of a pre-release.

    >>> next_patch("1.0.9"), next_patch("2.0.0-rc.1"), next_patch("draft")
    ('1.0.10', '2.0.0', '1.0.0')
    """
    match = _SEMVER.fullmatch(version)
    if match is None:
        return FIRST_VERSION
    major, minor, patch, before = match.groups()
    return f"{major}.{minor}.{patch}" if before else f"{major}.{minor}.{int(patch) + 1}"
