"""Super-resolution networks in torch, on a CPU or a GPU, tile by tile.

Three things go wrong with such networks in practice, and each has one bounded answer. Out of memory: halve the batch,
then the tile, down to a smallest one, then what :mod:`..ladder` has (fewer bytes, another device), then give up with
the figures; tiles that are done stay done. Numbers that are not finite, in half precision: the same tiles again in
bf16, then in fp32. Anything else is an error, never a tile of other pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....core.errors import Code, RealmError
from ..canvas import Canvas
from ..compat import require_installed, require_torch
from ..enhancer import Capabilities, Check, Progress, Request, Upscaled
from ..ladder import Ladder, first_line
from ..memory import choose_tile, pixel_budget, ran_out
from ..networks import Network, NetworkSource, torch_dtype
from ..tiles import MIN_TILE, QUANTUM, Plan, plan_tiles, reduction, to_unit
from ..turns import turn
from ..weights import Build, build_spandrel, find_weights

CAPABILITIES = Capabilities(learned=True, devices=("cpu", "cuda"), precisions=("fp32", "bf16", "fp16"))

CPU_TILE = 256
"""Largest tile chosen on a CPU: its seconds bound how long a cancellation waits."""

MAX_BATCH = 8
"""Tiles in one pass on a GPU; beyond this nothing is gained."""


class TorchUpscaler:
    """One network at work on one request."""

    capabilities = CAPABILITIES

    def __init__(self, request: Request, ladder: Ladder) -> None:
        self.scale = request.scale
        self._request = request
        self._ladder = ladder

    @property
    def identity(self) -> str:
        """The model's name and the first digits of its weights' sha256."""
        return self._network.identity

    @property
    def _network(self) -> Network:
        return self._ladder.network

    def upscale(self, rgb: np.ndarray, progress: Progress, check: Check) -> Upscaled:
        """See :class:`..enhancer.Upscaler`. RESOURCE_EXHAUSTED when not even the smallest tile fits,
        DATA_CORRUPTED when the network gives numbers that are not finite even in fp32."""
        with require_torch().inference_mode():
            return self._upscaled(rgb, progress, check)

    def _upscaled(self, rgb: np.ndarray, progress: Progress, check: Check) -> Upscaled:
        height, width = rgb.shape[:2]
        smallest = min(height, MIN_TILE), min(width, MIN_TILE)
        while not self._network.fits(smallest[0] * smallest[1]):  # an earlier picture found out
            self._ladder.lighter(smallest)
        plan = self._plan(height, width)
        canvas = Canvas(plan, self.scale, 3, rgb.dtype, self._network.device)
        size = self._batch_size(plan)
        done = 0
        progress(done, len(plan))
        while done < len(plan):
            check()
            group = plan.tiles[done : done + size]
            pieces = np.stack([plan.cut(rgb, tile) for tile in group])
            with turn(self._network.device, check):
                for tile, pixels in zip(group, self._run(pieces, check), strict=True):
                    canvas.add(tile, pixels)
            done += len(group)
            progress(done, len(plan))
        return Upscaled(
            canvas.finish(),
            self._network.device,
            self._network.precision,
            len(plan),
            max(plan.tile_shape) if len(plan) > 1 else 0,
            self._network.denoise,
            (self._network.description, *self._ladder.notes),
        )

    def _plan(self, height: int, width: int) -> Plan:
        request = self._request
        largest = CPU_TILE if self._network.device == "cpu" else None
        tile = request.tile or choose_tile(height, width, self._budget(), largest)
        return plan_tiles(height, width, tile, overlap=request.overlap, multiple=request.model.size_multiple)

    def _batch_size(self, plan: Plan) -> int:
        if self._network.device == "cpu":
            return 1
        height, width = plan.tile_shape
        return max(1, min(MAX_BATCH, self._budget() // (height * width)))

    def _budget(self) -> int:
        return pixel_budget(self._request.model, self._network, self._request.memory_mb)

    def _run(self, pieces: np.ndarray, check: Check) -> Sequence[Any]:
        """The results for ``pieces`` (N, H, W, 3), each a tensor, with the batch or the tile made smaller where
        memory runs out."""
        count, height, width = pieces.shape[:3]
        if self._network.fits(pixels := count * height * width):
            if (result := self._attempt(pieces)) is not None:
                return result
            self._network.refuse(pixels)
        if count > 1:
            return [made for half in np.array_split(pieces, 2) for made in self._run(half, check)]
        return [self._run_smaller(pieces[0], check)]

    def _run_smaller(self, piece: np.ndarray, check: Check) -> Any:
        height, width = piece.shape[:2]
        if max(height, width) <= MIN_TILE:
            self._ladder.lighter((height, width))
            return self._run(piece[None], check)[0]
        tile = max(MIN_TILE, max(height, width) // 2 // QUANTUM * QUANTUM)
        self._ladder.note(f"memory ran out at tiles of {max(height, width)}: went on with {tile}")
        plan = plan_tiles(
            height,
            width,
            tile,
            overlap=min(self._request.overlap, tile // 4),
            multiple=self._request.model.size_multiple,
        )
        canvas = Canvas(plan, self.scale, 3, np.float32)
        for part in plan.tiles:
            check()
            canvas.add(part, self._run(plan.cut(piece, part)[None], check)[0])
        return require_torch().from_numpy(canvas.finish())

    def _attempt(self, pieces: np.ndarray) -> Any | None:
        """One pass; ``None`` when it ran out of memory."""
        try:
            return self._finite_pass(pieces)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            self._ladder.refusal = first_line(error)
        # Outside the handler, so that the error's frames no longer hold the tensors that did not fit.
        if self._network.device != "cpu":
            require_torch().cuda.empty_cache()
        return None

    def _finite_pass(self, pieces: np.ndarray) -> Any:
        while (result := forward(self._network, pieces, self.scale)) is None:
            self._ladder.finer()
        return result


def open_upscaler(request: Request) -> TorchUpscaler:
    """The backend for ``request``, its network loaded. DEPENDENCY_FAILURE without torch or weights,
    OUT_OF_RANGE when the model cannot make a result so large."""
    source = source_of(request)
    return TorchUpscaler(
        request, Ladder(source, request.device, request.precision, cpu_allowed=request.cpu_allowed)
    )


def source_of(request: Request, build: Build = build_spandrel) -> NetworkSource:
    """The network that ``request`` names, put together by ``build``; raises as :func:`open_upscaler`."""
    model = request.model
    if request.scale > model.scale:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"{model.name} enlarges {model.scale} times, not {request.scale}",
            hint=f"set scale_factor to at most {model.scale}, or use realesrgan-x4plus",
        )
    # What can be missing is looked for before torch is imported, which takes seconds: where the weights are not
    # there, a fallback should not wait for it.
    require_installed()
    find_weights(model.weights, request.models_folder, explicit=request.weights)
    return NetworkSource(
        model,
        request.models_folder,
        request.weights,
        request.weights_sha256,
        request.denoise,
        build,
        request.compiled,
    )


def forward(network: Network, pieces: np.ndarray, target: int) -> Any | None:
    """One pass of ``pieces`` (N, H, W, 3; uint8, uint16, or float32 within 0–1), shrunk to ``target`` times their
    size: float32 on the network's device; ``None`` when the network gave numbers that are not finite."""
    torch = require_torch()
    with torch.inference_mode():
        batch = _on_device(network, pieces)
        result = network.module(batch)
        _check_shape(network, tuple(batch.shape), tuple(result.shape))
        # Before the clamp, which would make a white pixel of an infinite one.
        if not all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(result)):
            return None
        result = _shrunk(result.float().clamp(0.0, 1.0), network.scale, target)
        return result.permute(0, 2, 3, 1)


