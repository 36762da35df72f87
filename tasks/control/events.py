"""Events between workflows, and from outside: emit one, wait for one. The run drives both through the store."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from ..context import NodeContext
from ..sdk import Deferred, Effects, Shown, node_type
from .shared import NO_COMPUTE, Anything, driven_by_the_run
from .waiting import FOREVER, Correlation, Duration

EventType = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\s*]+$")]
"""The name of a kind of events, such as ``media.ingested``."""


class Event(BaseModel):
    """An event as it was recorded."""

    id: str = Field(description="Its id, evt-…")
    type: str = Field(description="What kind of event it is")
    payload: JsonValue = Field(description="What it brings")
    correlation: JsonValue = Field(description="What ties it to who waits for it; null for nothing")
    source: str = Field(description="Who emitted it: an instance and its node, a person, a service")
    created_at: datetime = Field(description="When it was recorded")


class EmitParameters(BaseModel):
    """The event."""

    model_config = ConfigDict(extra="forbid")

    type: EventType = Field(description="What kind of event it is, as media.ingested")
    payload: Annotated[JsonValue, Shown("an event", default_input=True)] = Field(
        default=None, description="What it brings, up to 256 KiB of JSON; default the node's input"
    )
    correlation: Correlation | None = Field(
        default=None,
        description="What ties it to who waits for it: a value, or several by name; null for nothing",
    )


class EmitOutput(BaseModel):
    """The event."""

    event: Event = Field(description="The event as recorded")


@node_type(
    "control/emit-event",
    version="1.0.0",
    resources=NO_COMPUTE,
    idempotent=True,
    where="run",
    side_effects=True,
    effects=lambda parameters, input: Effects(adds=[f"event.{parameters.type}"]),
)
def emit_event(parameters: EmitParameters, input: Anything, context: NodeContext) -> EmitOutput:
    """Record an event: instances that wait for its type go on, triggers of its type start others.

    Example: `{type: order.paid, correlation: "{{ input.order }}", payload: {amount: "{{ input.amount }}"}}`. A retry
    or a resumed run does not emit it twice.
    """
    driven("control/emit-event")


class WaitParameters(BaseModel):
    """Which event, and how long."""

    model_config = ConfigDict(extra="forbid")

    type: EventType = Field(description="The type of the event, as order.paid")
    correlation: Correlation | None = Field(
        default=None,
        description="Only an event with this correlation: the value, or of a mapping at least these names with these "
        "values; null for any",
    )
    filter: Annotated[str | bool | None, Deferred(names=("event",), condition=True)] = Field(
        default=None, description="Only an event for which this holds, as event.payload.amount > 100"
    )
    since: Literal["instance", "wait"] = Field(
        default="instance",
        description="instance: an event that came since the instance began counts, even before this node; wait: only "
        "one that comes from now on",
    )
    timeout: Duration | None = Field(default=None, description="How long, as 30m or 2d; default for ever")
    on_timeout: Literal["fail", "continue"] = Field(
        default="fail", description="Whether the node then fails, or goes on with timed_out"
    )

    @model_validator(mode="after")
    def _fitting(self) -> WaitParameters:
        if self.on_timeout == "continue" and self.timeout is None:
            raise ValueError("on_timeout: continue needs a timeout")
        return self


class WaitOutput(BaseModel):
    """The event, or that none came."""

    event: Event | None = Field(description="The event; null when none came in time")
    timed_out: bool = Field(description="Whether none came in time")


@node_type(
    "control/wait-event", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="run", timeout=FOREVER
)
def wait_event(parameters: WaitParameters, input: Anything, context: NodeContext) -> WaitOutput:
    """Wait for an event, holding no worker. Its payload is `nodes.<id>.event.payload`.

    Example: `{type: order.paid, correlation: "{{ input.order }}", filter: "event.payload.amount >= 100", timeout: 2d,
    on_timeout: continue}`. Every instance that waits gets the event; a node in a loop gets each event once. Without a
    timeout of its own, the node's and the instance's timeouts still hold.
    """
    driven("control/wait-event")


def driven(name: str) -> NoReturn:
    """Refuse to be executed like a plain node."""
    raise driven_by_the_run(name)
