"""``ai/cluster``: the media library divided into clusters by meaning, and where a picture belongs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...core.errors import Code, RealmError
from ...core.references import ImageRef
from ...core.resources import Resources
from ..image.models import ImageInput, file_effects
from ..sdk import Effects, node_type
from .embed import embed_picture
from .library import EmbeddingModel, open_library, picture_of, unpack
from .search import require_same_weights, searched_space

if TYPE_CHECKING:
    import numpy as np

    from ...store import Store
    from ...store.media_clusters import Clustering, Member
    from ...store.media_vectors import Space
    from ..context import NodeContext
    from ..inference.clusters import Clusters
    from ..inference.tagger import Tagger

LABEL_TAGS = 3
TYPICAL = 20
"""The pictures nearest to a cluster's middle, whose tags name it."""


class ClusterParameters(BaseModel):
    """Whether to divide the library anew, and into how many clusters."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["place", "train"] = Field(
        default="place",
        description="place says where the picture belongs, train divides the whole library anew",
    )
    clusters: int = Field(
        default=50, ge=1, le=1000, description="How many clusters; fewer where there are not enough pictures"
    )
    candidates: list[str] = Field(
        default_factory=list,
        max_length=1000,
        description="The tags that clusters are named by; the specification's twenty unless told",
    )
    model: str | None = Field(
        default=None, description="Whose vectors to divide; the library's active model unless told"
    )


class ClusterFound(BaseModel):
    """A cluster."""

    number: int
    label: str = Field(description="The tags that its most typical pictures share")
    size: int = Field(description="Pictures, when it was trained")


class ClusterOutput(BaseModel):
    """The clusters, or the picture's."""

    image: ImageRef | None = Field(default=None, description="The picture, unchanged")
    cluster: ClusterFound | None = Field(default=None, description="Where the picture belongs; with place")
    clusters: list[ClusterFound] = Field(default_factory=list, description="All, largest first; with train")
    version: int = Field(description="How often the library was divided with this model")
    model: str
    remarks: list[str] = Field(default_factory=list)


def _effects(parameters: ClusterParameters, input: ImageInput) -> Effects:
    if parameters.action == "train":
        return Effects(["db.media.vectors"], writes=["db.media.clusters"], adds=["artifact"])
    return Effects([*file_effects(input), "db.media.clusters"], adds=["artifact", "db.media.vectors"])


@node_type(
    "ai/cluster",
    version="1.0.0",
    resources=Resources(memory_mb=4096),
    idempotent=True,
    timeout=1800,
    effects=_effects,
)
def ai_cluster(parameters: ClusterParameters, input: ImageInput, context: NodeContext) -> ClusterOutput:
    """Divide the library's pictures into clusters of like meaning, or say to which one a picture belongs.

    Vectors are standardised, reduced to 95 % of their variance and divided by k-means. A cluster is named by the tags
    that set its most typical pictures apart. Each training is a new version; placing uses the newest.

    Errors: NOT_FOUND when nothing was embedded, FAILED_PRECONDITION when place comes before any training; those of
    `ai/embed`.
    """
    with open_library(context.settings) as store:
        space, model = searched_space(store, context.settings, parameters.model, device=context.device)
        if parameters.action == "train":
            context.progress(0.1, "dividing the library")
            saved, remarks = train(
                store, space, model, parameters.clusters, parameters.candidates, check=context.check_canceled
            )
            return ClusterOutput(
                clusters=clusters_of(store, saved),
                version=saved.version,
                model=space.model,
                remarks=remarks,
            )
        picture = picture_of(input, context)
        if (found := store.vectors.get(space.id, picture.content)) is None:
            require_same_weights(space, model)
            found, _ = embed_picture(store, model, picture)
        saved, cluster = place(store, space, picture.content, unpack(found.vector or b""))
        return ClusterOutput(image=picture.image, cluster=cluster, version=saved.version, model=space.model)


