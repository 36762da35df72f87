"""Write a text or lay a mark over a picture, in any depth and colour space."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .colour import is_srgb, profile_fits, srgb_profile, to_srgb
from .decode import open_picture
from .fonts import font_for
from .metadata import Metadata
from .raster import Raster, colour_space, is_deep, plain, shallow, size_of, turned

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

LONGEST_TEXT = 500
_SMALLEST_FONT = 8
_SMALLEST_GAP = 16

PLACES = {
    "top-left": (0.0, 0.0),
    "top": (0.5, 0.0),
    "top-right": (1.0, 0.0),
    "left": (0.0, 0.5),
    "center": (0.5, 0.5),
    "right": (1.0, 0.5),
    "bottom-left": (0.0, 1.0),
    "bottom": (0.5, 1.0),
    "bottom-right": (1.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Placing:
    """Where a mark goes. Shares are of the picture's shorter side; ``tile`` repeats the mark all over."""

    place: str = "bottom-right"
    opacity: float = 0.6
    margin: float = 0.03
    angle: float = 0.0
    tile: bool = False


def text_mark(
    text: str,
    size: tuple[int, int],
    share: float,
    *,
    colour: tuple[int, int, int] = (255, 255, 255),
    font: Path | None = None,
) -> Image.Image:
    """``text`` (of one or more lines) on nothing, with a thin contrasting outline; letters of ``share`` of the
    shorter side of ``size``, or less where the text would be wider than the picture."""
    from PIL import Image, ImageDraw

    height = max(_SMALLEST_FONT, round(min(size) * share))
    chosen = font_for(text, height, file=font)
    drawing = ImageDraw.Draw(Image.new("RGBA", (1, 1)))
    stroke = max(1, height // 20)
    left, top, right, bottom = drawing.multiline_textbbox((0, 0), text, font=chosen, stroke_width=stroke)
    if right - left > size[0] * 0.94 and height > _SMALLEST_FONT:
        height = max(_SMALLEST_FONT, int(height * size[0] * 0.94 / (right - left)))
        chosen, stroke = chosen.font_variant(size=height), max(1, height // 20)
        left, top, right, bottom = drawing.multiline_textbbox((0, 0), text, font=chosen, stroke_width=stroke)
    mark = Image.new("RGBA", (max(1, int(right - left) + 1), max(1, int(bottom - top) + 1)), (0, 0, 0, 0))
    outline = (0, 0, 0, 160) if sum(colour) > 382 else (255, 255, 255, 160)
    ImageDraw.Draw(mark).multiline_text(
        (-left, -top), text, font=chosen, fill=(*colour, 255), stroke_width=stroke, stroke_fill=outline
    )
    return mark


def picture_mark(path: Path, size: tuple[int, int], share: float, *, max_pixels: int) -> Image.Image:
    """The picture at ``path`` as a mark: in sRGB, its longer side ``share`` of the shorter side of ``size``."""
    from PIL.Image import Resampling

    with open_picture(path, max_pixels=max_pixels) as source:
        image, _ = to_srgb(plain(shallow(source.decode())), source.metadata.icc)
        mark = shallow(turned(image.convert("RGBA"), source.orientation))
    scale = min(size) * share / max(mark.size)
    goal = (max(1, round(mark.width * scale)), max(1, round(mark.height * scale)))
    return mark.resize(goal, Resampling.LANCZOS, reducing_gap=2.0)


def marked(
    raster: Raster, metadata: Metadata, mark: Image.Image, placing: Placing
) -> tuple[Raster, Metadata]:
    """The raster with ``mark`` (RGBA, sRGB) laid over it. Colours stay in the picture's own profile; grey and ink
    become sRGB, since the mark may have colour."""
    if not is_deep(raster):
        image = plain(raster)
        if image.mode not in ("RGB", "RGBA"):
            transparent = image.mode == "LA"
            image, _ = to_srgb(image, metadata.icc)
            image = image.convert("RGBA" if transparent else "RGB")
            metadata = replace(metadata, icc=srgb_profile())
        raster = image
    layer = _layer(size_of(raster), mark, placing)
    icc = metadata.icc
    if icc is not None and profile_fits(icc, "RGB") and not is_srgb(icc):
        layer = _into_profile(layer, icc)
    if is_deep(raster):
        grey = colour_space(raster) == "GRAY"
        return _blended(raster, layer), replace(metadata, icc=srgb_profile()) if grey else metadata
    from PIL import Image

    if raster.mode == "RGBA":
        return Image.alpha_composite(raster, layer), metadata
    result = raster.copy()
    result.paste(layer.convert("RGB"), mask=layer.getchannel("A"))
    return result, metadata


def _layer(size: tuple[int, int], mark: Image.Image, placing: Placing) -> Image.Image:
    """A transparent layer of ``size`` with the mark in its place, or all over."""
    from PIL import Image
    from PIL.Image import Resampling

    if placing.angle:
        mark = mark.rotate(placing.angle, Resampling.BICUBIC, expand=True)
    faded = mark.getchannel("A").point([round(value * placing.opacity) for value in range(256)])
    mark = mark.copy()
    mark.putalpha(faded)
    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    gap = round(min(size) * placing.margin)
    if not placing.tile:
        across, down = PLACES[placing.place]
        free = (size[0] - mark.width - 2 * gap, size[1] - mark.height - 2 * gap)
        layer.paste(mark, (gap + round(free[0] * across), gap + round(free[1] * down)))
        return layer
    step = (
        mark.width + max(gap, mark.width // 2, _SMALLEST_GAP),
        mark.height + max(gap, mark.height, _SMALLEST_GAP),
    )
    for row, top in enumerate(range(-mark.height // 2, size[1], step[1])):
        for left in range(-(row % 2) * step[0] // 2, size[0], step[0]):
            layer.paste(mark, (left, top))
    return layer


def _into_profile(layer: Image.Image, icc: bytes) -> Image.Image:
    from PIL import ImageCms

    try:
        result = ImageCms.profileToProfile(
            layer.convert("RGB"),
            ImageCms.createProfile("sRGB"),
            ImageCms.ImageCmsProfile(io.BytesIO(icc)),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError):
        return layer
    assert result is not None  # only in-place conversion returns None
    result.putalpha(layer.getchannel("A"))
    return result


def _blended(array: np.ndarray, layer: Image.Image) -> np.ndarray:
    """A 16-bit array under an 8-bit layer; its own transparency only grows more opaque."""
    import numpy as np

    over = np.asarray(layer).astype(np.float32)
    alpha = over[..., 3:] / 255
    colour = over[..., :3] * 257
    flat = array if array.ndim == 3 else array[..., None]
    own = flat.shape[2] in (2, 4)
    under = flat[..., :-1] if own else flat
    under = np.repeat(under, 3, axis=2) if under.shape[2] == 1 else under
    if own:
        below = flat[..., -1:].astype(np.float32) / 65535
        total = alpha + below * (1 - alpha)
        mixed = (colour * alpha + under * below * (1 - alpha)) / np.where(total > 0, total, 1)
        result = np.concatenate([mixed, total * 65535], axis=2)
    else:
        result = colour * alpha + under * (1 - alpha)
    return np.clip(np.rint(result), 0, 65535).astype(np.uint16)
