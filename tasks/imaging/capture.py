"""When a picture was taken: the best statement there is, and which zone its clock was in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Literal

from .facts import Facts

Source = Literal["exif", "xmp", "iptc"]
ZoneSource = Literal["stated", "gps", "assumed"]

_XMP_KEYS = ("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate")
_QUARTER = timedelta(minutes=15)
_SLACK = timedelta(minutes=3)
_WIDEST = timedelta(hours=14)


@dataclass(frozen=True, slots=True)
class Capture:
    """``moment`` has a zone when ``zone_source`` says from where."""

    moment: datetime
    source: Source
    zone_source: ZoneSource | None


def captured(
    facts: Facts, xmp: Mapping[str, Any], iptc: Mapping[str, Any], *, assumed: tzinfo | None = None
) -> Capture | None:
    """The capture time by EXIF, else XMP, else IPTC.

    Where its zone is not stated, the satellites' time tells it: the camera's wall clock less UTC, if that is a
    whole quarter of an hour. Else the ``assumed`` zone, if there is one.
    """
    candidates: list[tuple[datetime | None, Source]] = [
        (facts.captured_at, "exif"),
        (next((m for key in _XMP_KEYS if (m := parse_moment(xmp.get(key)))), None), "xmp"),
        (_iptc_moment(iptc), "iptc"),
    ]
    for moment, source in candidates:
        if moment is None:
            continue
        if moment.tzinfo is not None:
            return Capture(moment, source, "stated")
        if facts.gps_time is not None and (zone := zone_between(moment, facts.gps_time)) is not None:
            return Capture(moment.replace(tzinfo=zone), source, "gps")
        if assumed is not None:
            return Capture(moment.replace(tzinfo=assumed), source, "assumed")
        return Capture(moment, source, None)
    return None


def parse_moment(text: Any) -> datetime | None:
    """The time that an XMP date means; ``None`` for one without a day, or for nonsense.

    >>> parse_moment("2023-06-15T10:30:45.12+08:00").isoformat(), parse_moment("2023")
    ('2023-06-15T10:30:45.120000+08:00', None)
    """
    if not isinstance(text, str) or not re.match(r"\d{4}-\d{2}-\d{2}", text):
        return None
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None


def zone_between(wall: datetime, utc: datetime) -> timezone | None:
    """The zone of a clock that showed ``wall`` when it was ``utc``; ``None`` when the two do not fit.

    >>> zone_between(datetime(2023, 6, 15, 10, 30, 45), datetime(2023, 6, 15, 2, 30, 40, tzinfo=UTC))
    datetime.timezone(datetime.timedelta(seconds=28800))
    """
    difference = wall - utc.astimezone(UTC).replace(tzinfo=None)
    quarters = round(difference / _QUARTER)
    offset = quarters * _QUARTER
    # A receiver's fix may be minutes old, never many: a clock set wrong must not pass for a far zone.
    if abs(difference - offset) > _SLACK or abs(offset) > _WIDEST:
        return None
    return timezone(offset)


def _iptc_moment(iptc: Mapping[str, Any]) -> datetime | None:
    day, time = str(iptc.get("date_created") or ""), str(iptc.get("time_created") or "")
    if not re.fullmatch(r"\d{8}", day):
        return None
    clock = re.match(r"(\d{6})([+-]\d{4})?", time)
    text = f"{day}T{clock[1]}{clock[2] or ''}" if clock else day
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
