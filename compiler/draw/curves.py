"""An edge's points as a smooth curve: cubic Béziers that leave and arrive in the direction of the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from .layout import Direction, Point, Route

Cubic = tuple[Point, Point, Point, Point]
ARROW = 7.5
"""Length of an arrowhead."""


def cubics(route: Route, direction: Direction) -> list[Cubic]:
    """The curve's pieces; the last one ends where the arrowhead begins."""
    points = list(route.points)
    if route.back:
        return list(_rounded(_shortened(points)))
    horizontal = direction == "right"
    end = points[-1]
    points[-1] = (end[0] - ARROW + 1, end[1]) if horizontal else (end[0], end[1] - ARROW + 1)
    pieces: list[Cubic] = []
    for index, (start, stop) in enumerate(pairwise(points)):
        if index % 2 == 1:  # straight along a bend, past the boxes of its layer
            pieces.append((start, _between(start, stop, 1 / 3), _between(start, stop, 2 / 3), stop))
        elif horizontal:
            reach = (stop[0] - start[0]) * 0.5
            pieces.append((start, (start[0] + reach, start[1]), (stop[0] - reach, stop[1]), stop))
        else:
            reach = (stop[1] - start[1]) * 0.5
            pieces.append((start, (start[0], start[1] + reach), (stop[0], stop[1] - reach), stop))
    return pieces


def arrowhead(route: Route, direction: Direction) -> tuple[Point, Point, Point]:
    """The triangle at the edge's end."""
    tip = route.points[-1]
    if route.back:
        before = route.points[-2]
        angle = math.atan2(tip[1] - before[1], tip[0] - before[0])
    else:
        angle = 0.0 if direction == "right" else math.pi / 2
    x, y = tip[0] - ARROW * math.cos(angle), tip[1] - ARROW * math.sin(angle)
    dx, dy = -math.sin(angle) * ARROW * 0.5, math.cos(angle) * ARROW * 0.5
    return tip, (x + dx, y + dy), (x - dx, y - dy)


def sampled(pieces: list[Cubic], steps: int = 16) -> list[Point]:
    """Points along the curve, for formats without curves."""
    points = [pieces[0][0]] if pieces else []
    for a, b, c, d in pieces:
        if any(len({round(p[axis], 3) for p in (a, b, c, d)}) == 1 for axis in (0, 1)):
            points.append(d)
            continue
        for step in range(1, steps + 1):
            t = step / steps
            u = 1 - t
            weights = (u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t)
            corners = (a, b, c, d)
            x = sum(w * p[0] for w, p in zip(weights, corners, strict=True))
            y = sum(w * p[1] for w, p in zip(weights, corners, strict=True))
            points.append((x, y))
    return points


def _between(start: Point, stop: Point, share: float) -> Point:
    return start[0] + (stop[0] - start[0]) * share, start[1] + (stop[1] - start[1]) * share


def _shortened(points: list[Point]) -> list[Point]:
    (x0, y0), (x1, y1) = points[-2], points[-1]
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    return [*points[:-1], _between((x1, y1), (x0, y0), min((ARROW - 1) / length, 1.0))]


def _rounded(points: list[Point], radius: float = 12.0) -> Iterator[Cubic]:
    """A way of straight stretches with its corners rounded."""
    position = points[0]
    for index in range(1, len(points)):
        corner = points[index]
        if index == len(points) - 1:
            yield position, _between(position, corner, 1 / 3), _between(position, corner, 2 / 3), corner
            return
        following = points[index + 1]
        before = math.hypot(corner[0] - position[0], corner[1] - position[1]) or 1.0
        after = math.hypot(following[0] - corner[0], following[1] - corner[1]) or 1.0
        cut = min(radius, before / 2, after / 2)
        entry, leave = _between(corner, position, cut / before), _between(corner, following, cut / after)
        yield position, _between(position, entry, 1 / 3), _between(position, entry, 2 / 3), entry
        yield entry, _between(entry, corner, 0.55), _between(leave, corner, 0.55), leave
        position = leave
