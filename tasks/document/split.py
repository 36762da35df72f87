"""``document/split``: one PDF into several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...core.errors import Code, RealmError
from ...core.references import FileRef
from ...core.resources import Resources
from ..files import FileInput, read_effects
from ..sdk import Effects, node_type
from .extract_text import PageRange
from .models import password_of, resolve_document
from .pages import pages_of

if TYPE_CHECKING:
    from ..context import NodeContext

MOST_PARTS = 500


class SplitParameters(BaseModel):
    """Where to cut."""

    model_config = ConfigDict(extra="forbid")

    every: int | None = Field(default=None, ge=1, description="Pages in each part; the last may have fewer")
    ranges: list[PageRange] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_PARTS,
        description="The pages of each part, in their order; a page may be in several parts or in none",
        examples=[["1", "2-5", "6-"]],
    )
    password_from: str | None = Field(
        default=None, description="Environment variable with the PDF's password"
    )

    @model_validator(mode="after")
    def _one_way(self) -> SplitParameters:
        if (self.every is None) == (self.ranges is None):
            raise ValueError("give either every or ranges")
        return self


class Part(BaseModel):
    """One part."""

    file: FileRef
    pages: list[int] = Field(description="Of the original, in the part's order")


class SplitOutput(BaseModel):
    """The parts."""

    file: FileRef = Field(description="The document, unchanged")
    parts: list[Part]
    files: list[FileRef] = Field(description="The same files, as a list that storage nodes take")
    page_count: int = Field(description="Of the document")


@node_type(
    "document/split",
    version="1.0.0",
    resources=Resources(memory_mb=512),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=read_effects(input), adds=["artifact"]),
)
def document_split(parameters: SplitParameters, input: FileInput, context: NodeContext) -> SplitOutput:
    """Cut a PDF into parts of so many pages, or of the pages that are named. The pages themselves are not changed.

    Errors: UNSUPPORTED_FILE_TYPE for what is no PDF, DATA_CORRUPTED, FAILED_PRECONDITION for a missing password,
    OUT_OF_RANGE for a page that is not there and for more than 500 parts, DEPENDENCY_FAILURE without the extra
    `media`.
    """
    from .pdf import open_pdf

    resolved = resolve_document(input, context, readers=("pdf",))
    reference = resolved.passed_on(context)
    password = password_of(parameters.password_from, context)
    folder = context.workdir / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Part] = []
    with open_pdf(resolved.file.path, resolved.file.name, password=password) as pdf:
        wanted = _cuts(parameters, pdf.pages)
        digits = len(str(len(wanted)))
        for index, pages in enumerate(wanted):
            context.check_canceled()
            context.progress(index / len(wanted), f"part {index + 1} of {len(wanted)}")
            target = folder / f"{Path(resolved.file.name).stem[:100]}-{index + 1:0{digits}}.pdf"
            pdf.cut(pages, target)
            stored = context.artifacts.put(target, name=target.name, media_type="application/pdf")
            target.unlink()
            parts.append(Part(file=stored, pages=pages))
        return SplitOutput(
            file=reference, parts=parts, files=[part.file for part in parts], page_count=pdf.pages
        )


def _cuts(parameters: SplitParameters, count: int) -> list[list[int]]:
    if parameters.ranges is not None:
        return [pages_of(text, count, most=count * 2) for text in parameters.ranges]
    step = parameters.every or 1
    if (parts := -(-count // step)) > MOST_PARTS:
        raise RealmError(
            Code.OUT_OF_RANGE, f"{parts} parts are more than the limit of {MOST_PARTS}", hint="raise every"
        )
    return [list(range(first, min(first + step, count + 1))) for first in range(1, count + 1, step)]
