"""Joining the results of tiles into the picture, where they are made: on a GPU they stay there until they are pixels.

What leaves a GPU is the finished picture in its own depth: a quarter of the bytes that its floats have, once, and while
the next row of tiles is computed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compat import require_torch
from .memory import ran_out
from .tiles import Plan, Tile, full_scale

MOST_PINNED = 256 << 20
"""Bytes of a result that a GPU may write into directly: torch keeps such memory for as long as the process lives."""


class Canvas:
    """Joins the tiles of a plan into the result, of ``dtype`` (uint8, uint16 or float32) and ``scale`` times as large.

    Tiles come in row order, as float32 tensors (H·scale, W·scale, C) within 0–1, on any device, and are the canvas's
    then. Only the rows that later tiles can still touch are held as floats, on ``device`` or, where its memory does not
    hold them, on the CPU.
    """

    def __init__(
        self,
        plan: Plan,
        scale: int,
        channels: int,
        dtype: np.dtype | type = np.uint8,
        device: str = "cpu",
    ) -> None:
        self._plan, self._scale, self._dtype = plan, scale, np.dtype(dtype)
        height, width = plan.rows.length * scale, plan.columns.length * scale
        self._band = _zeros((plan.rows.span * scale, width, channels), device)
        self._result = self._host((height, width, channels))
        self._row = 0

    def add(self, tile: Tile, pixels: Any) -> None:
        """Blend one tile's result in."""
        if tile.row != self._row:
            self._finish_rows(self._plan.rows.starts[tile.row])
            self._row = tile.row
        left = tile.left * self._scale
        target = self._band[:, left : left + pixels.shape[1]]
        pixels = pixels.to(self._band.device)[:, : target.shape[1]]
        self._fade(pixels, self._plan.rows.weights(tile.row, self._scale)[:, None, None])
        across = self._plan.columns.weights(tile.column, self._scale)[: target.shape[1]]
        self._fade(pixels.transpose(0, 1), across[:, None, None])
        target += pixels

    def finish(self) -> np.ndarray:
        """The joined picture; call it once, after the last tile."""
        self._finish_rows(self._plan.rows.length)
        if self._band.is_cuda:
            require_torch().cuda.current_stream(self._band.device).synchronize()
        return self._result.numpy().astype(self._dtype, copy=False)

    def _fade(self, pixels: Any, weights: np.ndarray) -> None:
        """Weigh the lines of ``pixels`` at its two ends; those between count fully and need no touch."""
        below = np.flatnonzero(weights.ravel() < 1.0)
        if not len(below):
            return
        full = np.flatnonzero(weights.ravel() >= 1.0)
        first, last = (full[0], full[-1] + 1) if len(full) else (len(weights), len(weights))
        for part in (slice(0, first), slice(last, len(weights))):
            if part.start < part.stop:
                pixels[part] *= require_torch().from_numpy(weights[part]).to(pixels.device)

    def _finish_rows(self, next_start: int) -> None:
        # Rows above the next row of tiles get no more contributions.
        top = self._plan.rows.starts[self._row]
        done = (next_start - top) * self._scale
        self._result[top * self._scale : next_start * self._scale].copy_(
            self._rounded(self._band[:done]), non_blocking=True
        )
        rest = self._band[done:].clone()
        self._band[: len(rest)] = rest
        self._band[len(rest) :] = 0

    def _rounded(self, rows: Any) -> Any:
        """The rows in the depth of the result. They are sums of what lies within 0–1, with weights that sum to 1."""
        if self._dtype == np.float32:
            return rows
        return rows.mul_(full_scale(self._dtype)).add_(0.5).to(self._result.dtype)

    def _host(self, shape: tuple[int, ...]) -> Any:
        torch = require_torch()
        # Torch has few operations on uint16.
        kinds = {"uint8": torch.uint8, "uint16": torch.int32, "float32": torch.float32}
        kind = kinds[self._dtype.name]
        if self._band.is_cuda and math.prod(shape) * kind.itemsize <= MOST_PINNED:
            try:
                return torch.empty(shape, dtype=kind, pin_memory=True)
            except RuntimeError:
                pass  # Plain memory takes a few milliseconds longer.
        return torch.empty(shape, dtype=kind)


def _zeros(shape: tuple[int, ...], device: str) -> Any:
    torch = require_torch()
    try:
        return torch.zeros(shape, dtype=torch.float32, device=device)
    except (RuntimeError, MemoryError) as error:
        if device == "cpu" or not ran_out(error):
            raise
    return torch.zeros(shape, dtype=torch.float32)
