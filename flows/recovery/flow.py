"""The reconciler as a Prefect flow: its passes are flow runs, beside those of the workflows.

``realm serve`` deploys it on a schedule and runs it in its own process. A pass that found nothing leaves one flow run
in Prefect until the next one; a pass that did something stays.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed

from ...core.errors import Code, RealmError
from .findings import Finding, Report
from .reconcile import current

log = logging.getLogger(__name__)

NAME = "realm-reconcile"
ENTRYPOINT = "mirror_realm.flows.recovery.flow.reconcile"
QUIET = "Quiet"
"""The name of the state of a pass that found nothing."""
MOST = 50


@flow(
    name=NAME,
    flow_run_name="reconcile",
    description="Compares the journal, Prefect and Dask, and carries on what was lost.",
    persist_result=False,
    log_prints=False,
)
async def reconcile() -> Any:
    """One pass of the reconciler of this process; FAILED_PRECONDITION where there is none."""
    reconciler = current()
    if reconciler is None:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            "there is no reconciler in this process",
            hint="`realm serve` has one; `realm instances reconcile` makes one pass without Prefect",
        )
    report = reconciler.last_report if reconciler.fresh else await reconciler.once()
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None:
        await forget_quiet(context.flow_run.deployment_id)
    found, reconciler.untold = reconciler.untold, []
    return verdict(report, found)


def verdict(report: Report | None, found: Sequence[Finding]) -> State[Any]:
    """What Prefect shows of a pass, and of those since the one that it showed last."""
    sentence = report.sentence if report is not None else "a pass was made a moment ago"
    if not found:
        return Completed(name=QUIET, message=sentence)
    told = "\n".join(f"{one.subject}: {one.what}: {one.action}" for one in found)
    return Completed(message=f"{sentence}\n{told}")


async def forget_quiet(deployment_id: UUID) -> None:
    """Delete the flow runs of earlier passes that found nothing: there would be three thousand a day."""
    wanted = FlowRunFilter.model_validate(
        {"state": {"name": {"any_": [QUIET]}}, "deployment_id": {"any_": [deployment_id]}}
    )
    async with get_client() as client:
        for run in await client.read_flow_runs(flow_run_filter=wanted, limit=MOST):
            try:
                await client.delete_flow_run(run.id)
            except ObjectNotFound:
                log.debug("flow run %s was deleted meanwhile", run.id)
