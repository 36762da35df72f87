"""Real super-resolution networks for tests, with weights made on the spot, in the files that upstream
publishes.

``from tests.networks import nearest_x4, random_x4, save``. The tensors carry the names of Real-ESRGAN's
releases, so that finding, reading, recognising and running them takes the path that the published weights
take. Those of :func:`nearest_x4` are chosen so that the answer is known: the network enlarges by repeating
pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

# These networks are small: on a busy machine, threads would spend their time waiting for one another.
torch.set_num_threads(1)

GROWTH = 32
"""Channels that each dense layer adds; fixed in spandrel's RRDBNet."""


def rrdbnet(features: int, blocks: int, ups: int, channels_in: int, make: Any) -> dict[str, torch.Tensor]:
    """The tensors of a Real-ESRGAN RRDBNet; ``make(name, out, in)`` gives each (out, in, 3, 3) kernel."""
    shapes = {"conv_first": (features, channels_in), "conv_body": (features, features)}
    for block in range(blocks):
        for dense in (1, 2, 3):
            for layer in range(1, 6):
                out = features if layer == 5 else GROWTH
                shapes[f"body.{block}.rdb{dense}.conv{layer}"] = (out, features + (layer - 1) * GROWTH)
    shapes |= {f"conv_up{n}": (features, features) for n in range(1, ups + 1)}
    shapes |= {"conv_hr": (features, features), "conv_last": (3, features)}
    tensors = {}
    for name, (out, into) in shapes.items():
        tensors[f"{name}.weight"] = make(name, out, into)
        tensors[f"{name}.bias"] = torch.zeros(out)
    return tensors


def nearest_x4(
    features: int = 4, blocks: int = 2, *, blur: bool = False, gain: float = 1.0
) -> dict[str, torch.Tensor]:
    """An RRDBNet that repeats each pixel 4 × 4 times, exactly but for rounding. Its trunk is not idle: each
    residual block passes 1.2 times its input on, and the last layer divides what has come together.

    With ``blur``, the first layer is a 3 × 3 mean, so that tiles need their neighbours' pixels. ``gain``
    multiplies the values inside the network (and divides them at its end), to make half precision overflow.
    """

    def make(name: str, out: int, into: int) -> torch.Tensor:
        kernel = torch.zeros(out, into, 3, 3)
        passing = {"conv_first": gain, "conv_last": 1 / (gain * (1 + 1.2**blocks))}.get(name, 1.0)
        if name.startswith("body."):
            return kernel
        for channel in range(3):
            if blur and name == "conv_first":
                kernel[channel, channel] = passing / 9
            else:
                kernel[channel, channel, 1, 1] = passing
        return kernel

    return rrdbnet(features, blocks, 2, 3, make)


def random_x4(
    features: int = 8, blocks: int = 2, *, scale: int = 4, seed: int = 5
) -> dict[str, torch.Tensor]:
    """An RRDBNet with random weights whose result stays within 0–1 for most pictures; ``scale`` 2 is
    x2plus's form."""
    generator = torch.Generator().manual_seed(seed)

    def make(name: str, out: int, into: int) -> torch.Tensor:
        kernel = torch.randn(out, into, 3, 3, generator=generator)
        return kernel * (1.1 / (into * 9) ** 0.5)

    tensors = rrdbnet(features, blocks, 2, 3 * (4 // scale) ** 2, make)
    tensors["conv_last.bias"] = torch.full((3,), 0.5)
    return tensors


def compact_x4(features: int = 8, convolutions: int = 2, *, offset: float = 0.0) -> dict[str, torch.Tensor]:
    """A SRVGGNetCompact (realesr-general-x4v3's kind) that repeats pixels and adds ``offset``."""
    tensors: dict[str, torch.Tensor] = {}
    for index in range(convolutions + 1):
        into = 3 if index == 0 else features
        tensors[f"body.{2 * index}.weight"] = torch.zeros(features, into, 3, 3)
        tensors[f"body.{2 * index}.bias"] = torch.zeros(features)
        tensors[f"body.{2 * index + 1}.weight"] = torch.full((features,), 0.25)
    last = 2 * (convolutions + 1)
    tensors[f"body.{last}.weight"] = torch.zeros(48, features, 3, 3)
    tensors[f"body.{last}.bias"] = torch.full((48,), offset)
    return tensors


def save(tensors: dict[str, torch.Tensor], path: Path, *, key: str | None = "params_ema") -> Path:
    """Write ``tensors`` as upstream does, under ``key`` (``None``: bare); .safetensors by suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(tensors, path)
    else:
        torch.save({key: tensors} if key else tensors, path)
    return path


def repeated(image: np.ndarray, scale: int) -> np.ndarray:
    """``image`` with every pixel repeated: what :func:`nearest_x4` must give."""
    return image.repeat(scale, axis=0).repeat(scale, axis=1)
