"""The node types of the benchmarks of the runtime: next to no work, so that what is left is the runtime's own."""

from __future__ import annotations

import os
import time
from pathlib import Path
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


class Noted(BaseModel):
    """A ledger file, and how long to be at it."""

    ledger: str
    seconds: float = 0.0


@node_type("bench/note", version="1.0.0", idempotent=True)
def note(parameters: Noted, input: Value, context: NodeContext) -> Value:
    """Note the node, its process and the moment in a ledger; then take some time over it."""
    with Path(parameters.ledger).open("a", encoding="ascii") as file:
        file.write(f"{context.node_id} {os.getpid()} {time.time()}\n")
    end = time.monotonic() + parameters.seconds
    while (left := end - time.monotonic()) > 0:
        context.check_canceled()
        time.sleep(min(0.05, left))
    return Value(value=input.value)
