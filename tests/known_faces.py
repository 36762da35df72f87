"""GFPGAN, a quarter as wide as published or in full, with weights whose answer is known: the straight face at half its
resolution, enlarged again, and ``tint`` added. ``from tests.known_faces import halved, restorer, save_small``.

The way through the real network: the encoder's first step down carries the picture, its last step up brings it back,
the last level's condition replaces the decoder's own features by it, and the last colour layer reads it off. All other
tensors are zero, and are stored as one zero each, so that a file of 87 million numbers is small.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch

Tensors = dict[str, torch.Tensor]
LAST = 6
"""Index of the level at 512 pixels."""


@cache
def shapes(narrow: float = 0.25) -> dict[str, torch.Size]:
    """Name and shape of each tensor that upstream publishes; ``narrow`` 1 is its width."""
    from mirror_realm.tasks.inference.compat import require_spandrel

    require_spandrel()
    from spandrel.architectures.GFPGAN import GFPGAN

    with torch.device("meta"):
        return {
            name: tensor.shape
            for name, tensor in GFPGAN(narrow=narrow, num_style_feat=round(512 * narrow)).state_dict().items()
        }


def restorer(tint: tuple[float, float, float] = (0.0, 0.0, 0.0), narrow: float = 0.25) -> Tensors:
    """The network's tensors; ``tint`` in shares of full scale."""
    forms = shapes(narrow)
    tensors: Tensors = {name: torch.zeros(()).expand(shape) for name, shape in forms.items()}

    def put(name: str, *places: tuple[tuple[int, ...], float]) -> None:
        tensors[name] = torch.zeros(forms[name])
        for place, value in places:
            tensors[name][place] = value

    for name in tensors:
        if name.endswith("modulation.bias"):
            tensors[name] = torch.ones(()).expand(forms[name])
    colours = range(3)
    put("conv_body_first.weight", *(((c, c, 0, 0), 1.0) for c in colours))
    # From -1–1 to 0–2, so that no activation bends it.
    put("conv_body_first.bias", *(((c,), 1.0) for c in colours))
    put("conv_body_down.0.skip.weight", *(((c, c, 0, 0), 1.0) for c in colours))
    put(f"conv_body_up.{LAST}.skip.weight", *(((c, c, 0, 0), 1.0) for c in colours))
    for layer in (0, 2):
        put(f"condition_shift.{LAST}.{layer}.weight", *(((c, c, 1, 1), 1.0) for c in colours))
    # The condition is the second half of the features; a style layer multiplies by the root of two.
    half = forms[f"condition_shift.{LAST}.2.weight"][0]
    decoder = "stylegan_decoder"
    put(
        f"{decoder}.style_convs.{2 * LAST + 1}.modulated_conv.weight",
        *(((0, c, half + c, 1, 1), 1.0) for c in colours),
    )
    put(
        f"{decoder}.to_rgbs.{LAST}.modulated_conv.weight",
        *(((0, c, c, 0, 0), 2.0**-0.5) for c in colours),
    )
    put(f"{decoder}.to_rgbs.{LAST}.bias", *(((0, c, 0, 0), 2 * tint[c] - 1.0) for c in colours))
    return tensors


def halved(face: np.ndarray, tint: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """What :func:`restorer` must give for a straight face, float32 within 0–1."""
    small = cv2.resize(face, (256, 256), interpolation=cv2.INTER_AREA)
    return (cv2.resize(small, (512, 512), interpolation=cv2.INTER_LINEAR) + tint).clip(0, 1)


def save_small(tensors: Tensors, path: Path) -> Path:
    """As upstream publishes it; tensors that are one number expanded stay one number."""
    torch.save({"params_ema": tensors}, path)
    return path
