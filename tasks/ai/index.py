"""``ai/index``: a picture put into the search index of the media library, or taken out of it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ...core.references import ImageRef
from ...core.resources import GPU_SHARE, Gpu, Resources
from ..context import NodeContext
from ..image.models import ImageInput, file_effects
from ..inference.catalogue import DEFAULT_EMBEDDER
from ..sdk import Effects, node_type
from .embed import embed_picture
from .library import embedding_model, open_library, picture_of


class IndexParameters(BaseModel):
    """What to do, and with which model's vectors."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["add", "remove"] = Field(
        default="add", description="remove takes out every vector of the picture and its original"
    )
    model: str = Field(
        default=DEFAULT_EMBEDDER,
        description="An embedding model, as `realm models list --task embedding` names it",
    )


class IndexOutput(BaseModel):
    """The picture, unchanged, and the index after it."""

    image: ImageRef
    model: str = Field(description="Model and weights whose index this is")
    changed: int = Field(description="Vectors added or removed")
    size: int = Field(description="Vectors in the index")
    kind: Literal["flat", "hnsw"] = Field(description="Whether it is searched exactly")


def _effects(parameters: IndexParameters, input: ImageInput) -> Effects:
    if parameters.action == "remove":
        return Effects(file_effects(input), writes=["db.media.vectors"])
    return Effects(file_effects(input), adds=["artifact", "db.media.vectors"])


@node_type(
    "ai/index",
    version="1.0.0",
    resources=Resources(gpu=Gpu.PREFERRED, gpu_share=GPU_SHARE, memory_mb=2048),
    idempotent=True,
    side_effects=True,
    timeout=600,
    effects=_effects,
)
def ai_index(parameters: IndexParameters, input: ImageInput, context: NodeContext) -> IndexOutput:
    """Make a picture findable by `ai/search`, or take it out.

    A picture that has no vector yet is embedded first. The index is a file beside the database, exact below 10,000
    pictures and HNSW from there on; the database is the record, so a lost or torn file costs nothing but the time to
    build it.

    Errors: those of `ai/embed`; DEPENDENCY_FAILURE when faiss is not installed.
    """
    from .searching import library_index

    model = embedding_model(parameters.model, context)
    picture = picture_of(input, context)
    context.progress(0.1, "embedding" if parameters.action == "add" else "removing")
    with open_library(context.settings) as store:
        space = model.space(store)
        if parameters.action == "add":
            _, new = embed_picture(store, model, picture)
            changed = int(new)
        else:
            changed = store.vectors.remove(space.id, [picture.content, picture.original])
        context.progress(0.7, "indexing")
        found = library_index(context.settings, space).refresh(store)
    context.progress(1.0, "done")
    kind = "hnsw" if found.kind == "hnsw" else "flat"
    return IndexOutput(image=picture.image, model=model.identity, changed=changed, size=len(found), kind=kind)
