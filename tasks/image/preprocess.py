"""``image/preprocess``: the first node of a photo workflow. Whatever arrives leaves upright, bounded and
readable."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ...core.references import ImageRef, local_path
from ...core.resources import Resources
from ..imaging.sizing import parse_max_size
from ..sdk import Effects, Once, node_type
from .models import ImageInput, ResolvedImage, file_effects, resolve_image, rgb

if TYPE_CHECKING:
    from ..context import NodeContext
    from ..imaging.pipeline import Prepared


def _lower(value: Any) -> Any:
    aliases = {"jpg": "jpeg", "tif": "tiff", "heif": "heic"}
    return aliases.get(value.lower(), value.lower()) if isinstance(value, str) else value


def _checked_size(value: Any) -> Any:
    parse_max_size(value)
    return value


OutputFormat = Annotated[Literal["keep", "jpeg", "png", "webp", "tiff", "heic"], BeforeValidator(_lower)]
MaxSize = Annotated[str | int | list[int], BeforeValidator(_checked_size)]


class PreprocessParameters(BaseModel):
    """How the picture should leave."""

    model_config = ConfigDict(extra="forbid")

    format: OutputFormat = Field(
        default="keep",
        description="Format to write; keep keeps the original's (GIF and BMP become PNG, AVIF JPEG)",
    )
    max_size: MaxSize | None = Field(
        default=None,
        description='Box to fit into, in pixels: "4096x4096", 4096 or [4096, 2160]. Never enlarges, keeps the aspect',
        examples=["4096x4096", 4096, [4096, 2160]],
    )
    quality: int = Field(
        default=92, ge=1, le=100, description="Of JPEG, WebP and HEIC. WebP at 100 is lossless"
    )
    auto_rotate: bool = Field(
        default=True, description="Turn the picture upright, as its EXIF orientation says"
    )
    color: Literal["keep", "srgb"] = Field(
        default="keep", description="keep the picture's colour profile, or convert to srgb through it"
    )
    strip_metadata: bool = Field(
        default=False, description="Drop EXIF, GPS, XMP and IPTC; the colour profile stays"
    )
    background: str = Field(
        default="#ffffff",
        pattern=r"^#[0-9a-fA-F]{6}$",
        description="What shows through where the format has no alpha",
    )


class Original(BaseModel):
    """The file as it came."""

    file_path: str | None = Field(description="Where it lay, if it was a file rather than a reference")
    name: str
    sha256: str
    width: int = Field(description="Upright, in pixels")
    height: int
    format: str
    size: int = Field(description="Bytes")


class ExifFacts(BaseModel):
    """The part of EXIF that people ask for."""

    camera: dict[str, str] = Field(default_factory=dict, description="make, model, lens, software")
    exposure: dict[str, Any] = Field(
        default_factory=dict, description="time, seconds, f_number, iso, focal_length_mm, focal_length_35mm"
    )
    gps: dict[str, float] | None = Field(
        default=None, description="latitude, longitude (decimal degrees), altitude (m)"
    )


class PreprocessOutput(BaseModel):
    """The picture and what is known of it."""

    image: ImageRef
    width: int
    height: int
    format: str
    size: int = Field(description="Bytes")
    original: Original
    captured_at: datetime = Field(
        description="When the picture was taken; without a zone where the camera wrote none"
    )
    captured_at_source: Literal["exif", "reference", "file"] = Field(
        description="Whether that is the camera's word, an earlier node's, or the file's modification time"
    )
    exif: ExifFacts
    processed_path: str | None = Field(default=None, description="Where the result lies, if on this machine")
    rotated: bool
    resized: bool
    reencoded: bool = Field(description="False when the original needed no change and was kept byte for byte")
    frames: int = Field(description="Of the original; only the first is used")
    remarks: list[str] = Field(default_factory=list, description="What could not be carried or was decided")


@node_type(
    "image/preprocess",
    version="1.0.0",
    resources=Resources(memory_mb=1024),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=file_effects(input), adds=["artifact"]),
    once=Once(),
)
def image_preprocess(
    parameters: PreprocessParameters, input: ImageInput, context: NodeContext
) -> PreprocessOutput:
    """Turn a picture upright, bound its size, and write it in a format that everyone reads.

    Reads JPEG (also MPO and CMYK), PNG, WebP, TIFF, HEIC, AVIF, GIF and BMP, by content rather than by name;
    of an animation the first frame. EXIF, GPS, maker notes, XMP, IPTC and the colour profile are carried,
    with orientation and dimensions corrected and a stale thumbnail removed. 16 bits per channel stay 16 in
    PNG and TIFF. A picture that needs no change is kept byte for byte.

    Errors: DATA_CORRUPTED for an empty, damaged or cut-off file, UNSUPPORTED_FILE_TYPE for content that is no
    picture (it says what it is), OUT_OF_RANGE for more pixels than `max_pixels` allows, NOT_FOUND and
    PERMISSION_DENIED for paths.
    """
    from ..imaging.pipeline import Options, prepare

    resolved = resolve_image(input, context)
    folder = context.workdir / "preprocessed"
    folder.mkdir(parents=True, exist_ok=True)

    def checkpoint(fraction: float, message: str) -> None:
        context.check_canceled()
        context.progress(fraction, message)

    options = Options(
        format=parameters.format,
        box=parse_max_size(parameters.max_size),
        quality=parameters.quality,
        auto_rotate=parameters.auto_rotate,
        color=parameters.color,
        strip_metadata=parameters.strip_metadata,
        background=rgb(parameters.background),
    )
    prepared = prepare(
        resolved.path,
        folder,
        options,
        name=resolved.name,
        max_pixels=context.settings.max_pixels,
        checkpoint=checkpoint,
    )
    checkpoint(0.9, "storing the result")
    output = _output(resolved, prepared, parameters, context)
    context.progress(1.0, "done")
    return output


def _output(
    resolved: ResolvedImage, prepared: Prepared, parameters: PreprocessParameters, context: NodeContext
) -> PreprocessOutput:
    from ..artifacts import sha256_file

    reference = resolved.reference
    digest = reference.sha256 if reference else sha256_file(resolved.path)
    captured_at, source = _captured(resolved, prepared)
    stored = context.artifacts.put(
        prepared.path, name=prepared.path.name, media_type=prepared.format.media_type
    )
    image = ImageRef(
        **stored.model_dump(),
        width=prepared.width,
        height=prepared.height,
        captured_at=captured_at,
        source_sha256=(reference.source_sha256 if reference else None) or digest,
    )
    facts = prepared.facts
    return PreprocessOutput(
        image=image,
        width=prepared.width,
        height=prepared.height,
        format=prepared.format.name,
        size=image.size,
        original=Original(
            file_path=None if reference else str(resolved.path),
            name=resolved.name,
            sha256=digest,
            width=prepared.source_width,
            height=prepared.source_height,
            format=prepared.source_format.name,
            size=resolved.path.stat().st_size,
        ),
        captured_at=captured_at,
        captured_at_source=source,
        # Whoever strips the metadata does not want the place in the journal either.
        exif=ExifFacts()
        if parameters.strip_metadata
        else ExifFacts(camera=facts.camera, exposure=facts.exposure, gps=facts.gps),
        processed_path=str(local_path(image.uri)) if image.uri.startswith("file:") else None,
        rotated=prepared.rotated,
        resized=prepared.resized,
        reencoded=prepared.reencoded,
        frames=prepared.frames,
        remarks=list(prepared.remarks),
    )


def _captured(
    resolved: ResolvedImage, prepared: Prepared
) -> tuple[datetime, Literal["exif", "reference", "file"]]:
    if prepared.facts.captured_at is not None:
        return prepared.facts.captured_at, "exif"
    if resolved.reference is not None and resolved.reference.captured_at is not None:
        return resolved.reference.captured_at, "reference"
    return datetime.fromtimestamp(resolved.path.stat().st_mtime, UTC), "file"
