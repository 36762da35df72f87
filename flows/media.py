"""The media library's rows of a run: the original, what was made of it, its steps and its tags.

A node says what it did by the shape of its output (the media nodes share these fields, ``docs/nodes.md``): ``original``
is a file as found, ``image`` the picture it passes on, ``tags`` and ``quality_score`` an analysis, ``uri`` with ``key``
an archived object. So a third party's media node is recorded like ours, without being known here.

A scope inside the run (an item of a foreach, a branch, a round) is recorded when it is over, since nothing of it is
kept then; the run itself at its end. What an inner scope learned about a picture stands in the rows that it wrote; an
outer scope does not know it any more. Items that came home in a batch are recorded with it, in one transaction with
their nodes.
"""

from __future__ import annotations

import logging
import mimetypes
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.errors import NO_VERDICTS, ErrorRecord
from ..core.status import NodeStatus
from .results import CACHED

if TYPE_CHECKING:
    from ..store import DecidedNode, MediaFile, Store
    from .declarations import Node
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


@dataclass(frozen=True, slots=True)
class Step:
    """A node that is over, as far as the library is concerned. ``fresh``: it did something in this life that no other
    scope records; ``reused``: its output is one that was made before."""

    type: str
    parameters: Mapping[str, Any]
    priority: float
    output: Any
    done: bool
    error: ErrorRecord | None = None
    worker: str | None = None
    attempts: int = 1
    fresh: bool = True
    reused: bool = False

    @classmethod
    def of(cls, handle: Handle) -> Step:
        """A node of the run. A construct's own output is made of those inside it, whose steps were recorded there."""
        node = handle.node
        return cls(
            type=node.type,
            parameters=node.parameters,
            priority=node.priority,
            output=handle.output,
            done=handle.status is NodeStatus.COMPLETED,
            error=handle.error,
            worker=handle.worker,
            attempts=handle.attempts,
            fresh=not (handle.restored or handle.parts),
            reused=handle.reused,
        )

    @classmethod
    def decided(cls, node: Node, row: DecidedNode) -> Step:
        """A node that a worker went through, and its row."""
        return cls(
            type=node.type,
            parameters=node.parameters,
            priority=node.priority,
            output=row.output,
            done=row.status is NodeStatus.COMPLETED,
            worker=row.worker,
            reused=CACHED in (row.notes or {}),
        )


