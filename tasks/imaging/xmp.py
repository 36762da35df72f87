"""XMP packets as plain values: one flat mapping, bounded, whatever the packet claims.

Source: ISO 16684-1 (XMP, part 1), of which the forms that programs write are read: properties as attributes or
elements, arrays, and structures of either.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

LARGEST = 4 << 20
"""Bytes of a packet that is still read; depth maps and edit histories are longer, descriptions never."""
MOST_PROPERTIES = 300
MOST_ITEMS = 100
LONGEST_TEXT = 1000
MOST_TEXT = 200_000
"""Characters of all properties together; what would go beyond is left out."""
_DEEPEST = 8

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_ARRAYS = {_RDF + "Bag", _RDF + "Seq", _RDF + "Alt"}
_SYNTAX = {
    _RDF + "about",
    _RDF + "parseType",
    _RDF + "resource",
    "{http://www.w3.org/XML/1998/namespace}lang",
}

_NAMESPACE = re.compile(r"""xmlns:([\w.-]+)\s*=\s*["']([^"']+)["']""")

# Fixed, since a packet may call a namespace whatever it likes.
_PREFIXES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.adobe.com/xap/1.0/mm/": "xmpMM",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://ns.adobe.com/lightroom/1.0/": "lr",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "Iptc4xmpCore",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://creativecommons.org/ns#": "cc",
}


def read_xmp(packet: bytes | None) -> tuple[dict[str, Any], str | None]:
    """The properties of a packet as ``{"dc:title": text | list | dict}``, and a remark where it is not readable.

    Alternatives by language give the default's text. Document types, and with them entities, are refused.

    >>> read_xmp(b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:Description '
    ...          b'xmlns:x="http://ns.adobe.com/xap/1.0/" x:Rating="4"/></r:RDF>')
    ({'xmp:Rating': '4'}, None)
    """
    if not packet:
        return {}, None
    if len(packet) > LARGEST:
        return {}, f"the XMP packet has {len(packet) >> 20} MiB and was not read"
    try:
        text = packet.strip(b"\0 \t\r\n").decode("utf-8-sig")
        if re.search(r"<!(?:DOCTYPE|ENTITY)", text, re.IGNORECASE):
            return {}, "the XMP packet declares a document type and was not read"
        root = ElementTree.fromstring(text)  # noqa: S314 - no document type, hence no entities
    except (ValueError, ElementTree.ParseError, RecursionError) as error:
        return {}, f"the XMP packet is not readable: {error}"
    prefixes = {namespace: prefix for prefix, namespace in _NAMESPACE.findall(text)} | _PREFIXES
    found: dict[str, Any] = {}
    room = MOST_TEXT
    for description in (d for rdf in root.iter(_RDF + "RDF") for d in rdf.findall(_RDF + "Description")):
        for key, value in _properties(description, prefixes, 0).items():
            room -= len(str(value))
            if len(found) >= MOST_PROPERTIES or room < 0:
                return found, "the XMP packet is long: its end was not read"
            found.setdefault(key, value)
    return found, None


def _properties(element: ElementTree.Element, prefixes: dict[str, str], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        _name(key, prefixes): value[:LONGEST_TEXT]
        for key, value in element.attrib.items()
        if key not in _SYNTAX and value.strip()
    }
    for child in element:
        value = _value(child, prefixes, depth + 1)
        if value not in (None, "", [], {}):
            found.setdefault(_name(child.tag, prefixes), value)
        if len(found) >= MOST_PROPERTIES:
            break
    return found


def _value(element: ElementTree.Element, prefixes: dict[str, str], depth: int) -> Any:
    if depth > _DEEPEST:
        return None
    children = list(element)
    if not children:
        plain = (element.text or "").strip() or element.get(_RDF + "resource")
        return plain[:LONGEST_TEXT] if plain else _properties(element, prefixes, depth)
    first = children[0]
    if first.tag in _ARRAYS:
        items = [_value(item, prefixes, depth + 1) for item in list(first)[:MOST_ITEMS]]
        items = [item for item in items if item not in (None, "", [], {})]
        return (items[0] if items else None) if first.tag == _RDF + "Alt" else items
    inner = first if first.tag == _RDF + "Description" else element
    return _properties(inner, prefixes, depth)


def _name(tag: str, prefixes: dict[str, str]) -> str:
    namespace, _, local = tag.removeprefix("{").rpartition("}")
    return f"{prefixes.get(namespace) or 'ns'}:{local}" if namespace else local
