"""Resampling without a network: Lanczos, a little sharpening, and denoising where asked for. Needs OpenCV
only.

It invents nothing: what it gives is the picture, larger. It is what runs where a definition allows it in
place of a network that is not there.
"""

from __future__ import annotations

import numpy as np

from ..enhancer import Capabilities, Check, Progress, Request, Upscaled
from ..tiles import from_unit, to_unit

CAPABILITIES = Capabilities(learned=False, devices=("cpu",), precisions=("integer",))

BAND_PIXELS = 1 << 21
"""Result pixels of one band: bounds the working memory, and how long a cancellation waits."""

CONTEXT = 16
"""Source rows beside a band that its filters may look at: denoising 2, Lanczos 4, sharpening at most 6."""

SHARPEN = 0.35
"""Share of the detail that is added again, of what Lanczos takes away at these scales."""

DENOISE = 40 / 255
"""Contrast, of full scale, up to which differences count as noise at strength 1."""


class ClassicalUpscaler:
    """Lanczos resampling (a = 4) by a whole factor, band by band."""

    identity = "lanczos4"
    capabilities = CAPABILITIES

    def __init__(self, scale: int, denoise: float | None) -> None:
        self.scale = scale
        self._denoise = denoise or 0.0

    def upscale(self, rgb: np.ndarray, progress: Progress, check: Check) -> Upscaled:
        """See :class:`..enhancer.Upscaler`."""
        height, width = rgb.shape[:2]
        scale = self.scale
        result = np.empty((height * scale, width * scale, rgb.shape[2]), rgb.dtype)
        rows = max(CONTEXT, BAND_PIXELS // (width * scale * scale))
        tops = range(0, height, rows)
        for done, top in enumerate(tops):
            check()
            first, last = max(0, top - CONTEXT), min(height, top + rows + CONTEXT)
            band = self._process(np.ascontiguousarray(rgb[first:last]))
            bottom = min(height, top + rows)
            result[top * scale : bottom * scale] = band[(top - first) * scale : (bottom - first) * scale]
            progress(done + 1, len(tops))
        return Upscaled(result, "cpu", "integer", len(tops), 0, self._denoise or None)

    def _process(self, band: np.ndarray) -> np.ndarray:
        from ...opencv import cv2

        if self._denoise:
            band = _denoised(band, self._denoise)
        band = resample(band, self.scale)
        soft = cv2.GaussianBlur(band, (0, 0), max(0.6, 0.5 * self.scale))
        # OpenCV saturates, so that overshoot ends at the range's ends.
        return cv2.addWeighted(band, 1 + SHARPEN, soft, -SHARPEN, 0)


def open_upscaler(request: Request) -> ClassicalUpscaler:
    """The backend for ``request``; it needs nothing that could be missing."""
    return ClassicalUpscaler(request.scale, request.denoise)


def resample(image: np.ndarray, scale: int) -> np.ndarray:
    """``image`` (H, W) or (H, W, C) enlarged by a whole factor with Lanczos, in its own dtype."""
    from ...opencv import cv2

    if scale == 1:
        return image.copy()
    height, width = image.shape[:2]
    return cv2.resize(image, (width * scale, height * scale), interpolation=cv2.INTER_LANCZOS4)


def _denoised(band: np.ndarray, strength: float) -> np.ndarray:
    """Edge-preserving smoothing (bilateral filter); OpenCV has it for floats, so the depth is kept."""
    from ...opencv import cv2

    smooth = cv2.bilateralFilter(to_unit(band), d=5, sigmaColor=DENOISE * strength, sigmaSpace=2.0)
    return from_unit(smooth, band.dtype)
