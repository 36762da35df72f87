"""Cutting a picture into overlapping tiles and joining the results without seams. Pure numpy, on the CPU.

All tiles of one picture have the same shape, spread evenly, so that a network sees few shapes. Neighbours
share at least ``overlap`` pixels; in the middle half of what they share, one fades linearly into the other,
and the rest, nearest to each tile's edge, is only context. So the weights of every pixel sum to 1 by
construction, and no pixel comes from where a network sees the padding instead of the picture.

Heights come before widths everywhere; lengths are in pixels of the source unless the name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...core.errors import Code, RealmError

MIN_OVERLAP = 32
"""Below this, Real-ESRGAN's tiles show seams (Real-ESRGAN #211)."""

QUANTUM = 16
"""Tile sides are multiples of this: few shapes, and a multiple of what every network of ours needs."""

MIN_TILE = 64
"""No tile is planned smaller: below this, nearly everything computed is overlap."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension of a plan: ``length`` pixels covered by spans of ``span`` pixels that begin at
    ``starts``.

    The last span may reach beyond the picture: what is read there is padding.
    """

    length: int
    span: int
    starts: tuple[int, ...]
    ramp: int

    def weights(self, index: int, scale: int = 1) -> np.ndarray:
        """Weights of span ``index`` for each of its output pixels, as float32 of length ``span * scale``."""
        positions = (np.arange(self.span * scale, dtype=np.float64) + 0.5) / scale + self.starts[index]
        return (self._rise(index, positions) - self._rise(index + 1, positions)).astype(np.float32)

    def _rise(self, junction: int, positions: np.ndarray) -> np.ndarray:
        # The ramp before span `junction`. All ramps are equally wide and their centres ascend, so that no
        # difference of two is negative, and the differences telescope to 1.
        if junction == 0:
            return np.ones_like(positions)
        if junction == len(self.starts):
            return np.zeros_like(positions)
        centre = (self.starts[junction] + self.starts[junction - 1] + self.span) / 2
        return np.clip((positions - centre) / self.ramp + 0.5, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: its place in the plan, and its upper left corner in the source."""

    row: int
    column: int
    top: int
    left: int


@dataclass(frozen=True)
class Plan:
    """How one picture is tiled."""

    rows: Axis
    columns: Axis

    @property
    def tile_shape(self) -> tuple[int, int]:
        """Height and width of every tile."""
        return self.rows.span, self.columns.span

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """The tiles, row by row."""
        return tuple(
            Tile(row, column, top, left)
            for row, top in enumerate(self.rows.starts)
            for column, left in enumerate(self.columns.starts)
        )

    def __len__(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)

    def cut(self, image: np.ndarray, tile: Tile) -> np.ndarray:
        """The pixels of ``tile`` from ``image`` (H, W, C), padded by its edge where the picture ends."""
        height, width = self.tile_shape
        piece = image[tile.top : tile.top + height, tile.left : tile.left + width]
        missing = height - piece.shape[0], width - piece.shape[1]
        if any(missing):
            piece = np.pad(piece, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        return piece


def plan_tiles(
    height: int,
    width: int,
    tile: int,
    *,
    overlap: int = MIN_OVERLAP,
    quantum: int = QUANTUM,
    multiple: int = 1,
) -> Plan:
    """A plan with tiles of at most ``tile`` × ``tile``; ``tile`` 0 covers the picture with one.

    Tile sides are multiples of ``quantum``, those of a picture that fits in one tile multiples of
    ``multiple``; so are the tiles' corners. INVALID_ARGUMENT when the tile is too small for its overlap.
    """
    if height < 1 or width < 1:
        raise RealmError(Code.INVALID_ARGUMENT, f"a picture of {width}×{height} pixels cannot be tiled")
    if tile and tile // quantum * quantum < 2 * overlap:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"tiles of {tile} pixels are too small for an overlap of {overlap}",
            hint=f"use a tile of at least {-(-2 * overlap // quantum) * quantum}, or 0 to have it chosen",
        )
    return Plan(*(_plan_axis(length, tile, overlap, quantum, multiple) for length in (height, width)))


def _plan_axis(length: int, tile: int, overlap: int, quantum: int, multiple: int) -> Axis:
    ramp = max(1, overlap // 2)
    if not tile or length <= tile:
        return Axis(length, _round_up(length, multiple), (0,), ramp)
    # Starts that are multiples of what the network needs: a network that folds pixels together (pixel unshuffle)
    # would otherwise fold those of one tile differently from its neighbour's.
    padded, shared = _round_up(length, multiple), overlap + multiple - 1
    largest = tile // quantum * quantum
    count = -(-(padded - shared) // (largest - shared))
    span = _round_up(-(-(padded + (count - 1) * shared) // count), quantum)
    last = padded - span
    starts = (last * index // (count - 1) // multiple * multiple for index in range(count))
    return Axis(length, span, tuple(starts), ramp)


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def to_unit(image: np.ndarray) -> np.ndarray:
    """``image`` as float32 within 0–1; the range follows from the dtype, never from the values."""
    if image.dtype == np.float32:
        return image
    return image.astype(np.float32) / np.float32(full_scale(image.dtype))


def from_unit(image: np.ndarray, dtype: np.dtype | type) -> np.ndarray:
    """The inverse of :func:`to_unit`, rounded and clipped to what ``dtype`` holds."""
    if np.dtype(dtype) == np.float32:
        return image
    top = full_scale(dtype)
    return (np.clip(image, 0.0, 1.0) * np.float32(top) + np.float32(0.5)).astype(dtype)


def full_scale(dtype: np.dtype | type) -> int:
    """The value that means 1.0 in ``dtype``; INVALID_ARGUMENT for one that no picture of ours has."""
    kind = np.dtype(dtype)
    if kind not in (np.uint8, np.uint16):
        raise RealmError(
            Code.INVALID_ARGUMENT, f"pixels of type {kind} are not supported", hint="use uint8 or uint16"
        )
    return int(np.iinfo(kind).max)


def reduction(scale: int, target: int) -> np.ndarray:
    """The (target, scale) matrix that shrinks ``scale`` pixels to ``target`` by area; each source pixel's
    block shrinks by itself, so that it can be done tile by tile without touching the neighbours.

    >>> reduction(4, 3).round(2).tolist()
    [[0.75, 0.25, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.25, 0.75]]
    """
    edges_in, edges_out = np.arange(scale + 1) / scale, np.arange(target + 1) / target
    shared = np.minimum(edges_out[1:, None], edges_in[None, 1:]) - np.maximum(
        edges_out[:-1, None], edges_in[None, :-1]
    )
    return (np.clip(shared, 0, None) * target).astype(np.float32)
