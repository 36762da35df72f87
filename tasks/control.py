"""Nodes that steer: begin, end, wait, decide, compute values. They need no worker and run in the flow's
process."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictBool, field_validator, model_validator

from ..core.durations import parse_duration
from ..core.resources import Resources
from .context import NodeContext
from .sdk import node_type

NO_COMPUTE = Resources(cpu_millis=0, memory_mb=0)
LONGEST_SLEEP = 3600.0
"""A long delay sleeps in pieces of this many seconds, so that a clock that is set meanwhile is noticed."""


class NoParameters(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid")


class Anything(BaseModel):
    """Any input, passed through."""

    model_config = ConfigDict(extra="allow")


@node_type("control/start", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="flow")
def start(parameters: NoParameters, input: Anything, context: NodeContext) -> Anything:
    """Begin the workflow: hands the instance's input on. Optional."""
    return input


@node_type("control/end", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="flow")
def end(parameters: NoParameters, input: Anything, context: NodeContext) -> Anything:
    """End the workflow: its input is the workflow's output. Optional."""
    return input


class DelayParameters(BaseModel):
    """Either a duration or a moment."""

    model_config = ConfigDict(extra="forbid")

    duration: str | float | None = Field(
        default=None, description="How long, as in 30s, 5m, 1h30m, PT5M, or seconds"
    )
    until: datetime | None = Field(
        default=None,
        description="Until when, as ISO 8601; UTC where it names no time zone; at once when past",
    )

    @field_validator("duration")
    @classmethod
    def _readable(cls, value: str | float | None) -> str | float | None:
        if value is not None:
            parse_duration(value)
        return value

    @model_validator(mode="after")
    def _one_of_two(self) -> DelayParameters:
        if (self.duration is None) == (self.until is None):
            raise ValueError("give either duration or until")
        return self


class DelayOutput(BaseModel):
    """The input, and how long the wait was."""

    model_config = ConfigDict(extra="allow")

    waited_seconds: float = Field(description="How long this attempt waited")


@node_type(
    "control/delay", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="flow", timeout=7 * 86400.0
)
async def delay(parameters: DelayParameters, input: Anything, context: NodeContext) -> DelayOutput:
    """Wait for a duration or until a moment, holding no worker. The input is passed through."""
    started = datetime.now(UTC)
    if parameters.until is not None:
        until = parameters.until if parameters.until.tzinfo else parameters.until.replace(tzinfo=UTC)
        # No event to await here: the wall clock is asked again since it may be set meanwhile.
        while (left := (until - datetime.now(UTC)).total_seconds()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left, LONGEST_SLEEP))
    else:
        await asyncio.sleep(parse_duration(parameters.duration or 0))
    waited = (datetime.now(UTC) - started).total_seconds()
    return DelayOutput.model_validate(
        {**(input.model_extra or {}), "waited_seconds": round(max(waited, 0.0), 3)}
    )


class Case(BaseModel):
    """One way out."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(
        default=None, description="The case's name, in the output's `case`; default the target"
    )
    target: str | None = Field(default=None, description="The node that follows when this case is taken")
    when: StrictBool = Field(description="The condition, an expression that is true or false")

    @property
    def label(self) -> str | None:
        """What the output calls this case."""
        return self.name or self.target


class ConditionParameters(BaseModel):
    """Either one condition or several cases."""

    model_config = ConfigDict(extra="forbid")

    condition: StrictBool | None = Field(default=None, description="An expression that is true or false")
    cases: list[Case] | None = Field(
        default=None, min_length=1, description="Cases; the first that holds is taken"
    )
    true_path: str | list[str] | None = Field(
        default=None, description="Node or nodes that follow when it holds"
    )
    false_path: str | list[str] | None = Field(
        default=None, description="Node or nodes that follow when it does not"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> ConditionParameters:
        if (self.condition is None) == (self.cases is None):
            raise ValueError("give either condition or cases")
        labels = [case.label for case in self.cases or []]
        if None in labels:
            raise ValueError("each case needs a name or a target")
        if len(set(labels)) != len(labels):
            raise ValueError("two cases have the same name")
        return self


class ConditionOutput(BaseModel):
    """The input, and what was decided."""

    model_config = ConfigDict(extra="allow")

    result: bool = Field(description="Whether the condition, or any case, holds")
    case: str | None = Field(
        description="The case taken: `true` or `false` for a condition, null when no case holds"
    )


@node_type("control/condition", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="flow")
def condition(parameters: ConditionParameters, input: Anything, context: NodeContext) -> ConditionOutput:
    """Decide which way to go. The input is passed through; `true_path` and `false_path`, or edges that read
    `result` or `case`, lead on.

    A condition is an expression such as `{{ input.width > 100 }}`; anything but true or false is an error.
    """
    if parameters.cases is None:
        result = bool(parameters.condition)
        case = "true" if result else "false"
    else:
        case = next((case.label for case in parameters.cases if case.when), None)
        result = case is not None
    return ConditionOutput.model_validate({**(input.model_extra or {}), "result": result, "case": case})


class SetParameters(BaseModel):
    """The values."""

    model_config = ConfigDict(extra="forbid")

    values: dict[str, JsonValue] = Field(description="Names and values; expressions in them are computed")


@node_type("control/set", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="flow")
def set_values(parameters: SetParameters, input: Anything, context: NodeContext) -> Anything:
    """Compute values by expressions; they are the node's output."""
    return Anything.model_validate(parameters.values)
