"""Colour profiles: to sRGB through the picture's own profile, CMYK among it."""

from __future__ import annotations

import io
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from .raster import colour_space

if TYPE_CHECKING:
    from PIL import Image


@cache
def srgb_profile() -> bytes:
    """An sRGB ICC profile; always the same bytes (LittleCMS writes the time of making into bytes 24–36)."""
    from PIL import ImageCms

    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[24:36] = bytes((0x07, 0xE7, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))
    data[84:100] = bytes(16)  # the profile's id, a digest that would have to follow
    return bytes(data)


_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}


def profile_fits(icc: bytes | None, space: str) -> bool:
    """Whether the profile is for pixels of this colour space (``GRAY``, ``RGB``, ``CMYK``), and whole."""
    return (
        icc is not None
        and len(icc) > 128
        and icc[36:40] == b"acsp"
        and icc[16:20].decode("latin-1").strip() == space
        and _converts(icc, _MODES[space])
    )


@lru_cache(maxsize=16)
def _converts(icc: bytes, mode: str) -> bool:
    from PIL import ImageCms

    if len(icc) < int.from_bytes(icc[:4], "big"):
        return False
    try:
        ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB"), mode, "RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return False
    return True


_NEARLY = 2
"""Of 255: difference up to which a profile is sRGB, however its maker rounded."""


@lru_cache(maxsize=16)
def is_srgb(icc: bytes) -> bool:
    """Whether a profile is sRGB, by what it does and not by what it calls itself; converting from it would only cost
    rounding errors."""
    from PIL import Image, ImageChops

    if not profile_fits(icc, "RGB"):
        return False
    steps = bytes(range(0, 256, 51))
    probe = Image.frombytes(
        "RGB", (36, 6), bytes(v for r in steps for g in steps for b in steps for v in (r, g, b))
    )
    difference = ImageChops.difference(probe, _transformed(probe, icc))
    return max(high for _, high in difference.getextrema()) <= _NEARLY  # pyright: ignore[reportGeneralTypeIssues]


def to_srgb(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, str | None]:
    """The image in sRGB, and a remark where that could not be done properly.

    Without a usable profile, CMYK is converted by plain arithmetic, and anything else is taken to be sRGB.
    """
    if icc is not None and not profile_fits(icc, colour_space(image)):
        icc, remark = None, "the embedded colour profile does not fit the pixels and was ignored"
    else:
        remark = None
    if icc is None:
        if image.mode == "CMYK":
            return image.convert(
                "RGB"
            ), remark or "CMYK without a profile: converted without colour management"
        return image, remark
    if image.mode == "RGB" and is_srgb(icc):
        return image, None
    from PIL import ImageCms

    try:
        return _transformed(image, icc), None
    except (ImageCms.PyCMSError, OSError) as error:
        plain = image.convert("RGB") if image.mode == "CMYK" else image
        return plain, f"the embedded colour profile is unusable ({error}) and was ignored"


def _transformed(image: Image.Image, icc: bytes) -> Image.Image:
    from PIL import ImageCms

    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if image.mode == "1":
        image = image.convert("L")
    opaque = image.convert({"LA": "L", "RGBA": "RGB"}.get(image.mode, image.mode))
    result = ImageCms.profileToProfile(
        opaque,
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert result is not None  # only in-place conversion returns None
    if alpha is not None:
        result.putalpha(alpha)
    return result
