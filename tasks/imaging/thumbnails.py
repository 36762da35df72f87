"""Small pictures of one picture: decoded once, upright, in sRGB, without anything personal in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .colour import srgb_profile, to_srgb
from .decode import open_picture
from .encode import encode
from .facts import read_facts
from .formats import FORMATS, Format
from .metadata import Metadata
from .pipeline import Checkpoint, named_like
from .raster import REDUCING_GAP, flattened, has_alpha, plain, shallow, turned
from .sizing import cover, fit

if TYPE_CHECKING:
    from PIL import Image

    from .decode import Source

GRAVITIES: Mapping[str, tuple[float, float]] = {
    "center": (0.5, 0.5),
    "top": (0.5, 0.0),
    "bottom": (0.5, 1.0),
    "left": (0.0, 0.5),
    "right": (1.0, 0.5),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A thumbnail to make. ``fit`` shows the whole picture inside the box, ``cover`` fills the box with a part."""

    name: str
    box: tuple[int, int]
    mode: Literal["fit", "cover"] = "fit"
    gravity: str = "center"


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A thumbnail that was written."""

    name: str
    path: Path
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """The thumbnails, as they were wanted, and what the picture itself is."""

    made: tuple[Thumbnail, ...]
    source_format: Format
    source_size: tuple[int, int]
    captured_at: datetime | None
    remarks: tuple[str, ...]


def make_thumbnails(
    path: Path,
    folder: Path,
    wanted: list[Wanted],
    *,
    format: str = "jpeg",
    quality: int = 85,
    background: tuple[int, int, int] = (255, 255, 255),
    name: str | None = None,
    max_pixels: int,
    checkpoint: Checkpoint = lambda fraction, message: None,
) -> Thumbnails:
    """Write each of ``wanted`` into ``folder`` as ``stem-name.suffix``; none is ever larger than the picture.

    The picture is decoded no larger than the largest needs. Colours are converted to sRGB through its profile,
    which the thumbnails then carry; EXIF, GPS, XMP and IPTC stay behind. Errors as :func:`.decode.open_picture` and
    :func:`.encode.encode`; ``checkpoint`` is called between the steps and may raise to stop.
    """
    kind = FORMATS[format]
    with open_picture(path, name=name, max_pixels=max_pixels) as source:
        checkpoint(0.1, "decoding")
        base, remark = _base(source, wanted)
        remarks = [*source.remarks, *filter(None, [remark])]
        if not kind.alpha:
            base = flattened(base, background)
        made: list[Thumbnail] = []
        for index, one in enumerate(wanted):
            checkpoint(0.4 + 0.5 * index / len(wanted), one.name)
            image = shrunk(base, one, source.size)
            stem = Path(name or path.name).stem
            target = folder / named_like(stem + kind.suffixes[0], kind, ending=f"-{one.name}")
            done = encode(
                image,
                target,
                kind,
                Metadata(icc=srgb_profile() if image.mode in ("RGB", "RGBA") else None),
                quality=quality,
                background=background,
            )
            made.append(Thumbnail(one.name, target, done.size))
        taken = read_facts(source.metadata.exif).captured_at
        return Thumbnails(tuple(made), source.format, source.size, taken, tuple(remarks))


def _base(source: Source, wanted: list[Wanted]) -> tuple[Image.Image, str | None]:
    """The upright sRGB picture, at least as large as every thumbnail's uncut size."""
    need = [_scaled(source.size, one) for one in wanted]
    goal = (max(size[0] for size in need), max(size[1] for size in need))
    stored = goal if source.orientation < 5 else (goal[1], goal[0])
    image, remark = to_srgb(plain(shallow(source.decode(stored))), source.metadata.icc)
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        image = image.convert("RGBA" if has_alpha(image) else "RGB")
    return shallow(turned(image, source.orientation)), remark


def _scaled(size: tuple[int, int], one: Wanted) -> tuple[int, int]:
    """How large the whole picture would be at the scale of the thumbnail."""
    if one.mode == "fit":
        return fit(size, one.box)
    box, goal = cover(size, one.box)
    scale = goal[0] / (box[2] - box[0])
    return min(size[0], round(size[0] * scale) + 1), min(size[1], round(size[1] * scale) + 1)


def shrunk(image: Image.Image, one: Wanted, size: tuple[int, int] | None = None) -> Image.Image:
    """The thumbnail ``one`` of an upright image, which may be a smaller copy of a picture of ``size``."""
    from PIL.Image import Resampling

    size = size or image.size
    if one.mode == "fit":
        goal, part = fit(size, one.box), None
    else:
        cut, goal = cover(size, one.box, GRAVITIES[one.gravity])
        across, down = image.width / size[0], image.height / size[1]
        part = (cut[0] * across, cut[1] * down, cut[2] * across, cut[3] * down)
    if goal == image.size and part is None:
        return image
    return image.resize(goal, Resampling.LANCZOS, box=part, reducing_gap=REDUCING_GAP)
