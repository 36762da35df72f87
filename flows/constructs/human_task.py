"""``control/human-task``: ask people, and wait for what they decide."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ...core.durations import parse_duration
from ...core.errors import Code, RealmError
from ...store import HumanTask, NewHumanTask
from ...tasks.control.people import HumanTaskParameters
from .site import Site

log = logging.getLogger("mirror_realm.run")


async def human_task(site: Site, parameters: HumanTaskParameters) -> Any:
    """What was decided. The timeouts' actions are taken here, once each."""
    tasks, run = site.store.human_tasks, site.handle.scope.run
    new = NewHumanTask(
        instance_id=site.call.instance_id,
        node_id=site.handle.key,
        iteration=site.call.iteration,
        timeout=None if parameters.timeout is None else parse_duration(parameters.timeout),
        **parameters.model_dump(exclude={"timeout"}),
    )
    task = await site.call_store(tasks.ask, new)
    site.report(0.0, f"asks {_asked(task)}: {task.title} (realm tasks show {task.id})")

    def look() -> HumanTask | None:
        found, action = tasks.time_out(task.id)
        if action is not None:
            log.warning("%s: nobody has decided %s in time: %s", site.handle.label, found.id, action)
        return None if found.status == "open" else found

    try:
        decided = await site.until(look)
    except asyncio.CancelledError:
        if not run.waits.leaving:
            await site.call_store(tasks.cancel, site.call.instance_id, task_id=task.id)
        raise
    if decided.status == "canceled":
        raise RealmError(Code.CANCELLED, f"the task {decided.id} was withdrawn")
    return decided.result()


def _asked(task: HumanTask) -> str:
    return f"the role {task.role}" if task.role is not None else ", ".join(task.assignees or ())
