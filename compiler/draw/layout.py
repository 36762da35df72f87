"""Where the nodes and edges of one graph go: layers by longest path, order by barycentre, places by least
squares.

The method is the layered drawing of Sugiyama, Tagawa and Toda (1981). An edge over several layers passes
through *bends*, places of its own in each of them, and a label is a place in a layer of labels between its
edge's ends (Gansner et al. 1993). Edges run straight through layers and curve only between them. So neither
boxes nor labels overlap, and no edge crosses a box. The result is plain numbers; drawing is done elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest

from ..graph import Graph
from .geometry import Box, Direction, Layout, Point, Route, Size
from .ordering import order_ranks, spread

BETWEEN = 72.0
"""Least distance between two layers of nodes."""
BESIDE_LABELS = 44.0
"""Least distance between a layer of labels and its neighbours."""
LOOP = 18.0
"""How far the arc of an edge from a node to itself stands out."""
PORTS = 14.0
"""Distance between the ends of edges at one border, where there is room."""


@dataclass(slots=True, eq=False)
class Place:
    """A node, a label or a bend in its rank. ``across`` is its size within the rank, ``gap`` what it keeps
    free on either side, ``position`` where its middle is."""

    rank: int
    across: float
    gap: float
    before: list[Place] = field(default_factory=list)
    after: list[Place] = field(default_factory=list)
    position: float = 0.0


@dataclass(frozen=True, slots=True)
class _Chain:
    """The places that an edge passes, in the direction of the picture; ``label`` is the index of its
    label's."""

    places: tuple[Place, ...]
    back: bool
    label: int | None


def layout(
    graph: Graph,
    layers_of: Mapping[str, int],
    sizes: Mapping[str, Size],
    labels: Mapping[int, Size],
    direction: Direction,
) -> Layout:
    """Places for every node of ``graph`` and ways for its edges. ``labels`` are the sizes of edges' texts by
    the edge's index in ``graph.edges``; ``layers_of`` is what :func:`~.layers.layers` gives."""
    return _Layouter(graph, layers_of, sizes, labels, direction).run()


