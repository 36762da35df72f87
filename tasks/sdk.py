"""The node-author SDK: a decorated function with Pydantic models is a node type.

>>> from pydantic import BaseModel
>>> class Parameters(BaseModel):
...     suffix: str = "!"
>>> class Input(BaseModel):
...     text: str
>>> class Output(BaseModel):
...     text: str
>>> @node_type("example/shout", version="1.0.0", idempotent=True)
... def shout(parameters: Parameters, input: Input, context: "NodeContext") -> Output:
...     "Say it louder."
...     return Output(text=input.text.upper() + parameters.suffix)
>>> shout.name, shout.summary, shout.output.__name__
('example/shout', 'Say it louder.', 'Output')
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from ..core.errors import Code
from ..core.resources import Resources

if typing.TYPE_CHECKING:
    from .context import NodeContext

DEFAULT_TIMEOUT = 300.0
"""Seconds a node may take when neither its type nor the definition says otherwise."""

NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*/[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Effects:
    """What a node reads and writes outside its own output, as resource names such as ``file./nas/a.jpg``,
    ``db.orders`` or ``object.bucket/key``. Two nodes that may run at once must not write what the other touches."""

    reads: Sequence[str] = ()
    writes: Sequence[str] = ()


Executor = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class NodeType:
    """A node type: data about it, and the function that executes it.

    ``where`` is ``worker`` for a function that runs on a Dask worker, ``flow`` for one (sync or async) that runs in
    the flow process because it needs no compute, such as a delay.
    """

    name: str
    version: str
    executor: Executor
    parameters: type[BaseModel]
    input: type[BaseModel]
    output: type[BaseModel]
    summary: str
    description: str
    resources: Resources = field(default_factory=Resources)
    idempotent: bool = False
    batchable: bool = False
    side_effects: bool = False
    """Whether it changes anything outside (files, objects, services); unknown effects then count as writes."""
    effects: Callable[[Any, Any], Effects] | None = None
    timeout: float = DEFAULT_TIMEOUT
    max_attempts: int | None = None
    """A limit on attempts below the taxonomy's own; ``None`` follows the taxonomy."""
    errors: Mapping[type[BaseException], Code] = field(default_factory=dict)
    """This family's own exceptions, mapped to codes, before the shared map of :mod:`.exceptions`."""
    where: Literal["worker", "flow"] = "worker"

    @property
    def family(self) -> str:
        """The part before the slash."""
        return self.name.partition("/")[0]

    def __call__(self, parameters: BaseModel, input: BaseModel, context: NodeContext) -> Any:
        """Run the executor as a plain function (for tests of one node)."""
        return self.executor(parameters, input, context)


def node_type(
    name: str,
    *,
    version: str,
    resources: Resources | None = None,
    idempotent: bool = False,
    batchable: bool = False,
    side_effects: bool = False,
    effects: Callable[[Any, Any], Effects] | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    max_attempts: int | None = None,
    errors: Mapping[type[BaseException], Code] | None = None,
    where: Literal["worker", "flow"] = "worker",
) -> Callable[[Executor], NodeType]:
    """Declare a node type. The function takes ``(parameters, input, context)``, each annotated, and returns its
    output model. Raises :class:`TypeError` at import when a declaration is incomplete, so that no half-declared
    type ever reaches a registry.
    """
    if not NAME.fullmatch(name):
        raise TypeError(f"node type {name!r}: write family/name in lower case, as in image/preprocess")

    def declare(function: Executor) -> NodeType:
        models = _models(name, function)
        doc = inspect.cleandoc(function.__doc__ or "")
        if not doc:
            raise TypeError(
                f"node type {name}: give {function.__name__} a docstring; the catalogue is made from it"
            )
        summary, _, description = doc.partition("\n\n")
        return NodeType(
            name=name,
            version=version,
            executor=function,
            parameters=models["parameters"],
            input=models["input"],
            output=models["return"],
            summary=" ".join(summary.split()),
            description=description.strip(),
            resources=resources or Resources(),
            idempotent=idempotent,
            batchable=batchable,
            side_effects=side_effects,
            effects=effects,
            timeout=timeout,
            max_attempts=max_attempts,
            errors=errors or {},
            where=where,
        )

    return declare


def _models(name: str, function: Executor) -> dict[str, type[BaseModel]]:
    signature = list(inspect.signature(function).parameters)
    if signature != ["parameters", "input", "context"]:
        raise TypeError(f"node type {name}: {function.__name__} must take (parameters, input, context)")
    namespace = dict(inspect.getclosurevars(function).globals) | function.__globals__
    # Models defined beside the function (in a test, a notebook) are in reach too.
    frame = inspect.currentframe()
    caller = frame.f_back.f_back if frame and frame.f_back else None
    local = dict(caller.f_locals) if caller else {}
    models: dict[str, type[BaseModel]] = {}
    for argument in ("parameters", "input", "return"):
        annotation = function.__annotations__.get(argument)
        if isinstance(annotation, str):
            annotation = (local | namespace).get(annotation)
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            raise TypeError(
                f"node type {name}: annotate {argument} of {function.__name__} with a Pydantic model class"
            )
        models[argument] = annotation
    return models
