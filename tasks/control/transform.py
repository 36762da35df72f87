"""``control/transform``: small data made fit for what follows, with expressions over each item."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ..context import NodeContext
from ..operations import AnyOperation
from ..operations.transforming import TransformInput, TransformOutput, transformed
from ..sdk import Deferred, node_type
from .shared import NO_COMPUTE


class TransformParameters(BaseModel):
    """The data, and what becomes of it."""

    model_config = ConfigDict(extra="forbid")

    data: JsonValue = Field(
        default=None, description="The list, an expression; default the input's `data`, else its `items`"
    )
    operations: Annotated[list[AnyOperation], Field(min_length=1), Deferred(names=("item", "index"))] = Field(
        description="What is done, one after the other; expressions may read item and index"
    )


@node_type("control/transform", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="flow")
def transform(
    parameters: TransformParameters, input: TransformInput, context: NodeContext
) -> TransformOutput:
    """Transform a list: map, filter, sort, aggregate, join, flatten, distinct, limit, pick, rename, template.

    Example: `operations: [{op: filter, where: "{{ item.size > 1000 }}"}, {op: sort, by: size, order: desc},
    {op: map, to: {name: "{{ item.name.lower() }}", rank: "{{ index + 1 }}"}}]`. A key is a field, as `exif.camera`, or
    an expression. It runs in the flow: large data belongs to a node on a worker, such as `data/transform`.
    """
    return transformed(parameters.operations, parameters.data, input, context)
