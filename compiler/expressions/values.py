"""Values of the language: what they are called, how they read as text and JSON, and the limits on their size."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from ...core.durations import format_duration

MAX_TEXT = 4 << 20
"""Characters that one function may return."""
MAX_ITEMS = 100_000
"""List items that one function may return."""


def text_of(value: Any) -> str:
    """A value inside text: null is empty, numbers have no noise, lists and maps are JSON.

    >>> [text_of(v) for v in (None, True, 60.0, 0.1 + 0.2, {"a": "照"})]
    ['', 'true', '60', '0.3', '{"a":"照"}']
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else f"{value:.15g}"
    return to_json(value)


def jsonable(value: Any) -> Any:
    """Timestamps as RFC 3339 text and durations as ``1h30m``; everything else as it is. Raises ValueError."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return format_duration(seconds) if seconds >= 0 else "-" + format_duration(-seconds)
    raise ValueError(f"a value of type {type(value).__name__} is not JSON")


def to_json(value: Any) -> str:
    """``to_json(x)``: compact JSON with sorted keys."""
    return bounded_text(
        json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=jsonable)
    )


def bounded_text(text: str) -> str:
    """``text``; ValueError when it is too long."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"the text would be longer than {MAX_TEXT} characters")
    return text


def bounded_items(items: list[Any]) -> list[Any]:
    """``items``; ValueError when there are too many."""
    if len(items) > MAX_ITEMS:
        raise ValueError(f"the list would be longer than {MAX_ITEMS} items")
    return items


def as_string(value: Any, name: str) -> str:
    """``value``; ValueError when it is not a string."""
    if not isinstance(value, str):
        raise ValueError(f"{name} takes a string, not {kind_of(value)}")
    return value


def as_list(value: Any, name: str) -> list[Any]:
    """``value``; ValueError when it is not a list."""
    if not isinstance(value, list):
        raise ValueError(f"{name} takes a list, not {kind_of(value)}")
    return value


def as_number(value: Any, name: str) -> int | float:
    """``value``; ValueError when it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} takes a number, not {kind_of(value)}")
    return value


def as_int(value: Any, name: str) -> int:
    """``value`` as an int; ValueError when it is not a whole number."""
    number = as_number(value, name)
    if not float(number).is_integer():
        raise ValueError(f"{name} takes a whole number, not {number}")
    return int(number)


def kind_of(value: Any) -> str:
    """What a person calls the type of ``value``."""
    if value is None:
        return "null"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "a map",
    }
    names |= {datetime: "a timestamp", timedelta: "a duration"}
    return names.get(type(value), type(value).__name__)


def has_nul(value: Any) -> bool:
    """Whether a text in ``value`` holds a NUL character, at which CEL's Python binding (0.1.3) would cut it off."""
    if isinstance(value, str):
        return "\0" in value
    if not isinstance(value, list | dict):
        return False
    # The encoder is much faster than a walk, and a NUL hardly ever there.
    return "\\u0000" in json.dumps(value, default=str) and _walk_for_nul(value)


def _walk_for_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_walk_for_nul(key) or _walk_for_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_walk_for_nul, value))
    return isinstance(value, str) and "\0" in value
