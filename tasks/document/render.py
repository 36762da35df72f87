"""``document/render``: the pages of a PDF as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...core.references import FileRef, ImageRef
from ...core.resources import Resources
from ..files import FileInput, read_effects
from ..image.preprocess import MaxSize
from ..imaging.sizing import parse_max_size
from ..sdk import Effects, node_type
from .extract_text import PageRange
from .models import password_of, resolve_document
from .pages import pages_of

if TYPE_CHECKING:
    from ..context import NodeContext
    from .pdf import Pdf


class RenderParameters(BaseModel):
    """Which pages, and how large."""

    model_config = ConfigDict(extra="forbid")

    pages: PageRange | None = Field(
        default=None, description="As in `1-3, 7, 10-`; default all", examples=["1", "1-3, 7, 10-"]
    )
    max_pages: int = Field(default=200, ge=1, le=500, description="Limit of pages to draw")
    dpi: float = Field(default=150, ge=10, le=1200, description="Pixels per inch of paper")
    max_size: MaxSize | None = Field(
        default=None, description='Box that each page must fit into: "1200x1600"; lowers dpi, never raises it'
    )
    format: Literal["jpeg", "png", "webp"] = Field(default="png", description="Format to write")
    quality: int = Field(default=88, ge=1, le=100, description="Of JPEG and WebP")
    transparent: bool = Field(default=False, description="No white paper (PNG and WebP)")
    password_from: str | None = Field(
        default=None, description="Environment variable with the PDF's password"
    )


class PagePicture(BaseModel):
    """One page."""

    page: int
    image: ImageRef
    dpi: float


class RenderOutput(BaseModel):
    """The pages as pictures."""

    file: FileRef = Field(description="The document, unchanged")
    image: ImageRef = Field(description="The first page that was drawn")
    pages: list[PagePicture]
    files: list[ImageRef] = Field(description="The same pictures, as a list that storage nodes take")
    page_count: int = Field(description="Of the document, drawn or not")


@node_type(
    "document/render",
    version="1.0.0",
    resources=Resources(memory_mb=1024),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=read_effects(input), adds=["artifact"]),
    timeout=900.0,
)
def document_render(parameters: RenderParameters, input: FileInput, context: NodeContext) -> RenderOutput:
    """Draw the pages of a PDF as pictures, with what is filled into its forms.

    Scripts in the document are not run, and nothing that it refers to is fetched. Fonts that a document does not bring
    are taken from the machine: for Chinese in such a document, install one (fonts-noto-cjk). Pages are drawn one after
    the other, each in one piece.

    Errors: UNSUPPORTED_FILE_TYPE for what is no PDF, DATA_CORRUPTED, FAILED_PRECONDITION for a missing password,
    OUT_OF_RANGE beyond `max_pages` or the pixels that `MIRROR_REALM_MAX_PIXELS` allows a picture, DEPENDENCY_FAILURE
    without the extra `media`.
    """
    from .pdf import open_pdf

    resolved = resolve_document(input, context, readers=("pdf",))
    reference = resolved.passed_on(context)
    password = password_of(parameters.password_from, context)
    folder = context.workdir / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    made: list[PagePicture] = []
    with open_pdf(resolved.file.path, resolved.file.name, password=password, forms=True) as pdf:
        wanted = pages_of(parameters.pages, pdf.pages, most=parameters.max_pages)
        digits = len(str(pdf.pages))
        for index, page in enumerate(wanted):
            context.check_canceled()
            context.progress(index / len(wanted), f"page {page}")
            dpi = _dpi(pdf.size(page), parameters)
            target = folder / f"{Path(resolved.file.name).stem[:100]}-{page:0{digits}}.{_suffix(parameters)}"
            size = _drawn(pdf, page, dpi, target, parameters, context)
            stored = context.artifacts.put(target, name=target.name, media_type=f"image/{parameters.format}")
            target.unlink()
            picture = ImageRef(
                **stored.model_dump(), width=size[0], height=size[1], source_sha256=reference.sha256
            )
            made.append(PagePicture(page=page, image=picture, dpi=round(dpi, 2)))
        return RenderOutput(
            file=reference,
            image=made[0].image,
            pages=made,
            files=[page.image for page in made],
            page_count=pdf.pages,
        )


def _drawn(
    pdf: Pdf, page: int, dpi: float, target: Path, parameters: RenderParameters, context: NodeContext
) -> tuple[int, int]:
    from ..imaging.encode import encode
    from ..imaging.formats import FORMATS
    from ..imaging.metadata import Metadata

    picture = pdf.draw(
        page,
        dpi,
        max_pixels=context.settings.max_pixels,
        transparent=parameters.transparent and parameters.format != "jpeg",
    )
    metadata = Metadata(dpi=(dpi, dpi))
    return encode(picture, target, FORMATS[parameters.format], metadata, quality=parameters.quality).size


def _dpi(points: tuple[float, float], parameters: RenderParameters) -> float:
    """The resolution at which a page of that size keeps to the box."""
    dpi = parameters.dpi
    if box := parse_max_size(parameters.max_size):
        # PDFium rounds a page's size up to whole pixels.
        fitting = min((side - 1e-3) * 72 / max(points[axis], 1e-3) for axis, side in enumerate(box))
        dpi = min(dpi, fitting)
    return dpi


def _suffix(parameters: RenderParameters) -> str:
    return "jpg" if parameters.format == "jpeg" else parameters.format
