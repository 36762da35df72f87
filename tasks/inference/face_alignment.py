"""Where a face lies, how it is laid straight for a restorer, and how it goes back without an edge.

The straight face is FFHQ's: a square of :data:`SIDE` pixels in which eyes, nose and mouth lie at :data:`TEMPLATE`
(Karras et al. 2019), which is what face restorers were trained on. Points are (x, y) with pixel centres at whole
numbers, as OpenCV has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .tiles import from_unit, to_unit

SIDE = 512
TEMPLATE = (
    (192.98, 239.95),
    (318.90, 240.19),
    (256.63, 314.02),
    (201.26, 371.41),
    (313.09, 371.15),
)
"""Left eye, right eye, nose, left and right corner of the mouth, as seen."""

EDGE = 4
"""Pixels at the border of a restored face that are not used: networks know least there."""
FEATHER = 56
"""Pixels over which a restored face fades in."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class FaceMarks:
    """A face as a detector found it: its box (x, y, width, height), the points of :data:`TEMPLATE` or only the two
    eyes, and how sure the detector is, 0–1."""

    box: tuple[float, float, float, float]
    points: tuple[Point, ...]
    confidence: float


def alignment(points: Sequence[Point], template: Sequence[Point] = TEMPLATE) -> np.ndarray:
    """The 2 × 3 matrix from the picture to the ``template``: the turn, size and shift, never a mirror image, that bring
    ``points`` nearest to it in the least squares sense. Two points at least, not all the same.

    >>> alignment([(192.98, 239.95), (318.90, 240.19)]).round(6).tolist()
    [[1.0, -0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    # A similarity of the plane is z → a·z + b over the complex numbers.
    here = np.array([complex(x, y) for x, y in points])
    there = np.array([complex(x, y) for x, y in template[: len(points)]])
    around = here - here.mean()
    turn = np.vdot(around, there - there.mean()) / np.vdot(around, around)
    shift = there.mean() - turn * here.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def enlargement(matrix: np.ndarray) -> float:
    """How many pixels of the template one of the picture becomes."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def cut(rgb: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The straight face, float32 within 0–1; what lies beyond the picture is its mirror image."""
    from ..opencv import cv2

    left, top, right, bottom = _around(matrix, rgb.shape[:2], margin=2)
    if left >= right or top >= bottom:
        return np.zeros((SIDE, SIDE, 3), np.float32)
    part = to_unit(np.ascontiguousarray(rgb[top:bottom, left:right]))
    return cv2.warpAffine(
        part, _moved(matrix, left, top), (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def paste(
    canvas: np.ndarray,
    face: np.ndarray,
    matrix: np.ndarray,
    scale: int,
    strength: float,
    mask: np.ndarray | None = None,
) -> None:
    """Put a restored ``face`` (float32 within 0–1) back into ``canvas``, which is the picture enlarged ``scale``
    times; it fades in from its border, and ``strength`` is its share in the middle. ``mask`` (float32 within 0–1, of
    the face's size) says where in its square the face is; everywhere without one."""
    from ..opencv import cv2

    # The middle of a pixel of the canvas, in pixels of the picture: (x + 0.5) / scale - 0.5.
    matrix = _moved(matrix, 0.5 / scale - 0.5, 0.5 / scale - 0.5, size=1 / scale)
    mask = fading() if mask is None else fading() * mask
    if (ratio := 1 / enlargement(matrix)) < 1:
        # Fewer pixels than the face has: shrunk by area first, since sampling would skip some.
        side = max(8, round(SIDE * ratio))
        face, mask = (cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA) for part in (face, mask))
        factor = side / SIDE
        matrix = matrix * factor + np.array([0, 0, 0.5 * factor - 0.5])
    left, top, right, bottom = _around(matrix, canvas.shape[:2], side=face.shape[0])
    if left >= right or top >= bottom:
        return
    backward = _moved(matrix, left, top)
    size, flags = (right - left, bottom - top), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    pasted = cv2.warpAffine(face, backward, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpAffine(mask, backward, size, flags=flags)[:, :, None] * np.float32(strength)
    under = canvas[top:bottom, left:right]
    mixed = from_unit(to_unit(under) * (1 - share) + pasted * share, canvas.dtype)
    # Where nothing is pasted, nothing is rounded either.
    under[:] = np.where(share > 0, mixed, under)


def fading() -> np.ndarray:
    """The share that a restored face has in each pixel of the template: 1 in the middle, 0 at the border."""
    places = np.arange(SIDE, dtype=np.float32) + 0.5
    inside = np.clip((np.minimum(places, SIDE - places) - EDGE) / FEATHER, 0, 1)
    smooth = inside * inside * (3 - 2 * inside)
    return np.outer(smooth, smooth)


def _moved(matrix: np.ndarray, x: float, y: float, size: float = 1.0) -> np.ndarray:
    """``matrix`` for points of which one becomes ``size`` times itself plus (x, y)."""
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (x, y)
    moved[:, :2] *= size
    return moved


def _around(
    matrix: np.ndarray, shape: tuple[int, ...], *, side: int = SIDE, margin: int = 1
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the part of the picture that the template's square can touch."""
    back = np.linalg.inv(matrix[:, :2])
    corners = np.array([(x, y) for x in (-0.5, side - 0.5) for y in (-0.5, side - 0.5)])
    places = (corners - matrix[:, 2]) @ back.T
    low, high = np.floor(places.min(axis=0)) - margin, np.ceil(places.max(axis=0)) + margin + 1
    height, width = shape
    return (
        int(max(0, low[0])), int(max(0, low[1])), int(min(width, high[0])), int(min(height, high[1])),
    )  # fmt: skip
