"""From high dynamic range to what a screen of today shows: PQ and HLG in BT.2020 to sRGB.

Sources: SMPTE ST 2084 (PQ), ITU-R BT.2100 (HLG and its transfer to light), ITU-R BT.2390 (the curve that rolls
highlights off), ITU-R BT.2087 (the primaries), IEC 61966-2-1 (sRGB).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

WHITE = 203.0
"""Light of a white page in an HDR film (ITU-R BT.2408), in cd/m²; it becomes the screen's white, nearly."""
PEAK = 1000.0
"""Light that a master is taken to reach, cd/m²; what is brighter becomes white."""

_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_HLG_A = 0.17883277
_HLG_B = 1 - 4 * _HLG_A
_HLG_C = 0.55991073
_HLG_GAMMA = 1.2
_LUMA_2020 = (0.2627, 0.678, 0.0593)
_TO_709 = (
    (1.660491, -0.5876411, -0.0728499),
    (-0.1245505, 1.1328999, -0.0083494),
    (-0.0181508, -0.1005789, 1.1187297),
)
_BAND = 1 << 20
"""Pixels worked on at once; all of an 8K frame in floats would be gigabytes."""


def to_sdr(rgb: np.ndarray, transfer: Literal["pq", "hlg"]) -> np.ndarray:
    """sRGB (uint8, rows × columns × 3) of a frame whose R′G′B′ in BT.2020 are given as uint16.

    Hues are kept: the curve is applied to the largest of the three, the others follow in proportion.
    """
    import numpy as np

    rows = max(1, _BAND // max(1, rgb.shape[1]))
    result = np.empty(rgb.shape, np.uint8)
    for top in range(0, rgb.shape[0], rows):
        signal = rgb[top : top + rows].astype(np.float32) / 65535
        light = pq_to_light(signal) if transfer == "pq" else hlg_to_light(signal)
        result[top : top + rows] = _shown(light)
    return result


def pq_to_light(signal: np.ndarray) -> np.ndarray:
    """cd/m² of PQ values 0–1."""
    import numpy as np

    power = np.power(np.clip(signal, 0, 1), 1 / _M2)
    return 10_000 * np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)


def light_to_pq(light: np.ndarray) -> np.ndarray:
    """PQ values 0–1 of cd/m²."""
    import numpy as np

    power = np.power(np.clip(light, 0, 10_000) / 10_000, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


def hlg_to_light(signal: np.ndarray) -> np.ndarray:
    """cd/m² on a screen of :data:`PEAK` of HLG values 0–1 (rows × columns × 3)."""
    import numpy as np

    low = signal * signal / 3
    high = (np.exp((np.maximum(signal, 0.5) - _HLG_C) / _HLG_A) + _HLG_B) / 12
    scene = np.where(signal <= 0.5, low, high)
    luminance = scene @ np.asarray(_LUMA_2020, scene.dtype)
    return PEAK * scene * np.power(np.maximum(luminance, 1e-6), _HLG_GAMMA - 1)[..., None]


def rolled_off(light: np.ndarray) -> np.ndarray:
    """cd/m² up to :data:`PEAK` as cd/m² up to :data:`WHITE`: unchanged in the dark, compressed towards white."""
    import numpy as np

    peak, white = light_to_pq(np.array([PEAK, WHITE]))
    value = light_to_pq(np.minimum(light, PEAK)) / peak
    most = white / peak
    knee = 1.5 * most - 0.5
    t = np.maximum(value - knee, 0) / (1 - knee)
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    )
    return pq_to_light(np.where(value < knee, value, curve) * peak)


def _shown(light: np.ndarray) -> np.ndarray:
    import numpy as np

    largest = light.max(axis=-1, keepdims=True)
    scaled = light * (rolled_off(largest) / np.maximum(largest, 1e-6)) / WHITE
    linear = np.clip(scaled @ np.asarray(_TO_709, np.float32).T, 0, 1)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.power(linear, 1 / 2.4) - 0.055)
    return np.rint(encoded * 255).astype(np.uint8)