class _Layouter:
    """Ranks with even numbers hold nodes, those with odd numbers the labels between them."""

    def __init__(
        self,
        graph: Graph,
        layers_of: Mapping[str, int],
        sizes: Mapping[str, Size],
        labels: Mapping[int, Size],
        direction: Direction,
    ) -> None:
        self.graph, self.sizes, self.labels = graph, sizes, labels
        self.right = direction == "right"
        self.rank_of = {node_id: 2 * layer for node_id, layer in layers_of.items()}
        self.loops: dict[str, list[int]] = {}
        for index, edge in enumerate(graph.edges):
            if edge.source == edge.target:
                self.loops.setdefault(edge.source, []).append(index)
        label_ranks = {self._label_rank(i) for i in labels if not self._is_loop(i)}
        self.ranks: dict[int, list[Place]] = {r: [] for r in sorted({*self.rank_of.values(), *label_ranks})}
        self.nodes: dict[str, Place] = {}
        self.chains: dict[int, _Chain] = {}

    def run(self) -> Layout:
        """The finished layout."""
        for node_id, rank in self.rank_of.items():
            self.nodes[node_id] = place = Place(rank, self._room(node_id), 17.0)
            self.ranks[rank].append(place)
        self._chain_edges()
        ranks = list(self.ranks.values())
        order_ranks(ranks)
        spread(ranks)
        starts, ends = self._along()
        boxes = {node_id: self._node_box(node_id, starts, ends) for node_id in self.rank_of}
        return _from_origin(boxes, tuple(self._routes(boxes, starts, ends)))

    # Sizes.

    def _across(self, size: Size) -> float:
        return size.height if self.right else size.width

    def _lengthwise(self, size: Size) -> float:
        return size.width if self.right else size.height

    def _loop_depths(self, node_id: str) -> list[float]:
        """How far each arc at a node stands out, its label counted."""
        depths, reach = [], 0.0
        for index in self.loops.get(node_id, ()):
            reach += LOOP
            depths.append(reach)
            reach += self._across(self.labels[index]) + 4 if index in self.labels else 0.0
        return [*depths, reach]

    def _room(self, node_id: str) -> float:
        """What a node takes within its layer: itself, and on either side room for its arcs."""
        return self._across(self.sizes[node_id]) + 2 * self._loop_depths(node_id)[-1]

    # Edges as chains.

    def _is_loop(self, index: int) -> bool:
        edge = self.graph.edges[index]
        return edge.source == edge.target

    def _label_rank(self, index: int) -> int:
        """A label stands right after its edge's source, in the direction of the edge."""
        edge = self.graph.edges[index]
        source, target = self.rank_of[edge.source], self.rank_of[edge.target]
        return source + 1 if source < target else source - 1

    def _chain_edges(self) -> None:
        for index, edge in enumerate(self.graph.edges):
            if edge.source == edge.target:
                continue
            first, last = self.nodes[edge.source], self.nodes[edge.target]
            back = first.rank > last.rank
            if back:
                first, last = last, first
            label_rank = self._label_rank(index) if index in self.labels else None
            between: list[Place] = []
            for rank in range(first.rank + 1, last.rank):
                if rank in self.ranks:
                    size = self._across(self.labels[index]) if rank == label_rank else 0.0
                    between.append(Place(rank, size, 5.0))
                    self.ranks[rank].append(between[-1])
            places = (first, *between, last)
            for one, other in pairwise(places):
                one.after.append(other)
                other.before.append(one)
            label = next((i for i, place in enumerate(places) if place.rank == label_rank), None)
            self.chains[index] = _Chain(places, back, label)

    # Along the picture.

    def _along(self) -> tuple[dict[int, float], dict[int, float]]:
        """Where each rank begins and ends along the picture."""
        depths = dict.fromkeys(self.ranks, 0.0)
        for node_id, rank in self.rank_of.items():
            depths[rank] = max(depths[rank], self._lengthwise(self.sizes[node_id]))
        for index, size in self.labels.items():
            edge = self.graph.edges[index]
            rank = self.rank_of[edge.source] if self._is_loop(index) else self._label_rank(index)
            depths[rank] = max(depths[rank], self._lengthwise(size))
        starts: dict[int, float] = {}
        ends: dict[int, float] = {}
        position = 0.0
        for rank, following in zip_longest(self.ranks, list(self.ranks)[1:]):
            starts[rank], ends[rank] = position, position + depths[rank]
            least = BESIDE_LABELS if rank % 2 or following == rank + 1 else BETWEEN
            # Many edges need room to spread.
            position = ends[rank] + least * min(1 + len(self.ranks[rank]) / 24, 3)
        return starts, ends

    def _node_box(self, node_id: str, starts: Mapping[int, float], ends: Mapping[int, float]) -> Box:
        place = self.nodes[node_id]
        return self._box((starts[place.rank] + ends[place.rank]) / 2, place.position, self.sizes[node_id])

    def _box(self, along: float, across: float, size: Size) -> Box:
        x, y = self._point(along, across)
        return Box(x - size.width / 2, y - size.height / 2, size.width, size.height)

    def _point(self, along: float, across: float) -> Point:
        return (along, across) if self.right else (across, along)

    # Ways.

    def _routes(
        self, boxes: Mapping[str, Box], starts: Mapping[int, float], ends: Mapping[int, float]
    ) -> Iterator[Route]:
        ports = self._ports()
        for index, edge in enumerate(self.graph.edges):
            chain = self.chains.get(index)
            if chain is None:
                yield self._loop_route(index, boxes[edge.source])
                continue
            first, last = (edge.target, edge.source) if chain.back else (edge.source, edge.target)
            out, into = ports[index]
            points = [self._border(boxes[first], out, leaving=True)]
            points.append(self._point(ends[chain.places[0].rank], self.nodes[first].position + out))
            for place in chain.places[1:-1]:
                points.append(self._point(starts[place.rank], place.position))
                points.append(self._point(ends[place.rank], place.position))
            points.append(self._point(starts[chain.places[-1].rank], self.nodes[last].position + into))
            points.append(self._border(boxes[last], into, leaving=False))
            label = None
            if chain.label is not None:
                place = chain.places[chain.label]
                middle = (starts[place.rank] + ends[place.rank]) / 2
                label = self._box(middle, place.position, self.labels[index])
            yield Route(edge, tuple(reversed(points)) if chain.back else tuple(points), label, chain.back)

    def _ports(self) -> dict[int, tuple[float, float]]:
        """For each edge where it leaves and enters, as an offset across from the box's middle, in tidy
        order."""
        ports: dict[int, list[float]] = {index: [0.0, 0.0] for index in self.chains}
        names = {id(place): node_id for node_id, place in self.nodes.items()}
        for end in (0, 1):
            groups: dict[str, list[int]] = {}
            for index, chain in self.chains.items():
                groups.setdefault(names[id(chain.places[-end])], []).append(index)
            for node_id, members in groups.items():
                members.sort(key=lambda i, end=end: self.chains[i].places[-2 if end else 1].position)
                room = self._across(self.sizes[node_id]) * 0.6
                step = min(PORTS, room / max(len(members) - 1, 1))
                for number, index in enumerate(members):
                    ports[index][end] = (number - (len(members) - 1) / 2) * step
        return {index: (pair[0], pair[1]) for index, pair in ports.items()}

    def _border(self, box: Box, offset: float, *, leaving: bool) -> Point:
        x, y = box.center
        if self.right:
            return (box.right if leaving else box.x), y + offset
        return x + offset, (box.bottom if leaving else box.y)

    def _loop_route(self, index: int, box: Box) -> Route:
        """An arc at the lower side of a box, at the right one where the picture runs down; its label under
        it."""
        edge = self.graph.edges[index]
        x, y = box.center
        along, border = (x, box.bottom) if self.right else (y, box.right)
        number = self.loops[edge.source].index(index)
        reach, wide = self._loop_depths(edge.source)[number], 12.0 + 5 * number
        spots = ((-wide, 0.0), (-wide - 8, reach * 4 / 3), (wide + 8, reach * 4 / 3), (wide, 0.0))
        points = tuple(self._point(along + a, border + b) for a, b in spots)
        label = None
        if index in self.labels:
            size = self.labels[index]
            label = self._box(along, border + reach + 2 + self._across(size) / 2, size)
        return Route(edge, points, label, around=True)


def _from_origin(boxes: Mapping[str, Box], routes: Sequence[Route]) -> Layout:
    """A layout whose upper left corner is 0, 0."""
    around = [*boxes.values(), *(r.label for r in routes if r.label is not None)]
    points = [p for r in routes for p in r.points]
    left = min([*(b.x for b in around), *(x for x, _ in points)], default=0.0)
    top = min([*(b.y for b in around), *(y for _, y in points)], default=0.0)
    right = max([*(b.right for b in around), *(x for x, _ in points)], default=0.0)
    bottom = max([*(b.bottom for b in around), *(y for _, y in points)], default=0.0)
    return Layout(
        {node_id: box.moved(-left, -top) for node_id, box in boxes.items()},
        tuple(route.moved(-left, -top) for route in routes),
        right - left,
        bottom - top,
    )
