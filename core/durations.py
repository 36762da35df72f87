"""Durations as people write them: ``300s``, ``1h30m``, ``250ms``, ``PT5M``, ``2d``, or a number of seconds."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_ISO = re.compile(
    r"P(?:(?P<d>\d+(?:\.\d+)?)D)?(?:T(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?",
    re.IGNORECASE,
)


def parse_duration(value: str | int | float) -> float:
    """Seconds. Raises :class:`ValueError` with a sentence that shows the accepted forms.

    >>> parse_duration("1h30m"), parse_duration("250ms"), parse_duration("PT5M"), parse_duration(10)
    (5400.0, 0.25, 300.0, 10.0)
    """
    if isinstance(value, bool):
        raise ValueError(_message(value))
    if isinstance(value, int | float):
        return _finite(float(value), value)
    text = value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return _finite(float(text), value)
    if text[:1] in "Pp" and len(text) > 2 and (match := _ISO.fullmatch(text)) and text[-1] not in "Tt":
        return sum(float(number) * _UNITS[unit] for unit, number in match.groupdict().items() if number)
    compact = re.sub(r"\s+", "", text.lower())
    if compact and "".join(m.group(0) for m in _PART.finditer(compact)) == compact:
        return sum(float(m.group(1)) * _UNITS[m.group(2)] for m in _PART.finditer(compact))
    raise ValueError(_message(value))


def format_duration(seconds: float) -> str:
    """The shortest exact everyday form.

    >>> format_duration(5400), format_duration(0.25), format_duration(42.5), format_duration(0)
    ('1h30m', '250ms', '42.5s', '0s')
    """
    if 0 < seconds < 1:
        return f"{seconds * 1000:.3g}ms"
    parts: list[str] = []
    whole, fraction = divmod(seconds, 1)
    rest = int(whole)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    if rest or fraction or not parts:
        parts.append(f"{rest + round(fraction, 2):g}s")
    return "".join(parts)


def iso_duration(seconds: float) -> str:
    """ISO 8601, as the API shows durations.

    >>> iso_duration(275)
    'PT4M35S'
    """
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    text = (f"{hours:g}H" if hours else "") + (f"{minutes:g}M" if minutes else "")
    return f"PT{text}{round(rest, 3):g}S" if rest or not text else f"PT{text}"


def _finite(seconds: float, value: object) -> float:
    if seconds < 0 or seconds != seconds or seconds == float("inf"):
        raise ValueError(_message(value))
    return seconds


def _message(value: object) -> str:
    return f"{value!r} is not a duration; write for example 300s, 5m, 1h30m, 250ms or PT5M"
