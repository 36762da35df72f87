"""What the node types that carry out operations share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ..context import NodeContext
from . import carry_out
from .reading import Operation


class TransformInput(BaseModel):
    """The list, where the parameters do not say it."""

    model_config = ConfigDict(extra="allow")

    data: Any = Field(default=None, description="The list")
    items: Any = Field(default=None, description="The list, as a loop gives it")


class TransformOutput(BaseModel):
    """What came of it."""

    data: JsonValue = Field(description="The list; a text after a template with a separator")
    count: int = Field(description="How many items the list has; 1 for a text")


def transformed(
    operations: Sequence[Operation], data: Any, input: TransformInput, context: NodeContext
) -> TransformOutput:
    """The operations' result over ``data``, else over what the input brings."""
    if data is None:
        data = input.data if "data" in input.model_fields_set else input.items
    found = carry_out(operations, data, context)
    return TransformOutput(data=found, count=len(found) if isinstance(found, list) else 1)
