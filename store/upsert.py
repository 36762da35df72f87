"""``INSERT … ON CONFLICT`` for both databases: the same words, imported from two places in SQLAlchemy."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from .models import Row


def insert(connection: Connection, table: type[Row]) -> postgresql.Insert:
    """An insert that knows ``on_conflict_do_nothing``, ``on_conflict_do_update`` and ``excluded``."""
    statement: Any = sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
    return statement
