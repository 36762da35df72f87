"""Which nodes a worker may run one after another within one task, with nobody in between."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Protocol

from ..core.resources import Resources
from .sdk import NodeType


class Declared(Protocol):
    """A node as it is declared, to the compiler or to the run."""

    @property
    def cache(self) -> Any:
        """How its results are used again."""

    @property
    def compensate(self) -> Any:
        """What undoes it."""

    @property
    def breakpoint(self) -> bool:
        """Whether the run stops before it."""
        ...


def alone(node: Declared, node_type: NodeType) -> str | None:
    """Why a node needs a task, or the run, to itself; ``None``: it does not.

    A batch whose worker dies runs again as a whole, so that its nodes must stand that. What the run has to know before
    or after an attempt (a cache, a circuit breaker, how to undo it) cannot happen inside of one.
    """
    if node_type.where == "run":
        return "the run itself drives it"
    if not node_type.idempotent:
        return "it is not idempotent, and a batch that is cut short runs again"
    if node.cache is not None:
        return "its results are cached"
    if node.compensate is not None:
        return "it can be undone"
    if node.breakpoint:
        return "it has a breakpoint"
    return None


_ANY_NODE = re.compile(r"\bnodes\b(?!\s*(?:\.|\[\s*(?:'|\\?\")))")
_SECRET = re.compile(r"\bsecret\s*\(")


def bound_to_the_run(words: str) -> str | None:
    """Why expressions, all of them as one text, can only be evaluated in the run's process; ``None``: anywhere."""
    if _ANY_NODE.search(words):
        return "an expression reads `nodes` as a whole"
    if _SECRET.search(words):
        return "an expression reads a secret, which stays in the run's process"
    return None


def shared(resources: Iterable[Resources]) -> Resources | None:
    """What one task needs for all of these, one after another; ``None`` where they belong on different workers."""
    wanted = list(resources)
    if not wanted:
        return Resources(cpu_millis=1000, memory_mb=0)
    first = wanted[0]
    if any(_place(one) != _place(first) for one in wanted):
        return None
    return first.model_copy(
        update={name: max(getattr(one, name) for one in wanted) for name in ("cpu_millis", "memory_mb")}
    )


def _place(resources: Resources) -> tuple[Any, ...]:
    return (
        resources.gpu,
        resources.gpu_count,
        resources.gpu_share,
        resources.gpu_memory_mb,
        resources.accelerator,
        tuple(sorted(resources.custom.items())),
    )
