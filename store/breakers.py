"""Circuit breakers: after too many failures in a row, a service is left alone for a while.

closed (calls pass) → open (calls are refused) → half open (one call passes, to see) → closed or open again. The state
is shared by every process that uses the database (Nygard, *Release It!*).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, case, select, update

from .engine import Database
from .records import Shape
from .recovery_models import BreakerRow
from .types import moment
from .upsert import insert


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """How an operation of a service fares; ``error`` is its last failure in a sentence."""

    service: str
    operation: str
    state: str
    failures: int
    retry_at: datetime | None
    error: str
    updated_at: datetime

    def refuses(self, at: datetime) -> bool:
        """Whether a call at that moment is refused."""
        return self.state != "closed" and self.retry_at is not None and self.retry_at > at


_breaker = Shape(Breaker, BreakerRow)


class Breakers:
    """The breakers of all services."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, service: str, operation: str) -> Breaker | None:
        """The breaker; ``None`` where nothing has failed since the last success."""
        with self._database.read() as connection:
            return _find(connection, service, operation)

    def list(self) -> list[Breaker]:
        """Every breaker, those that refuse first."""
        order = case((BreakerRow.state == "closed", 1), else_=0)
        statement = select(*_breaker.columns).order_by(order, BreakerRow.service, BreakerRow.operation)
        with self._database.read() as connection:
            return [_breaker(row) for row in connection.execute(statement)]

    def probe(self, service: str, operation: str, pause: float, at: datetime | None = None) -> Breaker | None:
        """Ask to be the one call that passes now that the pause is over. ``None`` is leave to go on; a breaker is the
        one that refuses, since somebody else probes. The leave is good for ``pause`` seconds."""
        at = moment(at)
        with self._database.write() as connection:
            found = _find(connection, service, operation, lock=True)
            if found is None or found.state == "closed":
                return None
            if found.refuses(at):
                return found
            until = at + timedelta(seconds=pause)
            connection.execute(
                update(BreakerRow)
                .where(*_identity(service, operation))
                .values(state="half_open", retry_at=until, updated_at=at)
            )
            return None

    def failed(
        self,
        service: str,
        operation: str,
        error: str,
        *,
        threshold: int,
        pause: float,
        at: datetime | None = None,
    ) -> Breaker:
        """Count a failure. From the ``threshold``-th in a row on, or when a probe fails, calls are refused for
        ``pause`` seconds."""
        at = moment(at)
        with self._database.write() as connection:
            first = {"service": service, "operation": operation, "state": "closed", "failures": 0}
            new = insert(connection, BreakerRow).values(**first, error=error, updated_at=at)
            connection.execute(new.on_conflict_do_nothing())
            found = _get(connection, service, operation, lock=True)
            opens = found.state == "half_open" or found.failures + 1 >= threshold
            again = at + timedelta(seconds=pause)
            changes = {"state": "open", "retry_at": again} if opens and found.state != "open" else {}
            connection.execute(
                update(BreakerRow)
                .where(*_identity(service, operation))
                .values(failures=found.failures + 1, error=error, updated_at=at, **changes)
            )
            return _get(connection, service, operation)

    def succeeded(self, service: str, operation: str, at: datetime | None = None) -> None:
        """The service answered: calls pass, and counting begins anew."""
        statement = (
            update(BreakerRow)
            .where(*_identity(service, operation), (BreakerRow.failures > 0) | (BreakerRow.state != "closed"))
            .values(state="closed", failures=0, retry_at=None, updated_at=moment(at))
        )
        with self._database.write() as connection:
            connection.execute(statement)

    def give_up(self, service: str, operation: str, at: datetime | None = None) -> None:
        """A probe ended without an answer (it was cancelled): the next call may probe."""
        statement = (
            update(BreakerRow)
            .where(*_identity(service, operation), BreakerRow.state == "half_open")
            .values(state="open", retry_at=moment(at))
        )
        with self._database.write() as connection:
            connection.execute(statement)


def _identity(service: str, operation: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return BreakerRow.service == service, BreakerRow.operation == operation


def _find(connection: Connection, service: str, operation: str, *, lock: bool = False) -> Breaker | None:
    statement = select(*_breaker.columns).where(
        BreakerRow.service == service, BreakerRow.operation == operation
    )
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return None if row is None else _breaker(row)


def _get(connection: Connection, service: str, operation: str, *, lock: bool = False) -> Breaker:
    found = _find(connection, service, operation, lock=lock)
    assert found is not None, "the row was made in this transaction"
    return found
