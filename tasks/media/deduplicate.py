"""``media/deduplicate``: which of many pictures are copies, and which of each group to keep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...core.references import FileRef, ImageRef
from ...core.resources import Resources
from ..imaging.duplicates import ALL, Group, Verdict
from ..sdk import Effects, node_type

if TYPE_CHECKING:
    from ..context import NodeContext
    from .pictures import Picture

MOST_LISTED = 1000
"""Pictures that the output lists; the report file has them all."""
MOST_FAILURES = 100

Keep = Literal["best", "largest", "oldest", "newest", "first"]


class DeduplicateParameters(BaseModel):
    """What counts as a copy, and which copy to keep."""

    model_config = ConfigDict(extra="forbid")

    folder: str | None = Field(
        default=None, min_length=1, description="Folder whose pictures to compare, beside those of the input"
    )
    recursive: bool = Field(default=True, description="Also the folders in it")
    max_files: int = Field(default=20_000, ge=2, le=100_000, description="Limit of pictures")
    compare: list[Verdict] = Field(
        default=["exact", "same-picture", "similar"],
        min_length=1,
        description="exact: the same bytes; same-picture: perceptual hashes; similar: vectors, where items have them",
    )
    same_picture: float = Field(
        default=0.9, ge=0.5, le=1, description="Least 1 − d/64 of the perceptual hashes of two same pictures"
    )
    similar: float = Field(
        default=0.95, ge=0, le=1, description="Least cosine of the vectors of similar pictures"
    )
    keep: Keep = Field(
        default="best",
        description="best: most pixels, then most bytes, then the oldest; largest: bytes; oldest, newest: when taken; "
        "first: as they come",
    )


class Item(BaseModel):
    """A picture, and what nodes before found out about it. What is given is not computed again."""

    model_config = ConfigDict(extra="ignore")

    image: ImageRef | None = None
    file: FileRef | None = None
    file_path: str | None = None
    phash: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{16}$", description="As ai/image-analyze gives it"
    )
    vector: FileRef | list[float] | None = Field(
        default=None, description="As ai/embed gives it (a .npy file), or numbers"
    )
    model: str | None = Field(default=None, description="Of the vector; only vectors of one model compare")
    quality_score: float | None = Field(
        default=None, description="0–1; with keep: best it decides before the bytes"
    )


class DeduplicateInput(BaseModel):
    """The pictures: items with what is known of them, or plain references, or the folder of the parameters."""

    model_config = ConfigDict(extra="ignore")

    items: list[Item] = Field(default_factory=list, description="Pictures with what is known of them")
    files: list[FileRef] = Field(default_factory=list, description="Pictures of which nothing is known")


class PictureReport(BaseModel):
    """One picture."""

    name: str
    file_path: str | None = Field(default=None, description="Where it lies, if it came as a file")
    file: FileRef | None = Field(default=None, description="The reference it came as")
    sha256: str
    phash: str | None = None
    width: int | None = None
    height: int | None = None
    size: int = Field(description="Bytes")


class CopyReport(PictureReport):
    """A copy of its group's keeper."""

    verdict: Verdict
    similarity: float = Field(
        description="1 − d/64 of the hashes, or the cosine of the vectors; 1 for equal bytes"
    )


class GroupReport(BaseModel):
    """A keeper and its copies."""

    id: str = Field(description="Made from the keeper's sha256: the same pictures, the same id")
    keeper: PictureReport
    copies: list[CopyReport] = Field(description="Exact ones first, the most alike first")
    reclaimable_bytes: int


class FailureReport(BaseModel):
    """A file that could not be compared."""

    name: str
    code: str
    message: str


class DeduplicateOutput(BaseModel):
    """The groups, those with the most bytes to reclaim first."""

    groups: list[GroupReport]
    truncated: bool = Field(
        description=f"Whether there are more than {MOST_LISTED} pictures in groups; all are in report"
    )
    report: FileRef = Field(description="All groups and failures as JSON")
    pictures: int = Field(description="That were compared")
    group_count: int
    copies: int = Field(description="Pictures that are copies of a keeper")
    exact: int
    same_picture: int
    similar: int
    reclaimable_bytes: int = Field(description="What the copies take")
    failures: list[FailureReport] = Field(
        description=f"Files that could not be compared, the first {MOST_FAILURES}"
    )
    failure_count: int
    links: int = Field(description="Links to pictures or folders, which are not followed")


