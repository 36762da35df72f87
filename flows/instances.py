"""Opening an instance: found or persisted, its input checked, its earlier life restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core.errors import Code, ErrorRecord, RealmError
from ..core.status import InstanceStatus
from .declarations import Workflow

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
        run.input = run.input or dict(instance.input or {})
        run.trigger = run.trigger or trigger_of(instance)
    else:
        instance = await journal.call(_create, run, flow_run_id)
        run.instance_id = instance.id
    if instance.status in (InstanceStatus.FAILED, InstanceStatus.CANCELED):
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"instance {instance.id} is already {instance.status}",
            hint="start a new one with `realm run`",
        )
    run.restored = dict(await journal.finished(instance.id))
    run.attempts_before = await journal.attempts_before(instance.id)
    if instance.status is InstanceStatus.COMPLETED:
        return instance
    instance = await journal.transition(instance.id, InstanceStatus.RUNNING, flow_run_id=flow_run_id)
    if (error := input_error(run.workflow, run.input)) is not None:
        await journal.transition(instance.id, InstanceStatus.FAILED, error=error.to_dict())
        run.emit_instance(InstanceStatus.FAILED, error)
        raise RealmError.from_record(error)
    return instance


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
    if run.engine.name != "prefect":
        return None
    from .prefect_engine import current_flow_run_id

    return current_flow_run_id()
