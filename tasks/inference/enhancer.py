"""Enhancement: what a backend is, and the one function that picks and runs one.

A backend turns RGB pixels into ``scale`` times as many; everything around that is the same for all of them
and is done here: grey and alpha, the depth of the pixels, and the fallback, which happens only where the
caller allows it and is always said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from math import ceil
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...core.errors import Code, RealmError
from .models import ModelSpec, model_named
from .tiles import MIN_OVERLAP, from_unit, full_scale, to_unit
from .turns import turn, waited

if TYPE_CHECKING:
    from .face_restorer import FaceRequest, FacesDone

Progress = Callable[[int, int], None]
"""Called with the tiles done and the tiles in all; first when the work begins, with none done."""

Check = Callable[[], None]
"""Called between tiles; raises where the work should end."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, as data."""

    learned: bool
    """Whether it runs the network that the request names; one that does not is a degraded stand-in."""
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    scales: tuple[int, ...] = (1, 2, 3, 4)
    faces: str = "spandrel"
    """Whose network restores faces: one of :data:`.face_restorer.MAKERS`."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. ``scale`` is of the result, whatever the network's own; ``outscale``, where given, is a
    factor that need not be whole and stands above it. ``tile`` 0 chooses by picture and memory; ``memory_mb`` bounds
    the working memory on a CPU (a GPU's free memory is measured). ``cpu_allowed``: whether a GPU without memory
    enough may hand over to the CPU. ``compiled``: whether torch is to compile the network. ``faces``: how faces are
    restored, where they are to be."""

    model: ModelSpec
    models_folder: Path
    scale: int = 2
    outscale: float | None = None
    device: str = "cpu"
    precision: str = "auto"
    denoise: float | None = None
    tile: int = 0
    overlap: int = MIN_OVERLAP
    memory_mb: int = 2048
    weights: Path | None = None
    weights_sha256: str | None = None
    cpu_allowed: bool = False
    compiled: bool = False
    faces: FaceRequest | None = None

    @property
    def factor(self) -> float:
        """How many times as large the result is."""
        return float(self.scale) if self.outscale is None else self.outscale


@dataclass(frozen=True, slots=True)
class Upscaled:
    """A backend's result: pixels of the input's dtype, and how they were made. ``denoise`` is the strength
    applied."""

    pixels: np.ndarray
    device: str
    precision: str
    tiles: int
    tile: int
    denoise: float | None = None
    notes: tuple[str, ...] = ()


class Upscaler(Protocol):
    """A backend opened for one request."""

    @property
    def identity(self) -> str:
        """What makes the pixels, with the digest of its weights where it has any."""
        ...

    @property
    def scale(self) -> int:
        """How many times as large the result is."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the backend can do."""
        ...

    def upscale(self, rgb: np.ndarray, progress: Progress, check: Check) -> Upscaled:
        """Upscale RGB pixels (H, W, 3) of dtype uint8, uint16 or float32 within 0–1."""
        ...


@dataclass(frozen=True, slots=True)
class Enhanced:
    """The enhanced picture, and everything that a person should know about how it was made."""

    pixels: np.ndarray
    backend: str
    identity: str
    degraded_reason: str | None
    work: Upscaled
    seconds: float
    """What the network took, without the wait for its device."""
    faces: FacesDone | None = None

    @property
    def degraded(self) -> bool:
        """Whether another backend than the one asked for made it."""
        return self.degraded_reason is not None


BLEED = 17
"""Side of the square, in source pixels, within which a transparent pixel takes its colour from visible
ones."""

BACKENDS: Mapping[str, str] = {
    "torch": ".backends.torch_sr",
    "realesrgan": ".backends.realesrgan_sr",
    "classical": ".backends.classical",
}
"""Backend by name: a module with ``CAPABILITIES`` and ``open_upscaler(request)``, imported when it is
used."""

AUTO = "torch"
"""What ``auto`` means: the backend that runs the model named."""

FALLS_BACK = frozenset({Code.DEPENDENCY_FAILURE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED})
"""Failures that a fallback may stand in for. A damaged or hostile weights file is never among them."""


def _smaller_model(backend: str, request: Request) -> tuple[str, Request] | None:
    if request.model.smaller is None:
        return None
    model = model_named(request.model.smaller)
    return backend, replace(request, model=model, weights=None, weights_sha256=None)


def _classical(backend: str, request: Request) -> tuple[str, Request] | None:
    return None if backend == "classical" else ("classical", replace(request, device="cpu"))


StandIn = Callable[[str, Request], tuple[str, Request] | None]
STAND_INS: Mapping[str, StandIn] = {"smaller-model": _smaller_model, "classical": _classical}
"""What may be done instead, by name: the backend and the request that stand in, where there are such."""


def enhance(
    image: np.ndarray,
    request: Request,
    *,
    backend: str = "auto",
    fallbacks: Sequence[str] = (),
    progress: Progress = lambda done, total: None,
    check: Check = lambda: None,
) -> Enhanced:
    """Enhance a picture: (H, W), or (H, W, C) with grey, grey + alpha, RGB or RGBA, of uint8 or uint16.

    When ``backend`` cannot run for want of weights, packages, memory or time, the ``fallbacks`` (names of
    :data:`STAND_INS`) are tried in turn and ``degraded_reason`` says why; without one that can, the error says how to
    allow it.
    """
    chosen = AUTO if backend == "auto" else backend
    try:
        return _enhance_with(chosen, request, image, progress, check)
    except RealmError as error:
        if error.code not in FALLS_BACK:
            raise
        failure = error
    reason = f"{chosen} could not run: {failure.record.message}"
    for fallback in fallbacks:
        if (stand_in := STAND_INS[fallback](chosen, request)) is None:
            continue
        try:
            made = _enhance_with(*stand_in, image, progress, check)
        except RealmError as error:
            if error.code not in FALLS_BACK:
                raise
            reason += f"; {fallback} could not stand in: {error.record.message}"
        else:
            return replace(made, degraded_reason=reason)
    raise failure if fallbacks else _with_way_out(failure)


