"""The store: one object that opens the database and holds a repository per aggregate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from sqlalchemy import URL, text

from .artifacts import Artifacts
from .engine import Database
from .executions import Executions
from .instances import Instances
from .media import Media
from .migrate import check, upgrade
from .triggers import Triggers
from .workflows import Workflows


class Store:
    """The journal and its neighbours. Safe to share between threads; open one for each process.

    Every call is one transaction, or a part of the thread's :meth:`transaction`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.workflows = Workflows(database)
        self.instances = Instances(database)
        self.executions = Executions(database)
        self.triggers = Triggers(database)
        self.artifacts = Artifacts(database)
        self.media = Media(database)

    @classmethod
    def open(cls, url: str | URL, *, migrate: bool = True) -> Store:
        """Open the database at ``url``, made and migrated as needed.

        With ``migrate=False`` a database that is not at this program's revision is FAILED_PRECONDITION. One
        from a newer program always is.
        """
        database = Database(url)
        try:
            if migrate:
                upgrade(database)
            else:
                check(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Let the calls of this thread inside the block share one transaction: all of them count, or none.

        Holds the write lock: keep it short, never await inside. After an error inside, leave the block by it.
        """
        with self._database.write():
            yield

    def ping(self) -> None:
        """Return when the database answers; UNAVAILABLE when it does not."""
        with self._database.read() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
