"""``media/probe``: what a file is and what is in it, whatever it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...core.errors import Code, RealmError
from ...core.references import FileRef, ImageRef
from ...core.resources import Resources
from ..files import FileInput, ResolvedFile, read_effects, resolve_file
from ..kinds import FileKind, kind_of
from ..sdk import Effects, node_type

if TYPE_CHECKING:
    from ..context import NodeContext


class ProbeParameters(BaseModel):
    """How strict to be."""

    model_config = ConfigDict(extra="forbid")

    accept: list[Literal["image", "video", "audio", "document", "other"]] = Field(
        default=["image", "video", "audio", "document", "other"],
        min_length=1,
        description="Kinds of file to let through; any other is an UNSUPPORTED_FILE_TYPE error",
    )


class StreamReport(BaseModel):
    """One stream of a film or recording."""

    index: int
    type: str = Field(
        description="video, audio, subtitle, data, or cover (a picture that belongs to a recording)"
    )
    codec: str
    profile: str | None = None
    language: str | None = None
    duration: float | None = Field(default=None, description="Seconds")
    bit_rate: int | None = None
    width: int | None = Field(default=None, description="As seen: turned, with square pixels")
    height: int | None = None
    rotation: int | None = Field(
        default=None, description="Degrees clockwise by which it is turned to be seen"
    )
    frame_rate: float | None = None
    pixel_format: str | None = None
    bits: int | None = Field(default=None, description="Per channel")
    color: dict[str, str] = Field(default_factory=dict, description="primaries, transfer, matrix, range")
    hdr: Literal["pq", "hlg"] | None = None
    cover: bool = False
    sample_rate: int | None = None
    channels: int | None = None
    layout: str | None = None


class FileFacts(BaseModel):
    """The file as it came."""

    file_path: str | None = Field(description="Where it lay, if it was a file rather than a reference")
    name: str
    sha256: str
    size: int = Field(description="Bytes")
    format: str
    width: int | None = None
    height: int | None = None


class ProbeOutput(BaseModel):
    """The file, unchanged, and what is in it. Fields that its kind does not have are null."""

    file: FileRef
    image: ImageRef | None = Field(default=None, description="The same, where it is a picture")
    original: FileFacts | None = Field(default=None, description="The file, where it came as one")
    kind: Literal["image", "video", "audio", "document", "other"]
    media_type: str = Field(description="By its content, whatever its name says")
    format: str = Field(description="The picture's or document's format, or the container's name")
    what: str = Field(description="The same in words, as in «a PDF document»")
    size: int = Field(description="Bytes")
    duration: float | None = Field(default=None, description="Seconds")
    width: int | None = Field(default=None, description="Upright, in pixels")
    height: int | None = None
    rotation: int | None = Field(
        default=None, description="Degrees clockwise by which it is turned to be seen"
    )
    orientation: int | None = Field(default=None, description="Of a picture, as EXIF counts it, 1–8")
    frames: int | None = Field(default=None, description="Of a picture")
    bit_rate: int | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    frame_rate: float | None = None
    hdr: Literal["pq", "hlg"] | None = None
    streams: list[StreamReport] = Field(default_factory=list)
    pages: int | None = Field(default=None, description="Of a PDF")
    page_width: float | None = Field(default=None, description="Of a PDF's first page, in points (1/72 inch)")
    page_height: float | None = None
    locked: bool = Field(default=False, description="A PDF that needs a password")
    tags: dict[str, str] = Field(
        default_factory=dict, description="title, author, created … as the file states"
    )
    remarks: list[str] = Field(default_factory=list)


@node_type(
    "media/probe",
    version="1.0.0",
    resources=Resources(cpu_millis=500, memory_mb=512),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=read_effects(input), adds=["artifact"]),
)
def media_probe(parameters: ProbeParameters, input: FileInput, context: NodeContext) -> ProbeOutput:
    """Tell what a file is by its content, and what is in it: container, streams, length, size, rotation, pages.

    The file passes through unchanged. Of a film one frame is decoded, of a picture none. A file of a kind that
    nobody knows is `other`, not an error, unless `accept` leaves that out. Playlists are texts here: nothing that a
    file names is opened.

    Errors: DATA_CORRUPTED for an empty or damaged file, UNSUPPORTED_FILE_TYPE by `accept`, OUT_OF_RANGE for frames of
    more pixels than `max_pixels` allows, DEPENDENCY_FAILURE without the extra `media` (films, recordings, PDF).
    """
    resolved = resolve_file(input, context)
    kind = kind_of(resolved.path, resolved.name)
    context.check_canceled()
    found = _READ[kind.kind](resolved, kind, context)
    _accepted(found["kind"], kind, resolved.name, parameters)
    context.progress(0.7, "storing")
    media_type = found.pop("media_type", kind.media_type)
    reference = resolved.reference or context.artifacts.put(
        resolved.path, name=resolved.name, media_type=media_type
    )
    return ProbeOutput(
        file=FileRef(**reference.model_dump(include=set(FileRef.model_fields))),
        image=_picture(reference, found),
        original=None if resolved.reference else _original(resolved, reference, found),
        media_type=media_type,
        what=kind.what,
        size=reference.size,
        **found,
    )


def _picture(reference: FileRef, found: dict[str, Any]) -> ImageRef | None:
    captured_at = found.pop("captured_at", None)
    if found["kind"] != "image" or isinstance(reference, ImageRef):
        return reference if isinstance(reference, ImageRef) else None
    return ImageRef(
        **reference.model_dump(),
        width=found["width"],
        height=found["height"],
        captured_at=captured_at,
        source_sha256=reference.sha256,
    )


def _original(resolved: ResolvedFile, reference: FileRef, found: dict[str, Any]) -> FileFacts:
    return FileFacts(
        file_path=str(resolved.path),
        name=resolved.name,
        sha256=reference.sha256,
        size=reference.size,
        format=found["format"],
        width=found.get("width"),
        height=found.get("height"),
    )


def _accepted(found: str, kind: FileKind, name: str, parameters: ProbeParameters) -> None:
    if found not in parameters.accept:
        raise RealmError(
            Code.UNSUPPORTED_FILE_TYPE,
            f"{name} is {kind.what}; only {', '.join(parameters.accept)} is let through",
            hint="add its kind to accept",
        )


def _image(resolved: ResolvedFile, kind: FileKind, context: NodeContext) -> dict[str, Any]:
    from ..imaging.decode import open_picture
    from ..imaging.facts import read_facts

    limit = context.settings.max_pixels
    with open_picture(resolved.path, name=resolved.name, max_pixels=limit) as source:
        orientation = source.stated_orientation
        facts = read_facts(source.metadata.exif)
        return {
            "kind": "image",
            "format": source.format.name,
            "width": source.size[0],
            "height": source.size[1],
            "orientation": orientation,
            "rotation": {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}.get(orientation, 0),
            "frames": source.frames,
            "captured_at": facts.captured_at,
            "tags": {key: value for key, value in (facts.camera | facts.texts).items() if value},
        }


def _moving(resolved: ResolvedFile, kind: FileKind, context: NodeContext) -> dict[str, Any]:
    from .containers import probe_container

    facts = probe_container(resolved.path, kind, resolved.name, max_pixels=context.settings.max_pixels)
    streams = [StreamReport(**asdict(stream)) for stream in facts.streams]
    pictures = [stream for stream in streams if stream.type == "video"]
    sounds = [stream for stream in streams if stream.type == "audio"]
    picture = max(pictures, key=lambda s: (s.width or 0) * (s.height or 0), default=None)
    media_type = kind.media_type
    if not pictures and sounds:
        media_type = media_type.replace("video/", "audio/")
    elif pictures:
        media_type = media_type.replace("audio/", "video/")
    return {
        "kind": "video" if pictures else "audio" if sounds else "other",
        "media_type": media_type,
        "format": facts.container,
        "duration": facts.duration,
        "bit_rate": facts.bit_rate,
        "width": picture.width if picture else None,
        "height": picture.height if picture else None,
        "rotation": picture.rotation if picture else None,
        "frame_rate": picture.frame_rate if picture else None,
        "hdr": picture.hdr if picture else None,
        "video_codec": picture.codec if picture else None,
        "audio_codec": sounds[0].codec if sounds else None,
        "streams": streams,
        "tags": facts.tags,
        "remarks": list(facts.remarks),
    }


def _document(resolved: ResolvedFile, kind: FileKind, context: NodeContext) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": "document", "format": kind.reader}
    if kind.reader != "pdf":
        return found
    from ..document.pdf import open_pdf

    try:
        with open_pdf(resolved.path, resolved.name) as pdf:
            width, height = pdf.size(1)
            return found | {
                "pages": pdf.pages,
                "page_width": round(width, 2),
                "page_height": round(height, 2),
                "tags": pdf.facts(),
            }
    except RealmError as error:
        if error.code is not Code.FAILED_PRECONDITION:
            raise
        return found | {"locked": True, "remarks": [error.record.message]}


def _other(resolved: ResolvedFile, kind: FileKind, context: NodeContext) -> dict[str, Any]:
    return {"kind": "other", "format": "unknown"}


_READ = {"image": _image, "moving": _moving, "document": _document, "other": _other}
