"""RetinaFace (Deng et al. 2020) through facexlib: faces of any size, turned and tilted too.

facexlib's own loader fetches the weights and unpickles whatever came; here the network is built and filled with
tensors that were read safely.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import FINAL, Code, RealmError
from .catalogue import KnownModel
from .compat import INSTALL, ensure_torchvision, require_torch
from .kept import Kept
from .networks import check_device
from .weights import check_file, read_tensors

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

    def find(self, rgb: np.ndarray, *, least_confidence: float = LEAST_CONFIDENCE) -> list[Found]:
        """The faces of an upright picture (H, W, 3) of uint8, surest first."""
        height, width = rgb.shape[:2]
        with require_torch().inference_mode():
            rows = self.network.detect_faces(np.ascontiguousarray(rgb[..., ::-1]), least_confidence)
        found = []
        for left, top, right, bottom, confidence, *marks in rows.tolist():
            left, top = max(0.0, left), max(0.0, top)
            across, down = min(right, width) - left, min(bottom, height) - top
            if across >= 1 and down >= 1:
                points = tuple(zip(marks[::2], marks[1::2], strict=True))
                found.append(Found(left, top, across, down, round(confidence, 4), points))
        return sorted(found, key=lambda face: (-face.confidence, face.x, face.y))


_detectors: Kept[RetinaFace] = Kept(limit=2)


def open_retinaface(model: KnownModel, weights: Path, device: str = "cpu") -> RetinaFace:
    """The detector ``model`` on ``device``, from the process's cache where it is there.

    DEPENDENCY_FAILURE when facexlib is not installed; DATA_CORRUPTED or INVALID_ARGUMENT for wrong weights.
    """
    stat = weights.stat()
    key = (model.name, str(weights), stat.st_size, stat.st_mtime_ns, device)
    return _detectors.get(key, lambda: _load(model, weights, device))


def _load(model: KnownModel, weights: Path, device: str) -> RetinaFace:
    if importlib.util.find_spec("facexlib") is None:
        raise RealmError(
            Code.DEPENDENCY_FAILURE,
            f"{model.name} needs facexlib, which is not installed",
            hint=f"install it with: {INSTALL}, or use detector: opencv",
            details={"package": "facexlib", "install": INSTALL, FINAL: True},
        )
    check_device(device)
    check_file(weights, model.weights.sha256)
    tensors = read_tensors(weights)
    ensure_torchvision()
    retinaface = importlib.import_module("facexlib.detection.retinaface")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # its way of asking torchvision for a backbone without weights is an old one
        network = retinaface.RetinaFace(network_name=str(model.parameters["network"]), device=device)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{weights} does not hold {model.name}: {' '.join(str(error).split())[:300]}",
            hint=f"`realm models pull {model.name}` fetches the right weights",
        ) from None
    network.eval().requires_grad_(False).to(device)
    return RetinaFace(model.name, network)
