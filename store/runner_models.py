"""The table of the processes that run instances."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from .models import Row, key
from .types import Words


class RunnerRow(Row):
    """One life of a process that runs instances. ``process`` tells it from a later one with its pid; ``beat`` counts
    its signs of life."""

    __tablename__ = "runners"

    id: Mapped[str] = key()
    owner: Mapped[str] = mapped_column(Words(255))
    host: Mapped[str] = mapped_column(Words(255))
    pid: Mapped[int] = mapped_column(Integer)
    process: Mapped[str] = mapped_column(Words(255))
    roots: Mapped[list[str]]
    beat: Mapped[int] = mapped_column(Integer)
    began_at: Mapped[datetime]
    alive_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "owner"),)
