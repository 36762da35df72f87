"""Nodes that steer: they begin, end, wait, decide, repeat and compute. They need no worker.

:mod:`.basics` are plain nodes that run in the flow process, as are :mod:`.routing` (which way to go) and those that
follow it; :mod:`.constructs` have nodes of their own (a loop's body, a fork's branches) or stand for another workflow,
:mod:`.events` and :mod:`.people` wait for the world outside: all these are driven by the run (``flows/constructs``).
"""

from __future__ import annotations

from .aggregate import aggregate
from .basics import delay, end, set_values, start
from .constructs import foreach, loop, parallel, subworkflow, transaction
from .ending import terminate
from .events import emit_event, wait_event
from .people import human_task
from .routing import condition, switch
from .transform import transform

__all__ = [
    "aggregate",
    "condition",
    "delay",
    "emit_event",
    "end",
    "foreach",
    "human_task",
    "loop",
    "parallel",
    "set_values",
    "start",
    "subworkflow",
    "switch",
    "terminate",
    "transaction",
    "transform",
    "wait_event",
]
