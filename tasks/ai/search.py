"""``ai/search``: pictures of the media library that fit a text, or are like a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from ...core.errors import Code, RealmError
from ...core.references import ImageRef
from ...core.resources import GPU_SHARE, Gpu, Resources
from ...core.settings import Settings
from ..image.models import ImageInput, file_effects
from ..sdk import Effects, node_type
from .embed import embed_picture
from .library import EmbeddingModel, Picture, open_library, picture_of, unpack

if TYPE_CHECKING:
    import numpy as np

    from ...store import Store
    from ...store.media_vectors import Space
    from ..context import NodeContext
    from .searching import Match


class SearchParameters(BaseModel):
    """How many to find, and how like they must be."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(default=None, description="What to look for; else the input says it")
    k: int = Field(default=10, ge=1, le=1000, description="How many pictures at most")
    least: float = Field(
        default=-1.0, ge=-1, le=1, description="The least cosine; texts and pictures rarely reach 0.35"
    )
    model: str | None = Field(
        default=None, description="Whose vectors to search; the library's active model unless told"
    )


class SearchInput(ImageInput):
    """What to look for: a text, a picture, or a picture that the library knows."""

    text: str | None = Field(default=None, description="What to look for, in words")
    image_id: str | None = Field(
        default=None, description="A file of the media library by its id, or a content by its sha256"
    )


class Found(BaseModel):
    """A picture that was found."""

    image_id: str | None = Field(description="Its id in the media library; null before its run has ended")
    sha256: str = Field(description="Of the original")
    name: str
    path: str = Field(description="Where the original was found")
    similarity: float = Field(description="The cosine, -1 to 1")


class SearchOutput(BaseModel):
    """The pictures, the best first."""

    image: ImageRef | None = Field(default=None, description="The picture searched with, unchanged")
    results: list[Found]
    model: str = Field(description="Model and weights whose index answered")
    searched: int = Field(description="How many vectors there are")


@node_type(
    "ai/search",
    version="1.0.0",
    resources=Resources(gpu=Gpu.PREFERRED, gpu_share=GPU_SHARE, memory_mb=2048),
    idempotent=True,
    timeout=300,
    # The library grows beside every search; none finds the picture it was asked with, so it reads nothing of its run.
    effects=lambda parameters, input: Effects(reads=file_effects(input), adds=["artifact"]),
)
def ai_search(parameters: SearchParameters, input: SearchInput, context: NodeContext) -> SearchOutput:
    """Find pictures by a text, by a picture, or by a picture that the library knows.

    Searches the vectors that `ai/embed` recorded, each original once, and never finds the picture searched with.

    Errors: NOT_FOUND when the library has no vectors, or does not know the id; FAILED_PRECONDITION when the weights
    here are not the ones the library was embedded with; those of `ai/embed`.
    """
    text = parameters.text or input.text
    context.progress(0.1, "searching")
    with open_library(context.settings) as store:
        space, model = searched_space(store, context.settings, parameters.model, device=context.device)
        picture = None
        if text:
            require_same_weights(space, model)
            vector, but = model.embedder.texts([text], check=context.check_canceled)[0], None
        elif input.image_id:
            vector, but = known_vector(store, space, input.image_id)
        else:
            picture = picture_of(input, context)
            vector, but = _picture_vector(store, space, model, picture)
        context.check_canceled()
        return _output(store, context.settings, space, vector, but, parameters, picture)


def searched_space(
    store: Store, settings: Settings, name: str | None, *, device: str = "cpu"
) -> tuple[Space, EmbeddingModel]:
    """The space to search (of the model ``name``, or the active one) and the model that made it.

    NOT_FOUND when there is none.
    """
    if name is None:
        space = store.vectors.space()
    else:
        identity = EmbeddingModel(settings, name).identity
        space = store.vectors.space(identity)
    if space is None:
        raise RealmError(
            Code.NOT_FOUND,
            "no picture of this library has been embedded" + (f" by {name}" if name else ""),
            hint="run a workflow with ai/embed or ai/index, or `realm media index`",
        )
    return space, EmbeddingModel(settings, space.model.rpartition("@")[0], device)


def known_vector(store: Store, space: Space, id: str) -> tuple[np.ndarray, str]:
    """The vector of a picture that the library knows by file id or sha256, and its original's sha256.

    NOT_FOUND when it does not, or has no vector of it.
    """
    content = store.media.get(id).sha256 if id.startswith("media-") else id
    if (found := store.vectors.find(space.id, content)) is not None:
        return unpack(found.vector or b""), found.source_sha256
    raise RealmError(
        Code.NOT_FOUND,
        f"{id} has no vector of {space.model}",
        hint="`realm media index` embeds what is missing",
    )


def require_same_weights(space: Space, model: EmbeddingModel) -> None:
    """FAILED_PRECONDITION unless the weights on this machine are the ones that made ``space``."""
    if model.identity != space.model:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"the library was embedded by {space.model}; the weights here are {model.identity}",
            hint=f"`realm media index --model {model.name}` embeds it anew and swaps",
        )


def _picture_vector(
    store: Store, space: Space, model: EmbeddingModel, picture: Picture
) -> tuple[np.ndarray, str]:
    if (found := store.vectors.get(space.id, picture.content)) is None:
        require_same_weights(space, model)
        found, _ = embed_picture(store, model, picture)
    return unpack(found.vector or b""), picture.original


def _output(
    store: Store,
    settings: Settings,
    space: Space,
    vector: np.ndarray,
    but: str | None,
    parameters: SearchParameters,
    picture: Picture | None,
) -> SearchOutput:
    from .searching import nearest

    matches = nearest(store, settings, space, vector, k=parameters.k, least=parameters.least, but=but)
    return SearchOutput(
        image=picture.image if picture else None,
        results=[found(match) for match in matches],
        model=space.model,
        searched=store.vectors.living(space.id),
    )


def found(match: Match) -> Found:
    """A match as nodes and commands show it."""
    return Found(
        image_id=match.file_id,
        sha256=match.source_sha256,
        name=match.name,
        path=match.path,
        similarity=match.similarity,
    )
