"""The four task types of the expense approval that are the company's own: what opens, checks, pays and keeps a request.

The specification's example names them and leaves them to whoever runs it. Here the finance system and the archive are
folders.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from PIL import Image, ImageDraw, ImageFont
from pydantic import BaseModel, ConfigDict

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.tasks import NodeContext, node_type

DEPARTMENTS = {"engineering": "D-100", "sales": "D-200", "finance": "D-300", "市场部": "D-400"}


class Request(BaseModel):
    """What somebody asks for, and what became of it."""

    model_config = ConfigDict(extra="allow")

    request_id: str
    requester_id: str
    amount: float
    currency: str
    department: str
    status: str = "Draft"


class SystemParameters(BaseModel):
    """``initialize_status``: open a request, with this status."""

    initialize_status: str | None = None


class SystemInput(BaseModel):
    """The workflow's own input where a request is opened; later the request and what the approvers said of it."""

    model_config = ConfigDict(extra="allow")

    request: dict[str, Any] | None = None
    manager_result: str | None = None
    multi_approval_result: list[dict[str, Any]] | None = None
    executive_result: list[dict[str, Any]] | None = None


class SystemOutput(BaseModel):
    """A request that was opened, or one that was decided."""

    request: dict[str, Any] | None = None
    updated_request: dict[str, Any] | None = None
    is_approved: bool | None = None
    final_status: Literal["Approved", "Rejected"] | None = None


@node_type("task/system", version="1.0.0", idempotent=True)
def system(parameters: SystemParameters, input: SystemInput, context: NodeContext) -> SystemOutput:
    """Open an expense request, or note on it what was decided."""
    if parameters.initialize_status is not None:
        given = input.model_extra or {}
        opened = {
            "description": "",
            **given,
            "id": given.get("request_id"),
            "status": parameters.initialize_status,
        }
        return SystemOutput(request={key: value for key, value in opened.items() if key != "trigger"})
    decisions = (input.multi_approval_result or []) + (input.executive_result or [])
    said = [one["decision"] for one in decisions] or [input.manager_result]
    approved = all(one in ("approve", "approved") for one in said)
    status = "Approved" if approved else "Rejected"
    updated = {**(input.request or {}), "status": status, "approvals": decisions or said}
    return SystemOutput(updated_request=updated, is_approved=approved, final_status=status)


class Rule(BaseModel):
    """What a field must be."""

    field: str
    rule: Literal["positive_number", "not_empty", "valid_department"]


class ValidationParameters(BaseModel):
    """The rules."""

    validation_rules: list[Rule]


class ValidationInput(BaseModel):
    """A request."""

    request: dict[str, Any]


class ValidationOutput(BaseModel):
    """The request, with its department's code."""

    valid_request: Request
    is_valid: bool
    validation_errors: list[str]


@node_type("task/validation", version="1.0.0", idempotent=True)
def validation(
    parameters: ValidationParameters, input: ValidationInput, context: NodeContext
) -> ValidationOutput:
    """Check an expense request; one that breaks a rule goes no further."""
    broken = [
        one for one in parameters.validation_rules if not _keeps(one.rule, input.request.get(one.field))
    ]
    if broken:
        told = [f"{one.field}: {one.rule.replace('_', ' ')}" for one in broken]
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"the request breaks {len(broken)} rules: {'; '.join(told)}",
            hint=f"departments are {', '.join(DEPARTMENTS)}",
            details={"violations": told},
        )
    request = {**input.request, "department_code": DEPARTMENTS[input.request["department"]]}
    return ValidationOutput(valid_request=Request(**request), is_valid=True, validation_errors=[])


def _keeps(rule: str, value: Any) -> bool:
    if rule == "positive_number":
        return isinstance(value, int | float) and value > 0
    return value in DEPARTMENTS if rule == "valid_department" else bool(value)


class IntegrationParameters(BaseModel):
    """Where to, what to do there, and with what."""

    integration_target: str
    operation: str
    mapping: dict[str, Any]


class IntegrationInput(BaseModel):
    """An approved request."""

    request: dict[str, Any]


class IntegrationOutput(BaseModel):
    """What the other system answered."""

    processing_result: str
    transaction_id: str


@node_type("task/system-integration", version="1.0.0", idempotent=True, side_effects=True)
def integration(
    parameters: IntegrationParameters, input: IntegrationInput, context: NodeContext
) -> IntegrationOutput:
    """Enter an expense into the finance system, a folder. Doing it again enters nothing more."""
    number = f"TX-{sha256(context.execution_key.encode()).hexdigest()[:10].upper()}"
    entry = {"operation": parameters.operation, "transaction_id": number, **parameters.mapping}
    _write(context.writable(context.roots[0] / parameters.integration_target / f"{number}.json"), entry)
    return IntegrationOutput(processing_result="created", transaction_id=number)


class ArchiveParameters(BaseModel):
    """How long it is kept, and with what."""

    archive_policy: str
    include_audit_trail: bool = True
    generate_pdf: bool = False


class ArchiveInput(BaseModel):
    """A decided request."""

    request: dict[str, Any]
    transaction_id: str | None = None


class ArchiveOutput(BaseModel):
    """The files, and what the workflow comes to."""

    archive_result: list[str]
    workflow_output: dict[str, Any]


@node_type("task/data-operation", version="1.0.0", idempotent=True, side_effects=True)
def archive(parameters: ArchiveParameters, input: ArchiveInput, context: NodeContext) -> ArchiveOutput:
    """Keep a request, with who decided what, as JSON and as a page."""
    request = dict(input.request)
    approvals = request["approvals"] if parameters.include_audit_trail else request.pop("approvals")
    kept = {"policy": parameters.archive_policy, "transaction_id": input.transaction_id, "request": request}
    path = context.writable(context.roots[0] / "archive" / f"{request['request_id']}.json")
    _write(path, kept)
    written = [str(path)]
    if parameters.generate_pdf:
        page = path.with_suffix(".pdf")
        _page(kept).save(page, resolution=100)
        written.append(str(page))
    last = approvals[-1] if isinstance(approvals[-1], dict) else {}
    summary = {
        "request_id": request["request_id"],
        "final_status": request["status"],
        "approval_time": last.get("at") or datetime.now(UTC).isoformat(timespec="seconds"),
        "approver_id": last.get("by"),
        "comments": last.get("comment"),
    }
    return ArchiveOutput(archive_result=written, workflow_output=summary)


def _write(path: Path, value: dict[str, Any]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
    draft.replace(path)


def _page(kept: dict[str, Any]) -> Image.Image:
    """An A4 page of text."""
    page = Image.new("RGB", (827, 1169), "white")
    text = json.dumps(kept, ensure_ascii=True, indent=2)
    ImageDraw.Draw(page).multiline_text((60, 60), text, fill="black", font=ImageFont.load_default(15))
    return page
