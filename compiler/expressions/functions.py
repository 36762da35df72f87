"""The functions of the language beside CEL's own, as one table: names, arities, result types, implementations.

Implementations take and return JSON values, timestamps (aware :class:`datetime`) and durations (:class:`timedelta`).
They raise :class:`ValueError` with a sentence. What could grow without bound is bounded here.
"""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from ...core.durations import parse_duration
from .values import (
    MAX_ITEMS,
    MAX_TEXT,
    as_int,
    as_list,
    as_number,
    as_string,
    bounded_items,
    bounded_text,
    has_nul,
    kind_of,
    text_of,
    to_json,
)

Result = Literal["dyn", "bool", "int", "double", "string", "list", "timestamp", "duration"]


@dataclass(frozen=True, slots=True)
class Function:
    """``arities`` are the numbers of arguments it takes; a ``member`` is called as ``x.name(…)`` and its receiver
    counts as an argument."""

    name: str
    implementation: Callable[..., Any]
    arities: range
    result: Result = "dyn"
    member: bool = False


def from_json(text: Any) -> Any:
    """``from_json(text)``."""
    try:
        value = json.loads(as_string(text, "from_json"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"from_json: the text is not JSON ({error})") from None
    if has_nul(value):
        raise ValueError("from_json: the data holds a NUL character")
    return value


def _sum(values: Any) -> int | float:
    total: int | float = 0
    for value in as_list(values, "sum"):
        total += as_number(value, "sum")
    return total


def _avg(values: Any) -> float | None:
    values = as_list(values, "avg")
    return _sum(values) / len(values) if values else None


def _extreme(name: str, pick: Callable[..., Any]) -> Callable[..., Any]:
    def choose(*values: Any) -> Any:
        candidates = as_list(values[0], name) if len(values) == 1 else list(values)
        if not candidates:
            return None
        try:
            return pick(candidates)
        except TypeError:
            kinds = " and ".join(sorted({kind_of(value) for value in candidates}))
            raise ValueError(f"{name} cannot compare {kinds}") from None

    return choose


def _flatten(values: Any, depth: Any = 1) -> list[Any]:
    flat = as_list(values, "flatten")
    for _ in range(min(as_int(depth, "flatten"), 32)):
        flat = bounded_items(
            [inner for item in flat for inner in (item if isinstance(item, list) else [item])]
        )
    return list(flat)


def _distinct(values: Any) -> list[Any]:
    first: dict[str, Any] = {}
    for value in as_list(values, "distinct"):
        first.setdefault(to_json(value), value)
    return list(first.values())


def _sort(values: Any, key: Any = None) -> list[Any]:
    values = as_list(values, "sort")
    field = None if key is None else as_string(key, "sort")
    name = (field or "").removeprefix("-")

    def rank(item: Any) -> tuple[bool, Any]:
        found = item.get(name) if field and isinstance(item, Mapping) else (None if field else item)
        return (found is None, 0 if found is None else found)

    descending = bool(field and field.startswith("-"))
    missing = [item for item in values if rank(item)[0]]
    try:
        return sorted((item for item in values if not rank(item)[0]), key=rank, reverse=descending) + missing
    except TypeError:
        raise ValueError("sort cannot compare items of different types") from None


def _join(values: Any, separator: Any = "") -> str:
    between = as_string(separator, "join")
    parts = [text_of(value) for value in as_list(values, "join")]
    if sum(map(len, parts)) + len(between) * len(parts) > MAX_TEXT:
        raise ValueError(f"the text would be longer than {MAX_TEXT} characters")
    return between.join(parts)


def _split(text: Any, separator: Any = None, limit: Any = -1) -> list[str]:
    text, most = as_string(text, "split"), as_int(limit, "split")
    if separator is None:
        return bounded_items(text.split())
    if most == 0:
        return []
    if not (between := as_string(separator, "split")):
        return bounded_items(list(text) if most < 0 else [*text[: most - 1], text[most - 1 :]][:most])
    return bounded_items(text.split(between, most - 1 if most > 0 else -1))


def _range(*bounds: Any) -> list[int]:
    numbers = [as_int(bound, "range") for bound in bounds]
    if len(numbers) == 3 and numbers[2] == 0:
        raise ValueError("range: the step cannot be 0")
    if len(values := range(*numbers)) > MAX_ITEMS:
        raise ValueError(f"range would be longer than {MAX_ITEMS} items")
    return list(values)


def _round(value: Any, digits: Any = None) -> int | float:
    number = as_number(value, "round")
    if not math.isfinite(number):
        raise ValueError(f"round cannot take {number}")
    places = 0 if digits is None else as_int(digits, "round")
    if not -30 <= places <= 30:
        raise ValueError("round: between -30 and 30 digits")
    exact = Decimal(repr(number))
    if places > -exact.as_tuple().exponent:  # type: ignore[operator]  # finite, so the exponent is an integer
        return int(exact) if digits is None else float(exact)
    rounded = exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return int(rounded) if digits is None else float(rounded)


def _whole(name: str, function: Callable[[float], int]) -> Callable[[Any], int]:
    def apply(value: Any) -> int:
        number = as_number(value, name)
        if not math.isfinite(number):
            raise ValueError(f"{name} cannot take {number}")
        return function(number)

    return apply


def _timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(as_string(value, "timestamp").strip())
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{value!r} is not a timestamp; write 2026-05-01T08:00:00Z, 2026-05-01, or seconds since 1970"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    text = value.strip() if isinstance(value, str) else value
    negative = isinstance(text, str) and text.startswith("-")
    try:
        seconds = parse_duration(text[1:] if isinstance(text, str) and negative else text)
        return timedelta(seconds=-seconds if negative else seconds)
    except (AttributeError, OverflowError):
        raise ValueError(f"{value!r} is not a duration; write 300s, 5m or 1h30m") from None


def _format_time(value: Any, form: Any = "%Y-%m-%dT%H:%M:%S%z", zone: Any = "UTC") -> str:
    try:
        moment = _timestamp(value).astimezone(ZoneInfo(as_string(zone, "format_time")))
    except (KeyError, ValueError, OSError, OverflowError) as error:
        known = isinstance(error, ValueError) and not isinstance(error, KeyError)
        raise ValueError(
            str(error) if known else f"unknown time zone {zone!r}; write for example Asia/Shanghai"
        ) from None
    # Directive by directive: the C library's strftime refuses Chinese text between them under some locales.
    return bounded_text(
        re.sub(r"%[-_0]?[A-Za-z%]", lambda m: moment.strftime(m.group()), as_string(form, "format_time"))
    )


def _path(value: Any, name: str) -> str:
    if isinstance(value, dict) and isinstance(value.get("uri"), str):
        value = value["uri"]
    text = as_string(value, name)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        parts = urlsplit(text)
        text = f"//{parts.netloc}{unquote(parts.path)}" if parts.scheme != "file" else unquote(parts.path)
    return text.rstrip("/") or text


def _basename(value: Any) -> str:
    return posixpath.basename(_path(value, "basename"))


def _dirname(value: Any) -> str:
    return posixpath.dirname(_path(value, "dirname"))


def _stem(value: Any) -> str:
    return posixpath.splitext(_basename(value))[0]


def _ext(value: Any) -> str:
    return posixpath.splitext(_basename(value))[1].removeprefix(".").lower()


def _sha256(value: Any) -> str:
    text = value if isinstance(value, str) else to_json(value)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _keys(value: Any) -> list[Any]:
    if not isinstance(value, dict):
        raise ValueError(f"keys takes a map, not {kind_of(value)}")
    return sorted(value, key=str)


def _values(value: Any) -> list[Any]:
    return [value[key] for key in _keys(value)]


def _merge(*maps: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for one in maps:
        if not isinstance(one, dict | None):
            raise ValueError(f"merge takes maps, not {kind_of(one)}")
        merged |= one or {}
    return merged


def _replace(text: Any, old: Any, new: Any, count: Any = -1) -> str:
    text, old, new = (as_string(part, "replace") for part in (text, old, new))
    limit = as_int(count, "replace")
    found = text.count(old) if limit < 0 else min(limit, text.count(old))
    if len(text) + found * (len(new) - len(old)) > MAX_TEXT:
        raise ValueError(f"the text would be longer than {MAX_TEXT} characters")
    return text.replace(old, new, limit)


def _substring(text: Any, start: Any, end: Any = None) -> str:
    text = as_string(text, "substring")
    first = as_int(start, "substring")
    last = len(text) if end is None else as_int(end, "substring")
    if not 0 <= first <= last <= len(text):
        raise ValueError(f"substring({first}, {last}) is outside a text of {len(text)} characters")
    return text[first:last]


def _char_at(text: Any, place: Any) -> str:
    text, at = as_string(text, "charAt"), as_int(place, "charAt")
    if not 0 <= at <= len(text):
        raise ValueError(f"charAt({at}) is outside a text of {len(text)} characters")
    return text[at : at + 1]


def _index_of(text: Any, part: Any, start: Any = 0) -> int:
    text, part, first = as_string(text, "indexOf"), as_string(part, "indexOf"), as_int(start, "indexOf")
    if not 0 <= first <= len(text):
        raise ValueError(f"indexOf cannot begin at {first} in a text of {len(text)} characters")
    return text.find(part, first)


def _last_index_of(text: Any, part: Any, start: Any = None) -> int:
    text, part = as_string(text, "lastIndexOf"), as_string(part, "lastIndexOf")
    last = len(text) if start is None else as_int(start, "lastIndexOf")
    if not 0 <= last <= len(text):
        raise ValueError(f"lastIndexOf cannot begin at {last} in a text of {len(text)} characters")
    return text.rfind(part, 0, last + len(part))


_TO_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_TO_UPPER = {small: capital for capital, small in _TO_LOWER.items()}


def _on_string(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*arguments: Any) -> Any:
        return method(*(as_string(argument, name) for argument in arguments))

    return apply


_ABSENT = object()


def _follow(value: Any, path: Sequence[Any]) -> Any:
    for part in path:
        if isinstance(value, dict):
            value = value.get(part, _ABSENT)
        elif isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
            value = value[part]
        else:
            return _ABSENT
    return value


def present(value: Any, path: Sequence[Any]) -> bool:
    """Whether ``path`` leads somewhere from ``value``; implements ``has`` on the variables of macros."""
    return _follow(value, path) is not _ABSENT


def reach(value: Any, path: Sequence[Any]) -> Any:
    """What ``path`` leads to from ``value``, or null; implements ``default`` on the variables of macros."""
    found = _follow(value, path)
    return None if found is _ABSENT else found


def _exactly(count: int) -> range:
    return range(count, count + 1)


FUNCTIONS: tuple[Function, ...] = (
    Function("sum", _sum, _exactly(1), "double"),
    Function("avg", _avg, _exactly(1)),
    Function("min", _extreme("min", min), range(1, 9)),
    Function("max", _extreme("max", max), range(1, 9)),
    Function("abs", lambda x: abs(as_number(x, "abs")), _exactly(1), "double"),
    Function("round", _round, range(1, 3), "double"),
    Function("floor", _whole("floor", math.floor), _exactly(1), "int"),
    Function("ceil", _whole("ceil", math.ceil), _exactly(1), "int"),
    Function("flatten", _flatten, range(1, 3), "list"),
    Function("distinct", _distinct, _exactly(1), "list"),
    Function("sort", _sort, range(1, 3), "list"),
    Function("range", _range, range(1, 4), "list"),
    Function("keys", _keys, _exactly(1), "list"),
    Function("values", _values, _exactly(1), "list"),
    Function("merge", _merge, range(1, 9)),
    Function("join", _join, range(1, 3), "string"),
    Function("split", _split, range(1, 4), "list"),
    Function("now", lambda: datetime.now(UTC), _exactly(0), "timestamp"),
    Function("timestamp", _timestamp, _exactly(1), "timestamp"),
    Function("duration", _duration, _exactly(1), "duration"),
    Function("format_time", _format_time, range(1, 4), "string"),
    Function("basename", _basename, _exactly(1), "string"),
    Function("dirname", _dirname, _exactly(1), "string"),
    Function("stem", _stem, _exactly(1), "string"),
    Function("ext", _ext, _exactly(1), "string"),
    Function("sha256", _sha256, _exactly(1), "string"),
    Function("to_json", to_json, _exactly(1), "string"),
    Function("from_json", from_json, _exactly(1)),
    Function("uuid", lambda: str(uuid.uuid4()), _exactly(0), "string"),
    Function("join", _join, range(1, 3), "string", member=True),
    Function("split", _split, range(1, 4), "list", member=True),
    Function("lower", _on_string("lower", str.lower), _exactly(1), "string", member=True),
    Function("upper", _on_string("upper", str.upper), _exactly(1), "string", member=True),
    Function(
        "lowerAscii",
        _on_string("lowerAscii", lambda text: text.translate(_TO_LOWER)),
        _exactly(1),
        "string",
        member=True,
    ),
    Function(
        "upperAscii",
        _on_string("upperAscii", lambda text: text.translate(_TO_UPPER)),
        _exactly(1),
        "string",
        member=True,
    ),
    Function("trim", _on_string("trim", str.strip), _exactly(1), "string", member=True),
    Function("replace", _replace, range(3, 5), "string", member=True),
    Function("substring", _substring, range(2, 4), "string", member=True),
    Function("charAt", _char_at, _exactly(2), "string", member=True),
    Function("indexOf", _index_of, range(2, 4), "int", member=True),
    Function("lastIndexOf", _last_index_of, range(2, 4), "int", member=True),
)
"""Everything that is implemented here and called as it is written."""

NATIVE_FUNCTIONS = frozenset(
    {"size", "int", "uint", "double", "string", "bool", "bytes", "dyn", "type", "matches"}
)
"""CEL's own functions."""
NATIVE_METHODS = frozenset({
    "contains", "startsWith", "endsWith", "matches", "size", "getFullYear", "getMonth", "getDate", "getDayOfMonth",
    "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds",
})  # fmt: skip
"""CEL's own methods."""
MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
"""CEL's comprehensions, called as methods."""
SPECIAL = frozenset({"has", "default", "coalesce"})
"""Calls whose arguments need not be there."""

GLOBAL_NAMES = frozenset(f.name for f in FUNCTIONS if not f.member) | NATIVE_FUNCTIONS | SPECIAL
METHOD_NAMES = frozenset(f.name for f in FUNCTIONS if f.member) | NATIVE_METHODS | MACROS
