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
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from ..core.errors import Code, ErrorRecord, RealmError, StoreLost
from ..core.status import InstanceStatus
from ..flows.alarm import Alarm
from ..flows.environment import use
from ..flows.presence import here
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

_ASIDE = (InstanceStatus.WAITING, InstanceStatus.PAUSED)
"""Where an instance may stand after a run of it that gave no verdict."""

LoadFlow = Callable[[str, str], Any]
"""The flow of a registered workflow, by name and version."""
Carry = Callable[[Instance], Any]
"""The flow of an instance that ran another definition than a registered one; ``None`` where it did not."""


class Dispatcher:
    """Runs pending instances in this process until it is stopped."""

    def __init__(
        self, around: Surroundings, load: LoadFlow, *, carry: Carry | None = None, most: int | None = None
    ) -> None:
        self._around = around
        self._load = load
        self._carry = carry or (lambda instance: None)
        self._most = most or max(4, 2 * (os.cpu_count() or 1))
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._waiting: list[Instance] = []
        self._later: set[str] = set()
        self._faults: Counter[str] = Counter()
        self._alarm = Alarm()
        self.begun = asyncio.Event()
        """Set once it is known what the last process left, which is then among the :attr:`busy`."""
        self.owner = around.environment.owner

    @property
    def busy(self) -> set[str]:
        """The instances that this dispatcher runs, or has taken to run them."""
        return {*self._running, *self._later, *(instance.id for instance in self._waiting)}

    def wake(self) -> None:
        """Look for pending instances now. Callable from any thread."""
        self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Dispatch until cancelled; then cancel what runs and leave it to be carried on."""
        journal, store = self._around.environment.journal, self._around.store
        await journal.call(store.instances.release, self.owner)
        self._waiting = await journal.call(self._left_running)
        self.begun.set()
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
                self._waiting += await self._due()
                await self._next_look()
        finally:
            self._around.rest()
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

    async def _due(self) -> list[Instance]:
        """Instances that were put aside, and that now have what they wait for."""
        journal, store = self._around.environment.journal, self._around.store
        queued = self.busy
        try:
            found = await journal.call(self._alarm.due, store, self.owner)
        except RealmError as error:
            log.warning("waiting instances cannot be read now: %s", error)
            return []
        return [instance for instance in found if instance.id not in queued]

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
        left: list[Instance] = []
        for status in (InstanceStatus.RUNNING, InstanceStatus.COMPENSATING):
            left += reversed(self._around.store.instances.list(status=status, limit=10_000))
        return [instance for instance in left if instance.claimed_by == self.owner]

    def _start(self, instance: Instance) -> None:
        task = asyncio.create_task(self._one(instance), name=instance.id)
        self._running[instance.id] = task
        task.add_done_callback(lambda _: self._ended(instance.id))

    def _ended(self, instance_id: str) -> None:
        self._running.pop(instance_id, None)
        self._wake.set()

    async def _one(self, instance: Instance) -> None:
        try:
            flow = await asyncio.to_thread(self._flow, instance)
            with await self._as_before(instance):
                await self._run(flow, instance)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A fault here must neither stop the dispatcher nor leave the instance without a verdict. An engine that is
            # away for a while (the Prefect server restarts) must not fail every instance that comes meanwhile.
            log.exception("instance %s could not be run", instance.id)
            await self._failed(instance, error)

    async def _failed(self, instance: Instance, error: Exception) -> None:
        self._faults[instance.id] += 1
        final = isinstance(error, RealmError) and not isinstance(error, StoreLost)
        if final or self._faults[instance.id] >= MOST_FAULTS:
            await self._give_up(instance, error)
            return
        current = await self._around.environment.journal.instance(instance.id)
        if not current.status.terminal:  # Else only Prefect was not told, which the reconciler makes good.
            self._later.add(instance.id)
            self._loop.call_later(RETRY_AFTER, self._again, instance)

    def _flow(self, instance: Instance) -> Any:
        """What the instance runs: the definition that was kept for it, else the registered version."""
        return self._carry(instance) or self._load(instance.workflow, instance.version)

    async def _as_before(self, instance: Instance) -> contextlib.AbstractContextManager[Any]:
        """The environment for an instance: with the folders that the process might touch which ran it before."""
        environment, store = self._around.environment, self._around.store
        if instance.runner_id is None:
            return contextlib.nullcontext()
        before = await environment.journal.call(store.runners.get, instance.runner_id)
        more = [Path(root) for root in before.roots] if before is not None and before.host == here() else []
        roots = dict.fromkeys((*environment.roots, *more))
        return use(replace(environment, roots=tuple(roots)))

    def _again(self, instance: Instance) -> None:
        self._later.discard(instance.id)
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
        if left.claimed_by != self.owner:
            log.info("instance %s is run by %s now", instance.id, left.claimed_by)
            return
        # It broke before or without a verdict; Prefect keeps why in its state.
        if left.status not in _ASIDE and not left.status.terminal:
            raise RuntimeError(f"the flow run ended and left the instance {left.status}")

    async def _give_up(self, instance: Instance, error: Exception) -> None:
        record = (
            error.record if isinstance(error, RealmError) else ErrorRecord(Code.INTERNAL_ERROR, str(error))
        )
        journal = self._around.environment.journal
        current = await journal.instance(instance.id)
        if current.claimed_by == self.owner and current.status not in _ASIDE and not current.status.terminal:
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
