"""Super-resolution networks in torch, on a CPU or a GPU, tile by tile.

Three things go wrong with such networks in practice, and each has one bounded answer here. Out of memory:
halve the batch, then the tile, down to a smallest one, then give up with the figures; tiles that are done
stay done. Numbers that are not finite, in half precision: the same tiles again in bf16, then in fp32.
Anything else is an error, never a tile of other pixels.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np

from ....core.errors import Code, RealmError
from ..compat import require_installed, require_torch
from ..enhancer import Capabilities, Check, Progress, Request, Upscaled
from ..networks import BYTES, LOWER_TO_HIGHER, Network, NetworkSource, choose_precision, network, torch_dtype
from ..tiles import MIN_TILE, QUANTUM, Canvas, Plan, plan_tiles, reduction, to_unit
from ..weights import find_weights

CAPABILITIES = Capabilities(learned=True, devices=("cpu", "cuda"), precisions=("fp32", "bf16", "fp16"))

CPU_TILE = 256
"""Largest tile chosen on a CPU: its seconds bound how long a cancellation waits."""

MAX_BATCH = 8
"""Tiles in one pass on a GPU; beyond this nothing is gained."""

MEGAPIXEL = 1 << 20


class TorchUpscaler:
    """One network at work on one request."""

    capabilities = CAPABILITIES

    def __init__(self, request: Request, source: NetworkSource, first: Network) -> None:
        self.scale = request.scale
        self._request = request
        self._source = source
        self._network = first
        self._notes: list[str] = []
        self._last_refusal = ""

    @property
    def identity(self) -> str:
        """The model's name and the first digits of its weights' sha256."""
        return self._network.identity

    def upscale(self, rgb: np.ndarray, progress: Progress, check: Check) -> Upscaled:
        """See :class:`..enhancer.Upscaler`. RESOURCE_EXHAUSTED when not even the smallest tile fits,
        DATA_CORRUPTED when the network gives numbers that are not finite even in fp32."""
        plan = self._plan(*rgb.shape[:2])
        canvas = Canvas(plan, self.scale, 3, rgb.dtype)
        size = self._batch_size(plan)
        done = 0
        while done < len(plan):
            check()
            group = plan.tiles[done : done + size]
            pieces = np.stack([to_unit(plan.cut(rgb, tile)) for tile in group])
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
            (self._network.description, *self._notes),
        )

    def _plan(self, height: int, width: int) -> Plan:
        request = self._request
        limit = pixel_budget(request, self._network)
        tile = request.tile or choose_tile(
            height, width, limit, CPU_TILE if request.device == "cpu" else None
        )
        return plan_tiles(height, width, tile, overlap=request.overlap, multiple=request.model.size_multiple)

    def _batch_size(self, plan: Plan) -> int:
        if self._request.device == "cpu":
            return 1
        height, width = plan.tile_shape
        return max(1, min(MAX_BATCH, pixel_budget(self._request, self._network) // (height * width)))

    def _run(self, pieces: np.ndarray, check: Check) -> np.ndarray:
        """The results for ``pieces`` (N, H, W, 3), with the batch or the tile made smaller where memory
        runs out."""
        count, height, width = pieces.shape[:3]
        if self._network.fits(pixels := count * height * width):
            if (result := self._attempt(pieces)) is not None:
                return result
            self._network.refuse(pixels)
        if count > 1:
            return np.concatenate([self._run(half, check) for half in np.array_split(pieces, 2)])
        return self._run_smaller(pieces[0], check)[None]

    def _run_smaller(self, piece: np.ndarray, check: Check) -> np.ndarray:
        height, width = piece.shape[:2]
        if max(height, width) <= MIN_TILE:
            raise self._exhausted(height, width)
        tile = max(MIN_TILE, max(height, width) // 2 // QUANTUM * QUANTUM)
        self._note(f"memory ran out at tiles of {max(height, width)}: went on with {tile}")
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
        return canvas.finish()

    def _attempt(self, pieces: np.ndarray) -> np.ndarray | None:
        """One pass; ``None`` when it ran out of memory."""
        try:
            return self._finite_pass(pieces)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
                raise
            self._last_refusal = str(error).splitlines()[0] if str(error) else type(error).__name__
        # Outside the handler, so that the error's frames no longer hold the tensors that did not fit.
        if self._network.device != "cpu":
            require_torch().cuda.empty_cache()
        return None

    def _finite_pass(self, pieces: np.ndarray) -> np.ndarray:
        while (result := forward(self._network, pieces, self.scale)) is None:
            precision = self._network.precision
            higher = LOWER_TO_HIGHER.get(precision)
            if higher is None:
                raise RealmError(
                    Code.DATA_CORRUPTED,
                    f"{self.identity} gives numbers that are not finite, in fp32 too",
                    hint="fetch the weights again",
                )
            self._note(f"{precision} gave numbers that are not finite: went on in {higher}")
            self._network = network(self._source, self._network.device, higher)
        return result

    def _exhausted(self, height: int, width: int) -> RealmError:
        needed = self._request.model.memory.needed_mb(height * width, BYTES[self._network.precision])
        free = free_memory_mb(self._network.device)
        return RealmError(
            Code.RESOURCE_EXHAUSTED,
            f"{self.identity} does not fit on {self._network.device}: a tile of {width}×{height} needs about "
            f"{needed} MiB, {free if free is not None else 'an unknown number of'} MiB are free",
            hint="free memory on the device, or use a smaller model such as realesr-general-x4v3",
            details={
                "cause": self._last_refusal,
                "device": self._network.device,
                "needed_mb": needed,
                "free_mb": free,
                "tile": [height, width],
            },
        )

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)


def open_upscaler(request: Request) -> TorchUpscaler:
    """The backend for ``request``, its network loaded. DEPENDENCY_FAILURE without torch or weights,
    OUT_OF_RANGE when the model cannot make a result so large."""
    model = request.model
    if request.scale > model.scale:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"{model.name} enlarges {model.scale} times, not {request.scale}",
            hint=f"set scale_factor to at most {model.scale}, or use realesrgan-x4plus",
        )
    source = NetworkSource(
        model, request.models_folder, request.weights, request.weights_sha256, request.denoise
    )
    # What can be missing is looked for before torch is imported, which takes seconds: where the weights are not
    # there, a fallback should not wait for it.
    require_installed()
    find_weights(model.weights, request.models_folder, explicit=request.weights)
    precision = choose_precision(request.precision, request.device, model)
    return TorchUpscaler(request, source, network(source, request.device, precision))


def forward(network: Network, pieces: np.ndarray, target: int) -> np.ndarray | None:
    """One pass of ``pieces`` (N, H, W, 3; float32 within 0–1), shrunk to ``target`` times their size, as
    float32; ``None`` when the network gave numbers that are not finite."""
    torch = require_torch()
    with torch.inference_mode():
        # (N, H, W, C) seen as (N, C, H, W) is channels_last already: no copy on a CPU.
        batch = torch.from_numpy(np.ascontiguousarray(pieces)).permute(0, 3, 1, 2)
        if network.device != "cpu":
            batch = batch.pin_memory()
        batch = batch.to(
            network.device,
            torch_dtype(network.precision),
            non_blocking=True,
            memory_format=torch.channels_last,
        )
        result = network.module(batch)
        # Before the clamp, which would make a white pixel of an infinite one.
        if not all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(result)):
            return None
        result = _shrunk(result.float().clamp_(0.0, 1.0), network.scale, target)
        return result.permute(0, 2, 3, 1).cpu().numpy()


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


def choose_tile(height: int, width: int, pixels: int, largest: int | None = None) -> int:
    """The tile for a picture when a pass may hold ``pixels``; 0 for the whole picture at once.

    The platform specification's suggestion (above 12 megapixels 300, above 6 megapixels 400) bounds it.
    """
    size = height * width
    suggested = 300 if size > 12 * MEGAPIXEL else 400 if size > 6 * MEGAPIXEL else 0
    bounds = [bound for bound in (suggested, largest) if bound]
    if size <= pixels and all(size <= bound * bound for bound in bounds):
        return 0
    return max(MIN_TILE, min(isqrt(pixels), *bounds) if bounds else isqrt(pixels))


def pixel_budget(request: Request, network: Network) -> int:
    """How many input pixels one pass may hold."""
    if request.device == "cpu":
        budget = float(request.memory_mb)
    else:
        budget = 0.8 * (free_memory_mb(request.device) or request.memory_mb)
    pixels = request.model.memory.pixels_within(budget, BYTES[network.precision])
    return pixels if network.ceiling is None else min(pixels, network.ceiling - 1)


def free_memory_mb(device: str) -> int | None:
    """MiB that this process could still take on ``device``; ``None`` where the system does not tell."""
    if device != "cpu":
        cuda = require_torch().cuda
        cached = cuda.memory_reserved(device) - cuda.memory_allocated(device)
        return (cuda.mem_get_info(device)[0] + cached) >> 20
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) >> 10
    except (OSError, KeyError, ValueError):
        return None


def _out_of_memory(error: BaseException) -> bool:
    # A CPU's allocators have no exception of their own: torch's names itself, oneDNN only says that it could not
    # create what it needed. The way down is bounded, and the error at its end quotes this one.
    torch = require_torch()
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(sign in str(error) for sign in ("DefaultCPUAllocator", "could not create a primitive"))
