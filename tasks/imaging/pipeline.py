"""From a file to an upright, bounded, clean one: decode once, shrink, turn, colour, encode."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ...core.errors import Code, RealmError
from .colour import profile_fits, srgb_profile, to_srgb
from .decode import Source, open_picture
from .encode import encode_within
from .facts import Facts, read_facts
from .formats import FORMATS, Format, named
from .metadata import Metadata
from .raster import Raster, colour_space, has_alpha, plain, resized, shallow, size_of, turned
from .sizing import fit

DEFAULT_QUALITY = 92
_LONGEST_NAME = 255
"""Bytes, on the file systems that there are."""
Checkpoint = Callable[[float, str], None]
Change = Callable[[Raster, Metadata], tuple[Raster, Metadata]]
"""What else to do to an upright raster of the final size, whose colours its metadata's profile describes."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to make of a picture; see the parameters of ``image/preprocess``."""

    format: str = "keep"
    box: tuple[int, int] | None = None
    quality: int = DEFAULT_QUALITY
    auto_rotate: bool = True
    color: Literal["keep", "srgb", "grey"] = "keep"
    strip_metadata: bool = False
    background: tuple[int, int, int] = (255, 255, 255)
    max_bytes: int | None = None
    """A limit on the file, kept by lowering the quality."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The file that was written at ``path``, and what became of the original."""

    path: Path
    format: Format
    width: int
    height: int
    source_format: Format
    source_width: int
    source_height: int
    """Of the original as it should be seen, upright."""
    orientation: int
    """What the original stated."""
    rotated: bool
    resized: bool
    reencoded: bool
    quality: int | None
    """What it was encoded at; ``None`` where the format knows none or the original's bytes were kept."""
    frames: int
    facts: Facts
    remarks: tuple[str, ...]


def prepare(
    path: Path,
    folder: Path,
    options: Options,
    *,
    name: str | None = None,
    max_pixels: int,
    change: Change | None = None,
    checkpoint: Checkpoint = lambda fraction, message: None,
) -> Prepared:
    """Make of the picture at ``path`` a file in ``folder``, named like the original with its real format's
    suffix.

    A picture that needs no change at the default quality is copied byte for byte: encoding it again would
    only lose. ``checkpoint(fraction, message)`` is called between the steps and may raise to stop. Errors:
    those of :func:`.decode.open_picture`, :meth:`.decode.Source.decode` and :func:`.encode.encode`.
    """
    name = name or path.name
    with open_picture(path, name=name, max_pixels=max_pixels) as source:
        format = target_format(options.format, source.format)
        facts = read_facts(source.metadata.exif)
        turn = source.orientation if options.auto_rotate else 1
        seen = source.size if options.auto_rotate else source.stored_size
        size = fit(seen, options.box)
        stored = size if turn < 5 else (size[1], size[0])
        checkpoint(0.1, f"decoding {source.size[0]}×{source.size[1]} {source.format.name}")
        raster = source.decode(stored)
        checkpoint(0.5, "changing pixels")
        target = folder / named_like(name, format)
        unchanged = _needs_nothing(source, format, options, path.stat().st_size)
        unchanged = unchanged and size == seen and change is None
        quality = None
        remarks = list(source.remarks)
        if unchanged:
            shutil.copyfile(path, target)
            icc = None if source.image.mode == "LAB" else source.metadata.icc
            if icc and not profile_fits(icc, colour_space(raster)):
                remarks.append(
                    "the colour profile does not fit the pixels, or is damaged: viewers take it for sRGB"
                )
        else:
            shrunk = resized(raster, stored)
            del raster
            upright = turned(shrunk, turn)
            metadata, remark = source.metadata.for_pixels(
                size, upright=options.auto_rotate or source.orientation == 1
            )
            remarks += [remark] if remark else []
            if options.strip_metadata:
                metadata = metadata.stripped(None if options.auto_rotate else source.orientation)
            upright, metadata = _recoloured(upright, metadata, options.color, remarks)
            if change is not None:
                upright, metadata = change(upright, metadata)
            checkpoint(0.7, f"encoding {size[0]}×{size[1]} {format.name}")
            done = encode_within(
                upright,
                target,
                format,
                metadata,
                quality=options.quality,
                background=options.background,
                max_bytes=options.max_bytes,
                checkpoint=lambda: checkpoint(0.8, "encoding again, smaller"),
            )
            assert done.size == size == size_of(upright), "the picture was not written as planned"
            quality = done.quality
            remarks += done.remarks
        return Prepared(
            path=target,
            format=format,
            width=size[0],
            height=size[1],
            source_format=source.format,
            source_width=source.size[0],
            source_height=source.size[1],
            orientation=source.stated_orientation,
            rotated=options.auto_rotate and source.stated_orientation != 1,
            resized=size != seen,
            reencoded=not unchanged,
            quality=quality,
            frames=source.frames,
            facts=facts,
            remarks=tuple(remarks),
        )


def _recoloured(
    raster: Raster, metadata: Metadata, color: str, remarks: list[str]
) -> tuple[Raster, Metadata]:
    if color == "keep" or (color == "srgb" and metadata.icc is None and colour_space(raster) != "CMYK"):
        return raster, metadata
    image, remark = to_srgb(shallow(raster), metadata.icc)
    remarks += [remark] if remark else []
    if color == "srgb":
        return image, replace(metadata, icc=srgb_profile())
    image = plain(image)
    return image.convert("LA" if has_alpha(image) else "L"), replace(metadata, icc=None)


def target_format(wanted: str, source: Format) -> Format:
    """The format to write; ``keep`` keeps the source's, or its stand-in where we only read it."""
    if wanted == "keep":
        return source if source.writable else FORMATS[source.stand_in]
    format = named(wanted)
    if format is None or not format.writable:
        known = ", ".join(f.name for f in FORMATS.values() if f.writable)
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{wanted!r} is not a format that can be written",
            hint=f"write {known} or keep",
        )
    return format


def named_like(name: str, format: Format, *, ending: str = "") -> str:
    """``name`` with ``ending`` and a suffix that is true of ``format``; one that is already true stays as it is
    written. What would be longer than names can be is cut.

    >>> named_like("lake.HEIC", FORMATS["jpeg"]), len(named_like("l" * 255, FORMATS["jpeg"]))
    ('lake.jpg', 255)
    """
    path = Path(Path(name).name or "picture")
    if path.suffix.lower() in format.suffixes and not ending:
        return path.name
    known = {suffix for f in FORMATS.values() for suffix in f.suffixes}
    stem = path.stem if path.suffix.lower() in known else path.name
    suffix = ending + format.suffixes[0]
    room = _LONGEST_NAME - len(suffix.encode())
    return stem.encode("utf-8", "surrogateescape")[:room].decode("utf-8", "ignore") + suffix


def _needs_nothing(source: Source, format: Format, options: Options, length: int) -> bool:
    return (
        source.format is format
        and (not options.auto_rotate or (source.stated_orientation == 1 and source.surely_upright))
        and source.frames == 1
        and options.color == "keep"
        and not options.strip_metadata
        and (options.quality == DEFAULT_QUALITY or format.lossless)
        and (options.max_bytes is None or length <= options.max_bytes)
    )
