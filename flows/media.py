"""The media library's rows of a run: the original, what was made of it, its steps and its tags.

A node says what it did by the shape of its output (the media nodes share these fields, ``docs/nodes.md``): ``original``
is a file as found, ``image`` the picture it passes on, ``tags`` and ``quality_score`` an analysis, ``uri`` with ``key``
an archived object. So a third party's media node is recorded like ours, without being known here.

A scope inside the run (an item of a foreach, a branch, a round) is recorded when it is over, since nothing of it is
kept then; the run itself at its end. What an inner scope learned about a picture stands in the rows that it wrote; an
outer scope does not know it any more.
"""

from __future__ import annotations

import logging
import mimetypes
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.status import NodeStatus

if TYPE_CHECKING:
    from ..store import MediaFile, Store
    from .run import Run
    from .scope import Handle, Scope

log = logging.getLogger("mirror_realm.run")

MOST_PICTURES = 1000
"""Pictures that a run remembers for its report."""

ANALYSIS = (
    *("quality_score", "quality", "colors", "phash", "faces", "tags", "classification"),
    *("face_data", "similar_images", "category"),
)
"""Fields of an output that are the analysis of its image."""


@dataclass
class Facts:
    """What the outputs of one run say about one original file."""

    original: Mapping[str, Any]
    exif: Mapping[str, Any]
    analysis: dict[str, Any] = field(default_factory=dict)
    archived: list[Mapping[str, Any]] = field(default_factory=list)
    steps: list[Handle] = field(default_factory=list)


class Library:
    """What one run tells the media library. ``pictures`` are the contents (sha256) that it found or worked on, the
    first :data:`MOST_PICTURES` of them."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.pictures: dict[str, None] = {}
        self._archived: set[str] = set()

    async def note(self, scope: Scope, *, failed: bool) -> None:
        """Write the rows of a scope that is over. Rows are a view of the outputs, which may be anybody's: a fault here
        is logged, and decides nothing."""
        own, around = list(scope.handles.values()), _around(scope)
        try:
            # Of a round of an earlier life everything is there, and thousands of them must not take a while.
            if scope.parent is not None and all(handle.restored for handle in own):
                self._show(gather(own, around))
                return
            found = gather(own, around)
            if not found:
                return
            self._show(found)
            self._archived |= {sha256 for sha256, facts in found.items() if facts.archived}
            journal = self._run.env.journal
            await journal.call(
                record, journal.store, self._run.instance_id, found, failed=failed, archived=self._archived
            )
        except Exception:
            log.exception(
                "the media library's rows of instance %s could not be written", self._run.instance_id
            )

    def _show(self, found: Mapping[str, Facts]) -> None:
        for sha256 in found:
            if len(self.pictures) < MOST_PICTURES:
                self.pictures[sha256] = None


def _around(scope: Scope) -> list[Handle]:
    """The nodes of the scopes around, the outermost first."""
    if scope.parent is None:
        return []
    return [*_around(scope.parent), *scope.parent.handles.values()]


def record(
    store: Store,
    instance_id: str,
    found: Mapping[str, Facts],
    *,
    failed: bool,
    archived: Collection[str] = (),
) -> None:
    """Write the rows of every original that a scope found or worked on. Recording the same run again changes nothing
    but times. An original in ``archived`` was archived by this run and stays so."""
    with store.transaction():
        for sha256, facts in found.items():
            original = _original(store, instance_id, facts)
            for step in facts.steps:
                _step(store, original, step)
            for one in facts.archived:
                _processed(store, instance_id, original, facts, one)
            if sha256 not in archived:
                store.media.set_status(original.id, "failed" if failed else "processed")
            store.media.add_tags(original.id, _tags(facts.analysis))


def gather(handles: Sequence[Handle], around: Sequence[Handle] = ()) -> dict[str, Facts]:
    """The facts by the sha256 of the original, of originals that ``handles`` found or worked on. Outputs come in
    topological order: the original before what follows. Nodes ``around`` tell about originals, and what is known of
    them; their steps and objects are recorded with them.

    A construct's own output is made of those of the nodes inside it, whose steps were recorded when they ended.
    """
    own = [handle for handle in handles if isinstance(handle.output, dict)]
    seen = [*(handle for handle in around if isinstance(handle.output, dict)), *own]
    originals: dict[str, Facts] = {}
    touched: dict[str, Facts] = {}
    for handle in seen:
        original = handle.output.get("original")
        if isinstance(original, Mapping) and isinstance(original.get("sha256"), str) and original.get("name"):
            facts = originals.setdefault(original["sha256"], Facts(original, handle.output.get("exif") or {}))
            if handle in own:
                touched[original["sha256"]] = facts
    for handle in seen:
        image = handle.output.get("image")
        sha256 = str(image.get("source_sha256")) if isinstance(image, Mapping) else ""
        facts = originals.get(sha256)
        if facts is None:
            continue
        facts.analysis |= {
            name: handle.output[name] for name in ANALYSIS if handle.output.get(name) is not None
        }
        if handle not in own or handle.restored or handle.parts:
            continue
        touched[sha256] = facts
        if not handle.reused:
            facts.steps.append(handle)
        if handle.output.get("uri") and handle.output.get("key"):
            facts.archived.append(handle.output)
    return touched


def speaks(output: Any) -> bool:
    """Whether an output may be of something that the library records."""
    return isinstance(output, Mapping) and any(
        isinstance(output.get(name), Mapping) for name in ("original", "image")
    )


def _original(store: Store, instance_id: str, facts: Facts) -> MediaFile:
    original = facts.original
    name = str(original["name"])
    return store.media.record_original(
        "default",
        str(original.get("file_path") or name),
        name,
        mimetypes.guess_type(name)[0] or "application/octet-stream",
        int(original.get("size") or 0),
        str(original["sha256"]),
        instance_id,
        exif=facts.exif,
        metadata={key: original.get(key) for key in ("width", "height", "format")},
    )


def _processed(
    store: Store, instance_id: str, original: MediaFile, facts: Facts, archived: Mapping[str, Any]
) -> None:
    image = archived.get("image") or {}
    store.media.record_processed(
        original.id,
        str(archived["uri"]),
        str(archived["key"]).rpartition("/")[2],
        str(image.get("media_type") or "application/octet-stream"),
        int(archived.get("size") or 0),
        str(archived.get("sha256") or image.get("sha256")),
        instance_id,
        exif=facts.exif,
        metadata={
            "width": image.get("width"),
            "height": image.get("height"),
            "backend": archived.get("backend"),
        },
        ai_analysis=facts.analysis,
        status="archived",
    )


def _step(store: Store, original: MediaFile, step: Handle) -> None:
    image = step.output.get("image") or {}
    task = store.media.begin_task(
        original.id,
        step.node.type,
        step.node.parameters,
        priority=round(step.node.priority),
        worker_id=step.worker or None,
        input_path=original.path,
        retry_count=max(0, step.attempts - 1),
    )
    done = step.status is NodeStatus.COMPLETED
    store.media.finish_task(
        task.id,
        status="completed" if done else "failed",
        output_path=str(step.output.get("uri") or image.get("uri") or "") or None,
        error=step.error,
    )


def _tags(analysis: Mapping[str, Any]) -> list[tuple[str, str, float, str]]:
    tags = analysis.get("tags")
    if not isinstance(tags, Sequence):
        return []
    return [
        (
            str(tag.get("type") or "tag"),
            str(tag["tag"]),
            float(tag.get("confidence", 1.0)),
            str(tag.get("source") or ""),
        )
        for tag in tags
        if isinstance(tag, Mapping) and tag.get("tag")
    ]
