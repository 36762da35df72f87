"""The definitions that instances ran, also those that were never registered: an instance can be carried on without the
file that it came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from .engine import Database
from .history_models import DefinitionRow
from .records import Shape
from .upsert import insert


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDefinition:
    """A canonical definition. ``source_name`` is the file that it came from, beside which its sub-workflows lie."""

    hash: str
    document: dict[str, Any]
    source_name: str | None
    created_at: datetime


_definition = Shape(KeptDefinition, DefinitionRow)


class Definitions:
    """Definitions by the hash of their canonical form."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, hash: str, document: dict[str, Any], source_name: str | None = None) -> None:
        """Keep a definition; one that is there stays as it is."""
        values = {
            "hash": hash,
            "document": document,
            "source_name": source_name,
            "created_at": datetime.now(UTC),
        }
        with self._database.write() as connection:
            connection.execute(insert(connection, DefinitionRow).values(values).on_conflict_do_nothing())

    def get(self, hash: str) -> KeptDefinition | None:
        """The definition, if it was kept."""
        with self._database.read() as connection:
            row = connection.execute(
                select(*_definition.columns).where(DefinitionRow.hash == hash)
            ).one_or_none()
        return None if row is None else _definition(row)
