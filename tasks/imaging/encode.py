"""Write a raster with its metadata in one of the formats we write.

Measured on 6 megapixels (Pillow 13, libjpeg-turbo 3.2, libheif 1.23): a progressive
JPEG costs five times a baseline one and saves 5 %, ``optimize`` two and a half times for 4 %: both stay off.
x265's ``ultrafast`` gives a still picture of the same PSNR in a fifth of the time. WebP method 2 takes half
of 4's time for 1.5 % more bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ...core.errors import Code, RealmError
from .colour import profile_fits, srgb_profile, to_srgb
from .exif import shortened
from .formats import FORMATS, Format
from .iptc import as_xmp, iptc_resources
from .metadata import Metadata
from .png import write_png16
from .raster import Raster, colour_space, flattened, is_deep, plain, shallow, size_of
from .tiff import write_tiff

if TYPE_CHECKING:
    from PIL import Image

FULL_CHROMA = 90
"""From this JPEG quality on, colour is kept in full resolution (4:4:4); below it, halved (4:2:0)."""
PNG_LEVEL = 3
WEBP_METHOD = 2
LOSSLESS_EFFORT = 50
"""Without loss, WebP takes its quality for how hard to try."""
HEIC_PRESET = "ultrafast"

_SEGMENT = 65_533
_XMP_HEAD = 29


@dataclass(frozen=True, slots=True)
class Encoded:
    """What was written. ``remarks`` say what the format could not carry."""

    size: tuple[int, int]
    mode: str
    remarks: tuple[str, ...] = ()
    quality: int | None = None
    """What it was encoded at; ``None`` where the format knows none."""


def encode(
    raster: Raster,
    path: Path,
    format: Format,
    metadata: Metadata,
    *,
    quality: int = 92,
    background: tuple[int, int, int] = (255, 255, 255),
) -> Encoded:
    """Write ``raster`` to ``path``, whole or not at all. ``metadata`` must already fit the pixels.

    What the format cannot hold is converted: 16 bits are rounded to 8, transparency is laid on
    ``background``, ink becomes sRGB. Raises OUT_OF_RANGE when the picture is larger than the format allows.
    """
    _check_size(size_of(raster), format)
    remarks: list[str] = []
    raster, metadata = fitted(raster, format, metadata, background, remarks)
    if metadata.icc and not profile_fits(metadata.icc, colour_space(raster)):
        metadata = replace(metadata, icc=None)
        remarks.append("the colour profile does not fit the pixels and was left out")
    if metadata.iptc and not metadata.xmp and format.name not in ("jpeg", "tiff"):
        metadata = replace(metadata, xmp=as_xmp(metadata.iptc))  # these formats have no place for IPTC
    temporary = path.with_name(f"{uuid4().hex}.part")  # a name may be as long as names can be
    try:
        _WRITERS[format.name](raster, temporary, metadata, quality, remarks)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    mode = raster.mode if not is_deep(raster) else f"{colour_space(raster)};16"
    return Encoded(size_of(raster), mode, tuple(remarks), None if format.lossless else quality)


def encode_within(
    raster: Raster,
    path: Path,
    format: Format,
    metadata: Metadata,
    *,
    quality: int,
    background: tuple[int, int, int],
    max_bytes: int | None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Encoded:
    """As :func:`encode`, in at most ``max_bytes``: with the best quality up to ``quality`` that keeps to it.

    ``checkpoint`` is called before each further attempt, of which there are at most seven. Raises OUT_OF_RANGE,
    leaving no file, when even the lowest quality is too large; a lossless format has only one.
    """

    def attempt(at: int) -> Encoded:
        return encode(raster, path, format, metadata, quality=at, background=background)

    done = attempt(quality)
    if max_bytes is None or path.stat().st_size <= max_bytes:
        return done
    low, high = (1, 0) if format.lossless else (1, quality - 1)
    best, length = None, path.stat().st_size
    while low <= high:
        checkpoint()
        middle = (low + high) // 2
        done = attempt(middle)
        length = path.stat().st_size
        if length <= max_bytes:
            best, low = middle, middle + 1
        else:
            high = middle - 1
    if best is None:
        path.unlink()
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"{size_of(raster)[0]}×{size_of(raster)[1]} takes {length} bytes as {format.name.upper()} at the least; "
            f"the limit is {max_bytes}",
            hint="set max_size, or a format that compresses more",
        )
    return done if done.quality == best else attempt(best)


def fitted(
    raster: Raster, format: Format, metadata: Metadata, background: tuple[int, int, int], remarks: list[str]
) -> tuple[Raster, Metadata]:
    """The raster in a form that the format can hold, with the profile that its colours then have."""
    if is_deep(raster):
        if format.deep:
            return (_coloured(raster) if format.name == "tiff" else raster), metadata
        raster = shallow(raster)
        remarks.append(f"{format.name.upper()} holds 8 bits per channel: 16 bits were rounded")
    image: Image.Image = raster
    if not (format.name == "png" and image.mode in ("P", "1")):
        image = plain(image)
    if image.mode == "CMYK" and not format.cmyk:
        image, remark = to_srgb(image, metadata.icc)
        metadata = replace(metadata, icc=srgb_profile())
        remarks.extend(filter(None, [remark]))
    if image.mode in ("LA", "RGBA") and not format.alpha:
        image = flattened(image, background)
    if image.mode == "1" and format.name != "png":
        image = image.convert("L")
    if not format.grey and image.mode in ("L", "LA"):
        if metadata.icc:
            image, _ = to_srgb(image, metadata.icc)
            metadata = replace(metadata, icc=srgb_profile())
        image = image.convert("RGBA" if image.mode in ("LA", "RGBA") else "RGB")
    return image, metadata


def _coloured(array: Any) -> Any:
    """Grey with alpha as RGB with alpha: few programs read a 16-bit TIFF of the former, and Pillow does not."""
    if array.ndim == 2 or array.shape[2] != 2:
        return array
    return array[..., [0, 0, 0, 1]]


def _check_size(size: tuple[int, int], format: Format) -> None:
    if max(size) > format.max_side:
        others = [f.name for f in FORMATS.values() if f.writable and f.max_side >= max(size)]
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"{size[0]}×{size[1]} is too large for {format.name.upper()}, whose sides end at {format.max_side}",
            hint=f"set max_size, or a format that can: {', '.join(others)}",
        )


def _jpeg(image: Any, path: Path, metadata: Metadata, quality: int, remarks: list[str]) -> None:
    exif, xmp = metadata.exif, metadata.xmp
    if exif and len(exif) > _SEGMENT - 6:
        exif = shortened(exif, _SEGMENT - 6)
        remarks.append("JPEG holds 64 KB of EXIF: its largest values were left out")
    if xmp and len(xmp) > _SEGMENT - _XMP_HEAD:
        xmp = None
        remarks.append("JPEG holds 64 KB of XMP: it was left out")
    options: dict[str, Any] = {"extra": _segment(0xED, metadata.iptc), "comment": b""}
    if exif:
        options["exif"] = b"Exif\0\0" + exif
    if xmp:
        options["xmp"] = xmp
    if metadata.dpi:
        options["dpi"] = metadata.dpi
    image.save(
        path,
        "JPEG",
        quality=quality,
        subsampling=0 if quality >= FULL_CHROMA else 2,
        icc_profile=metadata.icc,
        **options,
    )


def _segment(marker: int, payload: bytes | None) -> bytes:
    if not payload or len(payload) > _SEGMENT:
        return b""
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def _png(raster: Any, path: Path, metadata: Metadata, quality: int, remarks: list[str]) -> None:
    if is_deep(raster):
        write_png16(path, raster, exif=metadata.exif, icc=metadata.icc, xmp=metadata.xmp, dpi=metadata.dpi)
        return
    from PIL.PngImagePlugin import PngInfo

    options: dict[str, Any] = {}
    if metadata.xmp:
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
        options["pnginfo"] = info
    if metadata.exif:
        options["exif"] = metadata.exif
    if metadata.dpi:
        options["dpi"] = metadata.dpi
    # An empty profile, since without one Pillow would take the one it read, fitting or not.
    raster.save(path, "PNG", compress_level=PNG_LEVEL, icc_profile=metadata.icc or b"", **options)


def _webp(image: Any, path: Path, metadata: Metadata, quality: int, remarks: list[str]) -> None:
    lossless = quality == 100
    image.save(
        path,
        "WEBP",
        lossless=lossless,
        exact=lossless,
        quality=LOSSLESS_EFFORT if lossless else quality,
        method=WEBP_METHOD,
        exif=metadata.exif or b"",
        xmp=metadata.xmp or b"",
        icc_profile=metadata.icc or b"",
    )


def _tiff(raster: Any, path: Path, metadata: Metadata, quality: int, remarks: list[str]) -> None:
    write_tiff(
        path,
        raster,
        exif=metadata.exif,
        icc=metadata.icc,
        xmp=metadata.xmp,
        resources=iptc_resources(metadata.iptc),
        dpi=metadata.dpi,
    )


def _heic(raster: Any, path: Path, metadata: Metadata, quality: int, remarks: list[str]) -> None:
    import pillow_heif

    mode, data = _heif_pixels(raster)
    pillow_heif.encode(
        mode,
        size_of(raster),
        data,
        path,
        quality=quality,
        enc_params={"preset": HEIC_PRESET},
        chroma=444 if quality >= FULL_CHROMA else 420,
        exif=metadata.exif,
        xmp=metadata.xmp,
        icc_profile=metadata.icc,
    )


def _heif_pixels(raster: Any) -> tuple[str, bytes]:
    if not is_deep(raster):
        return raster.mode, raster.tobytes()
    channels = 1 if raster.ndim == 2 else raster.shape[2]
    return {1: "L;16", 2: "LA;16", 3: "RGB;16", 4: "RGBA;16"}[channels], raster.astype("<u2").tobytes()


_Writer = Callable[[Any, Path, Metadata, int, list[str]], None]
_WRITERS: dict[str, _Writer] = {"jpeg": _jpeg, "png": _png, "webp": _webp, "tiff": _tiff, "heic": _heic}