def _effects(parameters: DeduplicateParameters, input: DeduplicateInput) -> Effects:
    reads = [f"file.{parameters.folder.rstrip('/')}/"] if parameters.folder else []
    return Effects(
        reads=[*reads, *(f"file.{i.file_path}" for i in input.items if i.file_path)], adds=["artifact"]
    )


@node_type(
    "media/deduplicate",
    version="1.0.0",
    resources=Resources(cpu_millis=2000, memory_mb=1024),
    idempotent=True,
    effects=_effects,
    timeout=3600.0,
)
def media_deduplicate(
    parameters: DeduplicateParameters, input: DeduplicateInput, context: NodeContext
) -> DeduplicateOutput:
    """Find the copies among many pictures: the same bytes, the same picture, or similar ones.

    Each group has a keeper, chosen by rule, and every copy is compared with the keeper itself; the same pictures give
    the same groups in any order (with `keep: first`, in the order given). Pictures of one plain colour only count as
    copies by their bytes. Nothing is changed or deleted. A file that cannot be read is a failure in the output, not
    of the node.

    Errors: INVALID_ARGUMENT when there is nothing to compare, OUT_OF_RANGE for more than `max_files`,
    PERMISSION_DENIED and NOT_FOUND for the folder.
    """
    from ..imaging.duplicates import group
    from .pictures import gathered

    pictures, failures, links = gathered(parameters, input, context)
    context.progress(0.8, "comparing")

    def checkpoint(done: int) -> None:
        if done % 100 == 0:
            context.check_canceled()
            context.progress(0.8 + 0.15 * done / len(pictures), f"compared {done}")

    found = group(
        [picture.candidate for picture in pictures],
        verdicts=parameters.compare,
        same_picture=parameters.same_picture,
        similar=parameters.similar,
        checkpoint=checkpoint,
    )
    reports = sorted((_report(g, pictures) for g in found), key=lambda g: (-g.reclaimable_bytes, g.id))
    verdicts = [copy.verdict for g in reports for copy in g.copies]
    listed = list(_within(reports, MOST_LISTED))
    shown = sum(1 + len(one.copies) for one in listed)
    return DeduplicateOutput(
        groups=listed,
        truncated=shown < len(reports) + len(verdicts),
        report=_stored(reports, failures, context),
        pictures=len(pictures),
        group_count=len(reports),
        copies=len(verdicts),
        **{verdict.replace("-", "_"): verdicts.count(verdict) for verdict in ALL},
        reclaimable_bytes=sum(g.reclaimable_bytes for g in reports),
        failures=failures[:MOST_FAILURES],
        failure_count=len(failures),
        links=links,
    )


def _report(found: Group, pictures: list[Picture]) -> GroupReport:
    keeper = pictures[found.keeper]
    copies = [
        CopyReport(**pictures[m.index].report(), verdict=m.verdict, similarity=m.similarity)
        for m in found.members
    ]
    return GroupReport(
        id=f"dup-{keeper.candidate.sha256[:12]}",
        keeper=PictureReport(**keeper.report()),
        copies=copies,
        reclaimable_bytes=sum(copy.size for copy in copies),
    )


def _within(groups: list[GroupReport], most: int) -> Iterator[GroupReport]:
    """The first groups, with at most ``most`` pictures together."""
    for one in groups:
        most -= 1 + len(one.copies)
        if most < 0:
            if (kept := len(one.copies) + most) > 0:
                yield one.model_copy(update={"copies": one.copies[:kept]})
            return
        yield one


def _stored(groups: list[GroupReport], failures: list[FailureReport], context: NodeContext) -> FileRef:
    import json

    path = context.workdir / "duplicates.json"
    content: dict[str, Any] = {
        "groups": [one.model_dump(mode="json") for one in groups],
        "failures": [one.model_dump(mode="json") for one in failures],
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    return context.artifacts.put(path, name="duplicates.json", media_type="application/json")
