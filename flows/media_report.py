"""A contact sheet over the media library's tables: before and after, tags, scores, faces, and copies among them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.references import local_path
from ..tasks.imaging.contact_sheet import MOST_RECORDS, CopyGroup, Face, Record, contact_sheet

if TYPE_CHECKING:
    from ..core.settings import Settings
    from ..store import Store
    from ..store.media_overview import Overview

SCORES = ("sharpness", "exposure", "contrast", "noise")
"""Parts of the quality score that are shown."""

BOX = {"x", "y", "width", "height"}


MOST_IN_RUN = 100
"""Pictures in the report of one run, which is made before the run ends."""


@dataclass(frozen=True, slots=True)
class MediaReport:
    """The page as HTML, and what is on it."""

    html: str
    pictures: int
    groups: int


def media_report(
    store: Store,
    settings: Settings,
    *,
    title: str,
    since: datetime | None = None,
    contents: Collection[str] | None = None,
    limit: int = MOST_RECORDS,
    checkpoint: Callable[[float, str], None] = lambda fraction, message: None,
) -> MediaReport:
    """The report on originals that were found or worked on ``since`` then, or on these ``contents`` (sha256), the
    newest first. A file that is not on this machine, or gone, is said in its place. ``checkpoint`` is called for each
    picture and may raise to stop."""
    found = store.overviews.pictures(since=since, contents=contents, limit=limit)
    groups = list(_groups(found))
    html = contact_sheet(
        [_record(one) for one in found],
        title=title,
        groups=groups,
        max_pixels=settings.max_pixels,
        checkpoint=checkpoint,
    )
    return MediaReport(html, len(found), len(groups))


def stored_report(store: Store, settings: Settings, contents: Collection[str], title: str) -> str:
    """Make the report on these contents, keep it as an artifact, and say where it is."""
    from ..tasks.artifacts import ArtifactStore

    made = media_report(store, settings, title=title, contents=contents, limit=MOST_IN_RUN)
    with tempfile.TemporaryDirectory(prefix="report-") as folder:
        page = Path(folder) / "contact-sheet.html"
        page.write_text(made.html, encoding="utf-8")
        return ArtifactStore.open(settings).put(page, name=page.name, media_type="text/html").uri


def _record(one: Overview) -> Record:
    original, made = one.original, one.made
    analysis = made.ai_analysis if made else original.ai_analysis
    record = Record(
        name=original.filename,
        before=_place(original.path),
        after=_place(made.path) if made else None,
        facts=_facts(one),
        tags=[(tag.tag_value, tag.confidence) for tag in one.tags],
        scores=dict(_scores(analysis)),
        remarks=_remarks(one),
    )
    record["faces"] = _faces(one, analysis)
    return record


def _faces(one: Overview, analysis: Mapping[str, Any]) -> list[Face]:
    """The faces that are recorded with whose they are, else those that the analysis saw."""
    if one.faces:
        return [
            {"x": f.x, "y": f.y, "width": f.width, "height": f.height, "label": f.person or "face"}
            for f in one.faces
        ]
    seen = analysis.get("faces")
    found = [face for face in seen if isinstance(face, Mapping)] if isinstance(seen, list) else []
    boxes = [face.get("bounding_box_relative") for face in found]
    return [Face(**box, label="face") for box in boxes if isinstance(box, Mapping) and set(box) == BOX]


def _place(path: str) -> Path | None:
    """Where a recorded path lies on this machine; ``None`` for an object in a bucket."""
    return None if "://" in path and not path.startswith("file:") else local_path(path)


def _facts(one: Overview) -> dict[str, object]:
    before, after = one.original.metadata, one.made.metadata if one.made else {}
    return {
        "before": _size(before, one.original.size),
        "after": _size(after, one.made.size) if one.made else None,
        "camera": _camera(one.original.exif.get("camera")),
        "status": one.original.status,
        "kept at": one.made.path if one.made else None,
    }


def _camera(noted: Any) -> str | None:
    if not isinstance(noted, Mapping):
        return None
    return " ".join(str(noted[name]) for name in ("make", "model") if name in noted) or None


def _size(metadata: Mapping[str, Any], size: int) -> str:
    width, height = metadata.get("width"), metadata.get("height")
    sides = f"{width}×{height}, " if width and height else ""
    return f"{sides}{size / 1e6:.1f} MB" if size >= 100_000 else f"{sides}{size / 1e3:.1f} kB"


def _scores(analysis: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    overall, parts = analysis.get("quality_score"), analysis.get("quality")
    if isinstance(overall, int | float):
        yield "quality", float(overall)
    if isinstance(parts, Mapping):
        yield from ((name, float(parts[name])) for name in SCORES if isinstance(parts.get(name), int | float))


def _remarks(one: Overview) -> list[str]:
    remarks = []
    if one.original.status == "failed":
        remarks.append("the run that worked on it failed")
    if one.made is not None and _place(one.made.path) is None:
        remarks.append("the result lies in a bucket and is not shown")
    return remarks


def _groups(found: Sequence[Overview]) -> Iterator[CopyGroup]:
    """Copies among the pictures: the same bytes at several paths, and the same picture by its perceptual hash."""
    from ..tasks.imaging.duplicates import Candidate, group

    candidates = [Candidate(one.original.sha256, _phash(one)) for one in found]
    for number, copies in enumerate(group(candidates, verdicts=("exact", "same-picture")), 1):
        keeper = found[copies.keeper].original
        yield {
            "title": f"{number}. {keeper.filename}",
            "pictures": [
                {"name": keeper.path, "path": _place(keeper.path)},
                *(
                    {
                        "name": found[m.index].original.path,
                        "path": _place(found[m.index].original.path),
                        "verdict": m.verdict,
                        "similarity": m.similarity,
                    }
                    for m in copies.members
                ),
            ],
        }


def _phash(one: Overview) -> int | None:
    """The perceptual hash, where an analysis noted one that says something."""
    noted = (one.made.ai_analysis if one.made else one.original.ai_analysis).get("phash")
    try:
        return int(noted, 16) or None if isinstance(noted, str) else None
    except ValueError:
        return None
