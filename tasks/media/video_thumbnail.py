"""``media/video-thumbnail``: the picture that stands for a film, and a strip of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ...core.durations import parse_duration
from ...core.errors import Code, RealmError
from ...core.references import FileRef, ImageRef
from ...core.resources import Resources
from ..files import FileInput, ResolvedFile, read_effects, resolve_file
from ..image.preprocess import MaxSize
from ..imaging.sizing import parse_max_size
from ..kinds import kind_of
from ..sdk import Effects, node_type
from .probe import FileFacts

if TYPE_CHECKING:
    from PIL import Image

    from ..context import NodeContext

_CLOCK = re.compile(r"(?:(\d+):)?([0-5]?\d):([0-5]?\d(?:\.\d+)?)")
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*%")


def _moment(value: Any) -> Any:
    """``auto``, ``10%``, or seconds from ``00:01:05``, ``65s`` or 65; :class:`ValueError` for anything else."""
    if isinstance(value, str):
        text = value.strip()
        if text == "auto" or ((match := _PERCENT.fullmatch(text)) and float(match[1]) <= 100):
            return text
        if match := _CLOCK.fullmatch(text):
            return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3])
        try:
            return float(parse_duration(text))
        except ValueError as error:
            raise ValueError(f"{value!r} is no moment; write auto, 10%, 00:01:05 or 65s") from error
    return value


class VideoThumbnailParameters(BaseModel):
    """Which frame, and how large."""

    model_config = ConfigDict(extra="forbid")

    at: Annotated[str | float, BeforeValidator(_moment)] = Field(
        default="auto",
        description="auto chooses; else a share or a time from the beginning: 10%, 00:01:05, 65s, 65",
        examples=["auto", "10%", "00:01:05"],
    )
    candidates: int = Field(default=12, ge=1, le=60, description="Frames that auto chooses among")
    max_size: MaxSize | None = Field(
        default="1920x1920", description='Box to fit into: "1280x720"; never enlarges', examples=["1280x720"]
    )
    format: Literal["jpeg", "png", "webp"] = Field(default="jpeg", description="Format to write")
    quality: int = Field(default=88, ge=1, le=100, description="Of JPEG and WebP")
    strip_frames: int = Field(
        default=0, ge=0, le=100, description="Frames of the strip, evenly spaced over the film; 0 makes none"
    )
    strip_columns: int = Field(default=10, ge=1, le=100, description="Frames side by side in the strip")
    strip_size: int = Field(
        default=160, ge=16, le=640, description="Longer side of a frame in the strip, pixels"
    )


class CandidateReport(BaseModel):
    """A frame that could have been chosen."""

    time: float = Field(description="Seconds")
    score: float = Field(
        description="0.65 quality + 0.35 share of the film that looks like it; 0 for an empty frame"
    )
    quality: float
    scene: int


class VideoThumbnailOutput(BaseModel):
    """The film's picture."""

    file: FileRef = Field(description="The film, unchanged")
    image: ImageRef
    original: FileFacts | None = Field(default=None, description="The film, where it came as a file")
    time: float = Field(description="When the frame is shown, in seconds")
    width: int
    height: int
    duration: float | None = Field(default=None, description="Of the film, in seconds")
    rotation: int = Field(description="Degrees clockwise by which the frames were turned")
    hdr: Literal["pq", "hlg"] | None = Field(
        default=None, description="What was brought into a screen's range"
    )
    scenes: int = Field(description="Different scenes among the candidates")
    candidates: list[CandidateReport]
    strip: ImageRef | None = None
    strip_times: list[float] = Field(
        default_factory=list, description="Seconds, of the strip's frames in order"
    )
    files: list[ImageRef] = Field(description="The picture and the strip, as a list that storage nodes take")


