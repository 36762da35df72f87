"""The tables of debugging: where instances are to stop, and where they stood."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from .models import Row, belongs_to, one_of
from .types import Json, Words

STOP_STATES = ("open", "released", "passed", "dropped")


class InstanceDebugRow(Row):
    """What a person asked of an instance for debugging; most instances have none. ``revision`` counts the changes."""

    __tablename__ = "instance_debug"

    instance_id: Mapped[str] = belongs_to("workflow_instances.id", primary_key=True)
    stepping: Mapped[bool]
    ignoring: Mapped[bool]
    breakpoints: Mapped[list[str]] = mapped_column(Json)
    variables: Mapped[dict[str, Any]] = mapped_column(Json)
    revision: Mapped[int]


class BreakpointStopRow(Row):
    """One time that an instance stopped before a node; ``number`` counts from 1 in each instance."""

    __tablename__ = "breakpoint_stops"

    instance_id: Mapped[str] = belongs_to("workflow_instances.id", primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    node_id: Mapped[str] = mapped_column(Words(255))
    iteration: Mapped[str] = mapped_column(Words(255))
    node_type: Mapped[str] = mapped_column(Words(255))
    because: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    parameters: Mapped[Any] = mapped_column(Json, nullable=False)
    input: Mapped[Any] = mapped_column(Json, nullable=False)
    names: Mapped[Any] = mapped_column(Json, nullable=False)
    scopes: Mapped[Any] = mapped_column(Json, nullable=False)
    reached_at: Mapped[datetime]
    released_at: Mapped[datetime | None]
    released_by: Mapped[str | None] = mapped_column(Words(255))

    __table_args__ = (
        one_of("state", STOP_STATES),
        Index(
            "ix_breakpoint_stops_released",
            "instance_id",
            sqlite_where=text("state = 'released'"),
            postgresql_where=text("state = 'released'"),
        ),
    )
