"""What an emitted module declares: the workflow, its nodes, and the edges between their runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .scope import Handle, Scope

Json = Mapping[str, Any]
Join = Literal["any", "all"] | int


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry rule that replaces the taxonomy's default for one node. ``on`` empty means every retryable code.

    ``max_attempts`` counts attempts, not retries; delays are in seconds.
    """

    max_attempts: int = 4
    initial: float = 1.0
    multiplier: float = 2.0
    max: float = 60.0
    jitter: float = 0.1
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow version as the runtime needs it. ``definition`` is ``sha256:`` and the definition's hash."""

    name: str
    version: str
    title: str | None = None
    description: str | None = None
    definition: str = ""
    source: str | None = None
    input_schema: Json | None = None
    output: Json | None = None
    variables: Json = field(default_factory=dict)
    timeout: float = 86400.0
    error_handling: Json | None = None
    task_runner: str = "dask"
    profile: str = "interactive"
    """``bulk``: only the run itself is tracked, not each of its nodes."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A node as declared: its type, what it is given, and how it is run. ``at`` is its place in the definition."""

    id: str
    type: str
    parameters: Json = field(default_factory=dict)
    input: Json | None = None
    when: str | bool | None = None
    join: Join = "any"
    timeout: float | None = None
    retry: Retry | None = None
    resources: Json | None = None
    fail_on_error: bool = True
    on_error: Any = None
    cache: Json | None = None
    compensate: Json | None = None
    priority: float = 5
    breakpoint: bool = False
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge from a node's run: taken when the node succeeded and ``when`` holds (``else``: no sibling did). One of an
    ``on_error`` rule is taken when the node failed and the rule names the node that the edge leads to."""

    source: Handle
    when: str | bool | None = None
    mapping: Json | None = None
    on_error: bool = False


def workflow(name: str, version: str, **options: Any) -> Workflow:
    """Declare the workflow; options are the fields of :class:`Workflow`."""
    options["tags"] = tuple(options.get("tags") or ())
    if options.get("variables") is None:
        options.pop("variables", None)
    return Workflow(name, version, **options)


def node(id: str, type: str, *, parameters: Json | None = None, **options: Any) -> Node:
    """Declare a node; options are the fields of :class:`Node`."""
    return Node(id, type, parameters=parameters or {}, **options)


@dataclass(frozen=True, slots=True)
class SubWorkflow:
    """A workflow as a part of another one: its declaration, the function that starts its nodes, and the one that starts
    what runs when it has failed."""

    workflow: Workflow
    function: Callable[[Scope], Any]
    on_failure: Callable[[Scope], Any] | None = None

    def __call__(self, run: Scope) -> Any:
        """Start its nodes."""
        return self.function(run)


def subworkflow(
    declared: Workflow, *, on_failure: Callable[[Scope], Any] | None = None
) -> Callable[[Callable[[Scope], Any]], SubWorkflow]:
    """Make a function that starts nodes the sub-workflow ``declared``."""
    return lambda function: SubWorkflow(declared, function, on_failure)


def edge(
    source: Handle, when: str | bool | None = None, mapping: Json | None = None, *, on_error: bool = False
) -> Edge:
    """An edge with a condition or a mapping, or the way of an error; a plain handle is an edge with none of these."""
    return Edge(source, when, mapping, on_error)


def edges(after: Handle | Edge | Sequence[Handle | Edge] | None) -> tuple[Edge, ...]:
    """What ``after=`` was given, as edges."""
    if after is None:
        return ()
    items = after if isinstance(after, Sequence) else (after,)
    return tuple(item if isinstance(item, Edge) else Edge(item) for item in items)
