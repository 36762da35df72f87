"""Bring a database to this program's revision. Alembic is imported only when there is something to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from ..core.errors import Code, RealmError
from .engine import Database

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0011"
"""The newest revision in ``migrations/versions``; a test compares."""

FOLDER = Path(__file__).parent / "migrations"

_LOCK = 0x6D6972726F72  # "mirror": the advisory lock under which PostgreSQL databases are migrated


def revision(connection: Connection) -> str | None:
    """The revision a database is at; ``None`` when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def check(database: Database) -> None:
    """Raise FAILED_PRECONDITION unless the database is at this program's revision."""
    with database.read() as connection:
        at = revision(connection)
    if at != HEAD:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"the database is at revision {at or 'none'}, this program needs {HEAD}",
            hint="open it once with migration allowed",
        )


def upgrade(database: Database) -> None:
    """Migrate to :data:`HEAD` in one transaction; a process that comes at the same time waits and finds it
    done."""
    with database.read() as connection:
        if revision(connection) == HEAD:
            return
    with database.write() as connection:
        if not database.sqlite:  # on SQLite the write transaction itself is the lock
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        at = revision(connection)
        if at != HEAD:
            _run(connection, at)


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration for our migrations, on ``connection``."""
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    configuration.attributes["connection"] = connection
    return configuration


def _run(connection: Connection, at: str | None) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    configuration = config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(configuration).walk_revisions()}
    if at is not None and at not in known:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"the database is at revision {at}, which this program does not know",
            hint="a newer Mirror Realm made it: upgrade this one",
        )
    command.upgrade(configuration, HEAD)
