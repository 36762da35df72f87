"""What EXIF says about a photograph, as plain JSON values: when, where, with which camera."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from .exif import Directory, Entry, Exif, parse

_LONGEST_TEXT = 200
_STAMP = re.compile(r"(\d{4})[:/-](\d{2})[:/-](\d{2})[ T](\d{2}):(\d{2}):(\d{2})")
_DAY = re.compile(r"(\d{4})[:-](\d{2})[:-](\d{2})$")
_FIRST_YEAR, _LAST_YEAR = 1826, 2199
"""Years in which photographs are taken; other ones are of clocks that were never set."""
_ZONE = re.compile(r"([+-])(\d{2}):?(\d{2})")


@dataclass(frozen=True, slots=True)
class Facts:
    """Absent facts are ``None`` or missing keys. ``captured_at`` has a zone only where the camera wrote
    one."""

    captured_at: datetime | None = None
    camera: dict[str, str] = field(default_factory=dict)
    exposure: dict[str, Any] = field(default_factory=dict)
    gps: dict[str, float] | None = None
    gps_time: datetime | None = None
    """The satellites' time of the position, in UTC."""
    texts: dict[str, str] = field(default_factory=dict)
    """title, description, artist, copyright, comment, keywords, as far as they are there."""


def read_facts(block: bytes | None) -> Facts:
    """The facts of an EXIF block; a damaged or missing one has none."""
    exif = parse(block) if block else None
    if exif is None:
        return Facts()
    camera = {
        "make": _text(exif.main.get(0x010F)),
        "model": _text(exif.main.get(0x0110)),
        "lens": _text(exif.photo.get(0xA434)),
        "software": _text(exif.main.get(0x0131)),
    }
    return Facts(
        captured_at=_captured(exif),
        camera={key: value for key, value in camera.items() if value},
        exposure=_exposure(exif),
        gps=_gps(exif),
        gps_time=_gps_time(exif),
        texts=_texts(exif),
    )


def _exposure(exif: Exif) -> dict[str, Any]:
    time = _number(exif, exif.photo.get(0x829A))
    facts = {
        "time": f"1/{round(1 / time)}" if time and 0 < time < 0.4 else (f"{time:g}" if time else None),
        "seconds": round(time, 9) if time else None,
        "f_number": _rounded(_number(exif, exif.photo.get(0x829D))),
        "iso": exif.number(exif.photo.get(0x8827)),
        "focal_length_mm": _rounded(_number(exif, exif.photo.get(0x920A))),
        "focal_length_35mm": exif.number(exif.photo.get(0xA405)),
    }
    return {key: value for key, value in facts.items() if value}


def _captured(exif: Exif) -> datetime | None:
    """DateTimeOriginal, else DateTimeDigitized, else DateTime, each with its own sub-second and zone tag."""
    for directory, tag, fraction, zone in (
        (exif.photo, 0x9003, 0x9291, 0x9011),
        (exif.photo, 0x9004, 0x9292, 0x9012),
        (exif.main, 0x0132, 0x9290, 0x9010),
    ):
        match = _STAMP.match(_text(directory.get(tag)) or "")
        if match is None:
            continue
        try:
            year, month, day, hour, minute, second = map(int, match.groups())
            # The camera's wall clock; a leap second is the end of the second before it.
            moment = datetime(year, month, day, hour, minute, 59 if second == 60 else second)
        except ValueError:  # 0000:00:00, the clock was never set
            continue
        if not _FIRST_YEAR <= year <= _LAST_YEAR:
            continue
        digits = (_text(exif.photo.get(fraction)) or "").strip()
        if digits.isascii() and digits.isdigit():
            moment = moment.replace(microsecond=int(digits[:6].ljust(6, "0")))
        return _in_zone(moment, _text(exif.photo.get(zone)))
    return None


def _in_zone(moment: datetime, zone: str | None) -> datetime:
    if zone == "Z":
        return moment.replace(tzinfo=timezone.utc)  # noqa: UP017 - beside the general case
    match = _ZONE.fullmatch(zone or "")
    if match is None or int(match[2]) > 14 or int(match[3]) > 59:
        return moment
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return moment.replace(tzinfo=timezone(-offset if match[1] == "-" else offset))


