"""``control/aggregate``: the outputs of several nodes in one, also where some are missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from ...core.errors import Code, RealmError
from ..context import NodeContext
from ..sdk import NodeName, node_type
from .shared import NO_COMPUTE

NodeIds = list[Annotated[NodeName, Field(min_length=1)]]


class AggregateParameters(BaseModel):
    """Which nodes, and what to do without one of them."""

    model_config = ConfigDict(extra="forbid")

    required: NodeIds = Field(default_factory=list, description="Nodes whose outputs are needed")
    optional: NodeIds = Field(default_factory=list, description="Nodes whose outputs are welcome")
    on_missing: Literal["fail", "partial"] = Field(
        default="fail",
        description="Without a required output, fail, or go on with a partial result; an optional one may always miss",
    )

    @model_validator(mode="after")
    def _sources(self) -> AggregateParameters:
        if not self.sources:
            raise ValueError("name at least one node in required or optional")
        if twice := [name for name in dict.fromkeys(self.sources) if self.sources.count(name) > 1]:
            raise ValueError(f"{', '.join(map(repr, twice))} is named twice")
        return self

    @property
    def sources(self) -> list[str]:
        """All of them, the required ones first."""
        return [*self.required, *self.optional]


class Sources(BaseModel):
    """The outputs by node; the compiler maps them here."""

    model_config = ConfigDict(extra="allow")

    sources: dict[str, Any] = Field(
        default_factory=dict, description="{node: output} of the nodes that ran; edges from them bring it"
    )


class AggregateOutput(BaseModel):
    """What there is, and what is not."""

    results: dict[str, JsonValue] = Field(description="{node: output} of the nodes that completed")
    missing: list[str] = Field(description="The named nodes without a result, the required ones first")
    errors: dict[str, JsonValue] = Field(
        description="{node: error} of those that failed and were tolerated (fail_on_error: false, on_error: ignore)"
    )
    complete: bool = Field(description="Whether none is missing")


@node_type("control/aggregate", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="flow")
def aggregate(parameters: AggregateParameters, input: Sources, context: NodeContext) -> AggregateOutput:
    """Gather the outputs of several nodes by their ids, also where some were skipped or failed.

    It waits for every node that it names; edges from them need not be written. Example:
    `{required: [profile], optional: [orders, coupons]}` gives `{{ nodes.all.results.profile }}`. One without any source
    that ran is skipped, as every node is that no edge leads into.
    """
    errors = {name: found["error"] for name, found in input.sources.items() if _failed(found)}
    results = {
        name: input.sources[name]
        for name in parameters.sources
        if name in input.sources and name not in errors
    }
    missing = [name for name in parameters.sources if name not in results]
    lacking = [name for name in parameters.required if name in missing]
    if lacking and parameters.on_missing == "fail":
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"{', '.join(map(repr, lacking))} gave no result",
            hint="name it under optional, or set on_missing: partial",
            details={"missing": missing, "errors": errors},
        )
    return AggregateOutput(results=results, missing=missing, errors=errors, complete=not missing)


def _failed(found: Any) -> bool:
    """Whether it is what a run hands on of a node that failed and was tolerated."""
    return isinstance(found, Mapping) and found.keys() == {"status", "error"} and found["status"] == "failed"
