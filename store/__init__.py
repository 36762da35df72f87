"""The journal: what was registered, accepted, run and found. SQLite by default, PostgreSQL by URL.

Imports ``core`` only. Start reading at :mod:`.store` (the front door), then :mod:`.models` (the tables) and
one repository, such as :mod:`.instances`. :mod:`.engine` knows the databases, :mod:`.migrate` brings them up
to date.

Importing this package imports SQLAlchemy; node families and the compiler import it inside functions.
"""

from .records import (
    Artifact,
    Instance,
    KnownFile,
    MediaFile,
    MediaTag,
    MediaTask,
    NewInstance,
    NodeAttempt,
    NodeExecution,
    WorkflowVersion,
)
from .store import Store

__all__ = [
    "Artifact",
    "Instance",
    "KnownFile",
    "MediaFile",
    "MediaTag",
    "MediaTask",
    "NewInstance",
    "NodeAttempt",
    "NodeExecution",
    "Store",
    "WorkflowVersion",
]