def _on_device(network: Network, pieces: np.ndarray) -> Any:
    """``pieces`` as the network takes them: (N, 3, H, W) within 0–1, in its precision. Bytes travel as bytes."""
    torch = require_torch()
    eight_bits = pieces.dtype == np.uint8
    # A copy of floats: a network may give back what it was given, and its result is changed in place.
    batch = torch.from_numpy(np.ascontiguousarray(pieces) if eight_bits else np.array(to_unit(pieces)))
    if network.device != "cpu":
        batch = batch.pin_memory().to(network.device, non_blocking=True)
    batch = batch.float().div_(255) if eight_bits else batch
    # (N, H, W, C) seen as (N, C, H, W) is channels_last already: no copy where the precision is fp32.
    return batch.permute(0, 3, 1, 2).to(torch_dtype(network.precision), memory_format=torch.channels_last)


def _check_shape(network: Network, given: tuple[int, ...], made: tuple[int, ...]) -> None:
    count, channels, height, width = given
    wanted = (count, channels, height * network.scale, width * network.scale)
    if made != wanted:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"{network.identity} made {made} of {given}; ×{network.scale} would be {wanted}",
            hint="a network must give (N, 3, scale · H, scale · W): correct `scale` or `size_multiple` of the model",
        )


def _shrunk(images: Any, scale: int, target: int) -> Any:
    """Area resampling from ``scale`` to ``target`` times the source, where the network makes more than is
    asked for."""
    torch = require_torch()
    if scale == target:
        return images
    if scale % target == 0:
        return torch.nn.functional.avg_pool2d(images, scale // target)
    matrix = torch.from_numpy(reduction(scale, target)).to(images.device)
    count, channels, height, width = images.shape
    blocks = images.reshape(count, channels, height // scale, scale, width // scale, scale)
    small = torch.einsum("nchawb,ta,ub->nchtwu", blocks, matrix, matrix)
    return small.reshape(count, channels, height // scale * target, width // scale * target)
