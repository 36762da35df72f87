"""One error taxonomy for the whole product: codes, what they mean, and what to do about them.

Source: platform specification §7.1 and §9.2. Every error that crosses a room's border is a
:class:`RealmError` with a :class:`Code`; the table :data:`POLICIES` says whether it is retried, how often and
how long apart, and how it maps to HTTP and gRPC.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

FINAL = "final"
"""A key of an error's details: whatever its code, trying again cannot help, and it is not retried."""

MAX_RETRY_DELAY = 60.0
"""No retry waits longer than this (seconds)."""


class Code(StrEnum):
    """The stable error codes. A code is an interface: definitions, retry rules and API clients name it."""

    TRANSIENT_ERROR = "TRANSIENT_ERROR"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    INSUFFICIENT_RESOURCES = "INSUFFICIENT_RESOURCES"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NODE_EXECUTION_TIMEOUT = "NODE_EXECUTION_TIMEOUT"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    DEPENDENCY_FAILURE = "DEPENDENCY_FAILURE"
    UNAVAILABLE = "UNAVAILABLE"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    INVALID_WORKFLOW_DEFINITION = "INVALID_WORKFLOW_DEFINITION"
    UNSUPPORTED_FILE_TYPE = "UNSUPPORTED_FILE_TYPE"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    COPYRIGHT_VIOLATION = "COPYRIGHT_VIOLATION"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    ABORTED = "ABORTED"
    DATA_CORRUPTED = "DATA_CORRUPTED"
    DATA_LOSS = "DATA_LOSS"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    PROCESSING_CAPACITY_EXCEEDED = "PROCESSING_CAPACITY_EXCEEDED"
    CANCELLED = "CANCELLED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """What the platform does by default when a node fails with one code.

    ``delays`` are the waits in seconds before the first, second, … retry; their number is the number of
    retries. An empty tuple means that the code is final.
    """

    http: int
    grpc: str
    delays: tuple[float, ...] = ()
    user_fault: bool = False

    @property
    def retryable(self) -> bool:
        """Whether an attempt that failed so may be tried again."""
        return bool(self.delays)


_BACKOFF_5_10_30 = (5.0, 10.0, 30.0)

POLICIES: Mapping[Code, ErrorPolicy] = {
    Code.TRANSIENT_ERROR: ErrorPolicy(500, "ABORTED", (1.0, 2.0, 4.0)),
    Code.RESOURCE_EXHAUSTED: ErrorPolicy(429, "RESOURCE_EXHAUSTED", (5.0, 10.0, 30.0, 30.0, 30.0)),
    Code.INSUFFICIENT_RESOURCES: ErrorPolicy(503, "RESOURCE_EXHAUSTED", (5.0, 10.0, 30.0, 30.0, 30.0)),
    Code.DEADLINE_EXCEEDED: ErrorPolicy(504, "DEADLINE_EXCEEDED", (5.0, 5.0)),
    Code.NODE_EXECUTION_TIMEOUT: ErrorPolicy(504, "DEADLINE_EXCEEDED", (5.0, 5.0)),
    Code.INTERNAL_ERROR: ErrorPolicy(500, "INTERNAL", _BACKOFF_5_10_30),
    Code.DEPENDENCY_FAILURE: ErrorPolicy(503, "UNAVAILABLE", (10.0, 20.0, 40.0)),
    Code.UNAVAILABLE: ErrorPolicy(503, "UNAVAILABLE", (10.0, 20.0, 40.0)),
    Code.INVALID_ARGUMENT: ErrorPolicy(400, "INVALID_ARGUMENT", user_fault=True),
    Code.INVALID_WORKFLOW_DEFINITION: ErrorPolicy(400, "INVALID_ARGUMENT", user_fault=True),
    Code.UNSUPPORTED_FILE_TYPE: ErrorPolicy(400, "INVALID_ARGUMENT", user_fault=True),
    Code.OUT_OF_RANGE: ErrorPolicy(400, "OUT_OF_RANGE", user_fault=True),
    Code.FAILED_PRECONDITION: ErrorPolicy(400, "FAILED_PRECONDITION", user_fault=True),
    Code.UNAUTHENTICATED: ErrorPolicy(401, "UNAUTHENTICATED", user_fault=True),
    Code.PERMISSION_DENIED: ErrorPolicy(403, "PERMISSION_DENIED", user_fault=True),
    Code.COPYRIGHT_VIOLATION: ErrorPolicy(403, "PERMISSION_DENIED", user_fault=True),
    Code.NOT_FOUND: ErrorPolicy(404, "NOT_FOUND", user_fault=True),
    Code.ALREADY_EXISTS: ErrorPolicy(409, "ALREADY_EXISTS", user_fault=True),
    Code.ABORTED: ErrorPolicy(409, "ABORTED"),
    Code.DATA_CORRUPTED: ErrorPolicy(500, "DATA_LOSS", user_fault=True),
    Code.DATA_LOSS: ErrorPolicy(500, "DATA_LOSS"),
    Code.QUOTA_EXCEEDED: ErrorPolicy(429, "RESOURCE_EXHAUSTED", user_fault=True),
    Code.PROCESSING_CAPACITY_EXCEEDED: ErrorPolicy(503, "UNAVAILABLE", _BACKOFF_5_10_30),
    Code.CANCELLED: ErrorPolicy(499, "CANCELLED", user_fault=True),
    Code.UNIMPLEMENTED: ErrorPolicy(501, "UNIMPLEMENTED", user_fault=True),
    Code.UNKNOWN: ErrorPolicy(500, "UNKNOWN"),
}


def retry_delay(code: Code, retry: int, *, jitter: float = 0.1) -> float | None:
    """The wait in seconds before retry number ``retry`` (1-based) after ``code``; ``None`` if it is final."""
    delays = POLICIES[code].delays
    if not 1 <= retry <= len(delays):
        return None
    return jittered(delays[retry - 1], jitter)


def jittered(delay: float, jitter: float) -> float:
    """``delay`` spread by ± ``jitter`` (a fraction) and capped at :data:`MAX_RETRY_DELAY`."""
    spread = random.uniform(1 - jitter, 1 + jitter)  # noqa: S311 - spreading load, not a secret
    return min(delay * spread, MAX_RETRY_DELAY)


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An error as data: what is journaled, shown and sent. ``hint`` says what to do next."""

    code: Code
    message: str
    hint: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    exception: str | None = None
    """The type of an unmapped exception, ``module.Name``."""
    traceback: str | None = None
    """Kept for faults of ours; never shown to the person unless they ask for it."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; absent fields are left out."""
        record: dict[str, Any] = {"code": self.code.value, "message": self.message}
        for name in ("hint", "exception", "traceback"):
            if (value := getattr(self, name)) is not None:
                record[name] = value
        if self.details:
            record["details"] = dict(self.details)
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> ErrorRecord:
        """The inverse of :meth:`to_dict`; an unknown code becomes ``UNKNOWN``."""
        code = record.get("code", "")
        return cls(
            code=Code(code) if code in Code.__members__ else Code.UNKNOWN,
            message=str(record.get("message", "")),
            hint=record.get("hint"),
            details=record.get("details") or {},
            exception=record.get("exception"),
            traceback=record.get("traceback"),
        )


