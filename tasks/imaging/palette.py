"""The dominant colours of a picture, with their everyday names."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

SAMPLE_SIDE = 128
_CANDIDATES = 16
_SAME = 18.0
"""CIELAB distance below which two colours are told as one."""


@dataclass(frozen=True, slots=True)
class Colour:
    """One dominant colour and the share of the picture it covers, 0–1."""

    hex: str
    share: float
    name: str


def dominant_colours(image: Image.Image, count: int = 5) -> list[Colour]:
    """Up to ``count`` colours of an upright sRGB picture, largest share first; the same picture, the same
    answer.

    Median cut and k-means on a small copy; colours that the eye takes for one are merged, the rest is left
    out (so the shares need not add up to 1).
    """
    import numpy as np

    small = image.convert("RGB")
    small.thumbnail((SAMPLE_SIDE, SAMPLE_SIDE), reducing_gap=2.0)
    reduced = small.quantize(_CANDIDATES, kmeans=2)
    palette = np.asarray(reduced.getpalette() or [], np.float64).reshape(-1, 3)
    total = small.width * small.height
    found: list[tuple[float, np.ndarray]] = []
    for number, index in sorted(reduced.getcolors() or [], key=lambda entry: (-entry[0], entry[1])):
        colour = palette[int(index)]  # pyright: ignore[reportArgumentType] - palette images give indices
        for place, (weight, other) in enumerate(found):
            if _distance(colour, other) < _SAME:
                mixed = (other * weight + colour * number) / (weight + number)
                found[place] = (weight + number, mixed)
                break
        else:
            found.append((number, colour))
    found.sort(key=lambda entry: -entry[0])
    return [
        Colour("#" + "".join(f"{round(v):02x}" for v in rgb), round(weight / total, 4), colour_name(rgb))
        for weight, rgb in found[:count]
    ]


def _distance(a, b) -> float:
    import numpy as np

    return float(np.linalg.norm(_lab(a) - _lab(b)))


def _lab(rgb):
    """CIELAB (D65) of an sRGB colour 0–255 (IEC 61966-2-1, CIE 15)."""
    import numpy as np

    linear = np.where(
        np.asarray(rgb) <= 10.31475,
        np.asarray(rgb) / 3294.6,
        ((np.asarray(rgb) / 255 + 0.055) / 1.055) ** 2.4,
    )
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    scaled = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def colour_name(rgb) -> str:
    """The basic colour term (Berlin and Kay's eleven) that fits an sRGB colour 0–255.

    >>> colour_name((250, 250, 250)), colour_name((20, 60, 200)), colour_name((110, 70, 30))
    ('white', 'blue', 'brown')
    """
    hue, saturation, value = colorsys.rgb_to_hsv(*(float(v) / 255 for v in rgb))
    degrees = hue * 360
    if value < 0.14:
        return "black"
    if saturation < 0.12 or (saturation < 0.2 and value < 0.3):
        return "white" if value > 0.88 else "grey"
    if degrees < 14 or degrees >= 345:
        return "pink" if saturation < 0.55 and value > 0.7 else "red"
    if degrees < 45:
        return "brown" if value < 0.65 or (saturation < 0.45 and value < 0.85) else "orange"
    if degrees < 70:
        return "yellow" if value > 0.55 else "brown" if degrees < 55 else "green"
    if degrees < 165:
        return "green"
    if degrees < 255:
        return "blue"
    if degrees < 295:
        return "purple"
    return "pink" if value > 0.6 else "purple"
