"""Open films and recordings with PyAV: one file, one reader, nothing that it names; and say what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...core.errors import Code, RealmError
from ..extras import require
from ..kinds import FileKind

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

OPEN_SECONDS, READ_SECONDS = 30.0, 60.0
MOST_STREAMS = 64
MOST_TAGS = 60
LONGEST_TEXT = 500
_PROBE_PACKETS = 400

PQ, HLG = 16, 18
"""Transfer characteristics of ITU-T H.273: SMPTE ST 2084 and ARIB STD-B67."""

_PRIMARIES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020", 11: "dci-p3", 12: "display-p3"}
_TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    6: "smpte170m",
    8: "linear",
    13: "srgb",
    14: "bt2020-10",
    PQ: "pq",
    HLG: "hlg",
}
_MATRICES = {0: "rgb", 1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc", 10: "bt2020c"}


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream. Sizes are of the picture as it is seen: turned, with square pixels."""

    index: int
    type: str
    codec: str
    profile: str | None = None
    language: str | None = None
    duration: float | None = None
    bit_rate: int | None = None
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    """Degrees clockwise by which the stored picture is turned to be seen."""
    frame_rate: float | None = None
    pixel_format: str | None = None
    bits: int | None = None
    color: dict[str, str] = field(default_factory=dict)
    hdr: Literal["pq", "hlg"] | None = None
    cover: bool = False
    """Whether it is a picture that belongs to a recording."""
    sample_rate: int | None = None
    channels: int | None = None
    layout: str | None = None


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """What a film or recording is made of. ``duration`` is in seconds, ``None`` where nobody knows."""

    container: str
    duration: float | None
    bit_rate: int | None
    streams: tuple[StreamFacts, ...]
    tags: dict[str, str]
    remarks: tuple[str, ...] = ()


@contextmanager
def open_container(path: Path, kind: FileKind, name: str) -> Iterator[InputContainer]:
    """The film or recording at ``path``, read as ``kind`` says and as nothing else; what it refers to is not opened.

    Raises DATA_CORRUPTED where it cannot be read, also in the ``with`` block, DEPENDENCY_FAILURE without PyAV.
    """
    av = require("av")
    options = {"protocol_whitelist": "file", "format_whitelist": kind.reader}
    with faults_of(name):
        container = av.open(
            str(path),
            format=kind.reader,
            container_options=options,
            metadata_errors="replace",
            timeout=(OPEN_SECONDS, READ_SECONDS),
        )
    with container, faults_of(name):
        if len(container.streams) > MOST_STREAMS:
            raise RealmError(
                Code.OUT_OF_RANGE,
                f"{name} has {len(container.streams)} streams; at most {MOST_STREAMS} are read",
            )
        yield container


