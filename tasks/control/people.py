"""``control/human-task``: ask people, and wait for what they decide."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from ..context import NodeContext
from ..sdk import Shown, node_type
from .shared import NO_COMPUTE, Anything, driven_by_the_run
from .waiting import FOREVER, Duration


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("a person is named twice")
    return names


Person = Annotated[str, Field(min_length=1, max_length=255)]
People = Annotated[list[Person], Field(min_length=1), AfterValidator(_distinct)]

_SHOWN = Shown("a task that people see")


class HumanTaskParameters(BaseModel):
    """What is asked, of whom, and what happens when nobody answers."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, _SHOWN] = Field(
        min_length=1, max_length=500, description="What is asked, in one line"
    )
    description: Annotated[str | None, _SHOWN] = Field(default=None, description="More about it, as Markdown")
    assignees: People | None = Field(default=None, description="The people who may decide")
    role: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="Or the role of those who may"
    )
    approval: Literal["any", "all", "quorum", "sequential"] = Field(
        default="any",
        description="How many must approve: any one, all, a quorum, or all in the order of assignees",
    )
    quorum: int | None = Field(default=None, ge=1, le=1000, description="How many approvals a quorum is")
    form: dict[str, Any] | None = Field(
        default=None, description="JSON Schema of what an approval must bring along"
    )
    timeout: Duration | None = Field(
        default=None, description="How long people have, as 4h or 3d; default for ever"
    )
    on_timeout: Literal["notify", "escalate", "approve", "reject", "retry"] = Field(
        default="notify",
        description="After the timeout: notify reminds and waits on, escalate hands the task to escalate_to, approve "
        "and reject decide, retry asks everybody anew; the time then begins anew where the task stays open",
    )
    escalate_to: People | None = Field(
        default=None, description="Who decides after an escalation; any one of them"
    )

    @field_validator("form")
    @classmethod
    def _schema(cls, form: dict[str, Any] | None) -> dict[str, Any] | None:
        if form is not None:
            from jsonschema import Draft202012Validator, SchemaError

            try:
                Draft202012Validator.check_schema(form)
            except SchemaError as error:
                where = ".".join(map(str, error.absolute_path))
                raise ValueError(
                    f"not a JSON Schema: {where + ': ' if where else ''}{error.message}"
                ) from None
        return form

    @model_validator(mode="after")
    def _who(self) -> HumanTaskParameters:
        if (self.assignees is None) == (self.role is None):
            raise ValueError("give either assignees or role")
        if self.approval in ("all", "sequential") and self.assignees is None:
            raise ValueError(
                f"approval: {self.approval} needs assignees: how many have the role is not known"
            )
        if (self.quorum is not None) != (self.approval == "quorum"):
            raise ValueError("quorum: n goes with approval: quorum, and is needed there")
        if self.quorum is not None and self.assignees is not None and self.quorum > len(self.assignees):
            raise ValueError(f"a quorum of {self.quorum} is more than the {len(self.assignees)} assignees")
        return self

    @model_validator(mode="after")
    def _after_the_timeout(self) -> HumanTaskParameters:
        if "on_timeout" in self.model_fields_set and self.timeout is None:
            raise ValueError(f"on_timeout: {self.on_timeout} needs a timeout")
        if (self.escalate_to is not None) != (self.on_timeout == "escalate"):
            raise ValueError("escalate_to: [people] goes with on_timeout: escalate, and is needed there")
        return self


class Decision(BaseModel):
    """What one person decided."""

    by: str = Field(description="Who")
    decision: Literal["approve", "reject"] = Field(description="What")
    comment: str | None = Field(description="Why")
    form: JsonValue = Field(description="What was filled in")
    at: datetime = Field(description="When")
    round: int = Field(description="The round of asking; a retry and an escalation begin a new one")


class HumanTaskOutput(BaseModel):
    """What came of it."""

    task_id: str = Field(description="The task's id, ht-…")
    outcome: Literal["approved", "rejected"] = Field(description="What was decided")
    timed_out: bool = Field(description="Whether the timeout decided it, not people")
    decisions: list[Decision] = Field(description="Every decision, in order")
    form: JsonValue = Field(description="What the deciding person filled in; null without")


@node_type(
    "control/human-task", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="run", timeout=FOREVER
)
def human_task(parameters: HumanTaskParameters, input: Anything, context: NodeContext) -> HumanTaskOutput:
    """Ask people to approve or reject, and wait for them, holding no worker. `realm tasks` shows and answers it.

    Example: `{title: "Publish {{ input.name }}?", assignees: [wang, li, chen], approval: quorum, quorum: 2,
    timeout: 1d, on_timeout: escalate, escalate_to: [zhao]}`. A rejection is an outcome, not an error: read
    `nodes.<id>.outcome == 'approved'` on the edges after it.

    `any`: one approval is enough, and all must reject to reject; of a role, whoever decides first decides. `all` and
    `quorum`: approved as soon as enough have approved, rejected as soon as enough no longer can (of a role: when as
    many have rejected). `sequential`: one after the other, and a rejection ends it.
    """
    raise driven_by_the_run("control/human-task")
