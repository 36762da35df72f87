"""Sizes, boxes and ways: the numbers that a layout gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..graph import Edge

Point = tuple[float, float]
Direction = Literal["right", "down"]


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; ``x`` and ``y`` are its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def center(self) -> Point:
        """The middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def right(self) -> float:
        """Where it ends to the right."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Where it ends below."""
        return self.y + self.height

    def moved(self, dx: float, dy: float) -> Box:
        """The same rectangle elsewhere."""
        return Box(self.x + dx, self.y + dy, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Route:
    """An edge's way from border to border, to be joined smoothly, and where its label stands.

    ``back``: it runs against the direction of the picture, as a part of a cycle does. ``around``: it leads
    from a node to itself, and has four points: of an arc.
    """

    edge: Edge
    points: tuple[Point, ...]
    label: Box | None
    back: bool = False
    around: bool = False

    def moved(self, dx: float, dy: float) -> Route:
        """The same way elsewhere."""
        points = tuple((x + dx, y + dy) for x, y in self.points)
        return Route(self.edge, points, self.label and self.label.moved(dx, dy), self.back, self.around)


@dataclass(frozen=True, slots=True)
class Layout:
    """The geometry of one graph, from 0, 0 to its size; routes in the order of the graph's edges."""

    boxes: Mapping[str, Box]
    routes: tuple[Route, ...]
    width: float
    height: float
