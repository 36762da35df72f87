"""``control/terminate``: the instance ends here, whatever else is under way."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...core.termination import Ending, Terminate, Termination
from ..context import NodeContext
from ..sdk import Shown, node_type
from .shared import NO_COMPUTE, Anything


class TerminateParameters(BaseModel):
    """How the instance ends."""

    model_config = ConfigDict(extra="forbid")

    status: Ending = Field(default="completed", description="The status of the instance")
    message: Annotated[str | None, Shown("an error message")] = Field(
        default=None, min_length=1, max_length=2000, description="Why; needed where the instance fails"
    )
    output: Annotated[dict[str, Any] | None, Shown("the output of the instance")] = Field(
        default=None, description="The output of a completed instance; default the definition's"
    )

    @model_validator(mode="after")
    def _fitting(self) -> TerminateParameters:
        if self.status == "failed" and self.message is None:
            raise ValueError("say in message why the instance fails")
        if self.status != "completed" and self.output is not None:
            raise ValueError(f"a {self.status} instance has no output; output goes with status: completed")
        return self


class TerminateOutput(BaseModel):
    """How the instance ended."""

    status: Ending = Field(description="The status given")
    message: str | None = Field(description="The message given")
    output: dict[str, Any] | None = Field(description="The output given")


@node_type("control/terminate", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="flow")
def terminate(parameters: TerminateParameters, input: Anything, context: NodeContext) -> TerminateOutput:
    """End the instance now: as completed, failed or canceled. Nodes under way are cancelled, others do not start.

    Example: `{status: failed, message: "{{ input.file_name }} is no photo"}`. With `status: completed`, `output` is
    what the instance gives. Inside a loop or a branch it ends the whole instance, not only the loop.
    """
    raise Terminate(Termination(parameters.status, parameters.message, parameters.output))
