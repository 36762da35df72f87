"""``image/thumbnail``: small pictures for lists, pages and previews."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from ...core.references import ImageRef
from ...core.resources import Resources
from ..imaging.sizing import parse_max_size
from ..sdk import Effects, Once, node_type
from .models import ImageInput, file_effects, made_from, passed_on, resolve_image, rgb
from .preprocess import MaxSize

if TYPE_CHECKING:
    from ..context import NodeContext

Mode = Literal["fit", "cover"]
Gravity = Literal["center", "top", "bottom", "left", "right"]
SizeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class ThumbnailSize(BaseModel):
    """One thumbnail. In a definition a bare size will do, as in `small: 320`."""

    model_config = ConfigDict(extra="forbid")

    box: MaxSize = Field(description='Pixels: "320x240", 320 or [320, 240]')
    mode: Mode | None = Field(default=None, description="Default: the node's mode")
    gravity: Gravity | None = Field(default=None, description="Default: the node's gravity")


def _full(value: Any) -> Any:
    return value if isinstance(value, dict | ThumbnailSize) else {"box": value}


Size = Annotated[ThumbnailSize, BeforeValidator(_full, json_schema_input_type=ThumbnailSize | MaxSize)]


class ThumbnailParameters(BaseModel):
    """Which thumbnails to make."""

    model_config = ConfigDict(extra="forbid")

    sizes: dict[SizeName, Size] = Field(
        default_factory=lambda: {"small": ThumbnailSize(box=320), "large": ThumbnailSize(box=1280)},
        min_length=1,
        max_length=20,
        description="By name, which is also the end of the file name",
        examples=[{"small": 320, "card": {"box": "400x300", "mode": "cover"}}],
    )
    mode: Mode = Field(
        default="fit",
        description="fit shows the whole picture in the box, cover fills the box with a part of it",
    )
    gravity: Gravity = Field(default="center", description="Which part of the picture cover keeps")
    format: Literal["jpeg", "png", "webp"] = Field(default="jpeg", description="Format to write")
    quality: int = Field(default=85, ge=1, le=100, description="Of JPEG and WebP")
    background: str = Field(
        default="#ffffff",
        pattern=r"^#[0-9a-fA-F]{6}$",
        description="What shows through where the format has no alpha",
    )


class ThumbnailOutput(BaseModel):
    """The picture, unchanged, and its thumbnails."""

    image: ImageRef
    thumbnails: dict[str, ImageRef] = Field(description="By the name of the size")
    files: list[ImageRef] = Field(description="The same, as a list that storage nodes take")
    remarks: list[str] = Field(default_factory=list)


@node_type(
    "image/thumbnail",
    version="1.0.0",
    resources=Resources(memory_mb=512),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=file_effects(input), adds=["artifact"]),
    once=Once(),
)
def image_thumbnail(
    parameters: ThumbnailParameters, input: ImageInput, context: NodeContext
) -> ThumbnailOutput:
    """Make small pictures of a picture, several sizes from one decoding.

    They are upright, in sRGB, and carry no EXIF, GPS or XMP. No thumbnail is larger than the picture: where the
    picture is smaller than a box, so is the thumbnail. The picture itself passes through unchanged.

    Errors: those of `image/preprocess`.
    """
    from ..imaging.thumbnails import Wanted, make_thumbnails

    resolved = resolve_image(input, context)
    folder = context.workdir / "thumbnails"
    folder.mkdir(parents=True, exist_ok=True)

    def checkpoint(fraction: float, message: str) -> None:
        context.check_canceled()
        context.progress(fraction, message)

    wanted = [
        Wanted(name, box, size.mode or parameters.mode, size.gravity or parameters.gravity)
        for name, size in parameters.sizes.items()
        if (box := parse_max_size(size.box)) is not None
    ]
    result = make_thumbnails(
        resolved.path,
        folder,
        wanted,
        format=parameters.format,
        quality=parameters.quality,
        background=rgb(parameters.background),
        name=resolved.name,
        max_pixels=context.settings.max_pixels,
        checkpoint=checkpoint,
    )
    checkpoint(0.95, "storing the results")
    made = {
        one.name: made_from(
            resolved,
            context,
            one.path,
            media_type=f"image/{parameters.format}",
            size=one.size,
            captured_at=result.captured_at,
        )
        for one in result.made
    }
    image = passed_on(
        resolved,
        context,
        media_type=result.source_format.media_type,
        size=result.source_size,
        captured_at=result.captured_at,
    )
    return ThumbnailOutput(
        image=image, thumbnails=made, files=list(made.values()), remarks=list(result.remarks)
    )
