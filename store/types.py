"""Column types that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Float, String, cast, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement, FunctionElement
from sqlalchemy.types import TypeDecorator

from ..core.errors import Code, RealmError
from .cleaning import clean_text


def moment(at: datetime | None = None) -> datetime:
    """``at`` in UTC, or now; INVALID_ARGUMENT when it has no time zone."""
    if at is None:
        return datetime.now(UTC)
    if at.tzinfo is None:
        raise RealmError(Code.INVALID_ARGUMENT, f"{at.isoformat()} has no time zone", hint="give it in UTC")
    return at.astimezone(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Takes only timezone-aware values, gives back UTC ones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """On the way in."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise RealmError(
                Code.INVALID_ARGUMENT, f"{value.isoformat()} has no time zone", hint="give it in UTC"
            )
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """On the way out."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""A JSON value: ``jsonb`` on PostgreSQL (which sorts object keys), text on SQLite. The engine writes it with
:func:`.cleaning.encode_json`; ``None`` is SQL's NULL."""


class Words(TypeDecorator[str]):
    """Text, of at most ``length`` characters where one is given; a longer one is INVALID_ARGUMENT."""

    impl = String
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """On the way in."""
        if value is None:
            return None
        text = clean_text(value)
        if self.length is not None and len(text) > self.length:
            raise RealmError(
                Code.INVALID_ARGUMENT, f"{text[:40]!r}… has {len(text)} characters; at most {self.length} fit"
            )
        return text


class Status(TypeDecorator[StrEnum]):
    """A status from ``core.status``, as its word."""

    impl = String(20)
    cache_ok = True

    def __init__(self, enumeration: type[StrEnum]) -> None:
        super().__init__()
        self.enumeration = enumeration

    def process_bind_param(self, value: StrEnum | str | None, dialect: Dialect) -> str | None:
        """On the way in."""
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        """On the way out."""
        return None if value is None else self.enumeration(value)


class seconds_between(FunctionElement[float]):
    """``later - earlier`` in seconds, as an SQL expression."""

    type = Float()
    inherit_cache = True


@compiles(seconds_between, "postgresql")
def _postgresql_seconds(element: Any, compiler: Any, **options: Any) -> str:
    earlier, later = element.clauses
    return compiler.process(func.extract("epoch", cast(later, UtcDateTime) - earlier), **options)


@compiles(seconds_between, "sqlite")
def _sqlite_seconds(element: Any, compiler: Any, **options: Any) -> str:
    earlier, later = element.clauses
    difference: ColumnElement[float] = func.julianday(later) - func.julianday(earlier)
    return compiler.process(func.round(difference * 86400.0, 4), **options)
