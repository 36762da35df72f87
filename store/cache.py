"""Cached results: an output by key, computed by one while the others wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, update

from .engine import Database
from .records import Shape
from .recovery_models import CachedResultRow
from .types import moment
from .upsert import insert

LEASE = 30.0
"""Seconds without a sign of life after which somebody else may compute the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedResult:
    """An output (once it is ``ready``), and whose it is."""

    key: str
    state: str
    node_type: str
    workflow: str
    node_id: str
    instance_id: str
    owner: str
    alive_at: datetime
    output: Any
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Computer:
    """Who computes a result. ``owner`` is new for every try, so that one who was given up can write nothing more."""

    owner: str
    node_type: str
    workflow: str
    node_id: str
    instance_id: str


_result = Shape(CachedResult, CachedResultRow)


class Cache:
    """The cached results of all workflows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self, key: str, computer: Computer, *, max_age: float | None = None, at: datetime | None = None
    ) -> CachedResult:
        """The result under ``key``. Where it is ``ready``, take it; where it is ``computing`` and the owner is
        ``computer.owner``, compute it; else somebody computes it, and asking again later tells.

        A result older than ``max_age`` seconds counts as absent, and so does a lease without a sign of life.
        """
        at = moment(at)
        with self._database.write() as connection:
            found = _find(connection, key, lock=True)
            if found is None:
                fresh = _lease(key, computer, at)
                made = connection.execute(
                    insert(connection, CachedResultRow).values(fresh).on_conflict_do_nothing()
                )
                found = _find(connection, key, lock=True)
                if made.rowcount and found is not None:
                    return found
            if found is not None and _stands(found, max_age, at):
                return found
            taken = update(CachedResultRow).where(CachedResultRow.key == key)
            connection.execute(taken.values(_lease(key, computer, at)))
            return _get(connection, key)

    def beat(self, key: str, owner: str, at: datetime | None = None) -> bool:
        """A sign of life; whether the lease is still the owner's."""
        statement = update(CachedResultRow).where(*_computing(key, owner)).values(alive_at=moment(at))
        with self._database.write() as connection:
            return connection.execute(statement).rowcount == 1

    def fill(
        self, key: str, owner: str, output: Any, *, ttl: float | None = None, at: datetime | None = None
    ) -> bool:
        """Keep what the owner computed, for ``ttl`` seconds; false when the lease is somebody else's by now. Results
        that are over are removed on the way."""
        at = moment(at)
        values: dict[str, Any] = {"state": "ready", "output": output, "created_at": at, "alive_at": at}
        values["expires_at"] = None if ttl is None else at + timedelta(seconds=ttl)
        with self._database.write() as connection:
            connection.execute(delete(CachedResultRow).where(CachedResultRow.expires_at < at))
            kept = connection.execute(update(CachedResultRow).where(*_computing(key, owner)).values(values))
            return kept.rowcount == 1

    def give_up(self, key: str, owner: str) -> None:
        """The owner does not compute it after all: the next who asks may."""
        with self._database.write() as connection:
            connection.execute(delete(CachedResultRow).where(*_computing(key, owner)))

    def discard(self, result: CachedResult) -> None:
        """Forget a result that turned out to be of no use, unless there is a newer one."""
        ready = (CachedResultRow.state == "ready") & (CachedResultRow.owner == result.owner)
        with self._database.write() as connection:
            connection.execute(delete(CachedResultRow).where(CachedResultRow.key == result.key, ready))

    def clear(self, *, workflow: str | None = None, node_type: str | None = None) -> int:
        """Forget results: all, those first computed by ``workflow``, those of ``node_type``; returns how many. What is
        being computed stays, and is kept when it is ready."""
        statement = delete(CachedResultRow).where(CachedResultRow.state == "ready")
        if workflow is not None:
            statement = statement.where(CachedResultRow.workflow == workflow)
        if node_type is not None:
            statement = statement.where(CachedResultRow.node_type == node_type)
        with self._database.write() as connection:
            return connection.execute(statement).rowcount


def _lease(key: str, computer: Computer, at: datetime) -> dict[str, Any]:
    return {
        "key": key,
        "state": "computing",
        "node_type": computer.node_type,
        "workflow": computer.workflow,
        "node_id": computer.node_id,
        "instance_id": computer.instance_id,
        "owner": computer.owner,
        "alive_at": at,
        "output": None,
        "created_at": at,
        "expires_at": None,
    }


def _stands(found: CachedResult, max_age: float | None, at: datetime) -> bool:
    if found.state == "computing":
        return found.alive_at > at - timedelta(seconds=LEASE)
    if found.expires_at is not None and found.expires_at <= at:
        return False
    return max_age is None or found.created_at > at - timedelta(seconds=max_age)


def _computing(key: str, owner: str) -> tuple[Any, ...]:
    return CachedResultRow.key == key, CachedResultRow.owner == owner, CachedResultRow.state == "computing"


def _find(connection: Connection, key: str, *, lock: bool = False) -> CachedResult | None:
    statement = select(*_result.columns).where(CachedResultRow.key == key)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return None if row is None else _result(row)


def _get(connection: Connection, key: str) -> CachedResult:
    statement = select(*_result.columns).where(CachedResultRow.key == key)
    return _result(connection.execute(statement).one())
