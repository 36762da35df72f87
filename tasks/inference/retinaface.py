"""RetinaFace (Deng et al. 2020) through facexlib: faces of any size, turned and tilted too."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .catalogue import KnownModel
from .compat import require_torch
from .facexlib_networks import load_network, require_facexlib
from .kept_models import KeptModels, module_bytes
from .turns import turn

LEAST_CONFIDENCE = 0.8
"""What upstream takes for a face."""


@dataclass(frozen=True, slots=True)
class Found:
    """A face's box in pixels of the picture it was looked for in, and how sure the detector is, 0–1. ``points`` are
    the eyes, the nose and the corners of the mouth, left before right as seen."""

    x: float
    y: float
    width: float
    height: float
    confidence: float
    points: tuple[tuple[float, float], ...] = ()


@dataclass(eq=False)
class RetinaFace:
    """A detector on a device."""

    name: str
    network: Any = field(repr=False)
    device: str = "cpu"

    def find(self, rgb: np.ndarray, *, least_confidence: float = LEAST_CONFIDENCE) -> list[Found]:
        """The faces of an upright picture (H, W, 3) of uint8, surest first."""
        height, width = rgb.shape[:2]
        with require_torch().inference_mode(), turn(self.device):
            rows = self.network.detect_faces(np.ascontiguousarray(rgb[..., ::-1]), least_confidence)
        found = []
        for left, top, right, bottom, confidence, *marks in rows.tolist():
            left, top = max(0.0, left), max(0.0, top)
            across, down = min(right, width) - left, min(bottom, height) - top
            if across >= 1 and down >= 1:
                points = tuple(zip(marks[::2], marks[1::2], strict=True))
                found.append(Found(left, top, across, down, round(confidence, 4), points))
        return sorted(found, key=lambda face: (-face.confidence, face.x, face.y))


_detectors: KeptModels[RetinaFace] = KeptModels(lambda detector: module_bytes(detector.network))


def open_retinaface(model: KnownModel, weights: Path, device: str = "cpu") -> RetinaFace:
    """The detector ``model`` on ``device``, from the process's cache where it is there.

    DEPENDENCY_FAILURE when facexlib is not installed; DATA_CORRUPTED or INVALID_ARGUMENT for wrong weights.
    """
    stat = weights.stat()
    key = (model.name, str(weights), stat.st_size, stat.st_mtime_ns, device)
    return _detectors.get(key, lambda: _load(model, weights, device), device, stat.st_size)


def _load(model: KnownModel, weights: Path, device: str) -> RetinaFace:
    require_facexlib(model, ", or use detector: opencv")
    network = load_network(
        model,
        weights,
        device,
        "facexlib.detection.retinaface",
        lambda module: module.RetinaFace(network_name=str(model.parameters["network"]), device=device),
    )
    return RetinaFace(model.name, network, device)
