"""What the nodes that steer share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from ...core.errors import Code, RealmError
from ...core.resources import Resources

NO_COMPUTE = Resources(cpu_millis=0, memory_mb=0)


class Anything(BaseModel):
    """Any input, passed through."""

    model_config = ConfigDict(extra="allow")


def driven_by_the_run(name: str) -> RealmError:
    """The error of a construct that is executed outside a run: it has nodes of its own, which only a run can
    start."""
    return RealmError(
        Code.FAILED_PRECONDITION,
        f"{name} can only be executed inside a workflow",
        hint="write a definition with it, and run that",
    )
