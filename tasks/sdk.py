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
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, WithJsonSchema

from ..core.errors import Code
from ..core.resources import Resources

if typing.TYPE_CHECKING:
    from .context import NodeContext

DEFAULT_TIMEOUT = 300.0
"""Seconds a node may take when neither its type nor the definition says otherwise."""

NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*/[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Effects:
    """What a node touches outside its own output, as resource names such as ``file./nas/a.jpg``, ``db.orders`` or
    ``object.bucket/key``; ``file./nas/`` is a folder with all in it, ``{…}`` in a name what only the run knows.

    Two nodes that may run at once must not write what the other touches. ``adds`` is what a node adds to so that the
    order of two additions does not matter: content-addressed files, messages, rows of its own.
    """

    reads: Sequence[str] = ()
    writes: Sequence[str] = ()
    adds: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """Marks a parameter that people or other systems get to see, so that no secret may stand in it. ``what`` says what
    it becomes part of, as ``a notification``. Used as ``Annotated[str, Shown("a notification")]``."""

    what: str
    default_input: bool = False
    """Whether the node's input is shown where the parameter is not given."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Marks a parameter that holds an expression which the run evaluates later than the others, maybe often.

    ``names`` are in reach of it beyond what every expression reads; with ``in_parts``, so are the nodes of the node's
    own parts. Used as ``Annotated[str, Deferred(names=("loop",))]``.
    """

    names: tuple[str, ...] = ()
    in_parts: bool = False
    condition: bool = False
    """Whether it must be true or false."""


NODE_NAME = "node-id"
"""The JSON Schema format of a parameter that names a node."""

NodeName = Annotated[str, WithJsonSchema({"type": "string", "format": NODE_NAME})]
"""A parameter that names a node beside this one: editors complete it, and renaming that node changes it."""

Executor = Callable[..., Any]
Binds = Callable[[Mapping[str, Any]], Mapping[str, str | None]]
Gives = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]
Waits = Callable[[Mapping[str, Any]], float]
Service = Callable[[Mapping[str, Any]], tuple[str, str] | None]


def _binds_nothing(parameters: Mapping[str, Any]) -> Mapping[str, str | None]:
    return {}


def _waits_for_nothing(parameters: Mapping[str, Any]) -> float:
    return 0.0


def _gives_unknown(parameters: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return None


def _always(parameters: Mapping[str, Any]) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Once:
    """That a result follows from a picture's content and the parameters, so that each content needs it once.

    ``weights``: also from the weights on this machine. ``when``: with which parameters, as evaluated.
    """

    weights: bool = False
    when: Callable[[Mapping[str, Any]], bool] = _always


@dataclass(frozen=True)
class NodeType:
    """A node type: data about it, and the function that executes it.

    ``where`` is ``worker`` for a function that runs on a Dask worker, ``flow`` for one (sync or async) that runs in
    the flow process because it needs no compute, such as a delay, ``run`` for a construct that the run itself drives
    (``flows/constructs``), such as a loop.
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
    service: Service | None = None
    """The service that a node with these parameters calls, and its operation: after too many failures in a row it is
    left alone for a while, by every node that calls it."""
    where: Literal["worker", "flow", "run"] = "worker"
    parts: Literal["body", "branches"] | None = None
    """Whether the node has nodes of its own, and under which key."""
    binds: Binds = _binds_nothing
    """The names that expressions inside its parts may read, given its parameters; each with the parameter whose items
    it goes through, if it does."""
    gives: Gives = _gives_unknown
    """The output as a template, where the parameters spell it out (as those of ``control/set`` do)."""
    waits: Waits = _waits_for_nothing
    """Seconds that it waits in any case, given its parameters as written."""
    passes_on: bool = False
    """Whether the output has every field of the input."""
    once: Once | None = None
    """Whether its results are remembered by content; ``None`` where they depend on more."""

    @cached_property
    def shown(self) -> Mapping[str, Shown]:
        """The parameters that people or other systems get to see."""
        fields = self.parameters.model_fields.items()
        return {name: m for name, field in fields for m in field.metadata if isinstance(m, Shown)}

    @cached_property
    def deferred(self) -> Mapping[str, Deferred]:
        """The parameters that are evaluated by the run, later."""
        fields = self.parameters.model_fields.items()
        return {name: m for name, field in fields for m in field.metadata if isinstance(m, Deferred)}

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
    service: Service | None = None,
    where: Literal["worker", "flow", "run"] = "worker",
    parts: Literal["body", "branches"] | None = None,
    binds: Binds = _binds_nothing,
    gives: Gives = _gives_unknown,
    waits: Waits = _waits_for_nothing,
    passes_on: bool = False,
    once: Once | None = None,
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
            service=service,
            where=where,
            parts=parts,
            binds=binds,
            gives=gives,
            waits=waits,
            passes_on=passes_on,
            once=once,
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