@contextmanager
def faults_of(name: str) -> Iterator[None]:
    """FFmpeg's complaints in our taxonomy."""
    error_of_ffmpeg = require("av.error").FFmpegError
    try:
        yield
    except error_of_ffmpeg as error:
        if isinstance(error, FileNotFoundError | PermissionError | BlockingIOError):
            raise
        raise RealmError(
            Code.DATA_CORRUPTED,
            f"{name} is damaged or cut short: {error.strerror or error}",
            hint="copy the original again; a file that is still being written looks like this too",
        ) from error


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The stream with the film's picture: the default one, else the largest; never the cover of a recording, nor one
    in a codec that nobody knows."""
    streams = [s for s in container.streams.video if _is_known(s) and not _is_cover(s)]
    return max(streams, key=lambda s: (_is_default(s), s.width * s.height), default=None)


def check_size(stream: VideoStream, name: str, max_pixels: int) -> None:
    """OUT_OF_RANGE when a frame has more than ``max_pixels``; frames that grow later are refused by the decoder."""
    if (pixels := stream.width * stream.height) > max_pixels:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"{name} has frames of {stream.width}×{stream.height}, {pixels / 1e6:.0f} megapixels; the limit is "
            f"{max_pixels / 1e6:g}",
            hint="raise MIRROR_REALM_MAX_PIXELS if such films are meant to be processed",
        )
    stream.codec_context.options = {"max_pixels": str(max_pixels)}
    stream.thread_type = "AUTO"


def probe_container(path: Path, kind: FileKind, name: str, *, max_pixels: int) -> ContainerFacts:
    """What is in the film or recording at ``path``. One frame is decoded, since only frames say how they lie."""
    remarks: list[str] = []
    with open_container(path, kind, name) as container:
        rotation = 0
        picture = picture_stream(container)
        if picture is not None:
            check_size(picture, name, max_pixels)
            frame = _first_frame(container, picture)
            rotation = turn_of(frame) if frame is not None else 0
            if frame is None:
                remarks.append("no frame could be decoded: the rotation is not known")
        streams = tuple(_stream_facts(s, rotation if s is picture else 0) for s in container.streams)
        lengths = [s.duration for s in streams if s.duration]
        duration = container.duration / 1e6 if container.duration else max(lengths, default=None)
        tags = _texts(container.metadata)
        return ContainerFacts(
            container=container.format.long_name or container.format.name,
            duration=round(duration, 3) if duration is not None else None,
            bit_rate=container.bit_rate or None,
            streams=streams,
            tags=tags,
            remarks=tuple(remarks),
        )


def turn_of(frame: VideoFrame) -> int:
    """Degrees clockwise, a multiple of 90, by which a decoded frame is turned to be seen."""
    return round(-frame.rotation / 90) * 90 % 360


def hdr_of(transfer: int | None) -> Literal["pq", "hlg"] | None:
    """The kind of high dynamic range that a transfer characteristic means."""
    return "pq" if transfer == PQ else "hlg" if transfer == HLG else None


def display_size(stream: VideoStream, rotation: int) -> tuple[int, int]:
    """(width, height) as seen: with square pixels, turned."""
    aspect = stream.sample_aspect_ratio or 1
    width = max(1, round(stream.width * aspect)) if 0.1 < aspect < 10 else stream.width
    return (stream.height, width) if rotation % 180 else (width, stream.height)


def duration_of(container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds of the picture; the container's where the stream does not say."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration else None


def _first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    from av.error import FFmpegError

    try:
        for count, packet in enumerate(container.demux(stream)):
            for frame in packet.decode():
                return frame  # pyright: ignore[reportReturnType] - a video stream gives video frames
            if count >= _PROBE_PACKETS:
                return None
    except FFmpegError:
        return None
    return None


def _stream_facts(stream: Stream, rotation: int) -> StreamFacts:
    context: Any = stream.codec_context
    common: dict[str, Any] = {
        "index": stream.index,
        "type": "cover" if _is_cover(stream) else stream.type,
        "codec": context.name if context is not None else "unknown",
        "profile": stream.profile if context is not None else None,
        "language": stream.language,
        "duration": float(stream.duration * stream.time_base)
        if stream.duration and stream.time_base
        else None,
        "bit_rate": getattr(context, "bit_rate", None) or None,
    }
    if stream.type == "video" and context is not None:
        return StreamFacts(**common, **_video_facts(stream, context, rotation))
    if stream.type == "audio" and context is not None:
        layout = context.layout
        return StreamFacts(
            **common,
            sample_rate=context.sample_rate or None,
            channels=context.channels or None,
            layout=layout.name if layout else None,
        )
    return StreamFacts(**common)


def _video_facts(stream: Any, context: Any, rotation: int) -> dict[str, Any]:
    width, height = display_size(stream, rotation) if stream.width else (None, None)
    rate = stream.average_rate or stream.guessed_rate
    depth = context.format.components[0].bits if context.format and context.format.components else None
    color = {
        "primaries": _PRIMARIES.get(context.color_primaries),
        "transfer": _TRANSFERS.get(context.color_trc),
        "matrix": _MATRICES.get(context.colorspace),
        "range": {1: "limited", 2: "full"}.get(context.color_range),
    }
    return {
        "width": width,
        "height": height,
        "rotation": rotation,
        "frame_rate": round(float(rate), 4) if rate else None,
        "pixel_format": context.pix_fmt,
        "bits": depth,
        "color": {key: value for key, value in color.items() if value},
        "hdr": hdr_of(context.color_trc),
        "cover": _is_cover(stream),
    }


def _is_known(stream: Any) -> bool:
    return stream.codec_context is not None


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & stream.disposition.attached_pic)


def _is_default(stream: Any) -> bool:
    return bool(stream.disposition & stream.disposition.default)


def _texts(tags: dict[str, str]) -> dict[str, str]:
    return {
        str(key)[:80]: "".join(c for c in value if c.isprintable())[:LONGEST_TEXT]
        for key, value in list(tags.items())[:MOST_TAGS]
    }
