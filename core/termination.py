"""Ending an instance from inside one of its nodes, on purpose.

A node raises :class:`Terminate`. Its attempt then completes, and the :class:`Termination` travels as data in the notes
of the attempt: with the outcome to the run, and in the journal, so that a run which is carried on ends there too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Ending = Literal["completed", "failed", "canceled"]
"""How an instance may be ended; the words of :class:`~.status.InstanceStatus`."""

NOTE = "terminate"
"""The note of an attempt that ends its instance."""


@dataclass(frozen=True, slots=True)
class Termination:
    """How the instance ends: its status, why, and for a completed one its output (``None``: the usual one)."""

    status: Ending = "completed"
    message: str | None = None
    output: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        output = None if self.output is None else dict(self.output)
        return {"status": self.status, "message": self.message, "output": output}

    @classmethod
    def noted(cls, notes: Mapping[str, Any] | None) -> Termination | None:
        """What an attempt's notes say of it; ``None`` where they say nothing.

        >>> Termination.noted({"terminate": Termination("failed", "no quota").to_dict()})
        Termination(status='failed', message='no quota', output=None)
        """
        record = (notes or {}).get(NOTE)
        if not isinstance(record, Mapping) or record.get("status") not in get_args(Ending):
            return None
        return cls(record["status"], record.get("message"), record.get("output"))


class Terminate(Exception):
    """Raised by a node to end its instance with ``termination``. No error: the node did what it is for."""

    def __init__(self, termination: Termination) -> None:
        super().__init__(termination)
        self.termination = termination
