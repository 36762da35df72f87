"""When a failed attempt is tried again, and after how long."""

from __future__ import annotations

from ..core.errors import FINAL, MAX_RETRY_DELAY, POLICIES, Code, ErrorRecord, jittered, retry_delay
from .declarations import Retry


def next_delay(
    error: ErrorRecord, attempt: int, rule: Retry | None = None, *, max_attempts: int | None = None
) -> float | None:
    """Seconds to wait before attempt ``attempt + 1``, or ``None`` when attempt ``attempt`` was the last.

    The node's own ``rule`` wins over the taxonomy's delays; ``max_attempts`` is the node type's limit; a service that
    said how long to wait (``details.retry_after``) is heeded up to the cap.
    """
    if error.details.get(FINAL) or (max_attempts is not None and attempt >= max_attempts):
        return None
    delay = retry_delay(error.code, attempt) if rule is None else _by_rule(error.code, attempt, rule)
    after = error.details.get("retry_after")
    if delay is not None and isinstance(after, int | float):
        delay = min(max(delay, float(after)), MAX_RETRY_DELAY)
    return delay


def attempts_allowed(rule: Retry | None, max_attempts: int | None) -> int:
    """The most attempts that any code could lead to (for display; the code decides)."""
    most = rule.max_attempts if rule else 1 + max(len(policy.delays) for policy in POLICIES.values())
    return min(most, max_attempts) if max_attempts is not None else most


def _by_rule(code: Code, attempt: int, rule: Retry) -> float | None:
    wanted = code.value in rule.on if rule.on else POLICIES[code].retryable
    if not wanted or attempt >= rule.max_attempts:
        return None
    try:
        delay = rule.initial * rule.multiplier ** (attempt - 1)
    except OverflowError:
        delay = rule.max
    return jittered(min(delay, rule.max), rule.jitter)
