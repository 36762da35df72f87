"""Constructs: nodes with nodes of their own. Here are their specifications; ``flows/constructs`` drives them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel, field_validator

from ..context import NodeContext
from ..sdk import Deferred, node_type
from .shared import NO_COMPUTE, Anything, driven_by_the_run

LONGEST = 365 * 86400.0
"""Seconds that a construct may take unless its node says otherwise: its nodes have timeouts of their own."""
Name = Annotated[str, Field(pattern=r"^[^\W\d]\w*$", max_length=64)]


Results = Literal["list", "file", "none"]
RESULTS = (
    "list: the output is the list of the outputs, up to 16 MiB; file: {count, failed, file}, a file of JSON lines; "
    "none: {count, failed}"
)


class Outputs(RootModel[list[JsonValue] | dict[str, JsonValue]]):
    """The outputs of the iterations, in order; with `results: file` or `none`, their number and their file."""


class ForeachParameters(BaseModel):
    """What to go through, and how."""

    model_config = ConfigDict(extra="forbid")

    items: list[Any] = Field(description="The list to go through, an expression such as {{ input.files }}")
    item: Name = Field(default="item", description="What expressions of the body call the present item")
    max_concurrent: int = Field(default=8, ge=1, le=10_000, description="Items in work at the same time")
    batch_size: int = Field(
        default=1,
        ge=1,
        le=100_000,
        description="Items that one task of a worker takes together, one after another, where the nodes of the body "
        "allow it: for many small items",
    )
    results: Results = Field(default="list", description=RESULTS)
    on_item_error: Literal["fail", "collect", "ignore"] = Field(
        default="fail",
        description="fail: the first failed item ends the foreach; collect: its place in the output holds "
        "{error: …}; ignore: the output leaves it out",
    )

    @field_validator("item")
    @classmethod
    def _free(cls, value: str) -> str:
        if value in TAKEN:
            raise ValueError(f"{value!r} is a name that expressions have already")
        return value


TAKEN = frozenset({"input", "trigger", "nodes", "vars", "loop", "execution", "env", "true", "false", "null"})


@node_type(
    "control/foreach", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="run", max_attempts=1,
    parts="body",
    binds=lambda parameters: {"loop": None, str(parameters.get("item") or "item"): "items"}, timeout=LONGEST,
)  # fmt: skip
def foreach(parameters: ForeachParameters, input: Anything, context: NodeContext) -> Outputs:
    """Run the nodes of `body` for each item of a list. The output is the list of the items' outputs, in order.

    Inside the body, `item` (or the name given) is the item, `loop.index` counts from 0, `loop.length` is the number of
    items and `loop.parent` the loop around this one. An item's output is `{node: output}` of the body's nodes that
    ran, or the body's own `output`. A node at the beginning of the body gets what the foreach got (but for the list
    that it goes through), the fields of the item where it is an object, and the item under its name.
    """
    driven("control/foreach")


class LoopParameters(BaseModel):
    """How long to go on."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["while", "until", "do-while"] = Field(
        default="while",
        description="while: before each round, as long as the condition holds; until: before each round, until it "
        "holds; do-while: after each round, as long as it holds",
    )
    condition: Annotated[bool | str, Deferred(names=("loop",), in_parts=True, condition=True)] = Field(
        description="An expression that is true or false; it may read loop.index, loop.last and the body's nodes"
    )
    max_iterations: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="The most rounds; beyond them the loop fails. Needed unless the condition bounds loop.index",
    )
    results: Results = Field(default="list", description=RESULTS)
    break_on_error: bool = Field(
        default=False, description="Whether a failed round ends the loop instead of failing it"
    )


@node_type(
    "control/loop", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="run", max_attempts=1,
    parts="body",
    binds=lambda parameters: {"loop": None}, timeout=LONGEST,
)  # fmt: skip
def loop(parameters: LoopParameters, input: Anything, context: NodeContext) -> Outputs:
    """Run the nodes of `body` again and again. The output is the list of the rounds' outputs, in order.

    Inside the body and in the condition, `loop.index` counts from 0, `loop.last` is the output of the round before
    (null in the first) and `loop.parent` the loop around this one. The condition may also read the body's nodes, as
    they were in the round before.
    """
    driven("control/loop")


class ParallelParameters(BaseModel):
    """When the fork is over."""

    model_config = ConfigDict(extra="forbid")

    wait_for: Literal["all", "any"] | Annotated[int, Field(ge=1)] = Field(
        default="all",
        description="all, any, or how many branches must complete; the others are then cancelled",
    )
    fail_fast: bool = Field(
        default=True,
        description="Whether a failed branch ends the others at once; else they go on, and the fork fails after them",
    )
    max_concurrent: int | None = Field(
        default=None, ge=1, description="Branches at the same time; default all"
    )


@node_type(
    "control/parallel", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="run", max_attempts=1,
    parts="branches",
    timeout=LONGEST,
)  # fmt: skip
def parallel(parameters: ParallelParameters, input: Anything, context: NodeContext) -> Anything:
    """Run the nodes of `branches` side by side. The output is `{branch: output}` of the branches that completed.

    A branch's output is `{node: output}` of its nodes that ran, or the branch's own `output`. A node at the beginning
    of a branch gets what the fork got.
    """
    driven("control/parallel")


class SubworkflowParameters(BaseModel):
    """Which workflow, and its input."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, description="The workflow's name")
    version: str | None = Field(
        default=None,
        min_length=1,
        description="A version or a range, as 1.2.0, ^1.2 or >=1,<2; default the newest",
    )
    input: dict[str, Any] | None = Field(
        default=None, description="The sub-workflow's input; default what this node gets"
    )


@node_type(
    "control/subworkflow",
    version="1.0.0",
    resources=NO_COMPUTE,
    idempotent=True,
    where="run",
    max_attempts=1,
    timeout=LONGEST,
)
def subworkflow(parameters: SubworkflowParameters, input: Anything, context: NodeContext) -> Anything:
    """Run another workflow as a part of this one; its output is the node's output.

    The definition is found when this one is compiled (beside it, or registered) and becomes part of the flow.
    """
    driven("control/subworkflow")


class TransactionParameters(BaseModel):
    """How to undo."""

    model_config = ConfigDict(extra="forbid")

    on_compensation_error: Literal["continue", "stop"] = Field(
        default="continue", description="Whether the other steps are still undone when undoing one has failed"
    )


@node_type(
    "control/transaction", version="1.0.0", resources=NO_COMPUTE, idempotent=True, where="run", max_attempts=1,
    parts="body",
    timeout=LONGEST,
)  # fmt: skip
def transaction(parameters: TransactionParameters, input: Anything, context: NodeContext) -> Anything:
    """Run the nodes of `body` as one step: when one fails, those that completed are undone by their `compensate`, the
    last one first. The output is `{node: output}`, or the body's own `output`.
    """
    driven("control/transaction")


def driven(name: str) -> NoReturn:
    """Refuse to be executed like a plain node."""
    raise driven_by_the_run(name)
