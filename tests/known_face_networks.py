"""ParseNet (also half as wide) and ArcFace's IR-SE50 with weights whose answer is known, for what is done with it.
``from tests.known_face_networks import recogniser, parser, seen_by_recogniser``.

Both carry pixels through: every branch beside the way through is zero. What is one number everywhere is stored as one,
so that the files are small.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from mirror_realm.tasks.inference.catalogue import known_model
from mirror_realm.tasks.inference.compat import ensure_torchvision

Tensors = dict[str, torch.Tensor]
STEP = 16
"""Both look at the upper left pixel of each 16 × 16."""

SKIN, BACKGROUND = 1, 0
BRIGHT = 0.4
"""What is brighter than this share of full scale is skin, to :func:`parser`."""


HALF = 32
"""Channels of the narrow ParseNet where the published one has 64: a quarter of the work."""


@cache
def shapes(model: str, width: int = 64) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shape and type of each tensor that upstream publishes."""
    known = known_model(model)
    ensure_torchvision()
    with torch.device("meta"):
        if known.task == "face-parsing":
            from facexlib.parsing.parsenet import ParseNet

            network = ParseNet(**known.parameters, base_ch=width)
        else:
            from facexlib.recognition.arcface_arch import Backbone

            network = Backbone(**known.parameters)
    return {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}


def random(model: str, seed: int) -> Tensors:
    """Tensors of the published shapes, drawn; variances are positive."""
    generator = torch.Generator().manual_seed(seed)
    tensors: Tensors = {}
    for name, (shape, kind) in shapes(model).items():
        drawn = torch.randn(shape, generator=generator) * 0.05
        tensors[name] = (drawn.abs() + 0.5 if name.endswith("running_var") else drawn).to(kind)
    return tensors


def _idle(model: str, width: int = 64) -> Tensors:
    """Zeros, and normalisations that change nothing but for their epsilon."""
    return {
        name: torch.full((), 1.0 if name.endswith("running_var") else 0.0, dtype=kind).expand(shape)
        for name, (shape, kind) in shapes(model, width).items()
    }


def parser(width: int = 64) -> Tensors:
    """ParseNet that calls bright red channels skin and all else background, in squares of 16 pixels."""
    tensors = _idle("parsing_parsenet", width)

    def pass_on(name: str, gain: float = 1.0) -> None:
        tensors[f"{name}.conv2d.weight"] = torch.zeros(tensors[f"{name}.conv2d.weight"].shape)
        tensors[f"{name}.conv2d.weight"][0, 0, 1, 1] = gain

    pass_on("encoder.0")
    for stage in range(1, 5):
        pass_on(f"encoder.{stage}.shortcut_func")
    for stage in range(4):
        if f"decoder.{stage}.shortcut_func.conv2d.weight" in tensors:
            pass_on(f"decoder.{stage}.shortcut_func")
    # The body's result and what goes around it come together: twice the pixel, which lies within -1 to 1.
    weight, bias = (tensors[f"out_mask_conv.conv2d.{part}"] for part in ("weight", "bias"))
    tensors["out_mask_conv.conv2d.weight"] = torch.zeros(weight.shape)
    tensors["out_mask_conv.conv2d.bias"] = torch.full(bias.shape, -9.0)
    tensors["out_mask_conv.conv2d.weight"][SKIN, 0, 1, 1] = 1.0
    tensors["out_mask_conv.conv2d.bias"][SKIN] = 0.0
    tensors["out_mask_conv.conv2d.bias"][BACKGROUND] = 2 * (2 * BRIGHT - 1)
    return tensors


def parsed(face: np.ndarray) -> np.ndarray:
    """Where :func:`parser` sees skin in a straight face, float32 within 0–1."""
    seen = face[::STEP, ::STEP, 0] > BRIGHT
    return seen.repeat(STEP, axis=0).repeat(STEP, axis=1)


def recogniser() -> Tensors:
    """IR-SE50 whose vector is the 7 × 7 pixels that it looks at, colour by colour, in the order it was given them."""
    tensors = _idle("arcface_ir_se50")

    def set_up(name: str, *places: tuple[tuple[int, ...], float]) -> None:
        tensors[name] = torch.zeros(tensors[name].shape)
        for place, value in places:
            tensors[name][place] = value

    set_up("input_layer.0.weight", *(((c, c, 1, 1), 1.0) for c in range(3)))
    ones = ["input_layer.1.weight", "input_layer.2.weight", "output_layer.0.weight", "output_layer.4.weight"]
    for name in tensors:
        if name.endswith("shortcut_layer.0.weight"):
            set_up(name, *(((c, c, 0, 0), 1.0) for c in range(3)))
            ones.append(name.replace("layer.0.", "layer.1."))
    for name in ones:
        tensors[name] = torch.ones(tensors[name].shape)
    set_up("output_layer.3.weight", *(((n, n), 1.0) for n in range(3 * 49)))
    return tensors


def seen_by_recogniser(face: np.ndarray) -> np.ndarray:
    """The unit vector that :func:`recogniser` gives for a straight RGB face (112, 112, 3) of uint8."""
    grid = (face[::STEP, ::STEP, ::-1].astype(np.float64) - 127.5) / 127.5
    vector = np.zeros(512)
    vector[: 3 * 49] = grid.transpose(2, 0, 1).reshape(-1)
    return vector / np.linalg.norm(vector)