def train(
    store: Store,
    space: Space,
    model: EmbeddingModel,
    wanted: int,
    candidates: list[str],
    *,
    check: Callable[[], None] = lambda: None,
) -> tuple[Clustering, list[str]]:
    """Divide the space anew and record it as its next version; and what should be known about it.

    NOT_FOUND when the space is empty. Without the model's weights the clusters have numbers for names.
    """
    from ...store.media_clusters import Cluster, Member
    from ..inference.clusters import train_clusters

    contents, vectors = _all_vectors(store, space)
    if not contents:
        raise RealmError(Code.NOT_FOUND, "the library has no vectors", hint="`realm media index` embeds it")
    check()
    trained = train_clusters(vectors, wanted)
    numbers, distances = trained.place(vectors)
    check()
    labels, remarks = _labels(trained, vectors, numbers, distances, model, space, candidates)
    sizes = [int((numbers == number).sum()) for number in range(len(trained))]
    if len(trained) < wanted:
        remarks.append(f"{len(contents)} pictures fill {len(trained)} clusters, not {wanted}")
    saved = store.clusters.save(
        space.id,
        {"wanted": wanted, "clusters": len(trained), "components": trained.components.shape[1]},
        trained.to_bytes(),
        [Cluster(number=n, label=labels[n], size=sizes[n]) for n in range(len(trained))],
        [
            Member(sha256=content, number=int(number), distance=float(distance))
            for content, number, distance in zip(contents, numbers, distances, strict=True)
        ],
    )
    return saved, remarks


def place(store: Store, space: Space, content: str, vector: np.ndarray) -> tuple[Clustering, ClusterFound]:
    """The cluster of a picture in the newest division, recorded; FAILED_PRECONDITION when there is none."""
    from ...store.media_clusters import Member
    from ..inference.clusters import Clusters

    latest = store.clusters.latest(space.id)
    if latest is None:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"the library was never divided into clusters by {space.model}",
            hint="`realm media cluster` does it, or ai/cluster with action: train",
        )
    member: Member | None = store.clusters.place_of(latest.id, content)
    if member is None:
        numbers, distances = Clusters.from_bytes(latest.state).place(vector)
        member = Member(sha256=content, number=int(numbers[0]), distance=float(distances[0]))
        store.clusters.place(latest.id, member)
    (found,) = [c for c in clusters_of(store, latest) if c.number == member.number]
    return latest, found


def clusters_of(store: Store, saved: Clustering) -> list[ClusterFound]:
    """The clusters of a division, the largest first."""
    listed = store.clusters.clusters(saved.id)
    return [ClusterFound(number=c.number, label=c.label, size=c.size) for c in listed]


def _all_vectors(store: Store, space: Space) -> tuple[list[str], np.ndarray]:
    import numpy as np

    contents: list[str] = []
    parts: list[bytes] = []
    after = 0
    while changes := store.vectors.changes(space.id, after):
        after = changes[-1].generation
        contents += [change.sha256 for change in changes if change.vector is not None]
        parts += [change.vector for change in changes if change.vector is not None]
    return contents, np.frombuffer(b"".join(parts), "<f4").reshape(len(contents), space.dimension)


def _labels(
    trained: Clusters,
    vectors: np.ndarray,
    numbers: np.ndarray,
    distances: np.ndarray,
    model: EmbeddingModel,
    space: Space,
    candidates: list[str],
) -> tuple[list[str], list[str]]:
    """A name for each cluster, and why they are only numbers where they are."""
    from ..inference.tagger import tagger

    numbered = [f"Cluster {number}" for number in range(len(trained))]
    try:
        require_same_weights(space, model)
        words = tagger(model.embedder, tuple(candidates))
    except RealmError as error:
        if error.code not in (Code.DEPENDENCY_FAILURE, Code.FAILED_PRECONDITION):
            raise
        return numbered, [f"the clusters have no names: {error.record.message}"]
    # A sample of the library is enough to know what is common in it.
    common = words.confidences(vectors[:: max(1, len(vectors) // 1000)]).mean(axis=0)
    labels = []
    for number, fallback in enumerate(numbered):
        typical = _typical(numbers, distances, number)
        labels.append(_label(words, vectors[typical], common) if len(typical) else fallback)
    return labels, []


def _typical(numbers: np.ndarray, distances: np.ndarray, number: int) -> np.ndarray:
    """The rows of the pictures nearest to a cluster's middle."""
    import numpy as np

    members = np.flatnonzero(numbers == number)
    return members[np.argsort(distances[members], kind="stable")[:TYPICAL]]


def _label(words: Tagger, typical: np.ndarray, common: np.ndarray) -> str:
    """The likely tags of typical pictures, those first that the rest of the library has less."""
    import numpy as np

    here = words.confidences(typical).mean(axis=0)
    likely = np.argsort(-here, kind="stable")[: 2 * LABEL_TAGS]
    order = sorted(likely.tolist(), key=lambda tag: common[tag] - here[tag])
    return ", ".join(words.tags[tag] for tag in order[:LABEL_TAGS])
