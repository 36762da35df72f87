"""``ai/faces``: the faces of a picture, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...core.errors import RealmError
from ...core.references import ImageRef
from ...core.resources import Gpu, Resources
from ..image.models import ImageInput, file_effects
from ..inference.catalogue import DEFAULT_EMBEDDER
from ..inference.identity import THRESHOLD
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
    from PIL import Image

    from ...store import Store
    from ...store.media_people import Face
    from ...store.media_stages import StageKey
    from ..context import NodeContext
    from ..inference.retinaface import RetinaFace

STAGE = "faces"
PREFERRED = "retinaface_resnet50"
MARGIN = 0.25
"""Of the face's side, added all around before it is embedded: hair and chin tell people apart too."""

Detector = Literal["auto", "opencv", "retinaface_resnet50", "retinaface_mobile0.25"]
Share = Annotated[float, Field(ge=0, le=1)]


class FacesParameters(BaseModel):
    """How to find faces, and how alike two must be to be one person's."""

    model_config = ConfigDict(extra="forbid")

    detector: Detector = Field(
        default="auto",
        description="auto is retinaface_resnet50 where its weights are here, else the cascade that OpenCV ships",
    )
    least_confidence: Share | None = Field(
        default=None, description="The least confidence of a face; the detector's own unless told"
    )
    model: str = Field(
        default=DEFAULT_EMBEDDER,
        description="An embedding model, as `realm models list --task embedding` names it",
    )
    threshold: float = Field(
        default=THRESHOLD,
        gt=0,
        le=2,
        description="The distance below which two faces are one person's; lower splits more",
    )


class FaceData(BaseModel):
    """A face and whose it is."""

    index: int
    face_id: str = Field(description="The person's id; it stays, and leads on when people are merged")
    name: str | None = Field(default=None, description="The person's name, where one was given")
    confidence: float = Field(description="Of the identity: 1 − distance / 1.5; 1 for somebody new")
    new: bool = Field(description="Whether nobody known was near enough")
    bounding_box: tuple[int, int, int, int] = Field(description="x, y, width, height in pixels, upright")
    detection_confidence: float


class FacesOutput(BaseModel):
    """The picture, unchanged, and its faces, the surest first."""

    image: ImageRef
    face_data: list[FaceData] = Field(default_factory=list)
    detector: str
    model: str
    cached: bool = Field(description="Whether this was known already")
    device: str
    remarks: list[str] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Box:
    """A face's place, in shares of the picture's width and height."""

    x: float
    y: float
    width: float
    height: float
    confidence: float


@node_type(
    "ai/faces",
    version="1.0.0",
    resources=Resources(gpu=Gpu.PREFERRED, memory_mb=2048),
    idempotent=True,
    timeout=600,
    effects=lambda parameters, input: Effects(reads=file_effects(input), adds=["artifact", "db.media"]),
)
def ai_faces(parameters: FacesParameters, input: ImageInput, context: NodeContext) -> FacesOutput:
    """Find the faces of a picture and say whose they are.

    Each face is compared with everybody known: near enough to all faces of a person it is theirs, else it is somebody
    new, with an id of the form face-1a2b3c4d that never changes. In doubt it is somebody new, and two faces of one
    picture are two people; `realm media people` names, merges and splits. The same picture is looked at once for each
    detector and model, and a face keeps its person whatever the threshold is later.

    Errors: DEPENDENCY_FAILURE, with the command to run, when the embedding model or the detector asked for is not
    here; those of `image/preprocess` for pictures that cannot be read.
    """
    from ...store.media_stages import StageKey

    model = embedding_model(parameters.model, context)
    picture = picture_of(input, context)
    detector = detector_named(parameters.detector, context)
    stage = StageKey.of(
        picture.content,
        STAGE,
        model.identity,
        {"detector": detector, "least": parameters.least_confidence},
    )
    with open_library(context.settings) as store:
        known = store.stages.get(stage)
        cached = known is not None and known.settled
        if not cached:
            try:
                context.progress(0.1, "looking for faces")
                boxes = find_boxes(picture.look(), detector, context, parameters.least_confidence)
                context.progress(0.5, f"{len(boxes)} faces")
                record_faces(store, model, picture, detector, boxes, parameters.threshold, stage)
            except RealmError as error:
                if remembered(error):
                    store.stages.failed(stage, error.record)
                raise
        least = parameters.least_confidence or 0.0
        faces = [f for f in store.people.faces_in(picture.content, detector) if f.confidence >= least]
        names = {person.id: person.name for person in store.people.people(named=True)}
    return FacesOutput(
        image=picture.image,
        face_data=[_data(face, names, picture) for face in faces],
        detector=detector,
        model=model.identity,
        cached=cached,
        device=context.device,
        remarks=_remarks(parameters.detector, detector),
    )


