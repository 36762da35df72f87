"""What nodes that wait for the world share: durations, and parameters that say what happens after one."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue

from ...core.durations import parse_duration

FOREVER = 365 * 86400.0
"""Seconds that a waiting node may take unless its node says otherwise; its own `timeout` parameter is what counts."""


def _positive(value: str | float) -> str | float:
    if parse_duration(value) <= 0:
        raise ValueError(f"{value!r} is no time at all; write for example 300s, 5m, 1h30m or 2d")
    return value


Duration = Annotated[str | float, AfterValidator(_positive)]
"""A duration as people write it, longer than nothing."""

Scalar = str | int | float | bool
Correlation = Annotated[
    Scalar | Annotated[dict[str, JsonValue], Field(min_length=1)],
    Field(description="What ties an event to who waits for it: a value, or several by name"),
]
"""A value or a mapping of values, as ``order-17`` or ``{order: 17, site: berlin}``."""
