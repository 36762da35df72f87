"""A TIFF writer for 8 and 16 bits with EXIF, GPS, ICC and XMP in it.

Pillow writes no 16-bit colour, and through libtiff no EXIF directories; this writes baseline TIFF 6.0 in
strips, deflate-compressed with horizontal differencing, which every reader of today understands.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from .exif import SHORT, Exif, build, for_tiff
from .raster import Raster, is_deep

if TYPE_CHECKING:
    import numpy as np

STRIP_BYTES = 1 << 18
LEVEL = 4
"""zlib level; 4 is within 5 % of 9's size at a fifth of the time on photographs."""

_PHOTOMETRIC = {"L": 1, "LA": 1, "RGB": 2, "RGBA": 2, "CMYK": 5}


def write_tiff(
    path: Path,
    raster: Raster,
    *,
    exif: bytes | None,
    icc: bytes | None,
    xmp: bytes | None,
    resources: bytes | None = None,
    dpi: tuple[float, float] | None,
) -> None:
    """Write ``raster`` (L, LA, RGB, RGBA, CMYK or a uint16 array of 1–4 channels) to ``path``. ``resources`` are
    Photoshop's image resources, the place of IPTC captions."""
    array, mode = _array(raster)
    described = for_tiff(exif)
    strips, rows = _strips(array, described.mark)
    height, width, channels = array.shape
    mark, bits = described.mark, array.dtype.itemsize * 8
    extra = [
        _longs(mark, 0x0100, width),
        _longs(mark, 0x0101, height),
        _shorts(mark, 0x0102, *[bits] * channels),
        _shorts(mark, 0x0103, 8),
        _shorts(mark, 0x0106, _PHOTOMETRIC[mode]),
        _shorts(mark, 0x0115, channels),
        _longs(mark, 0x0116, rows),
        _longs(mark, 0x0117, *map(len, strips)),
        _shorts(mark, 0x011C, 1),
        _shorts(mark, 0x013D, 2),
    ]
    if mode in ("LA", "RGBA"):
        extra.append(_shorts(mark, 0x0152, 2))
    extra += [
        (tag, 7, len(data), data) for tag, data in ((0x8773, icc), (0x02BC, xmp), (0x8649, resources)) if data
    ]
    if dpi:
        extra += [_ratio(mark, 0x011A, dpi[0]), _ratio(mark, 0x011B, dpi[1]), _shorts(mark, 0x0128, 2)]
    path.write_bytes(_assembled(described, extra, strips))


def _assembled(described: Exif, extra: list[tuple[int, int, int, bytes]], strips: list[bytes]) -> bytes:
    """The file: head, strips, then the directories (so that their place is known when the strips' are)."""
    offsets, at = [], 8
    for strip in strips:
        offsets.append(at)
        at += len(strip)
    at += at % 2
    if at > 0xFFFF_0000:
        raise ValueError("a TIFF cannot be larger than 4 GiB")
    frame = bytearray(build(described, extra=[*extra, _longs(described.mark, 0x0111, *offsets)], start=at))
    frame[8 : 8 + sum(map(len, strips))] = b"".join(strips)
    return bytes(frame)


def _array(raster: Raster) -> tuple[np.ndarray, str]:
    import numpy as np

    if is_deep(raster):
        array = raster if raster.ndim == 3 else raster[..., None]
        return array, {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[array.shape[2]]
    array = np.asarray(raster)
    return (array if array.ndim == 3 else array[..., None]), raster.mode


def _strips(array: np.ndarray, mark: str) -> tuple[list[bytes], int]:
    import numpy as np

    height, width, channels = array.shape
    rows = max(1, STRIP_BYTES // (width * channels * array.dtype.itemsize))
    kind = np.dtype(array.dtype.newbyteorder("<" if mark == "<" else ">"))
    strips = []
    for top in range(0, height, rows):
        part = array[top : top + rows].copy()
        # Differences wrap around by design (TIFF 6.0, section 14).
        part[:, 1:] -= array[top : top + rows, :-1]
        strips.append(zlib.compress(part.astype(kind, copy=False).tobytes(), LEVEL))
    return strips, rows


def _shorts(mark: str, tag: int, *values: int) -> tuple[int, int, int, bytes]:
    return tag, SHORT, len(values), struct.pack(f"{mark}{len(values)}H", *values)


def _longs(mark: str, tag: int, *values: int) -> tuple[int, int, int, bytes]:
    return tag, 4, len(values), struct.pack(f"{mark}{len(values)}L", *values)


def _ratio(mark: str, tag: int, value: float) -> tuple[int, int, int, bytes]:
    return tag, 5, 1, struct.pack(mark + "LL", round(value * 1000), 1000)
