"""The networks we know, as data: where their weights come from, what they can do, what they need.

Names are those of the platform specification (001 §3.2.2) and of Real-ESRGAN's own releases. A digest
stands here only where independent publications of it agree; ``None`` means that the file is not checked,
not that it is safe.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import Code, RealmError

_RELEASES = "https://github.com/xinntao/Real-ESRGAN/releases/download"


@dataclass(frozen=True, slots=True)
class WeightsSource:
    """One weights file: its name in the models folder, where it is published, and what its bytes must be."""

    file: str
    url: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What one forward pass needs: ``fixed_mb`` whatever the size, plus activations.

    ``values_per_pixel`` is how many numbers are alive at the peak for each *input* pixel. Measured on the
    CPU in fp32 (x4plus 2,175; x2plus 553; general-x4v3 130), rounded up by a tenth or more for cuDNN's
    workspaces.
    """

    values_per_pixel: int
    fixed_mb: int = 450

    def needed_mb(self, pixels: int, bytes_per_value: int = 4) -> int:
        """MiB for a batch of ``pixels`` input pixels in all."""
        return self.fixed_mb + -(-pixels * self.values_per_pixel * bytes_per_value // (1 << 20))

    def pixels_within(self, budget_mb: float, bytes_per_value: int = 4) -> int:
        """The most input pixels that fit into ``budget_mb``; 0 when not even the network does."""
        return max(
            0, int((budget_mb - self.fixed_mb) * (1 << 20) / (self.values_per_pixel * bytes_per_value))
        )


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One known model that takes a picture and gives one ``scale`` times as large: super-resolution, or, with ``scale``
    1, restoration.

    ``build`` is for a model of your own: it makes the network of the weights file. That is a ``torch.nn.Module`` from
    (N, 3, H, W) within 0–1 to (N, 3, ``scale`` · H, ``scale`` · W). Without it spandrel recognises the network.
    ``architecture`` is spandrel's id of the network; ``blocks`` its residual blocks (ESRGAN) or body
    convolutions (Compact). Input sides must be multiples of ``size_multiple``; tiles are padded to that.
    ``weak_denoise`` is the companion whose weights are mixed in by ``denoise_strength`` (1 is this model
    alone, 0 the companion alone). ``smaller`` is a model that needs less memory and may stand in where that is allowed.
    ``doubling`` is the same kind of network made for ×2, which is cheaper where no more than that is wanted.
    """

    name: str
    title: str
    weights: WeightsSource
    architecture: str = "own"
    blocks: int = 0
    scale: int = 1
    memory: Memory = Memory(400)
    build: Callable[[Path], Any] | None = None
    size_multiple: int = 1
    dtypes: tuple[str, ...] = ("fp32", "bf16", "fp16")
    tiling: bool = True
    licence: str = "BSD-3-Clause"
    task: str = "super-resolution"
    weak_denoise: WeightsSource | None = field(default=None)
    smaller: str | None = None
    doubling: str | None = None

    @property
    def controls_denoise(self) -> bool:
        """Whether the network itself has a denoise control."""
        return self.weak_denoise is not None


MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="realesrgan-x4plus",
        title="Real-ESRGAN ×4 for photos",
        weights=WeightsSource(
            "RealESRGAN_x4plus.pth",
            f"{_RELEASES}/v0.1.0/RealESRGAN_x4plus.pth",
            "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
        ),
        architecture="ESRGAN",
        blocks=23,
        scale=4,
        memory=Memory(2400),
        smaller="realesr-general-x4v3",
        doubling="realesrgan-x2plus",
    ),
    ModelSpec(
        name="realesrgan-x4plus-anime",
        title="Real-ESRGAN ×4 for drawings, small",
        weights=WeightsSource(
            "RealESRGAN_x4plus_anime_6B.pth",
            f"{_RELEASES}/v0.2.2.4/RealESRGAN_x4plus_anime_6B.pth",
            "f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da",
        ),
        architecture="ESRGAN",
        blocks=6,
        scale=4,
        memory=Memory(2400),
        smaller="realesr-general-x4v3",
    ),
    ModelSpec(
        name="realesrnet-x4plus",
        title="Real-ESRNet ×4: no invented texture, softer",
        weights=WeightsSource("RealESRNet_x4plus.pth", f"{_RELEASES}/v0.1.1/RealESRNet_x4plus.pth"),
        architecture="ESRGAN",
        blocks=23,
        scale=4,
        memory=Memory(2400),
        smaller="realesr-general-x4v3",
    ),
    ModelSpec(
        name="realesrgan-x2plus",
        title="Real-ESRGAN ×2 for photos, four times cheaper than ×4",
        weights=WeightsSource(
            "RealESRGAN_x2plus.pth",
            f"{_RELEASES}/v0.2.1/RealESRGAN_x2plus.pth",
            "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
        ),
        architecture="ESRGAN",
        blocks=23,
        scale=2,
        memory=Memory(620),
        smaller="realesr-general-x4v3",
        size_multiple=4,
    ),
    ModelSpec(
        name="realesr-general-x4v3",
        title="Real-ESRGAN general ×4 v3: compact, fifteen times cheaper, with denoise control",
        weights=WeightsSource(
            "realesr-general-x4v3.pth",
            f"{_RELEASES}/v0.2.5.0/realesr-general-x4v3.pth",
            "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
        ),
        architecture="Compact",
        blocks=32,
        scale=4,
        memory=Memory(160),
        weak_denoise=WeightsSource(
            "realesr-general-wdn-x4v3.pth",
            f"{_RELEASES}/v0.2.5.0/realesr-general-wdn-x4v3.pth",
            "1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca",
        ),
    ),
)

_BY_NAME = {model.name: model for model in MODELS}


def model_named(name: str) -> ModelSpec:
    """The model ``name``, one of ours or of your own; NOT_FOUND with close matches.

    >>> model_named("realesrgan-x2plus").scale
    2
    >>> model_named("realesrgan-x4-plus")
    Traceback (most recent call last):
    ...
    mirror_realm.core.errors.RealmError: NOT_FOUND: there is no model 'realesrgan-x4-plus'
    """
    if (model := _BY_NAME.get(name)) is not None:
        return model
    from .own import own_specs

    known = {model.name: model for model in own_specs()} | _BY_NAME
    if (model := known.get(name)) is not None:
        return model
    # People write the upstream file's name, too: RealESRGAN_x4plus.
    close = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"there are {', '.join(known)}"
    raise RealmError(Code.NOT_FOUND, f"there is no model {name!r}", hint=hint)


def model_of(source: WeightsSource) -> str | None:
    """The name of the super-resolution model that ``source`` belongs to."""
    from .own import own_specs

    models = (*MODELS, *own_specs())
    return next((m.name for m in models if source in (m.weights, m.weak_denoise)), None)
