"""``data/transform``: operations on the fields of items, on a worker."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ..core.resources import Resources
from .context import NodeContext
from .operations import StructuredOperation
from .operations.transforming import TransformInput, TransformOutput, transformed
from .sdk import node_type


class TransformParameters(BaseModel):
    """The data, and what becomes of it."""

    model_config = ConfigDict(extra="forbid")

    data: JsonValue = Field(
        default=None, description="The list, an expression; default the input's `data`, else its `items`"
    )
    operations: Annotated[list[StructuredOperation], Field(min_length=1)] = Field(
        description="What is done, one after the other"
    )


@node_type(
    "data/transform", version="1.0.0", resources=Resources(cpu_millis=500, memory_mb=512), idempotent=True
)
def transform(
    parameters: TransformParameters, input: TransformInput, context: NodeContext
) -> TransformOutput:
    """Transform a list by its fields, on a worker: filter, sort, aggregate, join, flatten, distinct, limit, pick,
    rename.

    Example: `operations: [{op: filter, where: {field: size, compare: ">", value: 1000}}, {op: aggregate, by: kind,
    compute: {n: count, total: {sum: size}}}]`. Expressions over each item are evaluated in the flow only:
    `control/transform` has the same operations, and map and template beside them.
    """
    return transformed(parameters.operations, parameters.data, input, context)
