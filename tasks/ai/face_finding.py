"""What finds faces: RetinaFace, MTCNN, or the cascade that OpenCV ships, by the name that a node is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from ..context import NodeContext
    from ..inference.retinaface import Found

RETINAFACE, MTCNN, CASCADE = "retinaface_resnet50", "mtcnn", "opencv"

Detector = Literal["auto", "opencv", "mtcnn", "retinaface_resnet50", "retinaface_mobile0.25"]

AUTO = (
    "auto is retinaface_resnet50 where its weights are here, else mtcnn where the extra of that name is installed, "
    "else the cascade that OpenCV ships, which sees frontal faces tilted by 10 to 20°"
)
"""What a parameter of type :data:`Detector` says of itself."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A face's place, in shares of the picture's width and height; so are ``points``, eyes, nose and corners of the
    mouth, where the detector gives them."""

    x: float
    y: float
    width: float
    height: float
    confidence: float
    points: tuple[Point, ...] = ()


def detector_named(wanted: Detector, context: NodeContext) -> str:
    """The detector's name as it is recorded."""
    from ..imaging.faces import DETECTOR
    from ..inference.catalogue import known_model
    from .provision import are_here

    if wanted == "auto":
        settings = context.settings
        if are_here(known_model(RETINAFACE), settings) or settings.models_download:
            return RETINAFACE
        wanted = MTCNN if are_here(known_model(MTCNN), settings) else CASCADE
    return DETECTOR if wanted == CASCADE else wanted


def gives_points(detector: str) -> bool:
    """Whether a detector, by the name that is recorded, says where eyes, nose and mouth are."""
    from ..imaging.faces import DETECTOR

    return detector != DETECTOR


def finder_named(
    detector: str, context: NodeContext, least_confidence: float | None = None
) -> Callable[[np.ndarray], Sequence[Found]]:
    """What finds the faces, with five points each, of an upright RGB picture of uint8, on the node's device.

    For detectors that give points. DEPENDENCY_FAILURE, with the command to run, when weights or packages are not here.
    """
    from ..inference.catalogue import known_model
    from .provision import provide

    model = known_model(detector)
    weights = provide(model, context.settings, check=context.check_canceled)
    if model.name == MTCNN:
        from ..inference.mtcnn import LEAST_CONFIDENCE, open_mtcnn

        detector_here = open_mtcnn(model, [weights.with_name(source.file) for source in model.files])
    else:
        from ..inference.retinaface import LEAST_CONFIDENCE, open_retinaface

        detector_here = open_retinaface(model, weights, context.device)
    least = LEAST_CONFIDENCE if least_confidence is None else least_confidence
    return lambda rgb: detector_here.find(rgb, least_confidence=least)


def find_boxes(
    seen: Image.Image, detector: str, context: NodeContext, least_confidence: float | None = None
) -> list[Box]:
    """The faces of an upright picture, the surest first."""
    import numpy as np

    across, down = seen.size
    if gives_points(detector):
        found = finder_named(detector, context, least_confidence)(np.asarray(seen.convert("RGB")))
    else:
        from ..imaging.faces import find_faces

        least = {} if least_confidence is None else {"least_confidence": least_confidence}
        found = find_faces(seen, **least)
    return [
        Box(
            face.x / across,
            face.y / down,
            face.width / across,
            face.height / down,
            face.confidence,
            tuple((x / across, y / down) for x, y in getattr(face, "points", ())),
        )
        for face in found
    ]
