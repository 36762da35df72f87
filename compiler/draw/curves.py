"""An edge's points as a smooth curve: cubic Béziers that leave and arrive in the direction of the picture."""

from __future__ import annotations

import math
from itertools import pairwise

from .geometry import Direction, Point, Route

Cubic = tuple[Point, Point, Point, Point]
ARROW = 7.5
"""Length of an arrowhead."""


def cubics(route: Route, direction: Direction) -> list[Cubic]:
    """The curve's pieces; the last one ends where the arrowhead begins."""
    if route.around:
        a, b, c, d = route.points
        return [(a, b, c, _toward(d, c))]
    points = [p for p, q in pairwise(route.points) if math.dist(p, q) > 0.01]
    end = route.points[-1]
    before = points[-1] if points else route.points[0]
    pieces = [_piece(p, q, direction) for p, q in pairwise([*points, end])]
    if math.dist(before, end) > 2 * ARROW or len(pieces) == 1:
        last = pieces[-1]
        pieces[-1] = _piece(last[0], _toward(end, last[2]), direction)
        return pieces
    # The last stretch is too short for the arrowhead: it and the one before become one.
    pieces[-2:] = [_piece(pieces[-2][0], _toward(end, pieces[-1][2]), direction)]
    return pieces


def arrowhead(route: Route, direction: Direction) -> tuple[Point, Point, Point]:
    """The triangle at the edge's end."""
    tip = route.points[-1]
    if route.around:
        before = route.points[-2]
        angle = math.atan2(tip[1] - before[1], tip[0] - before[0])
    else:
        angle = (0.0 if direction == "right" else math.pi / 2) + (math.pi if route.back else 0.0)
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


def _piece(start: Point, stop: Point, direction: Direction) -> Cubic:
    """From one point to another, along the picture's direction at both."""
    if direction == "right":
        reach = (stop[0] - start[0]) * 0.5
        return start, (start[0] + reach, start[1]), (stop[0] - reach, stop[1]), stop
    reach = (stop[1] - start[1]) * 0.5
    return start, (start[0], start[1] + reach), (stop[0], stop[1] - reach), stop


def _toward(end: Point, before: Point) -> Point:
    """Where an arrowhead at ``end`` begins."""
    length = math.dist(end, before) or 1.0
    share = min((ARROW - 1) / length, 1.0)
    return end[0] + (before[0] - end[0]) * share, end[1] + (before[1] - end[1]) * share
