"""``control/parallel``: parts side by side."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from ...core.errors import NO_VERDICTS, Code, RealmError
from ...tasks.control.constructs import ParallelParameters
from ..together import ended
from .site import Site


async def parallel(site: Site, parameters: ParallelParameters) -> Any:
    """The outputs of the branches that completed, by name, in the definition's order. A fork without branches of its
    own hands its input on: its edges do the forking."""
    if not site.parts:
        return dict(site.call.input)
    needed = _needed(parameters.wait_for, len(site.parts))
    limit = asyncio.Semaphore(parameters.max_concurrent or len(site.parts))

    async def branch(name: str) -> Any:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(limit)
            return (await site.run(site.parts[name], name=name))[1]

    tasks = {name: asyncio.create_task(branch(name), name=name) for name in site.parts}
    try:
        await _enough(tasks, needed, fail_fast=parameters.fail_fast)
    finally:
        await ended(tasks.values())
    over = {name: task for name, task in tasks.items() if not task.cancelled()}
    for task in over.values():
        if isinstance(error := task.exception(), NO_VERDICTS):
            raise error
    completed = {name: task.result() for name, task in over.items() if task.exception() is None}
    if len(completed) < needed:
        failures = [error for task in over.values() if (error := task.exception()) is not None]
        raise _failure(site, failures, len(completed))
    site.notes["branches"] = list(completed)
    return completed


async def _enough(tasks: dict[str, asyncio.Task[Any]], needed: int, *, fail_fast: bool) -> None:
    """Wait until ``needed`` branches completed, or no longer can, or (``fail_fast``) one too many failed."""
    pending = set(tasks.values())
    while pending:
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        failed = sum(task.done() and task.exception() is not None for task in tasks.values())
        completed = len(tasks) - len(pending) - failed
        if completed >= needed:
            return
        if fail_fast and len(tasks) - failed < needed:
            return


def _needed(wait_for: str | int, branches: int) -> int:
    return branches if wait_for == "all" else 1 if wait_for == "any" else int(wait_for)


def _failure(site: Site, failures: list[BaseException], completed: int) -> BaseException:
    """The first branch's own error; of several, the others beside it."""
    first = failures[0]
    if not isinstance(first, RealmError) or len(failures) == 1:
        return first
    record = first.record
    others = [error.record.message for error in failures[1:] if isinstance(error, RealmError)]
    return RealmError(
        Code(record.code),
        f"{record.message} (and {len(others)} more of {len(site.parts)} branches failed; {completed} completed)",
        hint=record.hint,
        details={**record.details, "other_failures": others},
    )
