"""Where in its square a restored face is: ParseNet (Chen et al. 2021, PSFRGAN) through facexlib, as GFPGAN pastes with
``use_parse``.

The network names what each pixel shows; skin, eyes, nose, mouth, ears, glasses, earrings and hair count as the face,
and what is around it (background, hat, neck, clothes) stays as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import Code, RealmError
from .catalogue import KnownModel
from .compat import require_torch
from .embedder import identity_of
from .facexlib_networks import load_network, require_facexlib
from .kept import Kept

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

    def mask(self, face: np.ndarray) -> np.ndarray | None:
        """How much each pixel of a straight face (SIDE, SIDE, 3), float32 within 0–1, is the face: float32 within 0–1,
        with soft edges; ``None`` where hardly any is. DATA_CORRUPTED when the network gives numbers that are not
        finite."""
        import cv2

        torch = require_torch()
        with torch.inference_mode():
            batch = (torch.from_numpy(face).permute(2, 0, 1)[None] * 2 - 1).to(self.device)
            sure = self.network(batch)[0]
            if not bool(torch.isfinite(sure).all()):
                raise RealmError(Code.DATA_CORRUPTED, f"{self.identity} gives numbers that are not finite")
            shown = sure[0].argmax(dim=0).cpu().numpy()
        inside = (~np.isin(shown, AROUND)).astype(np.float32)
        if inside.mean() < LEAST_FACE:
            return None
        return cv2.GaussianBlur(inside, (0, 0), SOFTNESS).clip(0, 1)


_parsers: Kept[FaceParser] = Kept(limit=1)


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

    return _parsers.get((str(weights), identity, device), load)