@node_type(
    "media/video-thumbnail",
    version="1.0.0",
    resources=Resources(memory_mb=1024),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=read_effects(input), adds=["artifact"]),
    timeout=900.0,
)
def media_video_thumbnail(
    parameters: VideoThumbnailParameters, input: FileInput, context: NodeContext
) -> VideoThumbnailOutput:
    """Choose the frame that stands for a film, and make a picture of it; on request a strip of many.

    Frames from all over the film (without its first and last twentieth) are scored: how sharp, well exposed and rich
    in contrast they are, and how much of the film is of their scene. Black frames and fades never win. Pictures are
    upright, have square pixels and are sRGB: HDR (PQ and HLG) is brought into the range of a screen.

    Errors: UNSUPPORTED_FILE_TYPE for what is no film, DATA_CORRUPTED where no frame can be decoded, OUT_OF_RANGE for
    frames of more pixels than `max_pixels` allows or a moment beyond the end, DEPENDENCY_FAILURE without the extra
    `media`.
    """
    from .containers import check_size, open_container, picture_stream
    from .film import Film

    resolved = resolve_file(input, context)
    kind = kind_of(resolved.path, resolved.name)
    if kind.kind != "moving":
        raise _no_film(resolved.name, kind.what)
    with open_container(resolved.path, kind, resolved.name) as container:
        stream = picture_stream(container)
        if stream is None:
            raise _no_film(resolved.name, "a recording without pictures")
        check_size(stream, resolved.name, context.settings.max_pixels)
        film = Film(container, stream, resolved.name, context)
        poster = film.poster(parameters.at, parameters.candidates, parse_max_size(parameters.max_size))
        strip_times, strip = film.strip(
            parameters.strip_frames, parameters.strip_columns, parameters.strip_size
        )
    reference = resolved.reference or context.artifacts.put(
        resolved.path, name=resolved.name, media_type=kind.media_type
    )
    stem = Path(resolved.name).stem[:100]
    image = _stored(poster.picture, stem, reference.sha256, parameters, context)
    sheet = _stored(strip, f"{stem}-strip", reference.sha256, parameters, context) if strip else None
    return VideoThumbnailOutput(
        file=FileRef(**reference.model_dump(include=set(FileRef.model_fields))),
        image=image,
        original=_original(resolved, reference, kind.reader, poster.size) if not resolved.reference else None,
        time=round(poster.time, 3),
        width=image.width,
        height=image.height,
        duration=round(film.duration, 3) if film.duration is not None else None,
        rotation=poster.rotation,
        hdr=poster.hdr,
        scenes=len({candidate.scene for candidate in poster.candidates}) or 1,
        candidates=[
            CandidateReport(time=round(c.time, 3), score=c.score, quality=c.quality, scene=c.scene)
            for c in poster.candidates
        ],
        strip=sheet,
        strip_times=strip_times,
        files=[image, sheet] if sheet else [image],
    )


def _no_film(name: str, what: str) -> RealmError:
    return RealmError(Code.UNSUPPORTED_FILE_TYPE, f"{name} is no film: its content is {what}")


def _stored(
    picture: Image.Image,
    stem: str,
    source: str,
    parameters: VideoThumbnailParameters,
    context: NodeContext,
) -> ImageRef:
    from ..imaging.colour import srgb_profile
    from ..imaging.encode import encode
    from ..imaging.formats import FORMATS
    from ..imaging.metadata import Metadata

    format = FORMATS[parameters.format]
    target = context.workdir / f"{stem}{format.suffixes[0]}"
    done = encode(picture, target, format, Metadata(icc=srgb_profile()), quality=parameters.quality)
    stored = context.artifacts.put(target, name=target.name, media_type=format.media_type)
    return ImageRef(**stored.model_dump(), width=done.size[0], height=done.size[1], source_sha256=source)


def _original(resolved: ResolvedFile, reference: FileRef, format: str, size: tuple[int, int]) -> FileFacts:
    return FileFacts(
        file_path=str(resolved.path),
        name=resolved.name,
        sha256=reference.sha256,
        size=reference.size,
        format=format,
        width=size[0],
        height=size[1],
    )
