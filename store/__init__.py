"""The journal: what was registered, accepted, run and found. SQLite by default, PostgreSQL by URL.

Imports ``core`` only. Start reading at :mod:`.store` (the front door), then :mod:`.models` (the tables) and
one repository, such as :mod:`.instances`. :mod:`.engine` knows the databases, :mod:`.migrate` brings them up
to date.

Importing this package imports SQLAlchemy; node families and the compiler import it inside functions.
"""

from .debugging import DebugState, Stop
from .events import Event, EventWait
from .history import HistoryEvent, PastState
from .human_tasks import HumanTask, NewHumanTask
from .records import (
    Artifact,
    DecidedNode,
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
    "DebugState",
    "DecidedNode",
    "Event",
    "EventWait",
    "HistoryEvent",
    "HumanTask",
    "Instance",
    "KnownFile",
    "MediaFile",
    "MediaTag",
    "MediaTask",
    "NewHumanTask",
    "NewInstance",
    "NodeAttempt",
    "NodeExecution",
    "PastState",
    "Stop",
    "Store",
    "WorkflowVersion",
]
