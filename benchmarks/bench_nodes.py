"""The node type of the benchmarks of the runtime: next to no work, so that what is left is the runtime's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from mirror_realm.tasks import node_type

if TYPE_CHECKING:
    from mirror_realm.tasks import NodeContext


class Nothing(BaseModel):
    """No parameters."""


class Value(BaseModel):
    """A number."""

    value: int = 1


@node_type("bench/double", version="1.0.0", idempotent=True)
def double(parameters: Nothing, input: Value, context: NodeContext) -> Value:
    """Double a number."""
    return Value(value=input.value * 2 % 1_000_003)
