"""The dispatcher: pending instances become flow runs, as many at once as the machine takes.

An instance is claimed in the store before it runs, so that two dispatchers never run the same one; what an earlier
process left running is carried on from the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from ..core.errors import Code, ErrorRecord, RealmError
from ..core.status import InstanceStatus
from ..store import Instance
from .surroundings import Surroundings

log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between looks for pending instances that nobody announced (another process's, say)."""

FINISH = 10.0
"""Seconds that a flow run whose instance is decided has to report its state when the dispatcher stops."""

RETRY_AFTER = 10.0
"""Seconds until an instance that the engine did not take is tried again."""
MOST_FAULTS = 12
"""Tries after which it is failed, with the last fault."""

LoadFlow = Callable[[str, str], Any]


class Dispatcher:
    """Runs pending instances in this process until it is stopped."""

    def __init__(self, around: Surroundings, load: LoadFlow, *, most: int | None = None) -> None:
        self._around = around
        self._load = load
        self._most = most or max(4, 2 * (os.cpu_count() or 1))
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._waiting: list[Instance] = []
        self._faults: Counter[str] = Counter()
        self.owner = around.environment.owner

    def wake(self) -> None:
        """Look for pending instances now. Callable from any thread."""
        self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Dispatch until cancelled; then cancel what runs and leave it to be carried on."""
        journal, store = self._around.environment.journal, self._around.store
        await journal.call(store.instances.release, self.owner)
        self._waiting = await journal.call(self._left_running)
        if self._waiting:
            log.info("carrying on %d instances that the last process left", len(self._waiting))
        try:
            while True:
                self._wake.clear()
                free = self._most - len(self._running)
                while self._waiting and free > 0:
                    self._start(self._waiting.pop(0))
                    free -= 1
                if free > 0:
                    for instance in await self._claim(free):
                        self._start(instance)
                await self._next_look()
        finally:
            await self._stop()
            await journal.call(store.instances.release, self.owner)

    async def _claim(self, most: int) -> list[Instance]:
        try:
            return await self._around.environment.journal.call(
                self._around.store.instances.claim, most, self.owner
            )
        except RealmError as error:
            log.warning("pending instances cannot be read now: %s", error)  # The next look tries again.
            return []

    async def _stop(self) -> None:
        """Cancel what runs. A run whose instance is decided only tells Prefect so: that it may finish."""
        tasks = dict(self._running)
        for instance_id, task in tasks.items():
            if not (await self._around.environment.journal.instance(instance_id)).status.terminal:
                task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks.values(), timeout=FINISH)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        return not self._running

    async def _next_look(self) -> None:
        try:
            async with asyncio.timeout(POLL):
                await self._wake.wait()
        except TimeoutError:
            return

    def _left_running(self) -> list[Instance]:
        running = self._around.store.instances.list(status=InstanceStatus.RUNNING, limit=10_000)
        return [instance for instance in reversed(running) if instance.claimed_by == self.owner]

    def _start(self, instance: Instance) -> None:
        task = asyncio.create_task(self._one(instance), name=instance.id)
        self._running[instance.id] = task
        task.add_done_callback(lambda _: self._ended(instance.id))

    def _ended(self, instance_id: str) -> None:
        self._running.pop(instance_id, None)
        self._wake.set()

    async def _one(self, instance: Instance) -> None:
        try:
            flow = await asyncio.to_thread(self._load, instance.workflow, instance.version)
            await self._run(flow, instance)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A fault here must neither stop the dispatcher nor leave the instance without a verdict. An engine that is
            # away for a while (the Prefect server restarts) must not fail every instance that comes meanwhile.
            self._faults[instance.id] += 1
            log.exception("instance %s could not be run", instance.id)
            if isinstance(error, RealmError) or self._faults[instance.id] >= MOST_FAULTS:
                await self._give_up(instance, error)
            else:
                self._loop.call_later(RETRY_AFTER, self._again, instance)

    def _again(self, instance: Instance) -> None:
        self._waiting.append(instance)
        self._wake.set()

    async def _run(self, flow: Any, instance: Instance) -> None:
        from ..flows.instances import trigger_of

        parameters = {
            "input": dict(instance.input or {}),
            "trigger": trigger_of(instance),
            "instance_id": instance.id,
        }
        if self._around.engine == "local":
            try:
                await flow(**parameters)
            except RealmError as error:
                log.info("instance %s: %s", instance.id, error)
            return
        await run_deployed(flow, parameters, instance)
        left = await self._around.environment.journal.instance(instance.id)
        if not left.status.terminal:  # It broke before or without a verdict; Prefect keeps why in its state.
            raise RuntimeError(f"the flow run ended and left the instance {left.status}")

    async def _give_up(self, instance: Instance, error: Exception) -> None:
        record = (
            error.record if isinstance(error, RealmError) else ErrorRecord(Code.INTERNAL_ERROR, str(error))
        )
        journal = self._around.environment.journal
        current = await journal.instance(instance.id)
        if not current.status.terminal:
            await journal.transition(instance.id, InstanceStatus.FAILED, error=record.to_dict())


async def run_deployed(flow: Any, parameters: dict[str, Any], instance: Instance) -> None:
    """Run ``flow`` in this process as a run of its deployment, where it has one, so that Prefect shows it there.

    The flow run is created pending and run at once: nothing is polled for, and the first node starts in milliseconds.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.flow_engine import run_flow_async
    from prefect.states import Crashed, Pending

    from .deploy import DEPLOYMENT

    async with get_client() as client:
        if instance.flow_run_id:
            state = Crashed(
                message="the process that ran it stopped; the instance is carried on in another flow run"
            )
            with contextlib.suppress(ObjectNotFound):  # The Prefect database was made anew since.
                await client.set_flow_run_state(UUID(instance.flow_run_id), state, force=True)
        try:
            deployment = await client.read_deployment_by_name(f"{flow.name}/{DEPLOYMENT}")
            flow_run = await client.create_flow_run_from_deployment(
                deployment.id, parameters=parameters, state=Pending(), tags=[f"instance:{instance.id}"]
            )
        except ObjectNotFound:
            flow_run = await client.create_flow_run(flow, parameters=parameters, state=Pending())
    await run_flow_async(flow, flow_run=flow_run, parameters=parameters, return_type="state")