def _gps(exif: Exif) -> dict[str, float] | None:
    latitude = _degrees(exif, exif.gps, 2, 1, "S", 90)
    longitude = _degrees(exif, exif.gps, 4, 3, "W", 180)
    if latitude is None or longitude is None:
        return None
    place = {"latitude": latitude, "longitude": longitude}
    altitude = _number(exif, exif.gps.get(6))
    if altitude is not None:
        below = exif.gps.get(5)
        place["altitude"] = round(-altitude if below and below.data[:1] == b"\1" else altitude, 3)
    return place


def _gps_time(exif: Exif) -> datetime | None:
    match = _DAY.match(_text(exif.gps.get(29)) or "")
    clock = _numbers(exif, exif.gps.get(7))
    if match is None or len(clock) < 3 or any(part is None for part in clock):
        return None
    try:
        day = datetime(*map(int, match.groups()), tzinfo=timezone.utc)  # noqa: UP017 - beside the general case
    except ValueError:
        return None
    seconds = sum((part or 0.0) * unit for part, unit in zip(clock, (3600, 60, 1), strict=False))
    return day + timedelta(seconds=round(seconds)) if seconds < 86_400 else None


def _texts(exif: Exif) -> dict[str, str]:
    """Microsoft's own tags hold UTF-16; their title and keywords have no other place in EXIF."""
    found = {
        "title": _wide_text(exif.main.get(0x9C9B)),
        "description": _text(exif.main.get(0x010E)),
        "artist": _text(exif.main.get(0x013B)) or _wide_text(exif.main.get(0x9C9D)),
        "copyright": _text(exif.main.get(0x8298)),
        "comment": _comment(exif.photo.get(0x9286), exif.mark) or _wide_text(exif.main.get(0x9C9C)),
        "keywords": _wide_text(exif.main.get(0x9C9E)),
    }
    return {key: value for key, value in found.items() if value}


def _wide_text(entry: Entry | None) -> str | None:
    if entry is None or entry.kind not in (1, 7):
        return None
    return _printable(entry.data[: len(entry.data) // 2 * 2].decode("utf-16-le", errors="replace"))


def _comment(entry: Entry | None, mark: str) -> str | None:
    """A user comment: eight bytes that name its encoding, then the text."""
    if entry is None or entry.kind != 7 or len(entry.data) <= 8:
        return None
    head, body = entry.data[:8], entry.data[8:]
    if head == b"UNICODE\0":
        return _printable(body.decode("utf-16-le" if mark == "<" else "utf-16-be", errors="replace"))
    if head in (b"ASCII\0\0\0", bytes(8)):
        return _printable(body.decode("utf-8", errors="replace"))
    return None


def _printable(text: str) -> str | None:
    text = "".join(character for character in text.split("\0")[0] if character.isprintable()).strip()
    return text[:_LONGEST_TEXT] or None


def _degrees(exif: Exif, gps: Directory, tag: int, reference: int, negative: str, most: int) -> float | None:
    parts = _numbers(exif, gps.get(tag))
    if not parts or parts[0] is None:
        return None
    value = sum((part or 0.0) / 60**power for power, part in enumerate(parts[:3]))
    if value > most:
        return None
    return round(-value if (_text(gps.get(reference)) or "").upper() == negative else value, 7)


def _text(entry: Entry | None) -> str | None:
    if entry is None or entry.kind not in (1, 2, 7):
        return None
    raw = entry.data.split(b"\0")[0]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return _printable(text)


def _number(exif: Exif, entry: Entry | None) -> float | None:
    numbers = _numbers(exif, entry)
    return numbers[0] if numbers else None


def _numbers(exif: Exif, entry: Entry | None) -> list[float | None]:
    """The values of a (signed) rational or integer entry; ``None`` for a division by zero."""
    if entry is None:
        return []
    if entry.kind in (5, 10):
        code = "LL" if entry.kind == 5 else "ll"
        pairs = struct.iter_unpack(exif.mark + code, entry.data[: entry.count * 8])
        return [top / bottom if bottom else None for top, bottom in pairs]
    if entry.kind in (3, 4):
        code, size = ("H", 2) if entry.kind == 3 else ("L", 4)
        return [float(v[0]) for v in struct.iter_unpack(exif.mark + code, entry.data[: entry.count * size])]
    return []


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
