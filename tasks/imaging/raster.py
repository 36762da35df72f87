"""Pixels: a Pillow image, or a uint16 array (rows × columns [× channels]) where channels have 16 bits.

Pillow has no 16-bit colour; NumPy and OpenCV have. The few operations that a photograph needs are here for
both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from typing_extensions import TypeIs

Raster: TypeAlias = "Image.Image | np.ndarray"

REDUCING_GAP = 2.0
"""How much larger than the goal a picture may be shrunk by cheap means first; 2 is invisible after Lanczos."""


def is_deep(raster: Raster) -> TypeIs[np.ndarray]:
    """Whether the channels have 16 bits."""
    return not hasattr(raster, "mode")


def size_of(raster: Raster) -> tuple[int, int]:
    """(width, height)."""
    return (raster.shape[1], raster.shape[0]) if is_deep(raster) else raster.size


def has_alpha(raster: Raster) -> bool:
    """Whether there is a transparency channel (or a transparent colour)."""
    if is_deep(raster):
        return raster.ndim == 3 and raster.shape[2] in (2, 4)
    return raster.mode in ("LA", "RGBA", "La", "RGBa", "PA") or "transparency" in raster.info


def colour_space(raster: Raster) -> str:
    """``GRAY``, ``RGB`` or ``CMYK``, as an ICC profile calls it."""
    if is_deep(raster):
        return "GRAY" if raster.ndim == 2 or raster.shape[2] == 2 else "RGB"
    return {"1": "GRAY", "L": "GRAY", "LA": "GRAY", "CMYK": "CMYK"}.get(raster.mode, "RGB")


def turned(raster: Raster, orientation: int) -> Raster:
    """The raster turned upright from EXIF ``orientation`` 1–8 (CIPA DC-008, tag 0x0112)."""
    if orientation == 1:
        return raster
    if is_deep(raster):
        return _turned_array(raster, orientation)
    from PIL.Image import Transpose

    operations = (
        Transpose.FLIP_LEFT_RIGHT,
        Transpose.ROTATE_180,
        Transpose.FLIP_TOP_BOTTOM,
        Transpose.TRANSPOSE,
        Transpose.ROTATE_270,
        Transpose.TRANSVERSE,
        Transpose.ROTATE_90,
    )
    return raster.transpose(operations[orientation - 2])


def _turned_array(array: np.ndarray, orientation: int) -> np.ndarray:
    import numpy as np

    if orientation >= 5:
        array = array.swapaxes(0, 1)
    rows, columns = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(
        orientation, (1, 1)
    )
    return np.ascontiguousarray(array[::rows, ::columns])


def resized(raster: Raster, size: tuple[int, int]) -> Raster:
    """The raster in exactly ``size``, by Lanczos; transparency does not bleed colour."""
    if size_of(raster) == size:
        return raster
    if is_deep(raster):
        return _resized_array(raster, size)
    from PIL.Image import Resampling

    image = plain(raster)
    if image.mode == "1":
        image = image.convert("L")
    return image.resize(size, Resampling.LANCZOS, reducing_gap=REDUCING_GAP)


def _resized_array(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Each channel as floats through Pillow's Lanczos; colour weighted by alpha where there is one."""
    import numpy as np
    from PIL import Image
    from PIL.Image import Resampling

    def scale(channel: np.ndarray) -> np.ndarray:
        image = Image.fromarray(np.ascontiguousarray(channel, dtype=np.float32))
        return np.asarray(image.resize(size, Resampling.LANCZOS, reducing_gap=REDUCING_GAP))

    channels = [array] if array.ndim == 2 else [array[..., i] for i in range(array.shape[2])]
    if len(channels) in (2, 4):
        opacity = channels[-1].astype(np.float32) / 65535
        alpha = np.clip(scale(opacity), 0, 1)
        weight = np.where(alpha > 0, alpha, 1)
        done = [scale(channel * opacity) / weight for channel in channels[:-1]] + [alpha * 65535]
    else:
        done = [scale(channel) for channel in channels]
    stacked = done[0] if array.ndim == 2 else np.stack(done, axis=-1)
    return np.clip(np.rint(stacked), 0, 65535).astype(np.uint16)


def shallow(raster: Raster) -> Image.Image:
    """The raster with 8 bits per channel, rounded (65535 → 255), not cut off."""
    if not is_deep(raster):
        return raster
    import numpy as np
    from PIL import Image

    # (v + 128) // 257 is v / 257 rounded; in uint32 because 65535 + 128 overflows 16 bits.
    array = ((raster.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return Image.fromarray(array)


def plain(image: Image.Image) -> Image.Image:
    """The image without palette, key colour or exotic mode: 1, L, LA, RGB, RGBA or CMYK."""
    if image.mode in ("1", "L", "RGB", "CMYK") and "transparency" not in image.info:
        return image
    if image.mode in ("LA", "RGBA"):
        return image
    if image.mode == "P" and "transparency" not in image.info:
        return image.convert(image.palette.mode if image.palette and image.palette.mode == "RGBA" else "RGB")
    if image.mode in ("P", "PA", "RGBa") or (image.mode == "RGB" and "transparency" in image.info):
        return image.convert("RGBA")
    if image.mode in ("La", "1", "L"):
        return image.convert("LA") if image.mode == "La" else image.convert("L").convert("RGBA").convert("LA")
    return image.convert("RGB")


def flattened(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """The image on ``background``, opaque; grey stays grey on a grey background."""
    from PIL import Image

    image = plain(image)
    if image.mode not in ("LA", "RGBA"):
        return image
    grey = image.mode == "LA" and len(set(background)) == 1
    mode = "L" if grey else "RGB"
    canvas = Image.new(mode, image.size, background[0] if grey else background)
    canvas.paste(image.convert(mode), mask=image.getchannel("A"))
    return canvas
