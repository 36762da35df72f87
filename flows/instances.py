"""Opening an instance: found or persisted, its input checked, its earlier life restored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..core.errors import Code, ErrorRecord, RealmError
from ..core.status import InstanceStatus
from .declarations import Workflow
from .journal import now

if TYPE_CHECKING:
    from ..store import Instance
    from .run import Run


async def open_instance(run: Run) -> Instance:
    """Persist or load the instance of ``run``, check its input, and move it to running.

    Raises FAILED_PRECONDITION for an instance that already failed or was canceled, INVALID_ARGUMENT (journaled as
    the instance's failure) for an input that the definition's schema refuses.
    """
    journal = run.env.journal
    flow_run_id = _flow_run_id(run)
    if run.instance_id:
        instance = await journal.instance(run.instance_id)
        if instance.workflow != run.workflow.name:
            raise RealmError(
                Code.FAILED_PRECONDITION,
                f"{instance.id} is an instance of {instance.workflow}, not of {run.workflow.name}",
            )
        run.input = run.input or dict(instance.input or {})
    else:
        instance = await journal.once(_create, run, flow_run_id)
        run.instance_id = instance.id
    run.trigger = run.trigger or trigger_of(instance)  # As every later life of the instance sees it.
    if instance.status in (InstanceStatus.FAILED, InstanceStatus.CANCELED):
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"instance {instance.id} is already {instance.status}",
            hint=f"`realm instances retry {instance.id}` carries it on",
        )
    run.resumed = instance.started_at is not None
    run.carried_on = instance.status in (
        InstanceStatus.RUNNING,
        InstanceStatus.WAITING,
        InstanceStatus.PAUSED,
    )
    if instance.status is InstanceStatus.COMPLETED:
        await run.root.recall()
        return instance
    if instance.status is InstanceStatus.PAUSED and instance.requested != "resume":
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"instance {instance.id} is paused",
            hint=f"`realm instances resume {instance.id}` carries it on",
        )
    roots = [str(root) for root in run.env.roots]
    replayed = run.env.replay is not None  # Nobody runs it then.
    runner_id = None if replayed else await journal.presence.announce(run.env.owner, roots)
    undoing = instance.status is InstanceStatus.COMPENSATING
    status = InstanceStatus.COMPENSATING if undoing else InstanceStatus.RUNNING
    instance = await journal.transition(
        instance.id, status, flow_run_id=flow_run_id, claimed_by=run.env.owner, runner_id=runner_id
    )
    run.env = replace(run.env, journal=(journal := journal.of_life(instance.epoch)))
    # Only now: until the move, a process that was taken for dead may still have begun nodes.
    await run.root.recall()
    await run.breakpoints.load()
    if not undoing and (error := input_error(run.workflow, run.input)) is not None:
        await journal.transition(instance.id, InstanceStatus.FAILED, error=error.to_dict())
        run.emit_instance(InstanceStatus.FAILED, error)
        raise RealmError.from_record(error)
    return instance


def spent(run: Run, instance: Instance) -> float:
    """Seconds of its timeout that an instance that is carried on has used in earlier lives. A retry begins anew."""
    if not run.carried_on or instance.started_at is None:
        return 0.0
    stood = run.clock.stood(instance.started_at)
    return max(0.0, (now() - instance.started_at).total_seconds() - stood)


def trigger_of(instance: Instance) -> dict[str, Any]:
    """What expressions see as ``trigger``."""
    return {"type": instance.trigger_type, "payload": instance.trigger_payload or {}}


def input_error(workflow: Workflow, value: Mapping[str, Any]) -> ErrorRecord | None:
    """What the definition's input schema has against ``value``: every violation, the first one in the message."""
    if not workflow.input_schema:
        return None
    from jsonschema import Draft202012Validator

    errors = sorted(
        Draft202012Validator(dict(workflow.input_schema)).iter_errors(dict(value)), key=lambda e: e.json_path
    )
    if not errors:
        return None
    violations = [{"field": e.json_path.removeprefix("$.") or "$", "description": e.message} for e in errors]
    return ErrorRecord(
        Code.INVALID_ARGUMENT,
        f"input of {workflow.name}: {violations[0]['field']}: {violations[0]['description']}",
        hint="the definition's `input` says what it takes",
        details={"field_violations": violations},
    )


def _create(run: Run, flow_run_id: str | None) -> Instance:
    from ..store import NewInstance

    new = NewInstance(
        workflow=run.workflow.name,
        version=run.workflow.version,
        input=run.input,
        trigger_type=str(run.trigger.get("type") or ("prefect" if flow_run_id else "manual")),
        trigger_payload=run.trigger.get("payload"),
        # A Prefect flow run that is retried or redelivered finds the instance that it began.
        idempotency_key=f"flow-run:{flow_run_id}" if flow_run_id else None,
        definition_hash=run.workflow.definition.removeprefix("sha256:") or None,
        claimed_by=run.env.owner,
    )
    return run.env.journal.store.instances.create(new)[0]


def _flow_run_id(run: Run) -> str | None:
    if run.root.engine.name != "prefect":
        return None
    from .prefect_engine import current_flow_run_id

    return current_flow_run_id()
