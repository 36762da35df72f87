"""``ai/reindex``: the whole library embedded. What is missing is computed in batches, beside what there is, then takes
its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...core.errors import Code, RealmError
from ...core.references import local_path
from ...core.resources import GPU_SHARE, Gpu, Resources
from ..inference.catalogue import DEFAULT_EMBEDDER
from ..sdk import Effects, node_type
from .embed import STAGE
from .library import EmbeddingModel, embedding_model, open_library, pack

if TYPE_CHECKING:
    from PIL import Image

    from ...store import MediaFile, Store
    from ...store.media_stages import StageKey
    from ...store.media_vectors import Space
    from ..context import NodeContext

BATCH = 32
READERS = 4
"""Pictures that are decoded at once; decoding holds no lock of Python's."""
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


class ReindexParameters(BaseModel):
    """Which model's vectors, and when searches use them."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(
        default=DEFAULT_EMBEDDER,
        description="An embedding model, as `realm models list --task embedding` names it",
    )
    swap: Swap = Field(
        default="auto",
        description="When searches use this model: auto once it finds whatever the active one does, now, or never",
    )
    retry: bool = Field(default=False, description="Try pictures that failed before at once")


class ReindexInput(BaseModel):
    """Nothing: the library is what it works on."""


class ReindexOutput(BaseModel):
    """What was done, and the index after it."""

    model: str = Field(description="Model and weights whose index this is")
    embedded: int = Field(description="Pictures that got a vector now")
    failed: int = Field(description="Pictures that could not be read; they are tried again later")
    waiting: int = Field(description="Pictures that failed before and are not due yet")
    lacking: int = Field(description="Pictures that the active model can find and this one cannot")
    size: int = Field(description="Vectors in the index")
    active: bool = Field(description="Whether searches use this model")
    swapped: bool = Field(description="Whether it took the place of another just now")


@node_type(
    "ai/reindex",
    version="1.0.0",
    resources=Resources(gpu=Gpu.PREFERRED, gpu_share=GPU_SHARE, memory_mb=3072),
    idempotent=True,
    timeout=86_400,
    effects=lambda parameters, input: Effects(["db.media"], adds=["artifact", "db.media.vectors"]),
)
def ai_reindex(parameters: ReindexParameters, input: ReindexInput, context: NodeContext) -> ReindexOutput:
    """Embed every picture of the library that has no vector yet, and bring the search index up to date.

    With another model, its vectors are built beside the old ones; searches change over when they are complete. A
    picture that cannot be read is noted and tried again later. It can be stopped at any time and goes on where it was.
    Made for the night: `examples/photo-library/upkeep.yaml`.

    Errors: DEPENDENCY_FAILURE, with the command to run, when the model or its packages are not here.
    """
    model = embedding_model(parameters.model, context)

    def progress(done: int, total: int) -> None:
        context.progress(done / max(1, total), f"{done:,} of {total:,} pictures")

    with open_library(context.settings) as store:
        done = reindex(store, model, swap=parameters.swap, retry=parameters.retry, progress=progress)
    return ReindexOutput(**asdict(done))


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
    from .searching import library_index

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
    with ThreadPoolExecutor(min(READERS, os.cpu_count() or 1), thread_name_prefix="decode") as pool:
        reading = [(file, pool.submit(_read, file, model)) for file in files]
        try:
            for file, picture in reading:
                try:
                    yield file, picture.result()
                except RealmError as error:
                    store.stages.failed(keys[file.id], error.record)
        finally:
            pool.shutdown(cancel_futures=True)


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
