"""Super-resolution by Real-ESRGAN's own packages (extra ``restore``): its network classes, its padding, its tiler.

Everything around the tiler is ours, and so is what upstream gets wrong. Weights are found, checked and read as for any
backend, and only then put into upstream's classes, which never see a file. Upstream's tiler prints an error and pastes
the tile before; here a failing pass ends the picture, and the way down is that of :mod:`..ladder`. Upstream keeps no
tile across a change of tile or precision: the picture begins again. Its tiles are cut, not blended, and its picture
and result lie whole on the device, which is why the ``torch`` backend is what ``auto`` means.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ....core.errors import Code, RealmError
from ..compat import require_torch, require_upstream, require_upstream_installed
from ..enhancer import Capabilities, Check, Progress, Request, Upscaled
from ..ladder import Ladder, first_line
from ..memory import choose_tile, pixel_budget, ran_out
from ..models import ModelSpec
from ..networks import Network, torch_dtype
from ..tiles import MIN_TILE, QUANTUM, from_unit, plan_tiles, to_unit
from ..turns import turn
from ..weights import Built, build_network
from .torch_sr import CPU_TILE, source_of

CAPABILITIES = Capabilities(
    learned=True, devices=("cpu", "cuda"), precisions=("fp32", "bf16", "fp16"), faces="gfpgan"
)


class _PassFailed(Exception):
    """Carries a RuntimeError (its cause) past upstream's tiler, which swallows those."""


class _NotFiniteError(Exception):
    """A pass gave numbers that are not finite."""


