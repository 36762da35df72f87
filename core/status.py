"""Statuses of instances and nodes, and the one table of legal transitions.

The store refuses a transition that is not in the table; ``docs/execution.md`` draws it; Prefect's states map
to and from it by :data:`PREFECT_STATES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from .errors import Code, RealmError


class InstanceStatus(StrEnum):
    """Where one run of a workflow version stands."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    COMPENSATING = "compensating"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def terminal(self) -> bool:
        """Whether nothing more happens without an explicit retry or resume."""
        return self in (InstanceStatus.COMPLETED, InstanceStatus.FAILED, InstanceStatus.CANCELED)


class NodeStatus(StrEnum):
    """Where one node of one instance stands."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"

    @property
    def terminal(self) -> bool:
        """Whether the node is decided."""
        return self not in (NodeStatus.PENDING, NodeStatus.RUNNING, NodeStatus.RETRYING)


_I = InstanceStatus
INSTANCE_TRANSITIONS: Mapping[InstanceStatus, frozenset[InstanceStatus]] = {
    _I.PENDING: frozenset({_I.RUNNING, _I.FAILED, _I.CANCELED}),
    _I.RUNNING: frozenset({_I.COMPLETED, _I.FAILED, _I.CANCELED, _I.PAUSED, _I.WAITING, _I.COMPENSATING}),
    _I.PAUSED: frozenset({_I.RUNNING, _I.CANCELED, _I.FAILED}),
    _I.WAITING: frozenset({_I.RUNNING, _I.PAUSED, _I.CANCELED, _I.FAILED}),
    _I.COMPENSATING: frozenset({_I.FAILED, _I.CANCELED}),
    _I.FAILED: frozenset({_I.RETRYING}),
    _I.RETRYING: frozenset({_I.RUNNING, _I.FAILED, _I.CANCELED}),
    _I.CANCELED: frozenset({_I.RETRYING}),
    _I.COMPLETED: frozenset({_I.RETRYING}),
}

_N = NodeStatus
NODE_TRANSITIONS: Mapping[NodeStatus, frozenset[NodeStatus]] = {
    _N.PENDING: frozenset({_N.RUNNING, _N.SKIPPED, _N.CANCELED, _N.FAILED}),
    _N.RUNNING: frozenset({_N.COMPLETED, _N.FAILED, _N.CANCELED, _N.RETRYING}),
    _N.RETRYING: frozenset({_N.RUNNING, _N.FAILED, _N.CANCELED, _N.SKIPPED}),
    _N.FAILED: frozenset({_N.RETRYING}),
    _N.CANCELED: frozenset({_N.RETRYING}),
    _N.COMPLETED: frozenset({_N.RETRYING}),
    _N.SKIPPED: frozenset({_N.RETRYING}),
}

PREFECT_STATES: Mapping[InstanceStatus | NodeStatus, tuple[str, str]] = {
    _I.PENDING: ("PENDING", "Pending"),
    _I.RUNNING: ("RUNNING", "Running"),
    _I.PAUSED: ("PAUSED", "Paused"),
    _I.WAITING: ("PAUSED", "Suspended"),
    _I.COMPENSATING: ("RUNNING", "Compensating"),
    _I.RETRYING: ("SCHEDULED", "AwaitingRetry"),
    _I.COMPLETED: ("COMPLETED", "Completed"),
    _I.FAILED: ("FAILED", "Failed"),
    _I.CANCELED: ("CANCELLED", "Cancelled"),
    _N.SKIPPED: ("COMPLETED", "Skipped"),
}
"""Our status → Prefect (state type, state name). Node statuses share the instances' rows by value."""


def check_instance_transition(old: InstanceStatus, new: InstanceStatus) -> None:
    """Raise FAILED_PRECONDITION unless an instance may go from ``old`` to ``new``."""
    if new not in INSTANCE_TRANSITIONS[old]:
        raise _illegal("instance", old, new, INSTANCE_TRANSITIONS[old])


def check_node_transition(old: NodeStatus, new: NodeStatus) -> None:
    """Raise FAILED_PRECONDITION unless a node execution may go from ``old`` to ``new``."""
    if new not in NODE_TRANSITIONS[old]:
        raise _illegal("node", old, new, NODE_TRANSITIONS[old])


def _illegal(what: str, old: StrEnum, new: StrEnum, allowed: frozenset[StrEnum]) -> RealmError:  # pyright: ignore[reportInvalidTypeArguments]
    ways = ", ".join(sorted(allowed)) or "nothing"
    return RealmError(
        Code.FAILED_PRECONDITION,
        f"{what} is {old}: it cannot become {new}",
        hint=f"from {old} it can become {ways}",
    )