def record_faces(
    store: Store,
    model: EmbeddingModel,
    picture: Picture,
    detector: str,
    boxes: Sequence[Box],
    threshold: float,
    stage: StageKey,
) -> list[Face]:
    """Embed the faces, decide whose they are and record that, in one transaction in which nobody else decides.

    A face that is recorded already keeps its person; a model that is new to it only adds how it looks to that.
    """
    from ...store.media_people import NewFace

    # Loading the model takes seconds: not for a picture without a face.
    crops = [_crop(picture.look(), box) for box in boxes]
    vectors = list(model.embedder.images(crops, check=model.check)) if crops else []
    with store.people.deciding():
        whose = _decide(store, model, picture.content, detector, vectors, threshold)
        faces = [
            NewFace(
                **asdict(box),
                sha256=picture.content,
                source_sha256=picture.original,
                detector=detector,
                ordinal=ordinal,
                vector=pack(vectors[ordinal]),
                name=picture.name,
                uri=picture.uri,
                person_id=whose[ordinal][0],
                distance=whose[ordinal][1],
            )
            for ordinal, box in enumerate(boxes)
        ]
        recorded = store.people.record(model.identity, faces)
        if boxes:
            store.stages.done(stage, {"faces": len(boxes)})
        else:
            store.stages.empty(stage)
    return recorded


def _decide(
    store: Store,
    model: EmbeddingModel,
    content: str,
    detector: str,
    vectors: Sequence[np.ndarray],
    threshold: float,
) -> list[tuple[str | None, float | None]]:
    """The person of each face, and how far off; ``None`` for somebody new, and for a face that has its person."""
    import numpy as np

    from ..inference.identity import identify

    there = {face.ordinal: face.person_id for face in store.people.faces_in(content, detector)}
    people = store.people.known(model.identity)
    taken = [place for place, person in enumerate(people) if person.person_id in there.values()]
    fresh = [ordinal for ordinal in range(len(vectors)) if ordinal not in there]
    whose: list[tuple[str | None, float | None]] = [(None, None)] * len(vectors)
    if fresh and people:
        means = np.stack([unpack(person.mean) for person in people])
        faces = np.stack([vectors[ordinal] for ordinal in fresh])
        for ordinal, verdict in zip(
            fresh, identify(faces, means, threshold=threshold, taken=taken), strict=True
        ):
            if verdict.person is not None:
                whose[ordinal] = people[verdict.person].person_id, verdict.distance
    return whose


def find_boxes(
    seen: Image.Image, detector: str, context: NodeContext, least_confidence: float | None = None
) -> list[Box]:
    """The faces of an upright picture, the surest first."""
    if detector.startswith("retinaface"):
        found = _by_retinaface(seen, detector, context, least_confidence)
    else:
        from ..imaging.faces import find_faces

        least = {} if least_confidence is None else {"least_confidence": least_confidence}
        found = find_faces(seen, **least)
    across, down = seen.size
    return [Box(f.x / across, f.y / down, f.width / across, f.height / down, f.confidence) for f in found]


def _by_retinaface(seen: Image.Image, name: str, context: NodeContext, least: float | None):
    import numpy as np

    from ..inference.retinaface import LEAST_CONFIDENCE

    wanted = LEAST_CONFIDENCE if least is None else least
    return retinaface_named(name, context).find(np.asarray(seen.convert("RGB")), least_confidence=wanted)


def retinaface_named(name: str, context: NodeContext) -> RetinaFace:
    """The detector ``name`` on the node's device; DEPENDENCY_FAILURE when its weights or facexlib are not here."""
    from ..inference.catalogue import known_model
    from ..inference.retinaface import open_retinaface
    from .provision import provide

    model = known_model(name)
    weights = provide(model, context.settings, check=context.check_canceled)
    return open_retinaface(model, weights, context.device)


def detector_named(wanted: Detector, context: NodeContext) -> str:
    """The detector's name as it is recorded."""
    from ..imaging.faces import DETECTOR
    from ..inference.catalogue import known_model
    from .provision import states

    if wanted == "auto":
        here = all(state.path for state in states(known_model(PREFERRED), context.settings))
        wanted = PREFERRED if here or context.settings.models_download else "opencv"
    return DETECTOR if wanted == "opencv" else wanted


def _crop(seen: Image.Image, box: Box) -> Image.Image:
    """A square around a face, with a margin; what lies beyond the picture is left out."""
    width, height = seen.size
    side = max(box.width * width, box.height * height) * (1 + 2 * MARGIN)
    middle = (box.x + box.width / 2) * width, (box.y + box.height / 2) * height
    left, top = max(0, round(middle[0] - side / 2)), max(0, round(middle[1] - side / 2))
    right, bottom = min(width, round(middle[0] + side / 2)), min(height, round(middle[1] + side / 2))
    return seen.crop((left, top, max(right, left + 1), max(bottom, top + 1)))


def _data(face: Face, names: dict[str, str | None], picture: Picture) -> FaceData:
    from ..inference.identity import confidence

    width, height = picture.image.width, picture.image.height
    person = face.person_id or ""
    return FaceData(
        index=face.ordinal,
        face_id=person,
        name=names.get(person),
        confidence=confidence(face.distance or 0.0),
        new=face.distance is None and face.assigned_by == "auto",
        bounding_box=(
            round(face.x * width),
            round(face.y * height),
            round(face.width * width),
            round(face.height * height),
        ),
        detection_confidence=round(face.confidence, 4),
    )


def _remarks(wanted: Detector, used: str) -> list[str]:
    if wanted != "auto" or used == PREFERRED:
        return []
    return [f"found by OpenCV's cascade; `realm models pull {PREFERRED}` brings a better detector"]
