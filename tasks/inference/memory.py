"""How much fits: what is free, how large a tile to begin with, and which errors say that it did not fit."""

from __future__ import annotations

from math import isqrt

from .compat import require_torch
from .models import ModelSpec
from .networks import BYTES, Network
from .tiles import MIN_TILE

MEGAPIXEL = 1 << 20

GPU_SHARE = 0.8
"""Share of a GPU's free memory that a pass is planned for."""


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


def pixel_budget(model: ModelSpec, network: Network, cpu_mb: int) -> int:
    """How many input pixels one pass of ``network`` may hold; ``cpu_mb`` is what a CPU may use."""
    budget = float(cpu_mb)
    if network.device != "cpu":
        budget = GPU_SHARE * (free_memory_mb(network.device) or cpu_mb)
    pixels = model.memory.pixels_within(budget, BYTES[network.precision])
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


def ran_out(error: BaseException) -> bool:
    """Whether ``error`` says that memory ran out."""
    # A CPU's allocators have no exception of their own: torch's names itself, oneDNN only says that it could not
    # create what it needed. The way down is bounded, and the error at its end quotes this one.
    if isinstance(error, require_torch().OutOfMemoryError | MemoryError):
        return True
    return any(sign in str(error) for sign in ("DefaultCPUAllocator", "could not create a primitive"))
