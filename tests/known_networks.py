"""Real architectures with weights whose answer is known, and that answer computed another way, by OpenCV.

``from tests.known_networks import KNOWN``. Each network is built of the tensors that upstream publishes (RRDBNet's
residual blocks pass their input on, PReLU's slope is 1), so that what it computes is linear and can be said in a
line. OpenCV repeats the picture's edge where a network sees zeros: the answers agree ``margin`` source pixels from
the border on.

* ``bicubic x4``: SRVGGNetCompact that resamples by Keys' cubic kernel (a = -0.75), exactly.
* ``smooth x4``: RRDBNet whose first enlargement is that kernel ×2, and whose second is linear ×2.
* ``folded x2``: the same in x2plus's form, which first folds 2 × 2 pixels together; each block becomes its mean by
  unequal weights, so that a tile that begins inside a block cannot pass unseen. (No network of this form can repeat
  pixels: on a picture with a period of two it sees a constant.)
* ``far x4``: SRVGGNetCompact that looks :data:`FAR` pixels far, a binomial blur, then repeats pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from .networks import rrdbnet

Tensors = dict[str, torch.Tensor]

SHIFTS = (-1, 0, 1)
FAR = 12
FOLD = ((0.4, 0.3), (0.2, 0.1))
"""Weights of the pixels of a 2 × 2 block, row by row."""

BIAS = 0.5
"""Added inside RRDBNets, so that what overshoots below zero is not bent by their activations."""


@dataclass(frozen=True)
class Known:
    """A network of ``model``'s kind, and the same enlargement of a float32 picture (H, W, 3) done without it."""

    model: str
    scale: int
    margin: int
    tensors: Callable[[], Tensors]
    answer: Callable[[np.ndarray], np.ndarray]


def cubic(distance: float) -> float:
    """Keys' kernel as OpenCV has it."""
    d, a = abs(distance), -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def gathering(
    features: int, channels: int = 3, blocks: tuple[tuple[float, ...], ...] = ((1.0,),)
) -> torch.Tensor:
    """A 3 × 3 layer that gives, for each colour, the picture shifted by each of 3 × 3 places; ``blocks`` weighs the
    channels that were folded together."""
    side = len(blocks)
    kernel = torch.zeros(features, channels, 3, 3)
    for colour in range(3):
        for place, (down, across) in enumerate((y, x) for y in SHIFTS for x in SHIFTS):
            for y, row in enumerate(blocks):
                for x, weight in enumerate(row):
                    kernel[colour * 9 + place, colour * side**2 + y * side + x, 1 + down, 1 + across] = weight
    return kernel


def bicubic_x4(convolutions: int = 2) -> Tensors:
    """SRVGGNetCompact: nine shifted pictures of each colour, then for each of 16 phases its 5 × 5 weights."""
    features = 27
    tensors = _compact(features, convolutions, gathering(features), _passing(features))
    last = tensors[f"body.{2 * (convolutions + 1)}.weight"]
    for colour in range(3):
        for phase in range(16):
            offsets = [(q + 0.5) / 4 - 0.5 for q in divmod(phase, 4)]
            for y in range(-2, 3):
                for x in range(-2, 3):
                    weight = cubic(y - offsets[0]) * cubic(x - offsets[1]) - (x == y == 0)
                    down, across = max(-1, min(1, y)), max(-1, min(1, x))
                    place = (down + 1) * 3 + across + 1
                    last[colour * 16 + phase, colour * 9 + place, 1 + y - down, 1 + x - across] += weight
    return tensors


def repeating_x4(convolutions: int = 2) -> Tensors:
    """The companion of :func:`bicubic_x4`, of the same shape, that repeats pixels: its last layer adds nothing."""
    tensors = bicubic_x4(convolutions)
    tensors[f"body.{2 * (convolutions + 1)}.weight"].zero_()
    return tensors


