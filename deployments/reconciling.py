"""The reconciler beside a dispatcher: at the start, on a schedule, and as soon as a process is seen to have died."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from ..core.errors import RealmError
from ..flows.presence import BEAT
from ..flows.recovery.reconcile import Reconciler

if TYPE_CHECKING:
    from ..core.settings import Settings
    from .dispatch import Dispatcher
    from .surroundings import Surroundings

log = logging.getLogger(__name__)

LATE = 1.5
"""Intervals after which a pass that Prefect was to start is made without it: its server may be what died."""


def reconciler_of(around: Surroundings, dispatcher: Dispatcher, configured: Settings) -> Reconciler:
    """The reconciler of a serving process."""
    environment = around.environment
    return Reconciler(
        environment.journal,
        configured,
        owner=environment.owner,
        prefect=around.engine != "local",
        dask=environment.runner,
        busy=lambda: dispatcher.busy,
        wake=dispatcher.wake,
    )


async def reconciling(reconciler: Reconciler, interval: float, *, scheduled: bool) -> None:
    """Make a pass now, and whenever one is due: every ``interval`` seconds, or, where Prefect starts them
    (``scheduled``), when it is late; and at once when something is found at a glance."""
    due = interval * (LATE if scheduled else 1.0)
    await _pass(reconciler)
    while True:
        await asyncio.sleep(min(BEAT, interval))
        late = reconciler.last_pass is None or time.monotonic() - reconciler.last_pass >= due
        try:
            if late or await reconciler.glance():
                await reconciler.once()
        except RealmError as error:  # The next look tries again.
            log.warning("nothing can be reconciled now: %s", error)


async def _pass(reconciler: Reconciler) -> None:
    try:
        await reconciler.once()
    except RealmError as error:
        log.warning("nothing can be reconciled now: %s", error)


async def deploy_reconciler(interval: float) -> None:
    """The deployment whose schedule starts the passes. Twice is fine; runs that are late by then are dropped."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import IntervalSchedule

    from ..flows.recovery.flow import ENTRYPOINT, reconcile
    from .deploy import DEPLOYMENT, ensure_pool
    from .worker import WORK_POOL

    schedule = IntervalSchedule(interval=timedelta(seconds=max(1.0, interval)))
    async with get_client() as client:
        await ensure_pool(client)
        await client.create_deployment(
            flow_id=await client.create_flow(reconcile),
            name=DEPLOYMENT,
            entrypoint=ENTRYPOINT,
            path=None,
            description=reconcile.description,
            tags=["mirror-realm"],
            work_pool_name=WORK_POOL,
            paused=False,
            schedules=[DeploymentScheduleCreate(schedule=schedule, active=True, slug="passes")],
        )


async def pause_reconciler() -> None:
    """Let nothing start passes while nobody serves: Prefect would gather late runs."""
    from prefect.client.orchestration import get_client

    from ..flows.recovery.flow import NAME
    from .deploy import DEPLOYMENT

    with contextlib.suppress(
        Exception
    ):  # The server may be gone already, and the next start drops what is late.
        async with asyncio.timeout(5), get_client() as client:
            deployment = await client.read_deployment_by_name(f"{NAME}/{DEPLOYMENT}")
            await client.pause_deployment(deployment.id)
