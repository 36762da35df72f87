"""What kind of JPEG or TIFF it is that nobody here decodes: the file is whole, and its owner should hear what it is."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from .exif import Exif, parse

if TYPE_CHECKING:
    from PIL import Image

_HEAD = 1 << 20
_MOST_SEGMENTS = 500

_FRAMES = {
    0xC5: "a hierarchical JPEG",
    0xC6: "a hierarchical JPEG",
    0xC7: "a hierarchical JPEG",
    0xCB: "a lossless JPEG (SOF11)",
    0xF7: "a JPEG-LS",
}
_OTHER_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA}

_COMPRESSIONS = {
    6: "old-style JPEG", 7: "JPEG", 33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC",
    34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_COLOURS = {
    0: "grey",
    1: "grey",
    2: "RGB",
    3: "a palette",
    4: "a mask",
    5: "inks",
    6: "YCbCr",
    8: "Lab",
    9: "Lab",
}
_SAMPLES = {2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
_COMPRESSION, _PHOTOMETRIC, _BITS, _PLANAR, _SAMPLE_FORMAT = 0x0103, 0x0106, 0x0102, 0x011C, 0x0153
_SUBFILE = 0x00FE
_WEBP = 50001


def variant(path: Path, kind: str) -> str | None:
    """What the file is, where its ``kind`` of JPEG or TIFF is a rare one; ``None`` for an ordinary or broken one."""
    with path.open("rb") as file:
        if kind == "jpeg":
            return _jpeg(file.read(_HEAD))
        return _tiff(parse(file.read(), file=True)) if kind == "tiff" else None


def _jpeg(head: bytes) -> str | None:
    at = 2
    for _ in range(_MOST_SEGMENTS):
        while head[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 5 > len(head) or head[at] != 0xFF:
            return None
        marker, (length,) = head[at + 1], struct.unpack(">H", head[at + 2 : at + 4])
        if marker in _FRAMES:
            return _FRAMES[marker]
        if marker in _OTHER_FRAMES:
            precision = head[at + 4]
            return f"a JPEG with {precision} bits per channel" if precision != 8 else None
        at += 2 + length
    return None


def _tiff(exif: Exif | None) -> str | None:
    if exif is None or _PHOTOMETRIC not in exif.main or _BITS not in exif.main:
        return None
    bits = exif.number(exif.main[_BITS])
    colours = _COLOURS.get(exif.number(exif.main[_PHOTOMETRIC]) or 0, "unknown colours")
    samples = _SAMPLES.get(exif.number(exif.main.get(_SAMPLE_FORMAT)) or 1, "")
    compression = _COMPRESSIONS.get(exif.number(exif.main.get(_COMPRESSION)) or 1)
    if (
        bits in (1, 2, 4, 8, 16)
        and colours in ("grey", "RGB", "a palette")
        and not samples
        and not compression
    ):
        return None
    packed = f", compressed with {compression}" if compression else ""
    return f"a TIFF of {colours} in {' '.join(filter(None, [f'{bits}-bit', samples, 'samples']))}{packed}"


def layout_refused(image: Image.Image) -> tuple[str, str] | None:
    """What an opened TIFF is and what to do, where its pixels would be decoded wrong or are not the photograph's."""
    tags = image.tag_v2  # pyright: ignore[reportAttributeAccessIssue] - a TIFF has them
    bits = tags.get(_BITS, (8,))
    deep = max(bits if isinstance(bits, tuple) else (bits,)) > 8
    if deep and tags.get(_PLANAR) == 2 and image.mode not in ("L", "I;16"):
        return (
            "a TIFF whose 16-bit channels are stored one after the other",
            "save it with interleaved channels",
        )
    if tags.get(_COMPRESSION) == _WEBP:
        return "a TIFF compressed with WebP", "save it with LZW or deflate compression"
    if int(tags.get(_SUBFILE, 0) or 0) & 1 and getattr(image, "n_frames", 1) > 1:
        return "a TIFF that begins with a thumbnail", "save it with the full picture first"
    return None
