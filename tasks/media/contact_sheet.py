"""``media/contact-sheet``: a page on which a person sees pictures, and copies side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from ...core.references import FileRef
from ...core.resources import Resources
from ..sdk import Effects, node_type
from .deduplicate import GroupReport, Item, PictureReport

if TYPE_CHECKING:
    from pathlib import Path

    from ..context import NodeContext


class ContactSheetParameters(BaseModel):
    """What the page is called."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(
        default="Contact sheet", min_length=1, max_length=200, description="What stands above the page"
    )


class ContactSheetInput(BaseModel):
    """What to show."""

    model_config = ConfigDict(extra="ignore")

    groups: list[GroupReport] = Field(default_factory=list, description="As media/deduplicate gives them")
    items: list[Item] = Field(default_factory=list, description="Single pictures")


class ContactSheetOutput(BaseModel):
    """The page."""

    sheet: FileRef = Field(description="One HTML file with its pictures inside")
    pictures: int
    groups: int


@node_type(
    "media/contact-sheet",
    version="1.0.0",
    resources=Resources(cpu_millis=1000, memory_mb=512),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=["file.*"], adds=["artifact"]),
    timeout=1800.0,
)
def media_contact_sheet(
    parameters: ContactSheetParameters, input: ContactSheetInput, context: NodeContext
) -> ContactSheetOutput:
    """Make one HTML page of pictures: groups of copies side by side, the one to keep first, and single pictures.

    The page loads nothing from anywhere and runs no script, so that it can be sent and kept. A picture that cannot be
    read is said so in its place.
    """
    from ..imaging.contact_sheet import contact_sheet

    html = contact_sheet(
        [
            {"name": path.name, "before": path}
            for path in (_where(item, context) for item in input.items)
            if path is not None
        ],
        title=parameters.title,
        groups=[
            {
                "title": f"{group.id}: {group.keeper.name}",
                "pictures": [
                    {"name": group.keeper.name, "path": _where(group.keeper, context)},
                    *(
                        {
                            "name": copy.name,
                            "path": _where(copy, context),
                            "verdict": copy.verdict,
                            "similarity": copy.similarity,
                        }
                        for copy in group.copies
                    ),
                ],
            }
            for group in input.groups
        ],
        max_pixels=context.settings.max_pixels,
        checkpoint=lambda fraction, name: _checkpoint(fraction, name, context),
    )
    path = context.workdir / "contact-sheet.html"
    path.write_text(html, encoding="utf-8")
    shown = sum(1 + len(group.copies) for group in input.groups) + len(input.items)
    stored = context.artifacts.put(path, name=path.name, media_type="text/html")
    return ContactSheetOutput(sheet=stored, pictures=shown, groups=len(input.groups))


def _checkpoint(fraction: float, name: str, context: NodeContext) -> None:
    context.check_canceled()
    context.progress(fraction, name)


def _where(picture: PictureReport | Item, context: NodeContext) -> Path | None:
    """The picture as a file that may be read; ``None`` where nothing is named."""
    if picture.file_path is not None:
        return context.readable(picture.file_path)
    reference = picture.file if picture.file is not None else getattr(picture, "image", None)
    return None if reference is None else context.artifacts.fetch(reference, context.workdir)
