"""A node type whose outcome is written in its parameters, for runs that are compared with each other."""

import asyncio

from pydantic import BaseModel, ConfigDict

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.resources import Resources
from mirror_realm.tasks import node_type

SLOW = 0.02


class Outcome(BaseModel):
    model_config = ConfigDict(extra="forbid")

    fails: bool = False
    slow: bool = False
    seen: object = None


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


@node_type(
    "table/outcome", version="1.0.0", idempotent=True,
    resources=Resources(cpu_millis=0, memory_mb=0), where="flow",
)  # fmt: skip
async def outcome(parameters: Outcome, input: Anything, context) -> Anything:
    """Fail for good if the table says so; else give the input's names, its own, and what it has seen. A slow one ends
    after the quick ones beside it."""
    if parameters.slow:
        await asyncio.sleep(SLOW)
    if parameters.fails:
        raise RealmError(Code.INVALID_ARGUMENT, f"{context.node_id} fails, as the table says")
    own = context.node_id.rpartition("/")[2].replace("-", "_")
    return Anything(**{**dict.fromkeys(input.model_extra, 1), own: 1, "seen": parameters.seen})


@node_type("table/work", version="1.0.0", idempotent=True, resources=Resources(cpu_millis=0, memory_mb=0))
async def work(parameters: Outcome, input: Anything, context) -> Anything:
    """The same on a worker, where it may be fused with others."""
    return await outcome.executor(parameters, input, context)
