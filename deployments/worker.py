"""The warm worker: a Prefect worker that runs deployments' flow runs inside its own process.

Prefect's process worker pays three to five seconds of imports for every flow run; here everything is imported, and the
Dask client, the journal and Prefect's client are shared.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
from prefect.exceptions import InfrastructureNotFound
from prefect.flow_engine import run_flow_async
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult

from ..core.errors import Code, RealmError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

log = logging.getLogger(__name__)

WORKER_TYPE = "mirror-realm"
WORK_POOL = "mirror-realm"
SYSTEM_FLOWS = frozenset({"mirror_realm.flows.recovery.flow.reconcile"})
"""Flows of our own that deployments may name beside compiled workflows."""


class WarmWorkerResult(BaseWorkerResult):
    """How a flow run ended here: 0, since a failed flow run reports its own state."""


class WarmWorker(BaseWorker[BaseJobConfiguration, BaseVariables, WarmWorkerResult]):
    """Runs the flow runs of the ``mirror-realm`` work pool as tasks of its own event loop."""

    type = WORKER_TYPE
    job_configuration = BaseJobConfiguration
    job_configuration_variables = BaseVariables
    _description = "Runs compiled Mirror Realm workflows in one warm process, on its Dask cluster."
    _display_name = "Mirror Realm"
    _documentation_url = ""
    _logo_url = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._running: dict[str, asyncio.Task[Any]] = {}

    async def run(
        self,
        flow_run: FlowRun,
        configuration: BaseJobConfiguration,
        task_status: anyio.abc.TaskStatus[Any] | None = None,
    ) -> WarmWorkerResult:
        """Load the flow by its deployment's module path and run it here."""
        identifier = str(flow_run.id)
        deployment = (
            await self.client.read_deployment(flow_run.deployment_id) if flow_run.deployment_id else None
        )
        flow = await asyncio.to_thread(load_entrypoint, deployment.entrypoint if deployment else None)
        run = run_flow_async(
            flow, flow_run=flow_run, parameters=dict(flow_run.parameters), return_type="state"
        )
        task = asyncio.create_task(run)
        if task_status:  # Only now: what failed before is a submission that failed, and the flow run says so.
            task_status.started(identifier)
        self._running[identifier] = task
        try:
            await task
        finally:
            self._running.pop(identifier, None)
        return WarmWorkerResult(identifier=identifier, status_code=0)

    async def kill_infrastructure(
        self, infrastructure_pid: str, configuration: BaseJobConfiguration, grace_seconds: int = 30
    ) -> None:
        """Ask the instance of the flow run to end, as `realm instances cancel` does: were only the task cancelled, the
        instance would be carried on. That is done where there is no instance, or it does not end in time."""
        if (task := self._running.get(infrastructure_pid)) is None:
            raise InfrastructureNotFound(f"flow run {infrastructure_pid} does not run in this worker")
        if await _asked_to_end(infrastructure_pid):
            await asyncio.wait({task}, timeout=grace_seconds)
        task.cancel()


async def _asked_to_end(flow_run_id: str) -> bool:
    from ..flows import control, environment

    async with environment.current() as around:
        journal, store = around.journal, around.journal.store
        held = (await journal.call(store.runners.of_flow_runs, [flow_run_id])).get(flow_run_id)
        if held is None or held.status.terminal:
            return False
        await journal.call(control.cancel, store, held.id, by="prefect")
        return True


def load_entrypoint(entrypoint: str | None) -> Any:
    """The flow that a deployment names by module path; a registered workflow's source is made anew if it is missing.

    Raises FAILED_PRECONDITION for any other entrypoint: what a work pool's deployment names is not run as code here.
    """
    from prefect.flows import load_flow_from_entrypoint

    prefix = "mirror_realm.flows.compiled."
    if entrypoint in SYSTEM_FLOWS:
        return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)
    # Whole, not only its beginning: Prefect takes anything with a colon for the path of a file.
    if not entrypoint or not re.fullmatch(re.escape(prefix) + r"[A-Za-z_]\w*\.[^\W\d]\w*", entrypoint):
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"the deployment's entrypoint {entrypoint!r} is not a compiled workflow",
            hint="deploy with `realm deploy`, or use a work pool of another type",
        )
    _ensure_source(entrypoint.removeprefix(prefix).partition(".")[0])
    return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)


def _ensure_source(module: str) -> None:
    from ..core.settings import settings
    from ..flows.compiled import module_name
    from ..store import Store
    from .registration import registered

    if (settings().compiled_folder / f"{module}.py").is_file():
        return
    with Store.open(settings().database) as store:
        for row in store.workflows.list(status="active"):
            if module_name(row.name, row.version) == module:
                registered(row.name, store, settings(), row.version)
