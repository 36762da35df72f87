"""``realm media``: the media library from the command line: search it, index it, say who is who."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from ..core.errors import Code, RealmError
from . import faults
from .media_people import people
from .media_report import report
from .terminal import terminal

if TYPE_CHECKING:
    import numpy as np

    from ..core.settings import Settings
    from ..store import Store
    from ..store.media_vectors import Space
    from ..tasks.ai.reindex import Reindexed
    from ..tasks.ai.searching import Match

Progress = Callable[[int, int], None]

media = App(
    name="media", help="The media library: search it, index it, say who is who.", help_format="plaintext"
)
media.command(people)
media.command(report)


@media.command
def search(
    text: str | None = None,
    /,
    *,
    image: Path | None = None,
    like: str | None = None,
    limit: Annotated[int, Parameter(alias="-n")] = 10,
    least: float = -1.0,
    model: str | None = None,
    json: bool = False,
) -> int:
    """Find pictures that fit a text, or are like a picture.

    Parameters
    ----------
    text
        What to look for, in words.
    image
        A picture to look for its like.
    like
        A picture of the library to look for its like: its id, or the sha256 of its content.
    limit
        How many at most; 10 unless told.
    least
        The least cosine; texts and pictures rarely reach 0.35.
    model
        Whose vectors to search; the active model's unless told.
    json
        As JSON.
    """
    from ..core.settings import settings
    from ..tasks.ai.library import open_library
    from ..tasks.ai.searching import nearest

    if sum(given is not None for given in (text, image, like)) != 1:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            "say what to look for: a text, --image, or --like",
            hint='as in `realm media search "a cat"`',
        )
    configured = settings()
    with open_library(configured) as store:
        space, vector, but = _asked(store, configured, text, image, like, model)
        found = nearest(store, configured, space, vector, k=limit, least=least, but=but)
    _print_found(found, json=json)
    return faults.OK


@media.command
def index(
    *,
    model: str = "ViT-B/32",
    swap: Literal["auto", "now", "never"] = "auto",
    retry: bool = False,
    rebuild: bool = False,
    json: bool = False,
) -> int:
    """Embed every picture of the library that has no vector yet, and bring the search index up to date.

    With another model, its vectors are built beside the old ones; searches change over when they are complete.

    Parameters
    ----------
    model
        An embedding model, as `realm models list --task embedding` names it; ViT-B/32 unless told.
    swap
        When searches use this model: auto once it finds whatever the active one does, now, or never.
    retry
        Try pictures that failed before at once.
    rebuild
        Build the index file anew from the database.
    json
        As JSON.
    """
    from dataclasses import asdict

    from ..core.settings import settings
    from ..tasks.ai.library import EmbeddingModel, open_library
    from ..tasks.ai.reindex import reindex
    from ..tasks.ai.searching import library_index

    configured = settings()
    with open_library(configured) as store:
        wanted = EmbeddingModel(configured, model)
        if rebuild:
            library_index(configured, wanted.space(store)).rebuild(store)
        with _progress() as progress:
            done = reindex(store, wanted, swap=swap, retry=retry, progress=progress)
    if json:
        terminal().write_json(asdict(done))
    else:
        _print_done(done)
    return faults.OK


@media.command
def cluster(*, clusters: int = 50, model: str | None = None, json: bool = False) -> int:
    """Divide the library anew into clusters of like meaning, and list them.

    Parameters
    ----------
    clusters
        How many; 50 unless told, fewer where there are not enough pictures.
    model
        Whose vectors to divide; the active model's unless told.
    json
        As JSON.
    """
    from ..core.settings import settings
    from ..tasks.ai.cluster import clusters_of, train
    from ..tasks.ai.library import open_library
    from ..tasks.ai.search import searched_space

    with open_library(settings()) as store:
        space, embedder = searched_space(store, settings(), model)
        saved, remarks = train(store, space, embedder, clusters, [])
        found = clusters_of(store, saved)
    out = terminal()
    if json:
        rows = [one.model_dump() for one in found]
        out.write_json({"model": space.model, "version": saved.version, "clusters": rows})
    else:
        for one in found:
            out.write(f"{one.number:>4}  {one.size:>6}  {one.label}")
    for remark in remarks:
        out.say(remark)
    return faults.OK


def _asked(
    store: Store,
    configured: Settings,
    text: str | None,
    image: Path | None,
    like: str | None,
    name: str | None,
) -> tuple[Space, np.ndarray, str | None]:
    """The space to search, the vector to search it with, and the original to leave out."""
    from ..tasks.ai.search import known_vector, require_same_weights, searched_space
    from ..tasks.artifacts import sha256_file
    from ..tasks.imaging.measures import WORKING_SIDE
    from ..tasks.imaging.viewing import view

    space, model = searched_space(store, configured, name)
    if like is not None:
        return space, *known_vector(store, space, like)
    require_same_weights(space, model)
    if image is None:
        return space, model.embedder.texts([text or ""])[0], None
    seen = view(image, side=WORKING_SIDE, max_pixels=configured.max_pixels).image
    return space, model.embedder.images([seen])[0], sha256_file(image)


def _print_found(found: list[Match], *, json: bool) -> None:
    out = terminal()
    if json:
        out.write_json(
            [
                {
                    "image_id": match.file_id,
                    "sha256": match.source_sha256,
                    "name": match.name,
                    "path": match.path,
                    "similarity": match.similarity,
                }
                for match in found
            ]
        )
        return
    for match in found:
        out.write(f"{match.similarity:.4f}  {match.path}")
    if not found:
        out.say("nothing was found")


def _print_done(done: Reindexed) -> None:
    out = terminal()
    out.write(f"{done.model}: {done.size} pictures can be found, {done.embedded} of them new")
    if done.failed:
        out.say(f"{done.failed} could not be read; `realm media index --retry` tries them again at once")
    if done.waiting:
        out.say(f"{done.waiting} failed before and are not due yet; --retry tries them now")
    if done.swapped:
        out.say("searches use this model from now on")
    elif not done.active:
        out.say(
            f"searches still use the active model: {done.lacking} of its pictures are lacking here; --swap now"
            " changes over all the same"
        )


@contextmanager
def _progress() -> Iterator[Progress]:
    """What the indexer calls: a bar on a terminal, nothing anywhere else."""
    out = terminal()
    if not out.interactive:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out.error_console, transient=True) as bar:
        task = bar.add_task("embedding", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
