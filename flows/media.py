"""The media library's rows of a finished run: the original, what was made of it, its steps and its tags.

A node says what it did by the shape of its output (the media nodes share these fields, ``docs/nodes.md``): ``original``
is a file as found, ``image`` the picture it passes on, ``tags`` and ``quality_score`` an analysis, ``uri`` with ``key``
an archived object. So a third party's media node is recorded like ours, without being known here.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.status import NodeStatus

if TYPE_CHECKING:
    from ..store import MediaFile, Store
    from .run import Handle

ANALYSIS = ("quality_score", "quality", "colors", "phash", "faces", "tags", "classification")
"""Fields of an output that are the analysis of its image."""


@dataclass
class Facts:
    """What the outputs of one run say about one original file."""

    original: Mapping[str, Any]
    exif: Mapping[str, Any]
    analysis: dict[str, Any] = field(default_factory=dict)
    archived: list[Mapping[str, Any]] = field(default_factory=list)
    steps: list[Handle] = field(default_factory=list)


def record(store: Store, instance_id: str, handles: Sequence[Handle], *, failed: bool) -> None:
    """Write the rows of every original that this run found. Recording the same run again changes nothing but times."""
    if not (found := gather(handles)):
        return
    with store.transaction():
        for facts in found.values():
            original = _original(store, instance_id, facts)
            for step in facts.steps:
                _step(store, original, step)
            for archived in facts.archived:
                _processed(store, instance_id, original, facts, archived)
            if not facts.archived:
                store.media.set_status(original.id, "failed" if failed else "processed")
            store.media.add_tags(original.id, _tags(facts.analysis))


def gather(handles: Sequence[Handle]) -> dict[str, Facts]:
    """The facts by the sha256 of the original. Outputs come in topological order: the original before what follows."""
    found: dict[str, Facts] = {}
    for handle in handles:
        output = handle.output
        original = output.get("original")
        if isinstance(original, Mapping) and isinstance(original.get("sha256"), str) and original.get("name"):
            found.setdefault(original["sha256"], Facts(original, output.get("exif") or {}))
    for handle in handles:
        image = handle.output.get("image")
        facts = found.get(str(image.get("source_sha256"))) if isinstance(image, Mapping) else None
        if facts is None or handle.restored:
            continue
        facts.steps.append(handle)
        facts.analysis |= {
            name: handle.output[name] for name in ANALYSIS if handle.output.get(name) is not None
        }
        if handle.output.get("uri") and handle.output.get("key"):
            facts.archived.append(handle.output)
    return found


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
        priority=step.node.priority,
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
