"""The store: one object that opens the database and holds a repository per aggregate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from sqlalchemy import URL, text

from .artifacts import Artifacts
from .breakers import Breakers
from .cache import Cache
from .debugging import Debugging
from .decided import DecidedNodes
from .definitions import Definitions
from .engine import Database
from .events import Events
from .executions import Executions
from .history import History
from .human_tasks import HumanTasks
from .instances import Instances
from .media import Media
from .media_clusters import MediaClusters
from .media_overview import MediaOverviews
from .media_people import MediaPeople
from .media_stages import MediaStages
from .media_vectors import MediaVectors
from .migrate import check, upgrade
from .rounds import Rounds
from .runners import Runners
from .sagas import Sagas
from .triggers import Triggers
from .waiting import Waiting
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
        self.decided = DecidedNodes(database)
        self.rounds = Rounds(database)
        self.history = History(database)
        self.runners = Runners(database)
        self.definitions = Definitions(database)
        self.debugging = Debugging(database)
        self.triggers = Triggers(database)
        self.events = Events(database)
        self.human_tasks = HumanTasks(database)
        self.waiting = Waiting(database)
        self.sagas = Sagas(database)
        self.cache = Cache(database)
        self.breakers = Breakers(database)
        self.artifacts = Artifacts(database)
        self.media = Media(database)
        self.overviews = MediaOverviews(database)
        self.stages = MediaStages(database)
        self.vectors = MediaVectors(database)
        self.people = MediaPeople(database)
        self.clusters = MediaClusters(database)

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
