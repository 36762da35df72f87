"""``INSERT … ON CONFLICT`` for both databases: the same words, imported from two places in SQLAlchemy."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from .models import Row

DIALECTS = ("sqlite", "postgresql")

Insert = postgresql.Insert | sqlite.Insert


def insert(where: Connection | str, table: type[Row]) -> Insert:
    """An insert that knows ``on_conflict_do_nothing``, ``on_conflict_do_update`` and ``excluded``, for a
    connection or a dialect's name."""
    name = where if isinstance(where, str) else where.dialect.name
    return sqlite.insert(table) if name == "sqlite" else postgresql.insert(table)