def far_x4() -> Tensors:
    """SRVGGNetCompact: three features stay the picture, three are blurred by each of the :data:`FAR` layers."""
    tent = torch.tensor([1.0, 2.0, 1.0]) / 4
    blur = _passing(6)
    for channel in range(3, 6):
        blur[channel, channel] = torch.outer(tent, tent)
    first = blur[:, :3].clone()
    first[3:] = blur[3:, 3:]
    tensors = _compact(6, FAR - 1, first, blur)
    last = tensors[f"body.{2 * FAR}.weight"]
    for channel in range(48):
        last[channel, channel // 16, 1, 1], last[channel, 3 + channel // 16, 1, 1] = -1.0, 1.0
    return tensors


def smooth(blocks: int = 1, *, folded: bool = False) -> Tensors:
    """RRDBNet: nine shifted pictures of each colour pass the trunk; then cubic ×2, then linear ×2."""
    features = 27
    kernels = {name: _passing(features) for name in ("conv_body", "conv_hr")}
    kernels["conv_body"] /= 1.2**blocks
    # The trunk's result and what goes around it come together: two equal halves.
    channels, fold = (12, FOLD) if folded else (3, ((1.0,),))
    kernels["conv_first"] = gathering(features, channels, fold) / 2
    kernels["conv_up1"] = _cubic_x2(features)
    tent = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernels["conv_up2"] = _passing(features) * 0
    for channel in range(3):
        kernels["conv_up2"][channel, channel] = torch.outer(tent, tent)
    kernels["conv_last"] = _passing(features)[:3]

    def make(name: str, out: int, into: int) -> torch.Tensor:
        return kernels.get(name, torch.zeros(out, into, 3, 3))

    tensors = rrdbnet(features, blocks, 2, channels, make)
    tensors["conv_up1.bias"][:3] = BIAS
    tensors["conv_last.bias"][:] = -BIAS
    return tensors


def _cubic_x2(features: int) -> torch.Tensor:
    """What a 3 × 3 layer over repeated pixels must be to resample by the cubic kernel, given the shifted pictures.

    Over repeated pixels, taps (a, b, c) give a·p[i-1] + (b + c)·p[i] at an even place, (a + b)·p[i] + c·p[i+1] at an
    odd one; these are the taps for the pictures shifted by -1, 0, 1 with which the sums are the kernel's weights.
    """
    w = [cubic(tap + 0.25) for tap in (-2, -1, 0, 1)]
    side = w[1] - w[3] + w[0]
    taps = torch.tensor(
        [
            [w[0], w[3] - w[0], 0.0],
            [side, w[2] - w[1] + w[3] - w[0], side],
            [0.0, w[3] - w[0], w[0]],
        ]
    )
    kernel = torch.zeros(features, features, 3, 3)
    for colour in range(3):
        for place in range(9):
            kernel[colour, colour * 9 + place] = torch.outer(taps[place // 3], taps[place % 3])
    return kernel


def _passing(features: int) -> torch.Tensor:
    return torch.eye(features)[:, :, None, None] * torch.nn.functional.pad(torch.ones(1, 1), (1, 1, 1, 1))


def _compact(features: int, convolutions: int, first: torch.Tensor, body: torch.Tensor) -> Tensors:
    """SRVGGNetCompact's tensors with a last layer of zeros."""
    tensors: Tensors = {}
    for index in range(convolutions + 1):
        tensors[f"body.{2 * index}.weight"] = first if index == 0 else body.clone()
        tensors[f"body.{2 * index}.bias"] = torch.zeros(features)
        tensors[f"body.{2 * index + 1}.weight"] = torch.ones(features)
    tensors[f"body.{2 * (convolutions + 1)}.weight"] = torch.zeros(48, features, 3, 3)
    tensors[f"body.{2 * (convolutions + 1)}.bias"] = torch.zeros(48)
    return tensors


# -- the answers ------------------------------------------------------------------------------------------


def enlarged(picture: np.ndarray, scale: int, method: int) -> np.ndarray:
    """OpenCV's enlargement by a whole factor."""
    height, width = picture.shape[:2]
    return cv2.resize(picture, (width * scale, height * scale), interpolation=method)


def smoothed(picture: np.ndarray) -> np.ndarray:
    """Cubic ×2, then linear ×2."""
    return enlarged(enlarged(picture, 2, cv2.INTER_CUBIC), 2, cv2.INTER_LINEAR)


def folded(picture: np.ndarray) -> np.ndarray:
    """Each 2 × 2 block's weighted mean, then :func:`smoothed`; an odd last row or column is repeated."""
    height, width = picture.shape[:2]
    even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    means = sum(FOLD[y][x] * even[y::2, x::2] for y in range(2) for x in range(2))
    return smoothed(np.asarray(means, np.float32))[: height * 2, : width * 2]


def blurred(picture: np.ndarray) -> np.ndarray:
    """A binomial blur of :data:`FAR` steps, then repeated pixels."""
    kernel = np.array([1.0])
    for _ in range(FAR):
        kernel = np.convolve(kernel, [0.25, 0.5, 0.25])
    soft = cv2.sepFilter2D(picture, cv2.CV_32F, kernel, kernel)
    return enlarged(soft, 4, cv2.INTER_NEAREST)


KNOWN = {
    "bicubic x4": Known(
        "realesr-general-x4v3", 4, 3, bicubic_x4, lambda picture: enlarged(picture, 4, cv2.INTER_CUBIC)
    ),
    "smooth x4": Known("realesrgan-x4plus", 4, 4, smooth, smoothed),
    "folded x2": Known("realesrgan-x2plus", 2, 8, lambda: smooth(folded=True), folded),
    "far x4": Known("realesr-general-x4v3", 4, FAR + 1, far_x4, blurred),
}
