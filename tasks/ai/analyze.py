"""``ai/image-analyze``: what a picture is like, measured, and what a model says it means; where the model is not
here, that is named as missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ...core.references import ImageRef
from ...core.resources import Resources
from ..image.models import ImageInput, ResolvedImage, file_effects, resolve_image
from ..inference.catalogue import DEFAULT_EMBEDDER
from ..sdk import Effects, Once, node_type

if TYPE_CHECKING:
    from ..context import NodeContext
    from ..imaging.faces import Face
    from ..imaging.measures import Quality
    from ..imaging.viewing import View
    from ..inference.tagger import TagScore
    from .meaning import Meaning


def _spelled(value: Any) -> Any:
    return {"color": "colour"}.get(value, value) if isinstance(value, str) else value


Task = Annotated[
    Literal[
        "classification",
        "face-detection",
        "quality-assessment",
        "tagging",
        "similarity",
        "clustering",
        "colour",
    ],
    BeforeValidator(_spelled),
]

_DESCRIBE = {"classification", "tagging"}


class Thresholds(BaseModel):
    """From which confidence on a finding is reported."""

    model_config = ConfigDict(extra="forbid")

    face: float = Field(default=0.5, ge=0, le=1)
    tag: float = Field(default=0.5, ge=0, le=1)


class AnalyzeParameters(BaseModel):
    """What to look for."""

    model_config = ConfigDict(extra="forbid")

    tasks: list[Task] = Field(
        default=["quality-assessment", "face-detection", "colour"],
        min_length=1,
        description="What to find out; what cannot be found out here is listed under unavailable",
    )
    thresholds: Thresholds = Field(default_factory=Thresholds)
    model: str = Field(
        default=DEFAULT_EMBEDDER,
        description="The embedding model for classification, tagging, similarity and clustering",
    )
    candidates: list[str] = Field(
        default_factory=list,
        max_length=1000,
        description="The tags to choose from; the specification's twenty unless told",
    )
    top: int = Field(default=5, ge=1, le=50, description="How many tags and classes by the model at most")
    colors: int = Field(default=5, ge=1, le=16, description="How many dominant colours at most")


class QualityReport(BaseModel):
    """Scores from 0 (worst) to 1 (best), and the raw measures under them, on a copy of at most 2048 pixels
    a side."""

    sharpness: float = Field(description="Laplacian variance / 100, at most 1")
    exposure: float = Field(description="1 where the mean luminance is 0.25–0.7 and little is clipped")
    contrast: float = Field(description="Standard deviation of luminance / 64, at most 1")
    noise: float = Field(description="1 without noise, 0 at a standard deviation of 25 grey levels")
    colourfulness: float = Field(
        description="Hasler and Süsstrunk's metric / 109, at most 1; not in the score"
    )
    laplacian_variance: float
    brightness: float = Field(description="Mean luminance, 0–1")
    shadows_clipped: float = Field(description="Share of pixels, 0–1")
    highlights_clipped: float = Field(description="Share of pixels, 0–1")
    noise_sigma: float = Field(description="Grey levels")


class ColourShare(BaseModel):
    """A dominant colour."""

    hex: str
    share: float = Field(description="Of the picture, 0–1")
    name: str = Field(description="One of eleven basic colour names")


class Box(BaseModel):
    """A rectangle from the upper left corner of the upright picture."""

    x: float
    y: float
    width: float
    height: float


class FaceFound(BaseModel):
    """A face."""

    bounding_box: Box = Field(description="In pixels of the upright picture")
    bounding_box_relative: Box = Field(description="The same as shares of width and height, 0–1")
    confidence: float
    detector: str


class TagFound(BaseModel):
    """A tag and where it comes from."""

    tag: str
    confidence: float
    source: Literal["measurement", "clip"]
    similarity: float | None = Field(default=None, description="The cosine under a tag by the model")


class SimilarImage(BaseModel):
    """A picture of the library that means something alike."""

    image_id: str | None = Field(description="Its id in the media library; null before its run has ended")
    path: str
    similarity: float = Field(description="The cosine, -1 to 1")


class AnalyzeOutput(BaseModel):
    """The picture, unchanged, and what was found out about it."""

    image: ImageRef
    width: int
    height: int
    format: str
    quality_score: float | None = Field(
        default=None,
        description="0.4 sharpness + 0.25 exposure + 0.2 contrast + 0.15 noise; with quality-assessment",
    )
    quality: QualityReport | None = None
    colors: list[ColourShare] = Field(default_factory=list)
    phash: str = Field(description="64-bit perceptual hash of the upright picture, 16 hex digits")
    faces: list[FaceFound] = Field(default_factory=list)
    tags: list[TagFound] = Field(default_factory=list)
    classification: list[TagFound] = Field(
        default_factory=list,
        description="How the candidates share the picture, best first; with classification",
    )
    category: str | None = Field(
        default=None, description="The label of the picture's cluster in the library; with clustering"
    )
    cluster_id: int | None = Field(default=None, description="The cluster's number; with clustering")
    similar_images: list[SimilarImage] = Field(
        default_factory=list, description="The most alike pictures of the library; with similarity"
    )
    model: str | None = Field(default=None, description="The model that said what the picture means")
    unavailable: dict[str, str] = Field(default_factory=dict, description="Tasks not done, and why")
    remarks: list[str] = Field(default_factory=list)


def _of_the_picture_alone(parameters: Mapping[str, Any]) -> bool:
    """Whether nothing is asked about its place among other pictures."""
    return not {"similarity", "clustering"}.intersection(parameters.get("tasks") or ())


@node_type(
    "ai/image-analyze",
    version="1.0.0",
    resources=Resources(memory_mb=1536),
    idempotent=True,
    effects=lambda parameters, input: Effects(reads=file_effects(input), adds=["artifact", "db.media"]),
    once=Once(weights=True, when=_of_the_picture_alone),
)
def image_analyze(parameters: AnalyzeParameters, input: ImageInput, context: NodeContext) -> AnalyzeOutput:
    """Measure a picture (quality, colours, faces, perceptual hash) and say what it means.

    The picture passes through unchanged. Measures are taken on an upright sRGB copy of at most 2048 pixels a
    side. Faces are found by the cascade that OpenCV ships; `ai/faces` says whose they are. Classification,
    tagging, similarity and clustering need an embedding model: where it is not here they are listed under
    `unavailable`, with the command that fetches it, and only tags with `source: measurement` are given.

    Errors: those of `image/preprocess` for pictures that cannot be read.
    """
    from ..imaging.measures import WORKING_SIDE
    from ..imaging.viewing import view

    resolved = resolve_image(input, context)
    context.check_canceled()
    context.progress(0.1, "decoding")
    seen = view(resolved.path, side=WORKING_SIDE, max_pixels=context.settings.max_pixels, name=resolved.name)
    context.check_canceled()
    context.progress(0.4, "measuring")
    quality = _quality(seen, parameters)
    faces = _faces(seen, parameters, context)
    context.progress(0.9, "summing up")
    output = _output(resolved, seen, quality, faces, parameters, context)
    context.progress(1.0, "done")
    return output


def _quality(seen: View, parameters: AnalyzeParameters) -> Quality | None:
    from ..imaging.measures import measure

    wanted = {"quality-assessment", *_DESCRIBE}.intersection(parameters.tasks)
    return measure(seen.image) if wanted else None


def _faces(seen: View, parameters: AnalyzeParameters, context: NodeContext) -> list[Face] | None:
    from ..imaging.faces import find_faces

    if "face-detection" not in parameters.tasks:
        return None
    context.check_canceled()
    context.progress(0.6, "looking for faces")
    return find_faces(seen.image, least_confidence=parameters.thresholds.face)


def _output(
    resolved: ResolvedImage,
    seen: View,
    quality: Quality | None,
    faces: list[Face] | None,
    parameters: AnalyzeParameters,
    context: NodeContext,
) -> AnalyzeOutput:
    from ..imaging.attributes import attributes
    from ..imaging.hashing import perceptual_hash
    from ..imaging.palette import dominant_colours

    asked = set(parameters.tasks)
    image = resolved.reference or _stored(resolved, seen, context)
    meaning = _meaning(resolved, seen, image, parameters, context)
    tags = attributes(
        width=seen.width,
        height=seen.height,
        quality=quality,
        faces=len(faces) if faces is not None else None,
        captured=_local_time(resolved, seen),
    )
    colours = dominant_colours(seen.image, parameters.colors) if asked & {"colour", *_DESCRIBE} else []
    report = "quality-assessment" in asked and quality is not None
    measures = {key: value for key, value in asdict(quality).items() if key != "score"} if quality else {}
    return AnalyzeOutput(
        image=image,
        width=seen.width,
        height=seen.height,
        format=seen.format.name,
        quality_score=quality.score if report and quality else None,
        quality=QualityReport(**measures) if report else None,
        colors=[ColourShare(**asdict(colour)) for colour in colours],
        phash=perceptual_hash(seen.image),
        faces=[_face(face, seen) for face in faces or []],
        tags=[
            TagFound(tag=t.tag, confidence=t.confidence, source="measurement")
            for t in tags
            if t.confidence >= parameters.thresholds.tag
        ]
        + _by_model(meaning.tags),
        classification=_by_model(meaning.classification),
        category=meaning.cluster.label if meaning.cluster else None,
        cluster_id=meaning.cluster.number if meaning.cluster else None,
        similar_images=[
            SimilarImage(image_id=m.file_id, path=m.path, similarity=m.similarity) for m in meaning.similar
        ],
        model=meaning.model,
        unavailable=meaning.unavailable,
        remarks=[*seen.remarks, *meaning.remarks],
    )


def _meaning(
    resolved: ResolvedImage,
    seen: View,
    image: ImageRef,
    parameters: AnalyzeParameters,
    context: NodeContext,
) -> Meaning:
    from .library import Picture, embedding_model
    from .meaning import find_meaning

    context.check_canceled()
    picture = Picture(
        path=resolved.path,
        name=resolved.name,
        content=image.sha256,
        original=image.source_sha256 or image.sha256,
        image=image,
        max_pixels=context.settings.max_pixels,
        seen=seen.image,
    )
    return find_meaning(
        picture,
        embedding_model(parameters.model, context),
        parameters.tasks,
        candidates=parameters.candidates,
        top=parameters.top,
        least=parameters.thresholds.tag,
    )


def _by_model(scores: list[TagScore]) -> list[TagFound]:
    return [
        TagFound(tag=s.tag, confidence=s.confidence, source="clip", similarity=s.similarity) for s in scores
    ]


def _stored(resolved: ResolvedImage, seen: View, context: NodeContext) -> ImageRef:
    """A plain file becomes an artifact, so that the nodes behind find the picture under ``image`` as
    always."""
    stored = context.artifacts.put(resolved.path, name=resolved.name, media_type=seen.format.media_type)
    return ImageRef(
        **stored.model_dump(),
        width=seen.width,
        height=seen.height,
        captured_at=seen.facts.captured_at,
        source_sha256=stored.sha256,
    )


def _face(face: Face, seen: View) -> FaceFound:
    from ..imaging.faces import DETECTOR

    across, down = seen.width / seen.image.width, seen.height / seen.image.height
    return FaceFound(
        bounding_box=Box(
            x=round(face.x * across),
            y=round(face.y * down),
            width=round(face.width * across),
            height=round(face.height * down),
        ),
        bounding_box_relative=Box(
            x=round(face.x / seen.image.width, 5),
            y=round(face.y / seen.image.height, 5),
            width=round(face.width / seen.image.width, 5),
            height=round(face.height / seen.image.height, 5),
        ),
        confidence=face.confidence,
        detector=DETECTOR,
    )


def _local_time(resolved: ResolvedImage, seen: View) -> datetime | None:
    """When the picture was taken by the wall clock there, or ``None``: a time in UTC says nothing of the
    hour there."""
    if seen.facts.captured_at is not None:
        return seen.facts.captured_at
    carried = resolved.reference.captured_at if resolved.reference else None
    return None if carried is None or carried.utcoffset() == timedelta(0) else carried
