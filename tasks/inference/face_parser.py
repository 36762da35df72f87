"""Where in its square a restored face is: ParseNet (Chen et al. 2021, PSFRGAN) through facexlib, as GFPGAN pastes with
``use_parse``.

The network names what each pixel shows; skin, eyes, nose, mouth, ears, glasses, earrings and hair count as the face,
and what is around it (background, hat, neck, clothes) stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import Code, RealmError
from .catalogue import KnownModel
from .compat import require_torch
from .embedder import identity_of
from .facexlib_networks import load_network, require_facexlib
from .kept_models import KeptModels, module_bytes

AROUND = (0, 14, 16, 17, 18)
"""The classes of CelebAMask-HQ that are not the face: background, hat, necklace, neck, clothes."""

SOFTNESS = 11 * 2**0.5
"""Standard deviation, in pixels, by which the mask is softened: facexlib blurs twice by 11."""

LEAST_FACE = 0.05
"""Share of the square; where less of it is face, the network did not see one."""


@dataclass(frozen=True, slots=True)
class Parsing:
    """Which network says where the face is, and its weights."""

    model: KnownModel
    weights: Path


@dataclass(eq=False)
class FaceParser:
    """The network on a device, in fp32."""

    identity: str
    device: str
    network: Any = field(repr=False)

    def masks(self, faces: Sequence[np.ndarray]) -> list[np.ndarray | RealmError | None]:
        """Of each straight face (SIDE, SIDE, 3), float32 within 0–1, all in one pass: how much each pixel is the face,
        float32 within 0–1, with soft edges; ``None`` where hardly any is; DATA_CORRUPTED, not raised, where the
        network gives numbers that are not finite."""
        torch = require_torch()
        with torch.inference_mode():
            sure = self.network(straight_batch(faces).to(self.device))[0]
            sound = torch.isfinite(sure).flatten(1).all(dim=1).tolist()
            shown = sure.argmax(dim=1).cpu().numpy()
        return [
            _softened(classes) if finite else not_finite(self.identity)
            for classes, finite in zip(shown, sound, strict=True)
        ]


def straight_batch(faces: Sequence[np.ndarray]) -> Any:
    """Straight faces (SIDE, SIDE, 3) within 0–1 as face networks take them: a tensor (n, 3, SIDE, SIDE) within -1 to
    1, on the CPU."""
    batch = require_torch().from_numpy(np.stack(faces)).permute(0, 3, 1, 2)
    # GFPGAN looks at features as one row each, for which several faces may not lie colour by colour.
    return batch.contiguous() * 2 - 1


def _softened(classes: np.ndarray) -> np.ndarray | None:
    from ..opencv import cv2

    inside = (~np.isin(classes, AROUND)).astype(np.float32)
    if inside.mean() < LEAST_FACE:
        return None
    return cv2.GaussianBlur(inside, (0, 0), SOFTNESS).clip(0, 1)


def not_finite(identity: str) -> RealmError:
    """What became of a face of which a network gave no numbers."""
    return RealmError(Code.DATA_CORRUPTED, f"{identity} gives numbers that are not finite")


_parsers: KeptModels[FaceParser] = KeptModels(lambda parser: module_bytes(parser.network))


def open_parser(parsing: Parsing, device: str = "cpu") -> FaceParser:
    """The network on ``device``, from the process's cache where it is there. DEPENDENCY_FAILURE when facexlib is not
    installed; DATA_CORRUPTED or INVALID_ARGUMENT for wrong weights."""
    model, weights = parsing.model, parsing.weights
    require_facexlib(model)
    identity = identity_of(model, weights)

    def load() -> FaceParser:
        network = load_network(
            model, weights, device, "facexlib.parsing.parsenet", lambda m: m.ParseNet(**model.parameters)
        )
        return FaceParser(identity, device, network)

    return _parsers.get((str(weights), identity, device), load, device, weights.stat().st_size)
