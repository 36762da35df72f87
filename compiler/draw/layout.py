"""Where nodes and edges go: layers by longest path, order by barycentre, places by least squares without overlap.

The method is the layered drawing of Sugiyama, Tagawa and Toda (1981). Edges over several layers pass through
*bends*, invisible places that keep them clear of boxes. The result is plain numbers; drawing is done elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from ..graph import Edge, Graph
from .layers import layers

Point = tuple[float, float]
Direction = Literal["right", "down"]

GAP = 34.0
"""Least distance between two boxes of one layer."""
BEND = 22.0
"""Room that a bend takes across."""
LAYER_GAP = 72.0
"""Least distance between two layers."""
MARGIN = 28.0
SWEEPS = 12
WIDE = 8
"""More layers than this run down the page rather than to the right."""


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Box:
    """A node's rectangle; ``x`` and ``y`` are its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def center(self) -> Point:
        """The middle."""
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Route:
    """An edge's way: ``points`` from border to border, to be joined smoothly. ``label`` is the middle of its text."""

    edge: Edge
    points: tuple[Point, ...]
    label: Point | None
    back: bool = False
    """Whether it runs against the direction of the picture (a part of a cycle)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A whole picture's geometry."""

    boxes: Mapping[str, Box]
    routes: tuple[Route, ...]
    width: float
    height: float
    direction: Direction


@dataclass(slots=True)
class _Place:
    """A node or a bend in its layer. Sizes and positions are *across* (within the layer) and *along*."""

    id: str | None
    layer: int
    across: float
    before: list[_Place] = field(default_factory=list)
    after: list[_Place] = field(default_factory=list)
    position: float = 0.0
    """Of its middle, across."""


def layout(
    graph: Graph, sizes: Mapping[str, Size], labels: Mapping[int, Size], direction: Direction | None = None
) -> Layout:
    """Places for every node of ``graph`` and ways for its edges. ``labels`` are the sizes of edge texts by the edge's
    index in ``graph.edges``. No two boxes overlap.
    """
    layers_of = layers(graph)
    count = 1 + max(layers_of.values(), default=0)
    chosen: Direction = direction or ("right" if count <= WIDE else "down")
    return _Layouter(graph, sizes, labels, chosen, layers_of).run()


