"""``image/watermark``: a text or a logo on a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...core.references import ImageRef
from ...core.resources import Resources
from ..sdk import Effects, node_type
from .models import ImageInput, file_effects, made_from, resolve_image, rgb
from .preprocess import OutputFormat

if TYPE_CHECKING:
    from PIL import Image

    from ..context import NodeContext
    from ..imaging.metadata import Metadata
    from ..imaging.raster import Raster

Place = Literal[
    "top-left", "top", "top-right", "left", "center", "right", "bottom-left", "bottom", "bottom-right"
]


class WatermarkParameters(BaseModel):
    """The mark and its place."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(
        default=None, min_length=1, max_length=500, description="Text to write, of one or more lines"
    )
    mark: str | None = Field(
        default=None,
        min_length=1,
        description="Picture to lay over it instead (a logo, best with transparency): a path or a file: URI",
    )
    place: Place = Field(default="bottom-right", description="Where the mark goes")
    tile: bool = Field(default=False, description="Repeat the mark all over the picture")
    size: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Height of a letter (default 0.04), or the logo's longer side (default 0.2), as a share of the "
        "picture's shorter side",
    )
    opacity: float = Field(default=0.6, gt=0, le=1, description="1 hides what is under the mark")
    margin: float = Field(
        default=0.03, ge=0, le=0.4, description="From the edge, as a share of the picture's shorter side"
    )
    angle: float = Field(
        default=0, ge=-180, le=180, description="Degrees to turn the mark, counter-clockwise"
    )
    color: str = Field(default="#ffffff", pattern=r"^#[0-9a-fA-F]{6}$", description="Of the text")
    font: str | None = Field(
        default=None, description="Font file; default a font of this machine that has all the characters"
    )
    format: OutputFormat = Field(default="keep", description="Format to write; keep keeps it")
    quality: int = Field(default=92, ge=1, le=100, description="Of JPEG, WebP and HEIC")

    @model_validator(mode="after")
    def _one_mark(self) -> WatermarkParameters:
        if (self.text is None) == (self.mark is None):
            raise ValueError("give either text or mark")
        return self


class WatermarkOutput(BaseModel):
    """The marked picture."""

    image: ImageRef
    width: int
    height: int
    format: str
    size: int = Field(description="Bytes")
    remarks: list[str] = Field(default_factory=list)


def _effects(parameters: WatermarkParameters, input: ImageInput) -> Effects:
    named = [f"file.{path}" for path in (parameters.mark, parameters.font) if path]
    return Effects(reads=[*file_effects(input), *named], adds=["artifact"])


@node_type(
    "image/watermark",
    version="1.0.0",
    resources=Resources(memory_mb=1024),
    idempotent=True,
    effects=_effects,
)
def image_watermark(
    parameters: WatermarkParameters, input: ImageInput, context: NodeContext
) -> WatermarkOutput:
    """Write a text or lay a logo over a picture: in a place, or all over it.

    The picture comes out upright and keeps its metadata, its depth and its colour profile (the mark's colours are
    converted into it; grey and ink become sRGB). A text that is too long for the picture is written smaller, down to
    8 pixels. Text is only written in a font that has every character.

    Errors: those of `image/preprocess`, also for the logo; FAILED_PRECONDITION when no font has the characters;
    INVALID_ARGUMENT for a font file that is none.
    """
    from ..imaging.pipeline import Options, prepare
    from ..imaging.raster import size_of
    from ..imaging.watermark import Placing, marked

    resolved = resolve_image(input, context)
    folder = context.workdir / "watermarked"
    folder.mkdir(parents=True, exist_ok=True)
    placing = Placing(
        parameters.place, parameters.opacity, parameters.margin, parameters.angle, parameters.tile
    )

    def checkpoint(fraction: float, message: str) -> None:
        context.check_canceled()
        context.progress(fraction, message)

    def change(raster: Raster, metadata: Metadata) -> tuple[Raster, Metadata]:
        return marked(raster, metadata, _mark(parameters, size_of(raster), context), placing)

    made = prepare(
        resolved.path,
        folder,
        Options(format=parameters.format, quality=parameters.quality),
        name=resolved.name,
        max_pixels=context.settings.max_pixels,
        change=change,
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
    return WatermarkOutput(
        image=image,
        width=made.width,
        height=made.height,
        format=made.format.name,
        size=image.size,
        remarks=list(made.remarks),
    )


def _mark(parameters: WatermarkParameters, size: tuple[int, int], context: NodeContext) -> Image.Image:
    from ..imaging.watermark import picture_mark, text_mark

    if parameters.mark is not None:
        return picture_mark(
            context.readable(parameters.mark),
            size,
            parameters.size or 0.2,
            max_pixels=context.settings.max_pixels,
        )
    return text_mark(
        parameters.text or "",
        size,
        parameters.size or 0.04,
        colour=rgb(parameters.color),
        font=context.readable(parameters.font) if parameters.font else None,
    )
