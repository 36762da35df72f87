"""The tables of what instances went through: their events, and the definitions that they ran."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from .models import Row, belongs_to
from .types import Json, Words


class InstanceEventRow(Row):
    """One change of an instance or of one of its nodes. Rows are only added; ``sequence`` counts from 1 without a
    gap."""

    __tablename__ = "instance_events"

    instance_id: Mapped[str] = belongs_to("workflow_instances.id", primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    type: Mapped[str] = mapped_column(Words(40))
    node_id: Mapped[str | None] = mapped_column(Words(255))
    iteration: Mapped[str | None] = mapped_column(Words(255))
    attempt: Mapped[int | None]
    before: Mapped[str | None] = mapped_column(String(20))
    after: Mapped[str | None] = mapped_column(String(20))
    epoch: Mapped[int]
    at: Mapped[datetime]
    data: Mapped[dict[str, Any] | None] = mapped_column(Json)


class InstanceSnapshotRow(Row):
    """What the events of an instance up to number ``sequence`` come to, so that they need not be read again."""

    __tablename__ = "instance_snapshots"

    instance_id: Mapped[str] = belongs_to("workflow_instances.id", primary_key=True)
    sequence: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    state: Mapped[dict[str, Any]]


class DefinitionRow(Row):
    """A definition that an instance ran, by the hash of its canonical form: also one that was never registered."""

    __tablename__ = "definitions"

    hash: Mapped[str] = mapped_column(Words(80), primary_key=True)
    document: Mapped[dict[str, Any]]
    source_name: Mapped[str | None]
    created_at: Mapped[datetime]
