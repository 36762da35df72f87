"""A picture in half its size, again and again, so that what is shrunk much begins at a near size: fast, and no pixel is
skipped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Levels = Sequence[np.ndarray]
"""The picture (H, W, 3) of uint8, in half its size, in a quarter, and so on."""


def halves(rgb: np.ndarray, *, smallest: int = 48) -> list[np.ndarray]:
    """The picture and its halves, down to a shorter side of at most ``smallest``."""
    from ..opencv import cv2

    levels = [np.ascontiguousarray(rgb)]
    while min(levels[-1].shape[:2]) > smallest:
        height, width = levels[-1].shape[:2]
        # Cut to even sides, so that each pixel is the mean of four whole ones.
        even = levels[-1][: height // 2 * 2, : width // 2 * 2]
        levels.append(cv2.resize(even, (width // 2, height // 2), interpolation=cv2.INTER_AREA))
    return levels


def level_for(levels: Levels, scale: float) -> int:
    """The smallest level that has at least as many pixels as the picture times ``scale``.

    >>> picture = np.zeros((400, 400, 3), np.uint8)
    >>> [level_for(halves(picture), scale) for scale in (2, 1, 0.51, 0.5, 0.3, 0.001)]
    [0, 0, 0, 1, 1, 4]
    """
    return min(max(0, int(np.floor(np.log2(1 / scale)))), len(levels) - 1)


def laid(levels: Levels, matrix: np.ndarray, side: int) -> np.ndarray:
    """What the 2 × 3 ``matrix``, of turn, size and shift, brings from the picture into a square of ``side`` pixels;
    black beyond the picture."""
    from ..opencv import cv2

    level = level_for(levels, float(np.hypot(matrix[0, 0], matrix[1, 0])))
    factor = 1 << level
    shrunk = matrix.copy()
    # The middle of a pixel that stands for factor × factor others.
    shrunk[:, 2] += matrix[:, :2].sum(axis=1) * (factor - 1) / 2
    shrunk[:, :2] *= factor
    return cv2.warpAffine(levels[level], shrunk, (side, side))
