"""The metadata that travels with a picture: EXIF, colour profile, XMP, IPTC, density; taken from any
format."""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import exif as exif_blocks
from .iptc import iptc_of_tiff
from .png import trailing_metadata

if TYPE_CHECKING:
    from PIL import Image

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))\s*([1-8])\s*(?=[\"'<])")
_XMP_SIZES = (
    re.compile(rb"((?:tiff:ImageWidth|exif:PixelXDimension)(?:=[\"']|>))\s*\d+\s*(?=[\"'<])"),
    re.compile(rb"((?:tiff:ImageLength|exif:PixelYDimension)(?:=[\"']|>))\s*\d+\s*(?=[\"'<])"),
)
_XMP_KEYS = ("xmp", "XML:com.adobe.xmp")
_PNG_LEGACY_EXIF = "Raw profile type exif"


@dataclass(frozen=True, slots=True)
class Metadata:
    """``exif`` has no ``Exif\\0\\0`` header; ``iptc`` is the payload of a JPEG's APP13 segment."""

    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None

    @property
    def orientation(self) -> int | None:
        """The orientation that EXIF states, else XMP; ``None`` when neither does."""
        parsed = exif_blocks.parse(self.exif) if self.exif else None
        if parsed is not None and parsed.orientation is not None:
            return parsed.orientation
        found = _XMP_ORIENTATION.search(self.xmp) if self.xmp else None
        return int(found[2]) if found else None

    def for_pixels(self, size: tuple[int, int], *, upright: bool) -> tuple[Metadata, str | None]:
        """This metadata for pixels of ``size``, with the orientation reset if they are ``upright`` now.

        The second value remarks on what had to be dropped.
        """
        block, remark = None, None
        if self.exif:
            block = exif_blocks.corrected(self.exif, size, orientation=1 if upright else None)
            if block is None:
                remark = "the EXIF block is damaged and was dropped"
        packet = self.xmp
        if packet:
            if upright:
                packet = _XMP_ORIENTATION.sub(rb"\g<1>1", packet)
            for pattern, side in zip(_XMP_SIZES, size, strict=True):
                packet = pattern.sub(rb"\g<1>%d" % side, packet)
        return replace(self, exif=block, xmp=packet), remark

    def stripped(self, orientation: int | None) -> Metadata:
        """Nothing personal: only the colour profile, the density, and (if not 1) how the pixels lie."""
        keep = exif_blocks.only_orientation(orientation) if orientation not in (None, 1) else None
        return Metadata(exif=keep, icc=self.icc, dpi=self.dpi)


def metadata_of(image: Image.Image, path: Path) -> Metadata:
    """The metadata of an opened (not necessarily decoded) Pillow image of the file at ``path``."""
    info = image.info
    block = _from_tiff(path) if image.format == "TIFF" else _exif_of(info)
    packet = next((info[key] for key in _XMP_KEYS if info.get(key)), None)
    if image.format == "PNG" and not (block and packet):
        late_exif, late_packet = trailing_metadata(path)
        block, packet = block or exif_blocks.without_header(late_exif), packet or late_packet
    if image.format == "TIFF":
        iptc = iptc_of_tiff(image)
    else:
        iptc = next((data for marker, data in getattr(image, "applist", ()) if marker == "APP13"), None)
    dpi = info.get("dpi")
    return Metadata(
        exif=block,
        icc=info.get("icc_profile") or None,
        xmp=packet.encode() if isinstance(packet, str) else packet,
        iptc=iptc,
        dpi=(float(dpi[0]), float(dpi[1])) if dpi and 0 < dpi[0] < 1e5 and 0 < dpi[1] < 1e5 else None,
    )


def _exif_of(info: dict) -> bytes | None:
    block = info.get("exif")
    if not block and isinstance(legacy := info.get(_PNG_LEGACY_EXIF), str):
        try:
            block = bytes.fromhex("".join(legacy.split("\n")[3:]))
        except ValueError:
            return None
    return exif_blocks.without_header(block)


def _from_tiff(path: Path) -> bytes | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return exif_blocks.from_tiff(content)  # pyright: ignore[reportArgumentType] - sliced like bytes
