"""Faces by the cascade that OpenCV ships: frontal, upright, fast, no weights to fetch.

It misses profiles and small faces and now and then sees one in a pattern; the confidence says how sure it is.
The neural detectors come with the restoration extras.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import TYPE_CHECKING, Any

from ...core.errors import Code, RealmError

if TYPE_CHECKING:
    from PIL import Image

DETECTOR = "opencv-haar-frontalface-alt"
DETECTION_SIDE = 1024
"""Longest side of the picture that is searched."""
SMALLEST = 0.03
"""Of the shorter side: smaller squares are not searched for faces."""

# Tried on scikit-image's sample pictures, 5 neighbours, not equalised: this cascade saw no face in 25
# faceless pictures turned four ways, and found the one real face in ten of ten copies (mirrored, tilted up to
# 20°, blurred, dark, 160 to 1200 pixels). The "default" and "alt2" cascades saw faces in coins and cells.
_CASCADE = "haarcascade_frontalface_alt.xml"
_EYE_CASCADE = "haarcascade_eye.xml"
_EYES_SEARCHED = 200
"""Pixels across in which the eyes of a face are searched."""
_UPPER = 0.65
"""Share of a face's height, from its top, in which its eyes are."""
_USUAL_EYES = ((0.34, 0.4), (0.66, 0.4))
"""Where eyes are in the cascade's box, in shares of its width."""
_ASTRAY = 0.16
_NEIGHBOURS = 5
_LAST_STAGE = 105.7611
"""What a window must reach in the cascade's last stage to pass for a face at all."""
_EVEN = 1.2
_SPREAD = 0.45
_loaded = local()  # a CascadeClassifier must not be used by two threads at once


@dataclass(frozen=True, slots=True)
class Face:
    """A face's box in pixels of the picture it was looked for in, and how sure the detector is, 0–1."""

    x: int
    y: int
    width: int
    height: int
    confidence: float


def find_faces(image: Image.Image, *, least_confidence: float = 0.5) -> list[Face]:
    """The faces of an upright picture, surest first. DEPENDENCY_FAILURE when OpenCV ships no cascade."""
    import numpy as np

    scale = min(1.0, DETECTION_SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if min(size) < 24:
        return []
    grey = np.asarray(image.convert("L").resize(size, reducing_gap=2.0))
    least = max(24, int(min(size) * SMALLEST))
    boxes, _, weights = _cascade().detectMultiScale3(
        grey, 1.1, _NEIGHBOURS, 0, (least, least), outputRejectLevels=True
    )
    faces = [
        _face(box, float(np.ravel(weight)[0]), image.size, size)
        for box, weight in zip(boxes, weights, strict=True)
    ]
    return sorted(
        (f for f in faces if f.confidence >= least_confidence), key=lambda f: (-f.confidence, f.x, f.y)
    )


def _face(box: Any, weight: float, full: tuple[int, int], searched: tuple[int, int]) -> Face:
    across, down = full[0] / searched[0], full[1] / searched[1]
    x, y = max(0, round(box[0] * across)), max(0, round(box[1] * down))
    width = min(round(box[2] * across), full[0] - x)
    height = min(round(box[3] * down), full[1] - y)
    return Face(x, y, width, height, round(confidence(weight), 4))


def find_eyes(image: Image.Image, face: Face) -> tuple[tuple[float, float], tuple[float, float]]:
    """The middles of the eyes of ``face``, left before right as seen; where they are not found, where they mostly
    are."""
    import numpy as np

    from ..opencv import cv2

    upper = (face.x, face.y, face.x + face.width, face.y + round(face.height * _UPPER))
    grey = np.asarray(image.crop(upper).convert("L"))
    scale = _EYES_SEARCHED / face.width
    size = (_EYES_SEARCHED, max(1, round(grey.shape[0] * scale)))
    # Sizes and steps as tried on drawn faces tilted up to 20°: the eyes within 3 % of the face's width.
    boxes = _cascade(_EYE_CASCADE).detectMultiScale(cv2.resize(grey, size), 1.05, 4, 0, (24, 24), (90, 90))
    found = [(float(x + w / 2) / _EYES_SEARCHED, float(y + h / 2) / _EYES_SEARCHED) for x, y, w, h in boxes]
    sides = [
        [(x, y) for x, y in found if (x < 0.5) is left and math.dist((x, y), usual) < _ASTRAY]
        for left, usual in ((True, _USUAL_EYES[0]), (False, _USUAL_EYES[1]))
    ]
    if not all(sides):
        chosen = _USUAL_EYES
    else:
        chosen = [
            min(side, key=lambda eye, usual=usual: math.dist(eye, usual))
            for side, usual in zip(sides, _USUAL_EYES, strict=True)
        ]
    left, right = ((face.x + x * face.width, face.y + y * face.width) for x, y in chosen)
    return left, right


def confidence(weight: float) -> float:
    """The weight of the cascade's last stage as 0–1: a logistic of how far it is beyond what is needed to
    pass.

    It orders detections of this detector; it is no probability and does not compare with other detectors.
    """
    return 1 / (1 + math.exp(-(weight - _LAST_STAGE - _EVEN) / _SPREAD))


def _cascade(name: str = _CASCADE) -> Any:
    from ..opencv import cv2

    kept: dict[str, Any] = _loaded.__dict__.setdefault("cascades", {})
    if (cascade := kept.get(name)) is None:
        path = Path(cv2.data.haarcascades) / name  # pyright: ignore[reportAttributeAccessIssue] - not in its stubs
        cascade = cv2.CascadeClassifier(str(path))
        if cascade.empty():
            raise RealmError(
                Code.DEPENDENCY_FAILURE,
                f"OpenCV {cv2.__version__} ships no {name}",
                hint='install "opencv-python>=4.13,<5"',
            )
        kept[name] = cascade
    return cascade
