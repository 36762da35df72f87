"""``image/metadata``: what a picture's file says about it, without decoding a pixel."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ...core.references import ImageRef
from ...core.resources import Resources
from ..sdk import Effects, node_type
from .models import ImageInput, ResolvedImage, file_effects, passed_on, resolve_image
from .preprocess import ExifFacts, Original

if TYPE_CHECKING:
    from ..context import NodeContext
    from ..imaging.decode import Source
    from ..imaging.description import Description

_OFFSET = re.compile(r"([+-])(\d{2}):(\d{2})")


def zone_named(name: str) -> tzinfo:
    """The zone of ``+08:00``, ``UTC`` or ``Asia/Shanghai``; :class:`ValueError` for any other name."""
    if match := _OFFSET.fullmatch(name):
        offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-offset if match[1] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (KeyError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone; write +08:00 or Asia/Shanghai") from error


class MetadataParameters(BaseModel):
    """How to read what is ambiguous, and how much of it to tell."""

    model_config = ConfigDict(extra="forbid")

    assume_zone: str | None = Field(
        default=None,
        description="Zone of a camera clock that neither states one nor has satellites: +08:00 or Asia/Shanghai",
        examples=["+08:00", "Asia/Shanghai"],
    )
    all_tags: bool = Field(
        default=False, description="Also give every EXIF tag, XMP property and IPTC field by name, bounded"
    )

    @field_validator("assume_zone")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None:
            zone_named(name)
        return name


class Everything(BaseModel):
    """The metadata as it stands, by the names of each standard."""

    exif: dict[str, dict[str, Any]] = Field(description="By directory (image, photo, gps) and tag name")
    xmp: dict[str, Any] = Field(description="By prefixed name, as in dc:title")
    iptc: dict[str, Any] = Field(description="By the names of IPTC-IIM's data sets")


class MetadataOutput(BaseModel):
    """The picture, unchanged, and what its file says."""

    image: ImageRef
    original: Original | None = Field(default=None, description="The file, where it came as one")
    width: int = Field(description="Upright, in pixels")
    height: int
    format: str
    size: int = Field(description="Bytes")
    orientation: int = Field(description="As EXIF counts it, 1–8; 1 is upright")
    mode: str = Field(description="How the pixels are stored: L, RGB, RGBA, CMYK, P, I;16 …")
    frames: int
    dpi: tuple[float, float] | None = None
    color_profile: str | None = Field(default=None, description="The colour profile's own name")
    captured_at: datetime = Field(description="When it was taken; without a zone where none is known")
    captured_at_source: Literal["exif", "xmp", "iptc", "reference", "file"] = Field(
        description="Who says so; reference is an earlier node, file the file's modification time"
    )
    captured_at_utc: datetime | None = Field(default=None, description="The same moment in UTC, where known")
    zone: str | None = Field(default=None, description="The zone's offset, as in +08:00")
    zone_source: Literal["stated", "gps", "assumed"] | None = Field(
        default=None, description="stated in the file, told by the satellites' time, or assume_zone"
    )
    title: str | None = None
    description: str | None = None
    creators: list[str] = Field(default_factory=list)
    copyright: str | None = None
    usage_terms: str | None = None
    credit: str | None = None
    keywords: list[str] = Field(default_factory=list)
    rating: int | None = Field(default=None, description="−1 (rejected) to 5")
    label: str | None = None
    place: dict[str, str] = Field(
        default_factory=dict,
        description="location, city, state, country, country_code, as somebody wrote them",
    )
    exif: ExifFacts
    everything: Everything | None = Field(default=None, description="With all_tags")
    remarks: list[str] = Field(default_factory=list)


@node_type(
    "image/metadata",
    version="1.0.0",
    resources=Resources(cpu_millis=250, memory_mb=256),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=file_effects(input), adds=["artifact"]),
)
def image_metadata(parameters: MetadataParameters, input: ImageInput, context: NodeContext) -> MetadataOutput:
    """Read what a picture's file says: time with its zone, place, camera, author, rights, keywords.

    EXIF, XMP and IPTC are read; where texts differ, XMP is believed before IPTC before EXIF. A camera that does
    not state its zone is placed by the satellites' time, if it has it. The picture passes through unchanged and
    is not decoded. Texts, lists and numbers of tags are bounded; damaged metadata counts as absent, with a remark.

    Errors: those of `image/preprocess` for files that are no pictures.
    """
    from ..imaging.decode import open_picture
    from ..imaging.description import describe, exif_tags

    resolved = resolve_image(input, context)
    assumed = zone_named(parameters.assume_zone) if parameters.assume_zone else None
    limit = context.settings.max_pixels
    with open_picture(resolved.path, name=resolved.name, max_pixels=limit) as source:
        described = describe(source, assumed_zone=assumed)
        context.check_canceled()
        everything = (
            Everything(exif=exif_tags(source.metadata.exif), xmp=described.xmp, iptc=described.iptc)
            if parameters.all_tags
            else None
        )
        return _output(resolved, source, described, everything, context)


def _output(
    resolved: ResolvedImage,
    source: Source,
    described: Description,
    everything: Everything | None,
    context: NodeContext,
) -> MetadataOutput:
    capture = described.capture
    moment, told_by = _moment(resolved, described)
    facts = described.facts
    image = passed_on(
        resolved,
        context,
        media_type=source.format.media_type,
        size=source.size,
        captured_at=moment,
    )
    width, height = source.size
    return MetadataOutput(
        image=image,
        original=None if resolved.reference else _original(resolved, source, image),
        width=width,
        height=height,
        format=source.format.name,
        size=image.size,
        orientation=source.stated_orientation,
        mode=source.image.mode,
        frames=source.frames,
        dpi=source.metadata.dpi,
        color_profile=described.profile,
        captured_at=moment,
        captured_at_source=told_by,
        captured_at_utc=moment.astimezone(UTC) if moment.tzinfo is not None else None,
        zone=moment.isoformat(timespec="seconds")[19:] if capture and capture.zone_source else None,
        zone_source=capture.zone_source if capture else None,
        title=described.title,
        description=described.text,
        creators=list(described.creators),
        copyright=described.copyright,
        usage_terms=described.usage_terms,
        credit=described.credit,
        keywords=list(described.keywords),
        rating=described.rating,
        label=described.label,
        place=described.place,
        exif=ExifFacts(camera=facts.camera, exposure=facts.exposure, gps=described.gps),
        everything=everything,
        remarks=[*source.remarks, *described.remarks],
    )


def _original(resolved: ResolvedImage, source: Source, image: ImageRef) -> Original:
    return Original(
        file_path=str(resolved.path),
        name=resolved.name,
        sha256=image.sha256,
        width=source.size[0],
        height=source.size[1],
        format=source.format.name,
        size=image.size,
    )


def _moment(
    resolved: ResolvedImage, described: Description
) -> tuple[datetime, Literal["exif", "xmp", "iptc", "reference", "file"]]:
    if described.capture is not None:
        return described.capture.moment, described.capture.source
    if resolved.reference is not None and resolved.reference.captured_at is not None:
        return resolved.reference.captured_at, "reference"
    return datetime.fromtimestamp(resolved.path.stat().st_mtime, UTC), "file"