@dataclass
class Facts:
    """What the outputs of one run say about one original file."""

    original: Mapping[str, Any]
    exif: Mapping[str, Any]
    analysis: dict[str, Any] = field(default_factory=dict)
    archived: list[Mapping[str, Any]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


Found = Mapping[str, Facts]
"""Facts by the sha256 of the original."""


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
        handles = list(scope.handles.values())
        with self._harmless():
            found = gather(list(map(Step.of, handles)), _around(scope))
            self._show(found)
            # Of a round of an earlier life everything is there, and thousands of them must not take a while.
            if scope.parent is None or not all(handle.restored for handle in handles):
                await self._write(found, failed=failed)

    async def note_batch(
        self, scope: Scope, items: Sequence[Sequence[Step]], nodes: Sequence[DecidedNode], *, failed: bool
    ) -> None:
        """Journal what a batch decided in items of ``scope``, and with it, in one transaction, write the rows of each
        item. Where these cannot be written, the nodes are journaled without."""
        journal, instance_id = self._run.env.journal, self._run.instance_id
        found: list[Found] = []
        around = [*_around(scope), *_outputs(scope)]
        for steps in items:
            with self._harmless():
                found += [facts] if (facts := gather(steps, around)) else []
        for facts in found:
            self._show(facts)

        # In one order for everybody: two runs over the same pictures must not wait for each other.
        found.sort(key=lambda facts: sorted(facts))

        def rows(store: Store) -> None:
            for facts in found:
                record(store, instance_id, facts, failed=failed, archived=self._archived)

        try:
            await journal.record(instance_id, nodes, rows if found else None)
            return
        except NO_VERDICTS:
            raise
        except Exception:  # Whatever outputs say of pictures, it must not keep a batch from the journal.
            if not found:
                raise
            log.exception("a batch of instance %s is journaled without the media library's rows", instance_id)
        await journal.record(instance_id, nodes)
        for facts in found:
            with self._harmless():
                await self._write(facts, failed=failed)

    async def _write(self, found: Found, *, failed: bool) -> None:
        if found:
            journal = self._run.env.journal
            await journal.call(
                record, journal.store, self._run.instance_id, found, failed=failed, archived=self._archived
            )

    def _show(self, found: Found) -> None:
        """Remember the pictures, and which of them were archived: they stay so."""
        self._archived |= {sha256 for sha256, facts in found.items() if facts.archived}
        for sha256 in found:
            if len(self.pictures) < MOST_PICTURES:
                self.pictures[sha256] = None

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """Log a fault inside the block, which then ends there."""
        try:
            yield
        except Exception:
            log.exception(
                "the media library's rows of instance %s could not be written", self._run.instance_id
            )


def _around(scope: Scope) -> list[Any]:
    """The outputs of the nodes of the scopes around, those of the outermost first."""
    return [] if scope.parent is None else [*_around(scope.parent), *_outputs(scope.parent)]


def _outputs(scope: Scope) -> list[Any]:
    return [handle.output for handle in scope.handles.values()]


def record(
    store: Store,
    instance_id: str,
    found: Found,
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


def gather(steps: Sequence[Step], around: Sequence[Any] = ()) -> dict[str, Facts]:
    """The facts by the sha256 of the original, of originals that ``steps`` found or worked on. Outputs come in
    topological order: the original before what follows. Those ``around`` tell about originals, and what is known of
    them; their nodes' steps and objects are recorded with them.
    """
    own = [step for step in steps if isinstance(step.output, dict)]
    outer = [output for output in around if isinstance(output, dict)]
    originals: dict[str, Facts] = {}
    touched: dict[str, Facts] = {}
    for output in outer:
        _find(originals, output)
    for step in own:
        if (sha256 := _find(originals, step.output)) is not None:
            touched[sha256] = originals[sha256]
    for output in outer:
        _learn(originals, output)
    for step in own:
        sha256 = _learn(originals, step.output)
        if sha256 is None or not step.fresh:
            continue
        facts = touched[sha256] = originals[sha256]
        if not step.reused:
            facts.steps.append(step)
        if step.output.get("uri") and step.output.get("key"):
            facts.archived.append(step.output)
    return touched


def _find(originals: dict[str, Facts], output: Mapping[str, Any]) -> str | None:
    """The sha256 of the original that an output found."""
    original = output.get("original")
    if not (
        isinstance(original, Mapping) and isinstance(original.get("sha256"), str) and original.get("name")
    ):
        return None
    originals.setdefault(original["sha256"], Facts(original, output.get("exif") or {}))
    return original["sha256"]


def _learn(originals: Mapping[str, Facts], output: Mapping[str, Any]) -> str | None:
    """The sha256 of the original of the picture that an output passes on, whose analysis then has what it tells."""
    image = output.get("image")
    sha256 = str(image.get("source_sha256")) if isinstance(image, Mapping) else ""
    if (facts := originals.get(sha256)) is None:
        return None
    facts.analysis |= {name: output[name] for name in ANALYSIS if output.get(name) is not None}
    return sha256


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


def _step(store: Store, original: MediaFile, step: Step) -> None:
    image = step.output.get("image") or {}
    store.media.record_task(
        original.id,
        step.type,
        step.parameters,
        status="completed" if step.done else "failed",
        priority=round(step.priority),
        worker_id=step.worker or None,
        input_path=original.path,
        output_path=str(step.output.get("uri") or image.get("uri") or "") or None,
        error=step.error,
        retry_count=max(0, step.attempts - 1),
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
