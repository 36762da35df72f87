"""``image/convert``: the same picture in another format, colour, or number of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...core.references import ImageRef
from ...core.resources import Resources
from ..imaging.sizing import parse_max_size
from ..sdk import Effects, Once, node_type
from .models import ImageInput, file_effects, made_from, resolve_image, rgb
from .preprocess import MaxSize, OutputFormat

if TYPE_CHECKING:
    from ..context import NodeContext


class ConvertParameters(BaseModel):
    """What to make of the picture."""

    model_config = ConfigDict(extra="forbid")

    format: OutputFormat = Field(description="Format to write; keep keeps it")
    quality: int = Field(
        default=92, ge=1, le=100, description="Of JPEG, WebP and HEIC. WebP at 100 is lossless"
    )
    max_bytes: int | None = Field(
        default=None,
        ge=256,
        description="Limit of the file's size; the quality is lowered until it is kept",
    )
    max_size: MaxSize | None = Field(
        default=None, description='Box to fit into, as in "1920x1080"; never enlarges', examples=["1920x1080"]
    )
    color: Literal["keep", "srgb", "grey"] = Field(
        default="keep", description="keep the colour profile, convert to srgb through it, or to grey"
    )
    strip_metadata: bool = Field(default=False, description="Drop EXIF, GPS, XMP and IPTC")
    background: str = Field(
        default="#ffffff",
        pattern=r"^#[0-9a-fA-F]{6}$",
        description="What shows through where the format has no alpha",
    )


class ConvertOutput(BaseModel):
    """The picture as it is now."""

    image: ImageRef
    width: int
    height: int
    format: str
    size: int = Field(description="Bytes")
    quality: int | None = Field(
        default=None, description="What it was encoded at, where the format knows one"
    )
    source_format: str
    source_size: int = Field(description="Bytes")
    reencoded: bool = Field(
        description="False when the original was already as wanted, and kept byte for byte"
    )
    remarks: list[str] = Field(default_factory=list, description="What could not be carried or was decided")


@node_type(
    "image/convert",
    version="1.0.0",
    resources=Resources(memory_mb=1024),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=file_effects(input), adds=["artifact"]),
    once=Once(),
)
def image_convert(parameters: ConvertParameters, input: ImageInput, context: NodeContext) -> ConvertOutput:
    """Write a picture in another format: upright, with its metadata and colours, within a number of bytes.

    What the target cannot hold is converted, and remarked upon: 16 bits to 8, transparency onto the background,
    ink to sRGB. With `max_bytes` the best quality that keeps to it is found in at most eight encodings.

    Errors: those of `image/preprocess`; OUT_OF_RANGE when `max_bytes` cannot be kept.
    """
    from ..imaging.pipeline import Options, prepare

    resolved = resolve_image(input, context)
    folder = context.workdir / "converted"
    folder.mkdir(parents=True, exist_ok=True)

    def checkpoint(fraction: float, message: str) -> None:
        context.check_canceled()
        context.progress(fraction, message)

    options = Options(
        format=parameters.format,
        box=parse_max_size(parameters.max_size),
        quality=parameters.quality,
        color=parameters.color,
        strip_metadata=parameters.strip_metadata,
        background=rgb(parameters.background),
        max_bytes=parameters.max_bytes,
    )
    made = prepare(
        resolved.path,
        folder,
        options,
        name=resolved.name,
        max_pixels=context.settings.max_pixels,
        checkpoint=checkpoint,
    )
    checkpoint(0.9, "storing the result")
    image = made_from(
        resolved,
        context,
        made.path,
        media_type=made.format.media_type,
        size=(made.width, made.height),
        captured_at=made.facts.captured_at,
    )
    return ConvertOutput(
        image=image,
        width=made.width,
        height=made.height,
        format=made.format.name,
        size=image.size,
        quality=made.quality,
        source_format=made.source_format.name,
        source_size=resolved.path.stat().st_size,
        reencoded=made.reencoded,
        remarks=list(made.remarks),
    )
