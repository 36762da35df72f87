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
        records = {}
    return _fields(records or _records(records_of(_payload(image))))


def _fields(records: dict[tuple[int, int], Any]) -> dict[str, Any]:
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


_HEAD = b"Photoshop 3.0\0"
_RESOURCES_TAG, _NAA_TAG = 0x8649, 0x83BB
_XMP_TEXTS = {"description": "dc:description", "copyright": "dc:rights", "title": "dc:title"}
_XMP_LISTS = {"creator": ("dc:creator", "Seq"), "keywords": ("dc:subject", "Bag")}
_XMP_PLAIN = {
    "city": "photoshop:City", "state": "photoshop:State", "country": "photoshop:Country", "credit": "photoshop:Credit",
    "source": "photoshop:Source", "headline": "photoshop:Headline", "instructions": "photoshop:Instructions",
}  # fmt: skip


def _payload(image: Any) -> bytes | None:
    if image.format == "TIFF":
        return iptc_of_tiff(image)
    return next((data for marker, data in getattr(image, "applist", ()) if marker == "APP13"), None)


def iptc_of_tiff(image: Any) -> bytes | None:
    """What a TIFF holds, as the payload of a JPEG's APP13 segment: Photoshop's resources, else the bare records."""
    resources, naa = (_bytes(image.tag_v2.get(tag)) for tag in (_RESOURCES_TAG, _NAA_TAG))
    if resources:
        return _HEAD + resources
    if not naa or naa[:1] != b"\x1c":
        return None
    return _HEAD + b"8BIM\x04\x04\0\0" + len(naa).to_bytes(4, "big") + naa + b"\0" * (len(naa) % 2)


def _bytes(value: Any) -> bytes | None:
    if isinstance(value, tuple):
        value = value[0] if value else None
    return value if isinstance(value, bytes) else None


def iptc_resources(payload: bytes | None) -> bytes | None:
    """Photoshop's image resources out of the payload of an APP13 segment."""
    return payload[len(_HEAD) :] if payload and payload.startswith(_HEAD) else None


def records_of(payload: bytes | None) -> bytes:
    """The records in the payload of an APP13 segment; empty where there are none, or they are cut short."""
    rest = iptc_resources(payload) or b""
    while rest.startswith(b"8BIM") and len(rest) >= 12:
        name_end = 6 + (rest[6] + 2) // 2 * 2
        length = int.from_bytes(rest[name_end : name_end + 4], "big")
        data = rest[name_end + 4 : name_end + 4 + length]
        if len(data) < length:
            return b""
        if rest[4:6] == b"\x04\x04":
            return data
        rest = rest[name_end + 4 + length + length % 2 :]
    return b""


def _records(raw: bytes) -> dict[tuple[int, int], Any]:
    found: dict[tuple[int, int], Any] = {}
    at = 0
    while at + 5 <= len(raw) and raw[at] == 0x1C and raw[at + 3] < 0x80:
        length = int.from_bytes(raw[at + 3 : at + 5], "big")
        found.setdefault((raw[at + 1], raw[at + 2]), []).append(raw[at + 5 : at + 5 + length])
        at += 5 + length
    return {key: values if len(values) > 1 else values[0] for key, values in found.items()}


def as_xmp(payload: bytes) -> bytes | None:
    """The captions in an APP13 segment's payload as an XMP packet; ``None`` where there are none."""
    from xml.sax.saxutils import escape

    fields = _fields(_records(records_of(payload)))
    parts: list[str] = []
    for name, tag in _XMP_TEXTS.items():
        if text := fields.get(name):
            parts.append(
                f'<{tag}><rdf:Alt><rdf:li xml:lang="x-default">{escape(text)}</rdf:li></rdf:Alt></{tag}>'
            )
    for name, (tag, kind) in _XMP_LISTS.items():
        if texts := fields.get(name):
            items = "".join(f"<rdf:li>{escape(text)}</rdf:li>" for text in texts)
            parts.append(f"<{tag}><rdf:{kind}>{items}</rdf:{kind}></{tag}>")
    for name, tag in _XMP_PLAIN.items():
        if text := fields.get(name):
            parts.append(f"<{tag}>{escape(text)}</{tag}>")
    if not parts:
        return None
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/">'
        f'{"".join(parts)}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()
