"""Tasks side by side: waiting for them, and ending them in order.

A task that is cancelled may have something to undo, and a second cancellation would cut that short. ``asyncio.gather``
hands every cancellation on, and is over as soon as the first of its tasks is; so here a task is cancelled once, and
waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable
from typing import Any
from weakref import WeakSet

_cancelled: WeakSet[asyncio.Task[Any]] = WeakSet()


async def settled(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Wait until all are over, or one has raised: its error. Cancelled, it leaves them to :func:`ended`."""
    if tasks:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in sorted(
            done, key=asyncio.Task.cancelled
        ):  # An error says more than that something was cancelled.
            task.result()


async def ended(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel those that are not over, unless they were cancelled before, and wait until all are."""
    for task in tasks:
        # Not by `task.cancelling()`: it also counts a timeout inside the task, which goes on after that.
        if not task.done() and task not in _cancelled:
            _cancelled.add(task)
            task.cancel()
    if pending := [task for task in tasks if not task.done()]:
        await asyncio.wait(pending)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # It was looked at: nobody is to be told that it never was.


async def side_by_side(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run them at the same time. The first that raises ends the others, and its own error is raised."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    try:
        await settled(tasks)
    finally:
        await ended(tasks)
