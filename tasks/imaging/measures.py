"""Quality in numbers. Each measure is named, has a source, and is scored 0–1; the combination says its
weights.

All are taken on the same working size (:data:`WORKING_SIDE`), so that pictures of different cameras compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

WORKING_SIDE = 2048
"""Longest side, in pixels, of the picture that is measured."""

SHARP = 100.0
"""Laplacian variance from which a picture counts as sharp (platform specification, media classifier)."""
NOISY = 25.0
"""Standard deviation of noise, in grey levels, that scores 0."""
CONTRASTY = 64.0
"""Standard deviation of luminance that scores 1."""
COLOURFUL = 109.0
"""Colourfulness that its authors' subjects called "extremely colourful"."""

WEIGHTS = {"sharpness": 0.4, "exposure": 0.25, "contrast": 0.2, "noise": 0.15}
"""Of the combined score. Colourfulness is not in it: a black-and-white photograph is no worse for being
one."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Scores (0 worst, 1 best) beside the raw measures they come from."""

    score: float
    sharpness: float
    exposure: float
    contrast: float
    noise: float
    colourfulness: float
    laplacian_variance: float
    brightness: float
    """Mean luminance, 0–1."""
    shadows_clipped: float
    """Share of pixels that are black, 0–1."""
    highlights_clipped: float
    noise_sigma: float
    """Grey levels."""


def measure(image: Image.Image) -> Quality:
    """The quality of an upright sRGB picture (RGB or grey, 8 bits)."""
    import numpy as np

    from ..opencv import cv2

    rgb = np.asarray(image.convert("RGB"))
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    variance = float(cv2.Laplacian(grey, cv2.CV_32F).var()) if min(grey.shape) > 0 else 0.0
    brightness = float(grey.mean()) / 255
    dark = float(np.count_nonzero(grey <= 2)) / grey.size
    light = float(np.count_nonzero(grey >= 253)) / grey.size
    sigma = noise_sigma(grey)
    scores = {
        "sharpness": _unit(variance / SHARP),
        "exposure": exposure_score(brightness, dark, light),
        "contrast": _unit(float(grey.std()) / CONTRASTY),
        "noise": _unit(1 - sigma / NOISY),
    }
    return Quality(
        score=round(sum(WEIGHTS[name] * value for name, value in scores.items()), 4),
        sharpness=round(scores["sharpness"], 4),
        exposure=round(scores["exposure"], 4),
        contrast=round(scores["contrast"], 4),
        noise=round(scores["noise"], 4),
        colourfulness=round(_unit(colourfulness(rgb) / COLOURFUL), 4),
        laplacian_variance=round(variance, 2),
        brightness=round(brightness, 4),
        shadows_clipped=round(dark, 4),
        highlights_clipped=round(light, 4),
        noise_sigma=round(sigma, 3),
    )


def exposure_score(brightness: float, dark: float, light: float) -> float:
    """1 for a mean luminance of 0.25–0.7 and nothing clipped, falling to 0 at black and at white.

    Up to 2 % of clipped pixels are forgiven: lamps, and the darkest of shadows, belong to photographs.

    >>> exposure_score(0.45, 0.0, 0.0), exposure_score(0.0, 1.0, 0.0)
    (1.0, 0.0)
    """
    level = min(brightness / 0.25, (1 - brightness) / 0.3, 1.0)
    clipped = max(0.0, dark + light - 0.02)
    return _unit(level * (1 - clipped))


def noise_sigma(grey: np.ndarray) -> float:
    """The standard deviation of noise, by the median of the diagonal details of a Haar wavelet.

    Source: D. Donoho, I. Johnstone, "Ideal spatial adaptation by wavelet shrinkage", 1994. Unlike means of a
    high-pass filter it is not fooled by texture that covers less than half of the picture.
    """
    import numpy as np

    height, width = grey.shape[0] // 2 * 2, grey.shape[1] // 2 * 2
    if height < 2 or width < 2:
        return 0.0
    blocks = grey[:height, :width].astype(np.int16)
    diagonal = blocks[::2, ::2] - blocks[::2, 1::2] - blocks[1::2, ::2] + blocks[1::2, 1::2]
    return float(np.median(np.abs(diagonal))) / 2 / 0.6745


def colourfulness(rgb: np.ndarray) -> float:
    """The metric M3 of D. Hasler, S. Süsstrunk, "Measuring colourfulness in natural images", 2003."""
    import numpy as np

    red, green, blue = (rgb[..., i].astype(np.float32) for i in range(3))
    across, along = red - green, (red + green) / 2 - blue
    spread = float(np.hypot(across.std(), along.std()))
    return spread + 0.3 * float(np.hypot(across.mean(), along.mean()))


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
