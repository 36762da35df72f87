"""What was done to a content already, and what became of it: nothing is computed twice, nothing is tried for ever.

A record is keyed by content, stage, model and parameters. "Nothing found" is a result (``empty``); a failure waits
longer each time before it is due again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, func, or_, select

from ..core.errors import ErrorRecord
from .cleaning import encode_json, plain_json
from .engine import Database
from .media_analysis_models import MediaStageRow
from .records import Shape
from .types import moment
from .upsert import insert

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(days=1)
WAIT_GROWS = 4


@dataclass(frozen=True, slots=True, order=True)
class StageKey:
    """What makes two computations the same one."""

    sha256: str
    stage: str
    model: str
    parameters_hash: str

    @classmethod
    def of(
        cls, sha256: str, stage: str, model: str = "", parameters: Mapping[str, Any] | None = None
    ) -> StageKey:
        """The key of a stage with ``parameters``, whatever their order."""
        ordered = encode_json(dict(sorted((parameters or {}).items())))
        return cls(sha256, stage, model, hashlib.sha256(ordered.encode()).hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The record of one stage. ``not_before``: when a failed one may be tried again."""

    sha256: str
    stage: str
    model: str
    parameters_hash: str
    status: str
    attempts: int
    not_before: datetime | None
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    updated_at: datetime

    @property
    def settled(self) -> bool:
        """Whether there is an answer, be it that there is nothing."""
        return self.status in ("done", "empty")

    def due(self, now: datetime | None = None) -> bool:
        """Whether it should be tried (again) now."""
        return not self.settled and (self.not_before is None or self.not_before <= moment(now))


_stage = Shape(Stage, MediaStageRow)


class MediaStages:
    """The records of stages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: StageKey) -> Stage | None:
        """The record, if there is one."""
        with self._database.read() as connection:
            row = connection.execute(select(*_stage.columns).where(_is(key))).one_or_none()
        return None if row is None else _stage(row)

    def plan(self, keys: Iterable[StageKey]) -> None:
        """Note stages that are to be done; those there is a record of stay as they are."""
        self._put(keys, "pending", {}, keep=True)

    def done(self, key: StageKey, result: Mapping[str, Any] | None = None) -> None:
        """Note a result."""
        self._put([key], "done", {"result": plain_json(result or {})})

    def empty(self, key: StageKey, result: Mapping[str, Any] | None = None) -> None:
        """Note that it was done and nothing was found."""
        self._put([key], "empty", {"result": plain_json(result or {})})

    def failed(self, key: StageKey, error: ErrorRecord, now: datetime | None = None) -> Stage:
        """Note a failure, and from when on it may be tried again."""
        with self._database.write():
            before = self.get(key)
            attempts = (before.attempts if before else 0) + 1
            wait = min(FIRST_WAIT * WAIT_GROWS ** min(attempts - 1, 10), LONGEST_WAIT)
            values = {
                "attempts": attempts,
                "error": plain_json(error.to_dict()),
                "not_before": moment(now) + wait,
            }
            self._put([key], "failed", values, now=now)
            found = self.get(key)
        assert found is not None
        return found

    def due(
        self, stage: str, *, model: str | None = None, limit: int = 1000, now: datetime | None = None
    ) -> list[Stage]:
        """Stages that are to be tried now, the longest waiting first."""
        row = MediaStageRow
        ready = or_(row.status == "pending", and_(row.status == "failed", row.not_before <= moment(now)))
        statement = select(*_stage.columns).where(row.stage == stage, ready)
        if model is not None:
            statement = statement.where(row.model == model)
        with self._database.read() as connection:
            found = connection.execute(statement.order_by(row.updated_at, row.sha256).limit(limit))
            return [_stage(each) for each in found]

    def counts(self, stage: str, model: str | None = None) -> dict[str, int]:
        """How many records there are of each status."""
        row = MediaStageRow
        statement = select(row.status, func.count()).where(row.stage == stage).group_by(row.status)
        if model is not None:
            statement = statement.where(row.model == model)
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(statement)}

    def forget(self, sha256: str) -> int:
        """Remove everything known about a content; how many records there were."""
        with self._database.write() as connection:
            return connection.execute(delete(MediaStageRow).where(MediaStageRow.sha256 == sha256)).rowcount

    def _put(
        self,
        keys: Iterable[StageKey],
        status: str,
        values: Mapping[str, Any],
        *,
        keep: bool = False,
        now: datetime | None = None,
    ) -> None:
        at = moment(now)
        base = {"attempts": 0, "not_before": None, "result": None, "error": None, **values}
        rows = [
            {
                "sha256": key.sha256,
                "stage": key.stage,
                "model": key.model,
                "parameters_hash": key.parameters_hash,
                "status": status,
                "created_at": at,
                "updated_at": at,
                **base,
            }
            for key in sorted(set(keys))
        ]
        if not rows:
            return
        with self._database.write() as connection:
            statement = insert(connection, MediaStageRow)
            if keep:
                connection.execute(statement.on_conflict_do_nothing(), rows)
                return
            new = statement.excluded
            changes = {name: getattr(new, name) for name in (*base, "status", "updated_at")}
            key_columns = ["sha256", "stage", "model", "parameters_hash"]
            connection.execute(
                statement.on_conflict_do_update(index_elements=key_columns, set_=changes), rows
            )


def _is(key: StageKey) -> Any:
    row = MediaStageRow
    return and_(
        row.sha256 == key.sha256,
        row.stage == key.stage,
        row.model == key.model,
        row.parameters_hash == key.parameters_hash,
    )
