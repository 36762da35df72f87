"""The search index of a media library: a file beside the record, always made to agree with it before it answers.

The record is the table of embeddings. Each process keeps the index in memory and takes in what changed since; the file
spares the next process the building. It is written by one process at a time, whole or not at all, and only when enough
has changed; whoever finds it torn, lost, or of another space builds it from the record.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...blocks.atomic import atomic_file
from ...core.settings import Settings
from ..inference.kept import Kept
from ..inference.vectors import FLAT_BELOW, Hit, Unusable, VectorIndex, read_meta

if TYPE_CHECKING:
    import numpy as np

    from ...store import Store
    from ...store.media_vectors import Embedding, Space

SAVE_AFTER = 256
"""Changes after which the file is written anew, at least; beyond that, a twentieth of the index."""
SAVE_SHARE = 0.05

PAGE = 10_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Match:
    """A picture that was found, and how like (the cosine)."""

    sha256: str
    source_sha256: str
    name: str
    uri: str
    similarity: float
    file_id: str | None
    """Its row in the media library, where it has one: the original's."""
    path: str


class LibraryIndex:
    """The index of one space, in this process. Safe to share between threads."""

    def __init__(self, path: Path, space: Space, *, flat_below: int = FLAT_BELOW) -> None:
        self.path = path
        self._space, self._flat_below = space, flat_below
        self._index: VectorIndex | None = None
        self._unsaved = 0
        self._lock = threading.RLock()

    def refresh(self, store: Store, *, save: bool = False) -> VectorIndex:
        """The index as the record is now. ``save`` writes the file even when little changed."""
        with self._lock:
            index = self._index or self._load()
            current = store.vectors.space(self._space.model, project=self._space.project_id)
            at = current.generation if current and current.id == self._space.id else 0
            if index.generation > at:
                logger.warning("the record is older than the index %s: it is built anew", self.path)
                index = self._empty()
            while index.generation < at:
                changes = store.vectors.changes(self._space.id, index.generation, limit=PAGE)
                self._apply(index, changes)
                # A generation may leave no row, when what it was to change was not there.
                index.generation = changes[-1].generation if changes else at
            self._index = index
            if save or self._unsaved >= max(SAVE_AFTER, SAVE_SHARE * len(index)):
                self._save(index)
            return index

    def rebuild(self, store: Store) -> VectorIndex:
        """Build it from the record, whatever the file says, and write it."""
        with self._lock:
            self._index = self._empty()
            return self.refresh(store, save=True)

    def _apply(self, index: VectorIndex, changes: Sequence[Embedding]) -> None:
        import numpy as np

        living = [change for change in changes if change.vector is not None]
        if living:
            rows = np.frombuffer(b"".join(change.vector or b"" for change in living), "<f4")
            index.add([change.id for change in living], rows.reshape(len(living), index.dimension))
        index.remove([change.id for change in changes if change.vector is None])
        self._unsaved += len(changes)

    def _load(self) -> VectorIndex:
        space = self._space
        if not self.path.exists():
            logger.info("there is no index %s: it is built from the record", self.path)
            return self._empty()
        try:
            return VectorIndex.load(self.path, space.id, space.dimension, flat_below=self._flat_below)
        except Unusable as error:
            logger.warning("the index %s is built anew from the record: %s", self.path, error)
            return self._empty()

    def _empty(self) -> VectorIndex:
        self._unsaved = 0
        return VectorIndex(self._space.id, self._space.dimension, flat_below=self._flat_below)

    def _save(self, index: VectorIndex) -> None:
        from filelock import FileLock, Timeout

        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path.with_suffix(".lock"), timeout=0):
                if not self._is_newer_than(index):
                    with atomic_file(self.path) as file:
                        index.save(file)
        except Timeout:
            return  # somebody else writes it now; ours comes next time
        self._unsaved = 0

    def _is_newer_than(self, index: VectorIndex) -> bool:
        """Whether the file is at least as new: an index never goes back."""
        try:
            meta = read_meta(self.path)
        except Unusable:
            return False
        return meta.get("space") == index.space and int(meta.get("generation", -1)) > index.generation


_indexes: Kept[LibraryIndex] = Kept(limit=8)


def library_index(settings: Settings, space: Space) -> LibraryIndex:
    """The process's index of ``space``."""
    path = index_file(settings, space)
    return _indexes.get((str(path), space.id), lambda: LibraryIndex(path, space))


def index_file(settings: Settings, space: Space) -> Path:
    """Where the index of ``space`` is kept: one file for each project, model and dimension."""
    # A model's name may hold any characters; its digest never does.
    digest = hashlib.sha256(space.model.encode()).hexdigest()[:16]
    return settings.home / "index" / space.project_id / f"{digest}-{space.dimension}.npz"


def nearest(
    store: Store,
    settings: Settings,
    space: Space,
    vector: np.ndarray,
    *,
    k: int,
    least: float = -1.0,
    but: str | None = None,
) -> list[Match]:
    """The ``k`` pictures most like ``vector``, the likest first, each original once; ``but`` leaves one original
    out."""
    index = library_index(settings, space).refresh(store)
    wanted = k + 1
    while True:
        hits = index.search(vector[None], wanted)[0]
        found = _distinct(store, space, hits, least, but)
        if len(found) >= k or len(hits) < wanted or hits[-1].similarity < least:
            return _matches(store, space, found[:k])
        wanted *= 2  # several pictures were made of one original


def _distinct(
    store: Store, space: Space, hits: Sequence[Hit], least: float, but: str | None
) -> list[tuple[Embedding, float]]:
    rows = store.vectors.by_ids(space.id, [hit.id for hit in hits])
    seen = {but}
    found = []
    for hit in hits:
        row = rows.get(hit.id)
        if row is None or hit.similarity < least or row.source_sha256 in seen:
            continue
        seen.add(row.source_sha256)
        found.append((row, hit.similarity))
    return found


def _matches(store: Store, space: Space, found: Sequence[tuple[Embedding, float]]) -> list[Match]:
    files = store.media.by_contents([row.source_sha256 for row, _ in found], project=space.project_id)
    matches = []
    for row, similarity in found:
        file = files.get(row.source_sha256)
        matches.append(
            Match(
                sha256=row.sha256,
                source_sha256=row.source_sha256,
                name=file.filename if file else row.name,
                uri=row.uri,
                similarity=round(similarity, 4),
                file_id=file.id if file else None,
                path=file.path if file else row.uri,
            )
        )
    return matches
