"""What Pillow does not do for PNG: write 16-bit colour, and find metadata behind the pixels before
decoding."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LEVEL = 4
_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
_BLOCK_BYTES = 1 << 22


def write_png16(
    path: Path,
    array: np.ndarray,
    *,
    exif: bytes | None,
    icc: bytes | None,
    xmp: bytes | None,
    dpi: tuple[float, float] | None,
) -> None:
    """Write a uint16 array of 1–4 channels. Rows are filtered by "Sub", which suits photographs."""
    import numpy as np

    array = array if array.ndim == 3 else array[..., None]
    height, width, channels = array.shape
    header = struct.pack(">LLBBBBB", width, height, 16, _COLOUR_TYPE[channels], 0, 0, 0)
    packer = zlib.compressobj(LEVEL)
    rows = max(1, _BLOCK_BYTES // (width * channels * 2))
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header))
        if icc:
            file.write(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
        if dpi:
            file.write(_chunk(b"pHYs", struct.pack(">LLB", *(round(v / 0.0254) for v in dpi), 1)))
        if exif:
            file.write(_chunk(b"eXIf", exif))
        if xmp:
            file.write(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))
        for top in range(0, height, rows):
            raw = array[top : top + rows].astype(">u2").view(np.uint8).reshape(-1, width * channels * 2)
            filtered = np.empty((raw.shape[0], raw.shape[1] + 1), np.uint8)
            filtered[:, 0] = 1
            filtered[:, 1:] = raw
            filtered[:, 1 + 2 * channels :] -= raw[:, : -2 * channels]
            if data := packer.compress(filtered.tobytes()):
                file.write(_chunk(b"IDAT", data))
        file.write(_chunk(b"IDAT", packer.flush()) + _chunk(b"IEND", b""))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


_SIGNATURE = 8
_TEXT_HEAD = b"XML:com.adobe.xmp\0"
_LARGEST_METADATA = 16 << 20


def trailing_metadata(path: Path) -> tuple[bytes | None, bytes | None]:
    """(EXIF, XMP) from chunks behind the pixels, where some programs put them; compressed XMP is not looked
    into."""
    exif = xmp = None
    behind = False
    with path.open("rb") as file:
        file.seek(_SIGNATURE)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">L4s", head)
            behind = behind or kind == b"IDAT"
            if behind and kind in (b"eXIf", b"iTXt") and length <= _LARGEST_METADATA:
                data = file.read(length)
                if kind == b"eXIf":
                    exif = exif or data
                elif data.startswith(_TEXT_HEAD + b"\0"):
                    xmp = xmp or data.split(b"\0", 5)[-1]
                length = 0
            file.seek(length + 4, 1)
    return exif, xmp