def scaled(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Two sides enlarged ``factor`` times, in whole pixels.

    >>> scaled((3, 1), 1.5), scaled((640, 480), 2)
    ((4, 2), (1280, 960))
    """
    first, second = (max(1, round(side * factor)) for side in size)
    return first, second


def capabilities(backend: str) -> Capabilities:
    """What ``backend`` can do; NOT_FOUND when there is no such backend."""
    return _module(backend).CAPABILITIES


def open_upscaler(backend: str, request: Request) -> Upscaler:
    """``backend`` opened for ``request``. OUT_OF_RANGE for a scale that it cannot make."""
    module = _module(backend)
    if request.scale not in module.CAPABILITIES.scales:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"scale_factor {request.scale} is not possible with {backend}",
            hint=f"use one of {', '.join(map(str, module.CAPABILITIES.scales))}",
        )
    return module.open_upscaler(request)


def _enhance_with(
    name: str, request: Request, image: np.ndarray, progress: Progress, check: Check
) -> Enhanced:
    if request.outscale is not None:
        request = replace(request, scale=ceil(request.outscale))
    colour, alpha = _split(image)
    began = monotonic() - waited()
    with turn(request.device, check):
        upscaler = open_upscaler(name, request)
    work = upscaler.upscale(colour, progress, check)
    faces = _restore_faces(colour, work, upscaler, request, check)
    seconds = monotonic() - waited() - began
    pixels = _join(work.pixels, alpha, image, upscaler.scale)
    pixels = _reduced(pixels, image, request.factor)
    return Enhanced(pixels, name, upscaler.identity, None, work, seconds, faces)


def _restore_faces(
    colour: np.ndarray, work: Upscaled, upscaler: Upscaler, request: Request, check: Check
) -> FacesDone | None:
    """Restore the faces in the result, where that is asked for."""
    if request.faces is None:
        return None
    from .face_restorer import restore_faces

    # What needs no network of its own runs on the CPU, and says so with a precision that is none.
    precision = work.precision if work.precision in ("bf16", "fp16") else "fp32"
    return restore_faces(
        colour,
        work.pixels,
        upscaler.scale,
        request.faces,
        maker=upscaler.capabilities.faces,
        device=work.device,
        precision=precision,
        check=check,
    )


def _reduced(pixels: np.ndarray, image: np.ndarray, factor: float) -> np.ndarray:
    """``pixels`` at ``factor`` times the size of ``image`` by area, where they are larger."""
    height, width = scaled((image.shape[0], image.shape[1]), factor)
    if pixels.shape[:2] == (height, width):
        return pixels
    from ..opencv import cv2

    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return small.reshape(height, width, *pixels.shape[2:])


def _split(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The colour of ``image`` as RGB, and its alpha."""
    full_scale(image.dtype)
    planes = image[:, :, None] if image.ndim == 2 else image
    if planes.ndim != 3 or planes.shape[2] not in (1, 2, 3, 4):
        raise RealmError(Code.INVALID_ARGUMENT, f"an array of shape {image.shape} is not a picture")
    colour = planes[:, :, :3] if planes.shape[2] >= 3 else np.repeat(planes[:, :, :1], 3, axis=2)
    if planes.shape[2] in (1, 3):
        return np.ascontiguousarray(colour), None
    return _spread(colour, planes[:, :, -1]), planes[:, :, -1]


def _spread(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """``colour`` with that of nearby visible pixels where ``alpha`` is 0: whatever an editor left there
    (black, mostly) would otherwise bleed into the visible edge."""
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return np.ascontiguousarray(colour)
    from ..opencv import cv2

    visible = (~hidden).astype(np.float32)
    total = cv2.blur(colour.astype(np.float32) * visible[:, :, None], (BLEED, BLEED))
    share = cv2.blur(visible, (BLEED, BLEED))
    known = hidden & (share > 0)
    spread = np.array(colour)
    spread[known] = (total[known] / share[known][:, None] + 0.5).astype(colour.dtype)
    return spread


def _join(rgb: np.ndarray, alpha: np.ndarray | None, image: np.ndarray, scale: int) -> np.ndarray:
    """``rgb`` in the layout of ``image``, with the alpha resampled by itself."""
    channels = 1 if image.ndim == 2 else image.shape[2]
    planes = rgb if channels >= 3 else _grey(rgb)[:, :, None]
    if alpha is not None:
        from .backends.classical import resample

        planes = np.concatenate([planes, resample(alpha, scale)[:, :, None]], axis=2)
    return planes[:, :, 0] if image.ndim == 2 else planes


def _grey(rgb: np.ndarray) -> np.ndarray:
    # Three equal channels go in; a network gives back three that differ by a trifle.
    return from_unit(to_unit(rgb).mean(axis=2), rgb.dtype)


def _with_way_out(error: RealmError) -> RealmError:
    way = "or allow resampling instead with `fallback: classical`"
    return RealmError(
        error.code,
        error.record.message,
        hint=f"{error.hint}; {way}" if error.hint else way,
        details=error.record.details,
    )


def _module(backend: str) -> Any:
    if (path := BACKENDS.get(backend)) is None:
        known = ", ".join(BACKENDS)
        raise RealmError(Code.NOT_FOUND, f"there is no backend {backend!r}", hint=f"there are {known}")
    return import_module(path, __package__)