class _Layouter:
    def __init__(
        self,
        graph: Graph,
        sizes: Mapping[str, Size],
        labels: Mapping[int, Size],
        direction: Direction,
        layers_of: Mapping[str, int],
    ) -> None:
        self.graph, self.sizes, self.labels = graph, sizes, labels
        self.direction: Direction = direction
        self.right = direction == "right"
        self.layers_of = layers_of
        self.layers: list[list[_Place]] = [[] for _ in range(1 + max(layers_of.values(), default=0))]
        self.places: dict[str, _Place] = {}
        self.chains: dict[int, list[_Place]] = {}

    def run(self) -> Layout:
        """The finished layout."""
        self._place_nodes()
        self._chain_edges()
        self._order()
        self._position()
        starts, ends = self._along()
        return self._finish(starts, ends)

    def _across(self, size: Size) -> float:
        return size.height if self.right else size.width

    def _lengthwise(self, size: Size) -> float:
        return size.width if self.right else size.height

    def _place_nodes(self) -> None:
        for node_id in self.layers_of:
            place = _Place(node_id, self.layers_of[node_id], self._across(self.sizes[node_id]))
            self.places[node_id] = place
            self.layers[place.layer].append(place)

    def _chain_edges(self) -> None:
        """A chain of places for every edge that runs forward: its ends, and a bend in every layer between."""
        joined: dict[tuple[str, str], list[_Place]] = {}
        for index, edge in enumerate(self.graph.edges):
            source, target = self.places[edge.source], self.places[edge.target]
            if source.layer >= target.layer:
                continue
            bends = [_Place(None, layer, BEND) for layer in range(source.layer + 1, target.layer)]
            chain = [source, *bends, target]
            if (edge.source, edge.target) in joined and not bends:
                self.chains[index] = chain
                continue
            joined[edge.source, edge.target] = chain
            for bend in bends:
                self.layers[bend.layer].append(bend)
            for one, other in pairwise(chain):
                one.after.append(other)
                other.before.append(one)
            self.chains[index] = chain

    # --- order within layers ------------------------------------------------------------------------------------

    def _order(self) -> None:
        """Barycentre sweeps; the order with the fewest crossings is kept."""
        for layer in self.layers:
            for index, place in enumerate(layer):
                place.position = float(index)
        best, fewest = [list(layer) for layer in self.layers], self._crossings()
        for sweep in range(SWEEPS):
            if fewest == 0:
                break
            down = sweep % 2 == 0
            for layer in self.layers if down else reversed(self.layers):
                keys = {id(p): _mean(p.before if down else p.after, p.position) for p in layer}
                layer.sort(key=lambda p, keys=keys: keys[id(p)])
                for index, place in enumerate(layer):
                    place.position = float(index)
            if (crossings := self._crossings()) < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best
        for layer in self.layers:
            for index, place in enumerate(layer):
                place.position = float(index)

    def _crossings(self) -> int:
        """Pairs of edges between neighbouring layers that cross: inversions, counted with a Fenwick tree."""
        total = 0
        for layer, following in pairwise(self.layers):
            ends = [
                int(target.position)
                for place in sorted(layer, key=lambda p: p.position)
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

    # --- places -------------------------------------------------------------------------------------------------

    def _position(self) -> None:
        """Each place as near as may be to its neighbours' mean, in order and without overlap."""
        for layer in self.layers:
            spread(layer, [0.0] * len(layer))
        for sweep in range(2 * SWEEPS):
            forward = sweep % 2 == 0
            for layer in self.layers if forward else reversed(self.layers):
                wanted = []
                for place in layer:
                    near = place.before if forward else place.after
                    wanted.append(_mean(near or place.before or place.after, place.position))
                spread(layer, wanted)

    def _along(self) -> tuple[list[float], list[float]]:
        """Where each layer begins and ends along the picture; gaps leave room for the labels in them."""
        starts: list[float] = []
        ends: list[float] = []
        position = MARGIN
        for number, layer in enumerate(self.layers):
            depth = max((self._lengthwise(self.sizes[p.id]) for p in layer if p.id is not None), default=0.0)
            starts.append(position)
            ends.append(position + depth)
            position += depth + self._gap(number)
        return starts, ends

    def _gap(self, number: int) -> float:
        """Room for the longest label; downward, for labels in two or three rows; and for many edges to spread."""
        labels = [
            self._lengthwise(self.labels[index])
            for index, chain in self.chains.items()
            if index in self.labels and chain[0].layer == number
        ]
        room = max(labels, default=0.0) + 44
        if len(labels) > 1 and not self.right:
            room = max(room, 4.6 * max(labels))
        return max(LAYER_GAP, room, LAYER_GAP * min(1 + len(self.layers[number]) / 24, 3))

    def _finish(self, starts: Sequence[float], ends: Sequence[float]) -> Layout:
        edges_of = [p.position - p.across / 2 for layer in self.layers for p in layer]
        shift = MARGIN - min(edges_of, default=0.0)
        for layer in self.layers:
            for place in layer:
                place.position += shift
        boxes: dict[str, Box] = {}
        for node_id, place in self.places.items():
            size = self.sizes[node_id]
            middle = (starts[place.layer] + ends[place.layer]) / 2
            x, y = (middle, place.position) if self.right else (place.position, middle)
            boxes[node_id] = Box(x - size.width / 2, y - size.height / 2, size.width, size.height)
        routes = self._routes(boxes, starts, ends)
        width = max(
            [b.x + b.width for b in boxes.values()] + [x for r in routes for x, _ in r.points], default=0.0
        )
        height = max(
            [b.y + b.height for b in boxes.values()] + [y for r in routes for _, y in r.points], default=0.0
        )
        for index, route in enumerate(routes):
            if route.label is not None:
                size = self.labels[index]
                width = max(width, route.label[0] + size.width / 2)
                height = max(height, route.label[1] + size.height / 2)
        return Layout(boxes, routes, width + MARGIN, height + MARGIN, self.direction)

    def _routes(
        self, boxes: Mapping[str, Box], starts: Sequence[float], ends: Sequence[float]
    ) -> tuple[Route, ...]:
        ports = self._ports()
        routes: list[Route] = []
        labels: list[tuple[Point, Size]] = []
        for index, edge in enumerate(self.graph.edges):
            chain = self.chains.get(index)
            if chain is None:
                routes.append(self._back(edge, boxes, index))
                continue
            source, target = boxes[edge.source], boxes[edge.target]
            out, into = ports[index]
            points = [self._port(source, out, leaving=True)]
            for bend in chain[1:-1]:
                points.append(self._point(starts[bend.layer], bend.position))
                points.append(self._point(ends[bend.layer], bend.position))
            points.append(self._port(target, into, leaving=False))
            label = self._label(index, points, labels) if index in self.labels else None
            routes.append(Route(edge, tuple(points), label))
        return tuple(routes)

    def _ports(self) -> dict[int, tuple[float, float]]:
        """For each edge where it leaves and enters, as an offset across from the box's middle, in tidy order."""
        ports: dict[int, list[float]] = {index: [0.0, 0.0] for index in self.chains}
        for end in (0, 1):
            groups: dict[str, list[int]] = {}
            for index, chain in self.chains.items():
                groups.setdefault(chain[-end].id or "", []).append(index)
            for node_id, members in groups.items():
                members.sort(key=lambda i, end=end: self.chains[i][-2 if end else 1].position)
                room = self._across(self.sizes[node_id]) * 0.6
                step = min(14.0, room / max(len(members) - 1, 1))
                for number, index in enumerate(members):
                    ports[index][end] = (number - (len(members) - 1) / 2) * step
        return {index: (pair[0], pair[1]) for index, pair in ports.items()}

    def _port(self, box: Box, offset: float, *, leaving: bool) -> Point:
        x, y = box.center
        if self.right:
            return (box.x + box.width if leaving else box.x), y + offset
        return x + offset, (box.y + box.height if leaving else box.y)

    def _point(self, along: float, across: float) -> Point:
        return (along, across) if self.right else (across, along)

    def _label(self, index: int, points: Sequence[Point], taken: list[tuple[Point, Size]]) -> Point:
        """The middle of the first stretch; nearer to its end while another label is in the way."""
        size = self.labels[index]
        (x0, y0), (x1, y1) = points[0], points[1]
        for share in (0.5, 0.76, 0.24, 0.63, 0.37):
            eased = share * share * (3 - 2 * share)
            if self.right:
                spot = (x0 + (x1 - x0) * share, y0 + (y1 - y0) * eased)
            else:
                spot = (x0 + (x1 - x0) * eased, y0 + (y1 - y0) * share)
            if all(not _touch(spot, size, other, other_size) for other, other_size in taken):
                break
        taken.append((spot, size))
        return spot

    def _back(self, edge: Edge, boxes: Mapping[str, Box], index: int) -> Route:
        """An edge against the direction, or within a layer: around the boxes at the picture's lower or right side."""
        source, target = boxes[edge.source], boxes[edge.target]
        (sx, sy), (tx, ty) = source.center, target.center
        low, high = sorted((self.layers_of[edge.source], self.layers_of[edge.target]))
        between = [boxes[p.id] for layer in self.layers[low : high + 1] for p in layer if p.id is not None]
        if self.right:
            side = max(b.y + b.height for b in between) + 26
            points = ((sx, source.y + source.height), (sx, side), (tx, side), (tx, target.y + target.height))
            label = ((sx + tx) / 2, side)
        else:
            side = max(b.x + b.width for b in between) + 26
            points = ((source.x + source.width, sy), (side, sy), (side, ty), (target.x + target.width, ty))
            label = (side, (sy + ty) / 2)
        return Route(edge, points, label if index in self.labels else None, back=True)


def spread(layer: Sequence[Any], wanted: Sequence[float]) -> None:
    """Set the positions of ``layer`` to those nearest to ``wanted`` (least squares) that keep order and distance.

    Pool adjacent violators: with the distances taken out, the best non-decreasing sequence is found by merging
    neighbours that are out of order into their mean (Ayer et al. 1955).
    """
    offsets = [0.0]
    for one, other in pairwise(layer):
        gap = GAP if one.id is not None or other.id is not None else 8.0
        offsets.append(offsets[-1] + (one.across + other.across) / 2 + gap)
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
            layer[index].position = total / size + offsets[index]
            index += 1


def _mean(places: Sequence[_Place], otherwise: float) -> float:
    return sum(p.position for p in places) / len(places) if places else otherwise


def _touch(one: Point, size: Size, other: Point, other_size: Size) -> bool:
    return (
        abs(one[0] - other[0]) < (size.width + other_size.width) / 2 + 4
        and abs(one[1] - other[1]) < (size.height + other_size.height) / 2 + 3
    )
