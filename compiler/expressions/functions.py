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

from ...core.durations import format_duration, parse_duration

MAX_TEXT = 4 << 20
"""Characters that one function may return."""
MAX_ITEMS = 100_000
"""List items that one function may return."""

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
    return _text(
        json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=jsonable)
    )


def from_json(text: Any) -> Any:
    """``from_json(text)``."""
    try:
        return json.loads(_string(text, "from_json"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"from_json: the text is not JSON ({error})") from None


def _text(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise ValueError(f"the text would be longer than {MAX_TEXT} characters")
    return text


def _items(items: list[Any]) -> list[Any]:
    if len(items) > MAX_ITEMS:
        raise ValueError(f"the list would be longer than {MAX_ITEMS} items")
    return items


def _string(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} takes a string, not {kind_of(value)}")
    return value


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} takes a list, not {kind_of(value)}")
    return value


def _number(value: Any, name: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} takes a number, not {kind_of(value)}")
    return value


def _int(value: Any, name: str) -> int:
    number = _number(value, name)
    if not float(number).is_integer():
        raise ValueError(f"{name} takes a whole number, not {number}")
    return int(number)


def kind_of(value: Any) -> str:
    """What a person calls the type of ``value``."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a map"}
    names |= {datetime: "a timestamp", timedelta: "a duration"}
    return names.get(type(value), type(value).__name__)


def _sum(values: Any) -> int | float:
    total: int | float = 0
    for value in _list(values, "sum"):
        total += _number(value, "sum")
    return total


def _avg(values: Any) -> float | None:
    values = _list(values, "avg")
    return _sum(values) / len(values) if values else None


def _extreme(name: str, pick: Callable[..., Any]) -> Callable[..., Any]:
    def choose(*values: Any) -> Any:
        candidates = _list(values[0], name) if len(values) == 1 else list(values)
        if not candidates:
            return None
        try:
            return pick(candidates)
        except TypeError:
            kinds = " and ".join(sorted({kind_of(value) for value in candidates}))
            raise ValueError(f"{name} cannot compare {kinds}") from None

    return choose


def _flatten(values: Any, depth: Any = 1) -> list[Any]:
    flat = _list(values, "flatten")
    for _ in range(min(_int(depth, "flatten"), 32)):
        flat = _items([inner for item in flat for inner in (item if isinstance(item, list) else [item])])
    return list(flat)


def _distinct(values: Any) -> list[Any]:
    return list({to_json(value): value for value in reversed(_list(values, "distinct"))}.values())[::-1]


def _sort(values: Any, key: Any = None) -> list[Any]:
    values = _list(values, "sort")
    field = None if key is None else _string(key, "sort")
    name = (field or "").removeprefix("-")

    def rank(item: Any) -> tuple[bool, Any]:
        found = item.get(name) if field and isinstance(item, Mapping) else (None if field else item)
        return (found is None, 0 if found is None else found)

    try:
        return sorted(values, key=rank, reverse=bool(field and field.startswith("-")))
    except TypeError:
        raise ValueError("sort cannot compare items of different types") from None


def _join(values: Any, separator: Any = "") -> str:
    between = _string(separator, "join")
    parts = [text_of(value) for value in _list(values, "join")]
    if sum(map(len, parts)) + len(between) * len(parts) > MAX_TEXT:
        raise ValueError(f"the text would be longer than {MAX_TEXT} characters")
    return between.join(parts)


def _split(text: Any, separator: Any = None) -> list[str]:
    text = _string(text, "split")
    if separator is None:
        return _items(text.split())
    if not (between := _string(separator, "split")):
        return _items(list(text))
    return _items(text.split(between))


def _range(*bounds: Any) -> list[int]:
    numbers = [_int(bound, "range") for bound in bounds]
    if len(numbers) == 3 and numbers[2] == 0:
        raise ValueError("range: the step cannot be 0")
    if len(values := range(*numbers)) > MAX_ITEMS:
        raise ValueError(f"range would be longer than {MAX_ITEMS} items")
    return list(values)


def _round(value: Any, digits: Any = None) -> int | float:
    number = _number(value, "round")
    if not math.isfinite(number):
        raise ValueError(f"round cannot take {number}")
    places = 0 if digits is None else _int(digits, "round")
    if not -30 <= places <= 30:
        raise ValueError("round: between -30 and 30 digits")
    exact = Decimal(repr(number))
    if places > -exact.as_tuple().exponent:  # type: ignore[operator]  # finite, so the exponent is an integer
        return int(exact) if digits is None else float(exact)
    rounded = exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return int(rounded) if digits is None else float(rounded)


def _whole(name: str, function: Callable[[float], int]) -> Callable[[Any], int]:
    def apply(value: Any) -> int:
        number = _number(value, name)
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
        moment = datetime.fromisoformat(_string(value, "timestamp").strip())
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
        moment = _timestamp(value).astimezone(ZoneInfo(_string(zone, "format_time")))
    except (KeyError, ValueError, OSError, OverflowError) as error:
        known = isinstance(error, ValueError) and not isinstance(error, KeyError)
        raise ValueError(str(error) if known else f"unknown time zone {zone!r}; write for example Asia/Shanghai") from None
    # Directive by directive: the C library's strftime refuses Chinese text between them under some locales.
    return _text(re.sub(r"%[-_0]?[A-Za-z%]", lambda m: moment.strftime(m.group()), _string(form, "format_time")))


def _path(value: Any, name: str) -> str:
    if isinstance(value, dict) and isinstance(value.get("uri"), str):
        value = value["uri"]
    text = _string(value, name)
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


def _replace(text: Any, old: Any, new: Any, count: Any = -1) -> str:
    text, old, new = (_string(part, "replace") for part in (text, old, new))
    limit = _int(count, "replace")
    found = text.count(old) if limit < 0 else min(limit, text.count(old))
    if len(text) + found * (len(new) - len(old)) > MAX_TEXT:
        raise ValueError(f"the text would be longer than {MAX_TEXT} characters")
    return text.replace(old, new, limit)


def _substring(text: Any, start: Any, end: Any = None) -> str:
    text = _string(text, "substring")
    first = _int(start, "substring")
    last = len(text) if end is None else _int(end, "substring")
    if not 0 <= first <= last <= len(text):
        raise ValueError(f"substring({first}, {last}) is outside a text of {len(text)} characters")
    return text[first:last]


def _on_string(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*arguments: Any) -> Any:
        return method(*(_string(argument, name) for argument in arguments))

    return apply


def _list_contains(values: Sequence[Any], item: Any) -> bool:
    return any(value == item and isinstance(value, bool) == isinstance(item, bool) for value in values)


def present(value: Any, path: Sequence[Any]) -> bool:
    """Whether ``path`` leads somewhere from ``value``; implements ``has`` on the variables of macros."""
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
            value = value[part]
        else:
            return False
    return True


def reach(value: Any, path: Sequence[Any]) -> Any:
    """What ``path`` leads to from ``value``, or null; implements ``default`` on the variables of macros."""
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
            value = value[part]
        else:
            return None
    return value


def _exactly(count: int) -> range:
    return range(count, count + 1)


FUNCTIONS: tuple[Function, ...] = (
    Function("sum", _sum, _exactly(1), "double"),
    Function("avg", _avg, _exactly(1)),
    Function("min", _extreme("min", min), range(1, 9)),
    Function("max", _extreme("max", max), range(1, 9)),
    Function("abs", lambda x: abs(_number(x, "abs")), _exactly(1), "double"),
    Function("round", _round, range(1, 3), "double"),
    Function("floor", _whole("floor", math.floor), _exactly(1), "int"),
    Function("ceil", _whole("ceil", math.ceil), _exactly(1), "int"),
    Function("flatten", _flatten, range(1, 3), "list"),
    Function("distinct", _distinct, _exactly(1), "list"),
    Function("sort", _sort, range(1, 3), "list"),
    Function("range", _range, range(1, 4), "list"),
    Function("keys", _keys, _exactly(1), "list"),
    Function("values", _values, _exactly(1), "list"),
    Function("join", _join, range(1, 3), "string"),
    Function("split", _split, range(1, 3), "list"),
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
    Function("split", _split, range(1, 3), "list", member=True),
    Function("lower", _on_string("lower", str.lower), _exactly(1), "string", member=True),
    Function("upper", _on_string("upper", str.upper), _exactly(1), "string", member=True),
    Function("lowerAscii", _on_string("lowerAscii", str.lower), _exactly(1), "string", member=True),
    Function("upperAscii", _on_string("upperAscii", str.upper), _exactly(1), "string", member=True),
    Function("trim", _on_string("trim", str.strip), _exactly(1), "string", member=True),
    Function("replace", _replace, range(3, 5), "string", member=True),
    Function("substring", _substring, range(2, 4), "string", member=True),
    Function("indexOf", _on_string("indexOf", str.find), _exactly(2), "int", member=True),
    Function("lastIndexOf", _on_string("lastIndexOf", str.rfind), _exactly(2), "int", member=True),
)
"""Everything that is implemented here and called as it is written."""

NATIVE_FUNCTIONS = frozenset({"size", "int", "uint", "double", "string", "bool", "bytes", "dyn", "type", "matches"})
"""CEL's own functions."""
NATIVE_METHODS = frozenset(
    "contains startsWith endsWith matches size getFullYear getMonth getDate getDayOfMonth getDayOfWeek "
    "getDayOfYear getHours getMinutes getSeconds getMilliseconds".split()
)
"""CEL's own methods."""
MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
"""CEL's comprehensions, called as methods."""
SPECIAL = frozenset({"has", "default", "coalesce"})
"""Calls whose arguments need not be there."""

GLOBAL_NAMES = frozenset(f.name for f in FUNCTIONS if not f.member) | NATIVE_FUNCTIONS | SPECIAL
METHOD_NAMES = frozenset(f.name for f in FUNCTIONS if f.member) | NATIVE_METHODS | MACROS

HINTS = {
    "len": "write size(x)",
    "length": "write size(x)",
    "count": "write size(x)",
    "str": "write string(x)",
    "float": "write double(x)",
    "number": "write double(x) or int(x)",
    "parseInt": "write int(x)",
    "any": "write list.exists(x, …)",
    "some": "write list.exists(x, …)",
    "every": "write list.all(x, …)",
    "find": "write list.filter(x, …)[0]",
    "includes": "write x.contains(y), or y in x",
    "has_key": "write 'key' in x",
    "hasOwnProperty": "write 'key' in x",
    "get": "write default(x.field, y)",
    "toLowerCase": "write x.lower()",
    "toUpperCase": "write x.upper()",
    "strip": "write x.trim()",
    "startswith": "write x.startsWith(y)",
    "endswith": "write x.endsWith(y)",
    "toString": "write string(x)",
    "toFixed": "write round(x, digits)",
    "format": "put several templates in one text: {{ a }} of {{ b }}",
    "ifelse": "write condition ? a : b",
    "iif": "write condition ? a : b",
    "append": "write list + [item]",
    "push": "write list + [item]",
    "concat": "write a + b",
    "reduce": "write sum(list), min(list), max(list) or join(list, ',')",
    "unique": "write distinct(list)",
    "sorted": "write sort(list)",
    "today": "write format_time(now(), '%Y-%m-%d')",
}
"""What other languages call it."""
