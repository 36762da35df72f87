"""The arithmetic of ``max_size``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

LARGEST = 1_000_000

_TEXT = re.compile(r"\s*(\d+)\s*(?:[x×X*,]\s*(\d+)\s*)?")


def parse_max_size(value: Any) -> tuple[int, int] | None:
    """The box (width, height) that ``"4096x4096"``, ``4096``, ``"4096"`` or ``[4096, 2160]`` means; ``None``
    stays.

    Raises :class:`ValueError` with the accepted forms.

    >>> parse_max_size("4096x2160"), parse_max_size(2048), parse_max_size([800, 600])
    ((4096, 2160), (2048, 2048), (800, 600))
    """
    if value is None:
        return None
    box: Sequence[Any] | None = None
    if isinstance(value, str) and (match := _TEXT.fullmatch(value)):
        box = [int(match[1]), int(match[2] or match[1])]
    elif isinstance(value, int) and not isinstance(value, bool):
        box = [value, value]
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        box = list(value)
    if box is None or not all(
        isinstance(v, int) and not isinstance(v, bool) and 1 <= v <= LARGEST for v in box
    ):
        raise ValueError(
            f'{value!r} is not a size; write "4096x4096" (width x height), 4096 or [4096, 2160], in pixels'
        )
    return int(box[0]), int(box[1])


def fit(size: tuple[int, int], box: tuple[int, int] | None) -> tuple[int, int]:
    """The largest size of the same aspect inside ``box``: never larger than ``size``, never below one pixel.

    >>> fit((6000, 4000), (4096, 4096)), fit((300, 200), (4096, 4096)), fit((20000, 40), (1000, 1000))
    ((4096, 2731), (300, 200), (1000, 2))
    """
    width, height = size
    if box is None or (width <= box[0] and height <= box[1]):
        return size
    # In integers: which side binds is decided exactly, and that side gets exactly the box.
    if width * box[1] >= height * box[0]:
        return box[0], min(max(1, _rounded(height * box[0], width)), box[1])
    return min(max(1, _rounded(width * box[1], height)), box[0]), box[1]


def cover(
    size: tuple[int, int], box: tuple[int, int], gravity: tuple[float, float] = (0.5, 0.5)
) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """What to cut out, and how large to make it, so that it fills ``box``: ((left, top, right, bottom), size).

    The cut is the largest of the box's aspect; ``gravity`` says where it lies, from (0, 0) at the upper left to
    (1, 1). Never enlarges: a smaller picture gives a smaller result of the same aspect.

    >>> cover((6000, 4000), (300, 300)), cover((100, 400), (300, 300), (0.5, 0))
    (((1000, 0, 5000, 4000), (300, 300)), ((0, 0, 100, 100), (100, 100)))
    """
    width, height = size
    if width * box[1] >= height * box[0]:
        cut = (min(width, max(1, _rounded(height * box[0], box[1]))), height)
    else:
        cut = (width, min(height, max(1, _rounded(width * box[1], box[0]))))
    left, top = round((width - cut[0]) * gravity[0]), round((height - cut[1]) * gravity[1])
    goal = box if cut[0] >= box[0] and cut[1] >= box[1] else cut
    return (left, top, left + cut[0], top + cut[1]), goal


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
