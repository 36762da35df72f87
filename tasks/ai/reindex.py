"""The whole library embedded: what is missing is computed in batches, beside what there is, then takes its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ...core.errors import Code, RealmError
from ...core.references import local_path
from .embed import STAGE
from .library import EmbeddingModel, pack
from .searching import library_index

if TYPE_CHECKING:
    from PIL import Image

    from ...store import MediaFile, Store
    from ...store.media_stages import StageKey
    from ...store.media_vectors import Space

BATCH = 32
EVERYTHING = 1_000_000_000

Swap = Literal["auto", "now", "never"]

Progress = Callable[[int, int], None]
"""Called with the pictures looked at, and those in all."""


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What was done. ``waiting``: pictures that failed before and are not due yet. ``swapped``: whether the model
    took the place of another just now."""

    model: str
    embedded: int
    failed: int
    waiting: int
    lacking: int
    """Pictures that the active model can find and this one cannot."""
    size: int
    active: bool
    swapped: bool


def reindex(
    store: Store,
    model: EmbeddingModel,
    *,
    swap: Swap = "auto",
    retry: bool = False,
    progress: Progress = lambda done, total: None,
) -> Reindexed:
    """Embed every original that ``model`` has not embedded, and bring the index file up to date.

    A file that cannot be read is noted and tried again later, ``retry`` at once. When this model finds whatever the
    active one does, it takes its place; ``swap`` ``now`` swaps whatever is lacking. Can be stopped at any time and goes
    on where it was.
    """
    space = model.space(store)
    missing = store.vectors.missing(space.id, limit=EVERYTHING)
    embedded = failed = waiting = looked = 0
    for start in range(0, len(missing), BATCH):
        model.check()
        files = [store.media.get(id) for id in missing[start : start + BATCH]]
        keys = {file.id: _key(file, model) for file in files}
        due = [file for file in files if retry or _due(store, keys[file.id])]
        seen = list(_seen(store, model, due, keys))
        embedded += _record(store, model, space, seen, keys)
        failed += len(due) - len(seen)
        waiting += len(files) - len(due)
        progress(looked := looked + len(files), len(missing))
    before, lacking = space.status, store.vectors.lacking(space.id)
    if before != "active" and (swap == "now" or (swap == "auto" and not lacking)):
        space = store.vectors.activate(space.id)
    index = library_index(model.settings, space).refresh(store, save=True)
    return Reindexed(
        model=space.model,
        embedded=embedded,
        failed=failed,
        waiting=waiting,
        lacking=lacking,
        size=len(index),
        active=space.status == "active",
        swapped=space.status != before,
    )


def _key(file: MediaFile, model: EmbeddingModel) -> StageKey:
    from ...store.media_stages import StageKey

    return StageKey.of(file.sha256, STAGE, model.identity)


def _due(store: Store, key: StageKey) -> bool:
    stage = store.stages.get(key)
    return stage is None or stage.due()


def _seen(
    store: Store, model: EmbeddingModel, files: Sequence[MediaFile], keys: dict[str, StageKey]
) -> Iterator[tuple[MediaFile, Image.Image]]:
    """The files that can be read, as pictures; a failure is noted."""
    for file in files:
        try:
            yield file, _read(file, model)
        except RealmError as error:
            store.stages.failed(keys[file.id], error.record)


def _read(file: MediaFile, model: EmbeddingModel) -> Image.Image:
    from ..artifacts import sha256_file
    from ..imaging.measures import WORKING_SIDE
    from ..imaging.viewing import view

    path = local_path(file.path)
    if not path.is_file():
        raise RealmError(Code.NOT_FOUND, f"{file.path} is not on this machine")
    if sha256_file(path) != file.sha256:
        raise RealmError(Code.FAILED_PRECONDITION, f"{file.path} has other content now; run it again")
    limit = model.settings.max_pixels
    return view(path, side=WORKING_SIDE, max_pixels=limit, name=file.filename).image


def _record(
    store: Store,
    model: EmbeddingModel,
    space: Space,
    seen: Sequence[tuple[MediaFile, Image.Image]],
    keys: dict[str, StageKey],
) -> int:
    from ...store.media_vectors import NewEmbedding

    if not seen:
        return 0
    vectors = model.embedder.images([image for _, image in seen], check=model.check)
    new = [
        NewEmbedding(
            sha256=file.sha256,
            source_sha256=file.sha256,
            vector=pack(vector),
            name=file.filename,
            uri=file.path,
        )
        for (file, _), vector in zip(seen, vectors, strict=True)
    ]
    with store.transaction():
        added = store.vectors.add(space.id, new)
        for file, _ in seen:
            store.stages.done(keys[file.id])
    return added
