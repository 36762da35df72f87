"""A node's error as the error of what it is in: with the place where it happened."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from ..core.errors import Code, ErrorRecord

if TYPE_CHECKING:
    from .scope import Handle

_PLACE = ("node_id", "iteration", "node_type", "attempt", "worker", "at")


def of_node(handle: Handle) -> ErrorRecord:
    """The error of a part, or of the instance, in which ``handle`` failed. A construct hands on the error of the node
    inside it, which is the one that matters."""
    node, error = handle.node, handle.error or ErrorRecord(Code.INTERNAL_ERROR, "it failed without an error")
    if "node_id" in error.details:
        return error
    place = (handle.key, handle.scope.iteration, node.type, handle.attempts, handle.worker, node.at)
    context = {name: value for name, value in zip(_PLACE, place, strict=True) if value}
    return ErrorRecord(
        error.code,
        f"node {handle.label!r}: {error.message}",
        error.hint,
        {**error.details, **context},
        error.exception,
        error.traceback,
    )


def of_fault(error: BaseException) -> ErrorRecord:
    """A fault of ours, with its traceback."""
    return ErrorRecord(
        Code.INTERNAL_ERROR,
        f"{type(error).__name__}: {error}",
        exception=f"{type(error).__module__}.{type(error).__name__}",
        traceback="".join(traceback.format_exception(error)),
    )