class UpstreamUpscaler:
    """One of upstream's networks at work on one request."""

    capabilities = CAPABILITIES

    def __init__(self, request: Request, ladder: Ladder) -> None:
        self.scale = request.scale
        self._request = request
        self._ladder = ladder

    @property
    def identity(self) -> str:
        """The model's name and the first digits of its weights' sha256."""
        return self._ladder.network.identity

    def upscale(self, rgb: np.ndarray, progress: Progress, check: Check) -> Upscaled:
        """See :class:`..enhancer.Upscaler`; RESOURCE_EXHAUSTED and DATA_CORRUPTED as the ``torch`` backend."""
        height, width = rgb.shape[:2]
        multiple = self._request.model.size_multiple
        # Upstream pads by reflection, which a picture smaller than the padding cannot have.
        padding = (0, -height % multiple), (0, -width % multiple), (0, 0)
        picture = np.pad(to_unit(rgb), padding, mode="edge")
        tile = self._first_tile(height, width)
        with turn(self._network.device, check):  # Its tiler keeps all of a picture on the device.
            while (made := self._attempt(picture, tile, progress, check)) is None:
                tile = self._smaller(tile, picture.shape[:2])
        large = made[: height * self._network.scale, : width * self._network.scale]
        return Upscaled(
            from_unit(_shrunk(large, (height * self.scale, width * self.scale)), rgb.dtype),
            self._network.device,
            self._network.precision,
            self._count(picture.shape[:2], tile),
            tile,
            self._network.denoise,
            (self._network.description, *self._ladder.notes),
        )

    @property
    def _network(self) -> Network:
        return self._ladder.network

    @property
    def _pad(self) -> int:
        # Upstream adds this on each side of a tile. Tiles must begin where the network's folding begins.
        multiple = self._request.model.size_multiple
        return -(-self._request.overlap // 2 // multiple) * multiple

    def _first_tile(self, height: int, width: int) -> int:
        """The side of what goes through the network at once, its context included; 0 for the whole picture."""
        request = self._request
        smallest = min(height, MIN_TILE), min(width, MIN_TILE)
        while not self._network.fits(smallest[0] * smallest[1]):  # an earlier picture found out
            self._ladder.lighter(smallest)
        budget = pixel_budget(request.model, self._network, request.memory_mb)
        largest = CPU_TILE if self._network.device == "cpu" else None
        tile = request.tile or choose_tile(height, width, budget, largest)
        plan = plan_tiles(height, width, tile, overlap=request.overlap, multiple=request.model.size_multiple)
        return 0 if len(plan) == 1 else tile // QUANTUM * QUANTUM

    def _core(self, tile: int) -> int:
        multiple = self._request.model.size_multiple
        return max(multiple, (tile - 2 * self._pad) // multiple * multiple)

    def _count(self, size: tuple[int, ...], tile: int) -> int:
        core = self._core(tile)
        return -(-size[0] // core) * -(-size[1] // core) if tile else 1

    def _attempt(self, picture: np.ndarray, tile: int, progress: Progress, check: Check) -> np.ndarray | None:
        """The whole picture once, within 0–1; ``None`` when memory ran out."""
        total = self._count(picture.shape[:2], tile)
        while True:
            try:
                return self._pass(picture, tile, _Guard(self._network, total, progress, check))
            except _NotFiniteError:
                self._ladder.finer()
            except (_PassFailed, RuntimeError, MemoryError) as error:
                cause = error.__cause__ if isinstance(error, _PassFailed) else error
                if cause is None or not ran_out(cause):
                    raise (cause or error) from None
                self._ladder.refusal = first_line(cause)
                break
        # Outside the handler, so that the error's frames no longer hold the tensors that did not fit.
        if self._network.device != "cpu":
            require_torch().cuda.empty_cache()
        return None

    def _pass(self, picture: np.ndarray, tile: int, guard: _Guard) -> np.ndarray:
        helper = _helper_class()(self._network, self._core(tile), self._pad, guard)
        with require_torch().inference_mode():
            helper.pre_process(picture)
            if tile:
                helper.tile_process()
            else:
                helper.process()
            result = helper.post_process()
            return result[0].permute(1, 2, 0).float().clamp_(0.0, 1.0).cpu().numpy()

    def _smaller(self, tile: int, size: tuple[int, ...]) -> int:
        """The next tile to try, or the same one with less memory needed."""
        side = tile or max(size)
        self._network.refuse(min(side, size[0]) * min(side, size[1]))
        smallest = max(MIN_TILE, -(-4 * self._pad // QUANTUM) * QUANTUM)
        if side <= smallest:
            self._ladder.lighter((min(side, size[0]), min(side, size[1])))
            return tile
        smaller = max(smallest, side // 2 // QUANTUM * QUANTUM)
        self._ladder.note(f"memory ran out at tiles of {side}: began again with {smaller}")
        return smaller


class _Guard:
    """The network as upstream calls it: counts its passes, asks whether to go on, and lets no failure pass for a
    result."""

    def __init__(self, network: Network, total: int, progress: Progress, check: Check) -> None:
        self._network, self._total, self._progress, self._check = network, total, progress, check
        self._done = 0
        progress(0, total)

    def __call__(self, batch: Any) -> Any:
        torch = require_torch()
        self._check()
        try:
            result = self._network.module(batch)
        except RuntimeError as error:
            raise _PassFailed from error
        if not all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(result)):
            raise _NotFiniteError
        self._done += 1
        self._progress(self._done, self._total)
        return result


@cache
def _helper_class() -> Any:
    """RealESRGANer with a network that is loaded already, in any precision, and silent."""
    utils = require_upstream("realesrgan.utils")
    # It prints a line for each tile. A name of the module goes before the builtin.
    utils.print = lambda *args, **kwargs: None  # pyright: ignore[reportAttributeAccessIssue]

    class Helper(utils.RealESRGANer):
        def __init__(self, network: Network, tile: int, pad: int, model: Callable[[Any], Any]) -> None:
            # Not upstream's own, which unpickles a file.
            self.scale, self.device, self.model = network.scale, network.device, model
            self.tile_size, self.tile_pad, self.pre_pad = tile, pad, 0
            self.mod_scale, self.half = None, False
            self._dtype = torch_dtype(network.precision)

        def pre_process(self, img: np.ndarray) -> None:
            super().pre_process(img)
            self.img = self.img.to(self._dtype)

    return Helper


def _shrunk(large: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if large.shape[:2] == size:
        return large
    from ...opencv import cv2

    return cv2.resize(large, size[::-1], interpolation=cv2.INTER_AREA)


def open_upscaler(request: Request) -> UpstreamUpscaler:
    """The backend for ``request``, its network loaded; raises as the ``torch`` backend does, and DEPENDENCY_FAILURE
    without the extra ``restore``."""
    require_upstream_installed()
    source = source_of(request, build_upstream)
    return UpstreamUpscaler(
        request, Ladder(source, request.device, request.precision, cpu_allowed=request.cpu_allowed)
    )


def build_upstream(model: ModelSpec, tensors: dict[str, Any], path: Path) -> Built:
    """Upstream's own class filled with ``tensors``; raises as :func:`..weights.build_network`, whose checks go
    first."""
    build_network(model, dict(tensors), path)
    try:
        network = _FORMS[model.architecture](model, tensors)
        network.load_state_dict(tensors, strict=True)
    except (RuntimeError, KeyError) as error:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{path} is not laid out as Real-ESRGAN's packages want it: {' '.join(str(error).split())[:200]}",
            hint="use the weights as published, or backend: torch, which reads other layouts too",
        ) from None
    network.eval().requires_grad_(False)
    return Built(network, model.scale, f"{type(network).__name__} of {type(network).__module__}")


def _rrdbnet(model: ModelSpec, tensors: dict[str, Any]) -> Any:
    growth, features = tensors["body.0.rdb1.conv1.weight"].shape[:2]
    return require_upstream("basicsr.archs.rrdbnet_arch").RRDBNet(
        num_in_ch=3,
        num_out_ch=3,
        scale=model.scale,
        num_feat=features,
        num_block=_last_of_body(tensors) + 1,
        num_grow_ch=growth,
    )


def _compact(model: ModelSpec, tensors: dict[str, Any]) -> Any:
    return require_upstream("realesrgan.archs.srvgg_arch").SRVGGNetCompact(
        num_feat=tensors["body.0.weight"].shape[0],
        num_conv=_last_of_body(tensors) // 2 - 1,
        upscale=model.scale,
        act_type="prelu",
    )


_FORMS: dict[str, Callable[[ModelSpec, dict[str, Any]], Any]] = {"ESRGAN": _rrdbnet, "Compact": _compact}
"""Upstream's form of each architecture, by the name that a model has it under."""


def _last_of_body(tensors: dict[str, Any]) -> int:
    places = (re.match(r"body\.(\d+)\.", name) for name in tensors)
    return max(int(place[1]) for place in places if place)
