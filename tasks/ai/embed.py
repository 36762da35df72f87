"""``ai/embed``: a picture or a text as a vector, computed once for each content and model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...core.errors import Code, RealmError
from ...core.references import FileRef, ImageRef
from ...core.resources import GPU_SHARE, Gpu, Resources
from ..image.models import ImageInput, file_effects
from ..inference.catalogue import DEFAULT_EMBEDDER
from ..sdk import Effects, node_type
from .library import (
    EmbeddingModel,
    Picture,
    embedding_model,
    open_library,
    pack,
    picture_of,
    remembered,
    unpack,
)

if TYPE_CHECKING:
    import numpy as np

    from ...store import Store
    from ...store.media_vectors import Embedding
    from ..context import NodeContext

STAGE = "embed"


class EmbedParameters(BaseModel):
    """With which model."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(
        default=DEFAULT_EMBEDDER,
        description="An embedding model, as `realm models list --task embedding` names it",
    )


class EmbedInput(ImageInput):
    """A picture, or a text."""

    text: str | None = Field(default=None, description="A text to embed in the place of a picture")

    @model_validator(mode="after")
    def _not_blank(self) -> EmbedInput:
        if self.text is not None and not self.text.strip():
            raise ValueError("the text is empty")
        return self


class EmbedOutput(BaseModel):
    """The vector, and what it is of."""

    image: ImageRef | None = Field(default=None, description="The picture, unchanged; null for a text")
    vector: FileRef = Field(description="A .npy file: float32, of length 1")
    model: str = Field(description="Model and weights; only vectors of the same one compare")
    dimension: int
    cached: bool = Field(description="Whether the vector was there already")
    device: str


@node_type(
    "ai/embed",
    version="1.0.0",
    resources=Resources(gpu=Gpu.PREFERRED, gpu_share=GPU_SHARE, memory_mb=1536),
    idempotent=True,
    timeout=600,
    effects=lambda parameters, input: Effects(
        reads=file_effects(input), adds=["artifact", "db.media.vectors"]
    ),
)
def ai_embed(parameters: EmbedParameters, input: EmbedInput, context: NodeContext) -> EmbedOutput:
    """Turn a picture or a text into a vector of meaning.

    The vector of a picture is recorded in the media library by its content and the model with its weights, and
    never computed twice; `ai/index`, `ai/search` and `ai/cluster` work on what is recorded. The preprocessing is the
    model's own configuration. The picture passes through unchanged.

    Errors: DEPENDENCY_FAILURE, with the command to run, when the model or its packages are not here, and those of
    `image/preprocess` for pictures that cannot be read.
    """
    model = embedding_model(parameters.model, context)
    if input.text is not None:
        context.progress(0.1, "reading the text")
        vector = model.embedder.texts([input.text], check=context.check_canceled)[0]
        return _output(None, vector, model, context, cached=False)
    picture = picture_of(input, context)
    context.progress(0.1, "looking")
    with open_library(context.settings) as store:
        recorded, new = embed_picture(store, model, picture)
    context.progress(1.0, "done")
    return _output(picture, unpack(recorded.vector or b""), model, context, cached=not new)


def embed_picture(store: Store, model: EmbeddingModel, picture: Picture) -> tuple[Embedding, bool]:
    """The recorded vector of a picture, computed where there is none; and whether it was."""
    from ...store.media_stages import StageKey
    from ...store.media_vectors import NewEmbedding

    space = model.space(store)
    if (found := store.vectors.get(space.id, picture.content)) is not None:
        return found, False
    stage = StageKey.of(picture.content, STAGE, model.identity)
    try:
        vector = model.embedder.images([picture.look()], check=model.check)[0]
    except RealmError as error:
        if remembered(error):
            store.stages.failed(stage, error.record)
        raise
    new = NewEmbedding(
        sha256=picture.content,
        source_sha256=picture.original,
        vector=pack(vector),
        name=picture.name,
        uri=picture.uri,
    )
    with store.transaction():
        store.vectors.add(space.id, [new])
        store.stages.done(stage)
    recorded = store.vectors.get(space.id, picture.content)
    if recorded is None:
        raise RealmError(Code.ABORTED, f"{picture.name} was removed from the library while it was embedded")
    return recorded, True


def _output(
    picture: Picture | None, vector: np.ndarray, model: EmbeddingModel, context: NodeContext, *, cached: bool
) -> EmbedOutput:
    path = _saved(vector, context.workdir / "vector.npy")
    return EmbedOutput(
        image=picture.image if picture else None,
        vector=context.artifacts.put(path, name=path.name, media_type="application/x-npy"),
        model=model.identity,
        dimension=len(vector),
        cached=cached,
        device=context.device,
    )


def _saved(vector: np.ndarray, path: Path) -> Path:
    import numpy as np

    np.save(path, vector, allow_pickle=False)
    return path