class RealmError(Exception):
    """The one root of our errors: a code, a sentence, and what to do about it.

    >>> RealmError(Code.NOT_FOUND, "no workflow 'x'", hint="realm workflows lists them").record.to_dict()
    {'code': 'NOT_FOUND', 'message': "no workflow 'x'", 'hint': 'realm workflows lists them'}
    """

    def __init__(
        self, code: Code, message: str, *, hint: str | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.record = ErrorRecord(code=code, message=message, hint=hint, details=details or {})

    @property
    def code(self) -> Code:
        """The error's code."""
        return self.record.code

    @property
    def hint(self) -> str | None:
        """What to do next, where we know."""
        return self.record.hint

    @property
    def user_fault(self) -> bool:
        """Whether the person can mend it (exit code 1) rather than the operator (exit code 3)."""
        return POLICIES[self.code].user_fault

    @classmethod
    def from_record(cls, record: ErrorRecord) -> RealmError:
        """An exception that carries ``record`` unchanged."""
        error = cls(record.code, record.message)
        error.record = record
        return error

    def __str__(self) -> str:
        return f"{self.code}: {self.record.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions travel between processes (Dask, Prefect); the default would lose the record.
        return (RealmError.from_record, (self.record,))


class StoreLost(RealmError):
    """UNAVAILABLE: the journal could not be written for so long that its writer gave up. It says nothing about the
    instance, which is carried on from what the journal holds."""


class Superseded(RealmError):
    """ABORTED: a newer life of the instance exists; whoever gets this must write nothing more."""


NO_VERDICTS = (StoreLost, Superseded)
"""Errors that end a run and decide nothing: no node has failed by them, and nothing is to be undone for them."""
