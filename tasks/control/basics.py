"""Begin, end, wait, compute values: the plainest nodes. They need no worker and run in the flow's process."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from ...core.durations import parse_duration
from ..context import NodeContext
from ..sdk import node_type
from .shared import NO_COMPUTE, Anything, driven_by_the_run
from .waiting import FOREVER


class NoParameters(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid")


@node_type(
    "control/start", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="flow", passes_on=True
)
def start(parameters: NoParameters, input: Anything, context: NodeContext) -> Anything:
    """Begin the workflow: hands the instance's input on. Optional."""
    return input


@node_type(
    "control/end", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="flow", passes_on=True
)
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


def _waits(parameters: Mapping[str, Any]) -> float:
    duration = parameters.get("duration")
    try:
        return parse_duration(duration) if isinstance(duration, str | int | float) else 0.0
    except ValueError:
        return 0.0  # an expression, or what the check of parameters refuses


@node_type(
    "control/delay",
    version="1.0.0",
    resources=NO_COMPUTE,
    idempotent=True,
    where="run",
    timeout=FOREVER,
    waits=_waits,
    passes_on=True,
)
def delay(parameters: DelayParameters, input: Anything, context: NodeContext) -> DelayOutput:
    """Wait for a duration or until a moment, holding no worker. The input is passed through."""
    raise driven_by_the_run("control/delay")


class SetParameters(BaseModel):
    """The values."""

    model_config = ConfigDict(extra="forbid")

    values: dict[str, JsonValue] = Field(description="Names and values; expressions in them are computed")


def _values(parameters: Mapping[str, Any]) -> Mapping[str, Any] | None:
    values = parameters.get("values")
    return values if isinstance(values, dict) else None


@node_type("control/set", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="flow", gives=_values)
def set_values(parameters: SetParameters, input: Anything, context: NodeContext) -> Anything:
    """Compute values by expressions; they are the node's output."""
    return Anything.model_validate(parameters.values)
