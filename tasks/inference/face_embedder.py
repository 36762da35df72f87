"""Vectors of faces by a network that was trained to tell people apart: ArcFace (Deng et al. 2019) through facexlib.

A face is laid straight by its five points into :data:`SIDE` pixels; the vector of unit length that comes out lies near
those of the same person's other faces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .catalogue import KnownModel
from .compat import require_torch
from .embedder import identity_of, unit
from .face_alignment import Point, alignment
from .facexlib_networks import load_network, require_facexlib
from .kept_models import KeptModels, module_bytes
from .pyramid import halves, laid
from .turns import turn

SIDE = 112
TEMPLATE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""Where InsightFace lays left eye, right eye, nose, left and right corner of the mouth, as seen."""

BATCH = 32


@dataclass(eq=False)
class FaceEmbedder:
    """The network on a device, in fp32. ``identity`` names the space that its vectors lie in."""

    identity: str
    dimension: int
    device: str
    network: Any = field(repr=False)

    def faces(
        self,
        rgb: np.ndarray,
        points: Sequence[Sequence[Point]],
        *,
        batch: int = BATCH,
        check: Callable[[], None] = lambda: None,
    ) -> np.ndarray:
        """Unit vectors (n, dimension), float32, of the faces of an upright picture (H, W, 3) of uint8, of which
        ``points`` gives eyes, nose and corners of the mouth. DATA_CORRUPTED when the network gives numbers that are not
        finite."""
        torch = require_torch()
        levels = halves(rgb)
        rows = [np.empty((0, self.dimension), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(points), batch):
                check()
                laid_straight = [
                    laid(levels, alignment(five, TEMPLATE), SIDE) for five in points[start : start + batch]
                ]
                prepared = torch.from_numpy(prepare(np.stack(laid_straight)))
                with turn(self.device, check):
                    rows.append(self.network(prepared.to(self.device)).float().cpu().numpy())
        return unit(np.concatenate(rows))


def prepare(faces: np.ndarray) -> np.ndarray:
    """RGB faces (n, SIDE, SIDE, 3) of uint8 as the network takes them: within -1 to 1, and blue first, for so were the
    pictures that it was trained on (InsightFace_Pytorch #13)."""
    return np.ascontiguousarray(((faces[..., ::-1].astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2))


_embedders: KeptModels[FaceEmbedder] = KeptModels(lambda embedder: module_bytes(embedder.network))


def open_face_embedder(model: KnownModel, weights: Path, device: str = "cpu") -> FaceEmbedder:
    """The network of ``model`` on ``device``, from the process's cache where it is there. DEPENDENCY_FAILURE when
    facexlib is not installed; DATA_CORRUPTED or INVALID_ARGUMENT for wrong weights."""
    require_facexlib(model)
    identity = identity_of(model, weights)

    def load() -> FaceEmbedder:
        network = load_network(
            model,
            weights,
            device,
            "facexlib.recognition.arcface_arch",
            lambda module: module.Backbone(**model.parameters),
        )
        return FaceEmbedder(identity, int(model.capabilities["dimension"]), device, network)

    return _embedders.get((str(weights), identity, device), load, device, weights.stat().st_size)
