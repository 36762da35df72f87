"""The places of ranks: in which order, by barycentre, and where, by least squares."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .layout import Place

SWEEPS = 12
PATIENCE = 500_000
"""Places that are looked at while sweeping; a picture of many thousand nodes gets fewer sweeps."""


def order_ranks(ranks: list[list[Place]]) -> None:
    """Sort every rank so that few edges cross: barycentre sweeps, of which the best order is kept."""
    _number(ranks)
    best, fewest = [list(rank) for rank in ranks], _crossings(ranks)
    for sweep in range(_sweeps(ranks)):
        if fewest == 0:
            break
        forward = sweep % 2 == 0
        for rank in ranks if forward else reversed(ranks):
            keys = {id(p): _mean(p.before if forward else p.after, p.position) for p in rank}
            rank.sort(key=lambda p, keys=keys: keys[id(p)])
            for index, place in enumerate(rank):
                place.position = float(index)
        if (crossings := _crossings(ranks)) < fewest:
            best, fewest = [list(rank) for rank in ranks], crossings
    for rank, kept in zip(ranks, best, strict=True):
        rank[:] = kept
    _number(ranks)


def spread(ranks: list[list[Place]]) -> None:
    """Set every position as near as may be to the mean of its neighbours', in order and without overlap."""
    for rank in ranks:
        _settle(rank, [0.0] * len(rank))
    for sweep in range(2 * _sweeps(ranks)):
        forward = sweep % 2 == 0
        for rank in ranks if forward else reversed(ranks):
            wanted = [
                _mean((p.before if forward else p.after) or p.before or p.after, p.position) for p in rank
            ]
            _settle(rank, wanted)


def _settle(rank: Sequence[Place], wanted: Sequence[float]) -> None:
    """The positions nearest to ``wanted`` (least squares) that keep order and distance.

    Pool adjacent violators: with the distances taken out, the best non-decreasing sequence is found by
    merging neighbours that are out of order into their mean (Ayer et al. 1955).
    """
    offsets = [0.0]
    for one, other in pairwise(rank):
        offsets.append(offsets[-1] + (one.across + other.across) / 2 + one.gap + other.gap)
    blocks: list[tuple[float, int]] = []
    for target, offset in zip(wanted, offsets, strict=False):
        total, size = target - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / size:
            previous, count = blocks.pop()
            total, size = total + previous, size + count
        blocks.append((total, size))
    index = 0
    for total, size in blocks:
        for _ in range(size):
            rank[index].position = total / size + offsets[index]
            index += 1


def _crossings(ranks: Sequence[Sequence[Place]]) -> int:
    """Pairs of edges between neighbouring ranks that cross: inversions, counted with a Fenwick tree."""
    total = 0
    for rank, following in pairwise(ranks):
        ends = [
            int(target.position)
            for place in sorted(rank, key=lambda p: p.position)
            for target in sorted(place.after, key=lambda p: p.position)
        ]
        tree = [0] * (len(following) + 2)
        for seen, end in enumerate(ends):
            index, smaller = end + 1, 0
            while index:
                smaller += tree[index]
                index &= index - 1
            total += seen - smaller
            index = end + 1
            while index < len(tree):
                tree[index] += 1
                index += index & -index
    return total


def _sweeps(ranks: Sequence[Sequence[Place]]) -> int:
    return max(2, min(SWEEPS, PATIENCE // max(sum(map(len, ranks)), 1)))


def _number(ranks: Sequence[Sequence[Place]]) -> None:
    for rank in ranks:
        for index, place in enumerate(rank):
            place.position = float(index)


def _mean(places: Sequence[Place], otherwise: float) -> float:
    return sum(p.position for p in places) / len(places) if places else otherwise
