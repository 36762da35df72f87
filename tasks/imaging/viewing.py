"""A picture as an eye or a model wants it: upright, sRGB, opaque, 8 bits, no larger than needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .colour import to_srgb
from .decode import open_picture
from .facts import Facts, read_facts
from .formats import Format
from .raster import flattened, plain, resized, shallow, turned
from .sizing import fit

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class View:
    """A working copy (``image``, RGB or L) and the facts of the picture it was made from."""

    image: Image.Image
    width: int
    """Of the picture itself, upright; the copy may be smaller."""
    height: int
    format: Format
    facts: Facts
    remarks: tuple[str, ...]


def view(path: Path, *, side: int, max_pixels: int, name: str | None = None) -> View:
    """A copy of the picture at ``path`` whose longest side is at most ``side``; errors as
    :func:`open_picture`."""
    with open_picture(path, name=name, max_pixels=max_pixels) as source:
        small = fit(source.stored_size, (side, side))
        raster = resized(source.decode(small, gap=1.0), small)
        image, remark = to_srgb(plain(shallow(raster)), source.metadata.icc)
        upright = turned(flattened(image, (255, 255, 255)), source.orientation)
        return View(
            image=shallow(upright),
            width=source.size[0],
            height=source.size[1],
            format=source.format,
            facts=read_facts(source.metadata.exif),
            remarks=(*source.remarks, *filter(None, [remark])),
        )
