"""IPTC-IIM, the captions of news agencies, as plain values. Source: IPTC Information Interchange Model 4.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

MOST_ITEMS = 100
LONGEST_TEXT = 1000

FIELDS = {
    5: "title",
    15: "category",
    25: "keywords",
    40: "instructions",
    55: "date_created",
    60: "time_created",
    80: "creator",
    85: "creator_title",
    90: "city",
    92: "sublocation",
    95: "state",
    100: "country_code",
    101: "country",
    105: "headline",
    110: "credit",
    115: "source",
    116: "copyright",
    118: "contact",
    120: "description",
    122: "description_writer",
}
"""Names of the data sets of record 2."""
_LISTS = {"keywords", "creator"}
_UTF8 = b"\x1b%G"


def read_iptc(image: Image.Image) -> dict[str, Any]:
    """The captions of an opened picture (JPEG or TIFF); keywords and creators are lists. Damaged ones are none."""
    from PIL import IptcImagePlugin
    from PIL.ImageFile import ImageFile

    if not isinstance(image, ImageFile):
        return {}
    try:
        records = IptcImagePlugin.getiptcinfo(image) or {}
    except (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError):
        return {}
    stated = records.get((1, 90))
    unicode = isinstance(stated, bytes) and stated.startswith(_UTF8)
    found: dict[str, Any] = {}
    for (record, dataset), raw in records.items():
        name = FIELDS.get(dataset) if record == 2 else None
        if name is None:
            continue
        values = raw if isinstance(raw, list) else [raw]
        texts = [text for value in values[:MOST_ITEMS] if (text := _text(value, unicode))]
        if texts:
            found[name] = texts if name in _LISTS else texts[0]
    return found


def _text(value: bytes, unicode: bool) -> str:
    """The text; where no encoding is stated, UTF-8 if it is that, else Windows' Western one."""
    try:
        text = value.decode("utf-8", errors="replace" if unicode else "strict")
    except UnicodeDecodeError:
        text = value.decode("cp1252", errors="replace")
    return "".join(c for c in text if c.isprintable() or c in "\n\t").strip()[:LONGEST_TEXT]
