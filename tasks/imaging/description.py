"""All that a picture's metadata says about it, from EXIF, XMP and IPTC, in one shape.

Where they differ, XMP is believed first (editors of today write it, in Unicode), then IPTC, then EXIF; of what a
camera writes (time, place, exposure) EXIF first.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from .capture import Capture, captured
from .exif import Directory, Entry, Exif, parse
from .facts import Facts, read_facts
from .iptc import read_iptc
from .xmp import read_xmp

if TYPE_CHECKING:
    from .decode import Source

MOST_TAGS = 400
LONGEST_VALUE = 500
_MOST_NUMBERS = 32


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a picture without looking at its pixels. Absent texts are ``None``."""

    facts: Facts
    capture: Capture | None
    gps: dict[str, float] | None
    title: str | None
    text: str | None
    creators: tuple[str, ...]
    copyright: str | None
    usage_terms: str | None
    credit: str | None
    keywords: tuple[str, ...]
    rating: int | None
    label: str | None
    place: dict[str, str]
    profile: str | None
    """The colour profile's own name."""
    xmp: dict[str, Any]
    iptc: dict[str, Any]
    remarks: tuple[str, ...] = field(default=())


def describe(source: Source, *, assumed_zone: tzinfo | None = None) -> Description:
    """The description of an opened picture; its pixels are not decoded. Damaged metadata counts as absent."""
    xmp, remark = read_xmp(source.metadata.xmp)
    iptc = read_iptc(source.image)
    facts = read_facts(source.metadata.exif)
    texts = facts.texts
    return Description(
        facts=facts,
        capture=captured(facts, xmp, iptc, assumed=assumed_zone),
        gps=facts.gps or _gps(xmp),
        title=_first(xmp.get("dc:title"), iptc.get("title"), texts.get("title")),
        text=_first(xmp.get("dc:description"), iptc.get("description"), texts.get("description")),
        creators=tuple(
            _texts(xmp.get("dc:creator")) or iptc.get("creator", []) or _texts(texts.get("artist"))
        ),
        copyright=_first(xmp.get("dc:rights"), iptc.get("copyright"), texts.get("copyright")),
        usage_terms=_first(xmp.get("xmpRights:UsageTerms")),
        credit=_first(xmp.get("photoshop:Credit"), iptc.get("credit")),
        keywords=_keywords(xmp, iptc, texts),
        rating=_rating(xmp.get("xmp:Rating")),
        label=_first(xmp.get("xmp:Label")),
        place=_place(xmp, iptc),
        profile=_profile_name(source.metadata.icc),
        xmp=xmp,
        iptc=iptc,
        remarks=(remark,) if remark else (),
    )


def _texts(value: Any) -> list[str]:
    """The non-empty texts of one text or a list."""
    values = value if isinstance(value, list) else [value]
    return [text for item in values if isinstance(item, str) and (text := item.strip())]


def _first(*values: Any) -> str | None:
    return next((text for value in values for text in _texts(value)), None)


def _keywords(xmp: Mapping[str, Any], iptc: Mapping[str, Any], texts: Mapping[str, str]) -> tuple[str, ...]:
    """Of all three, in this order, each once."""
    windows = [part.strip() for part in (texts.get("keywords") or "").split(";")]
    every = [*_texts(xmp.get("dc:subject")), *iptc.get("keywords", []), *filter(None, windows)]
    return tuple(dict.fromkeys(every))


def _rating(value: Any) -> int | None:
    """−1 (rejected) to 5, as XMP has it."""
    try:
        rating = round(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return rating if -1 <= rating <= 5 else None


def _place(xmp: Mapping[str, Any], iptc: Mapping[str, Any]) -> dict[str, str]:
    named = {
        "location": _first(xmp.get("Iptc4xmpCore:Location"), iptc.get("sublocation")),
        "city": _first(xmp.get("photoshop:City"), iptc.get("city")),
        "state": _first(xmp.get("photoshop:State"), iptc.get("state")),
        "country": _first(xmp.get("photoshop:Country"), iptc.get("country")),
        "country_code": _first(xmp.get("Iptc4xmpCore:CountryCode"), iptc.get("country_code")),
    }
    return {key: value for key, value in named.items() if value}


_COORDINATE = re.compile(r"(\d{1,3}),(\d{1,2}(?:\.\d+)?)(?:,(\d{1,2}(?:\.\d+)?))?([NSEW])")


def _gps(xmp: Mapping[str, Any]) -> dict[str, float] | None:
    """The position as XMP writes it: ``31,13.825N``."""
    values: list[float] = []
    for key, most in (("exif:GPSLatitude", 90), ("exif:GPSLongitude", 180)):
        match = _COORDINATE.fullmatch(str(xmp.get(key) or "").strip())
        if match is None:
            return None
        degrees = float(match[1]) + float(match[2]) / 60 + float(match[3] or 0) / 3600
        if degrees > most:
            return None
        values.append(round(-degrees if match[4] in "SW" else degrees, 7))
    return {"latitude": values[0], "longitude": values[1]}


def _profile_name(icc: bytes | None) -> str | None:
    if not icc:
        return None
    import io

    from PIL import ImageCms

    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc)))
    except (ImageCms.PyCMSError, OSError):
        return None
    return " ".join(name.split())[:200] or None


def exif_tags(block: bytes | None) -> dict[str, dict[str, Any]]:
    """Every EXIF tag by directory and name, as plain values; long ones are cut, bytes are told by their length.

    At most :data:`MOST_TAGS`; maker notes stay closed.
    """
    from PIL import ExifTags

    exif = parse(block) if block else None
    if exif is None:
        return {}
    found: dict[str, dict[str, Any]] = {}
    left = MOST_TAGS
    directories: tuple[tuple[str, Directory, Mapping[int, str]], ...] = (
        ("image", exif.main, ExifTags.TAGS),
        ("photo", exif.photo, ExifTags.TAGS),
        ("gps", exif.gps, ExifTags.GPSTAGS),
    )
    for directory, entries, names in directories:
        for tag, entry in sorted(entries.items())[:left]:
            found.setdefault(directory, {})[names.get(tag, f"0x{tag:04X}")] = _plain(exif, entry)
            left -= 1
    return found


_CODES = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 11: "f", 12: "d", 13: "L"}


def _plain(exif: Exif, entry: Entry) -> Any:
    if entry.kind == 2:
        text = entry.data.split(b"\0")[0].decode("utf-8", errors="replace")
        return "".join(c for c in text if c.isprintable())[:LONGEST_VALUE]
    if entry.kind == 7 or entry.count > _MOST_NUMBERS:
        return f"({len(entry.data)} bytes)"
    if entry.kind in (5, 10):
        pairs = struct.iter_unpack(exif.mark + ("LL" if entry.kind == 5 else "ll"), entry.data)
        numbers: list[float | None] = [round(a / b, 9) if b else None for a, b in pairs]
    else:
        read = struct.iter_unpack(exif.mark + _CODES[entry.kind], entry.data)
        # JSON has neither infinity nor NaN.
        numbers = [n if abs(n) < float("inf") else None for (n,) in read]
    return numbers[0] if len(numbers) == 1 else numbers
