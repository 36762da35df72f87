"""A registered workflow as a Prefect deployment: module-path entrypoint, parameter schema, tags, version, schedules."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..compiler import Definition
from .registration import Registered
from .worker import WORK_POOL, WORKER_TYPE, WarmWorker

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate

DEPLOYMENT = "realm"
"""Every workflow has one deployment of this name; its version follows the latest registered one."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment on the Prefect server."""

    id: str
    name: str
    entrypoint: str
    version: str
    schedules: tuple[str, ...]
    url: str


async def deploy(workflow: Registered, *, api_url: str) -> Deployed:
    """Create or update the workflow's deployment in the warm worker's pool. Twice is fine."""
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        await ensure_pool(client)
        flow_id = await client.create_flow(workflow.flow)
        definition = workflow.definition
        schedules = schedules_of(definition)
        deployment_id = await client.create_deployment(
            flow_id=flow_id,
            name=DEPLOYMENT,
            version=workflow.version,
            entrypoint=workflow.entrypoint,
            path=None,
            description=definition.description or definition.display_name,
            tags=list(definition.tags),
            work_pool_name=WORK_POOL,
            parameter_openapi_schema=parameter_schema(definition),
            enforce_parameter_schema=True,
            schedules=schedules,
        )
    return Deployed(
        id=str(deployment_id),
        name=f"{workflow.name}/{DEPLOYMENT}",
        entrypoint=workflow.entrypoint,
        version=workflow.version,
        schedules=tuple(str(s.schedule) for s in schedules),
        url=f"{api_url.removesuffix('/api')}/deployments/deployment/{deployment_id}",
    )


async def ensure_pool(client: PrefectClient) -> None:
    """The work pool that the warm worker serves."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    try:
        await client.read_work_pool(WORK_POOL)
    except ObjectNotFound:
        pool = WorkPoolCreate(
            name=WORK_POOL,
            type=WORKER_TYPE,
            description="Flow runs of compiled workflows; `realm serve` runs them.",
            base_job_template=WarmWorker.get_default_base_job_template(),
        )
        with contextlib.suppress(ObjectAlreadyExists):  # Another process was faster.
            await client.create_work_pool(pool)


def parameter_schema(definition: Definition) -> dict[str, Any]:
    """What the Prefect UI asks for before a run: the definition's own input schema, under ``input``."""
    given = dict(definition.input or {"type": "object"})
    return {
        "title": "Parameters",
        "type": "object",
        "properties": {
            "input": {"title": "Input", "position": 0, **given},
            "trigger": {
                "title": "Trigger",
                "position": 1,
                "type": "object",
                "description": "What started the run; payload.file_path for a file",
            },
            "instance_id": {
                "title": "Instance",
                "position": 2,
                "type": "string",
                "description": "A persisted instance to run; leave empty for a new one",
            },
        },
        "definitions": {},
        "required": ["input"] if given.get("required") else [],
    }


def schedules_of(definition: Definition) -> list[DeploymentScheduleCreate]:
    """The definition's schedule triggers as Prefect schedules."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

    schedules: list[DeploymentScheduleCreate] = []
    for number, trigger in enumerate(definition.triggers):
        if trigger.type != "schedule":
            continue
        config = dict(trigger.config)
        zone = str(config.get("timezone") or "UTC")
        if config.get("cron"):
            schedule: Any = CronSchedule(cron=str(config["cron"]), timezone=zone)
        else:
            from ..core.durations import parse_duration

            seconds = parse_duration(config["interval"])
            schedule = IntervalSchedule(interval=timedelta(seconds=seconds), timezone=zone)
        payload = {
            "input": dict(config.get("input") or {}),
            "trigger": {
                "type": "schedule",
                "payload": {"schedule": str(config.get("cron") or config["interval"])},
            },
        }
        schedules.append(
            DeploymentScheduleCreate(
                schedule=schedule, active=trigger.enabled, parameters=payload, slug=f"trigger-{number}"
            )
        )
    return schedules
