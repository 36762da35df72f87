"""What is drawn: every node's words, every edge's label, and the place of all. Formats only render it.

A region is laid out from the inside: the parts of a node first, then the frame around them as one large box
of the layout that it stands in. So what is inside is inside its frame, and edges of a region never cross the
frames in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..analysis import Analysis
from ..graph import Graph
from ..scopes import Scope
from .components import arrange
from .edge_labels import edge_label
from .geometry import Box, Direction, Layout, Route, Size
from .layers import depth, layers
from .node_states import State, gathered
from .regions import Figure, Region, region_of
from .words import clip, text_width, wrapped

TITLE, SMALL, LABEL = 14.0, 11.0, 10.5
"""Font sizes in pixels."""
TITLE_CELLS, SMALL_CELLS, CAPTION_CELLS, LABEL_CELLS = 32, 40, 64, 34
LINES = 3
"""Of a title, a caption, a label."""
MIN_WIDTH = 150.0
PADDING, MARGIN, LANE_GAP = 18.0, 28.0, 14.0
TITLE_STEP, SMALL_STEP, LABEL_STEP = 18.0, 15.0, 14.0
"""From one line of a text to the next."""
WIDE = 8
"""More layers than this run down the page rather than to the right."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The lines of a card or of a frame's head."""

    title: tuple[str, ...]
    small: tuple[str, ...]
    state: State | None

    @property
    def height(self) -> float:
        """What they take, from 8 above the first to 10 under the last."""
        rows = len(self.title) * TITLE_STEP + len(self.small) * SMALL_STEP
        return 18.0 + rows + (SMALL_STEP + 3 if self.state else 0)

    @property
    def width(self) -> float:
        """What the longest one takes, with the strip and the padding."""
        needed = [text_width(line, TITLE, bold=True) for line in self.title]
        needed += [text_width(line, SMALL) for line in self.small]
        if self.state is not None:
            needed.append(text_width(self.state.text, SMALL) + 13)
        return max(needed) + 2 * PADDING + 4


@dataclass(frozen=True, slots=True)
class Card:
    """A node as drawn."""

    figure: Figure
    box: Box
    texts: Texts


@dataclass(frozen=True, slots=True)
class Lane:
    """A part of a framed node as drawn: its body, or a branch with its name."""

    box: Box
    name: str | None


@dataclass(frozen=True, slots=True)
class Frame:
    """A node with nodes inside it as drawn; ``level`` counts the frames around it."""

    figure: Figure
    box: Box
    texts: Texts
    lanes: tuple[Lane, ...]
    level: int


@dataclass(frozen=True, slots=True)
class Line:
    """An edge as drawn, between the nodes with these keys."""

    source: str
    target: str
    route: Route
    label: tuple[str, ...]
    faded: bool
    """Whether it was not taken: one of its ends was skipped."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole picture."""

    title: str
    cards: tuple[Card, ...]
    frames: tuple[Frame, ...]
    lines: tuple[Line, ...]
    width: float
    height: float
    direction: Direction


@dataclass(frozen=True, slots=True)
class _Content:
    """A region with its geometry, from 0, 0."""

    region: Region
    layout: Layout
    labels: Mapping[int, tuple[str, ...]]
    framed: Mapping[str, tuple[tuple[Lane, _Content], ...]]


def scene(source: Graph | Scope | Analysis, states: Mapping[str, Any] | None = None) -> Scene:
    """The picture of a definition, a scope or a flat graph, coloured by ``states`` (journal key → state)."""
    region = region_of(source)
    definition = source.definition if isinstance(source, Analysis) else None
    title = (definition.display_name or definition.name) if definition else "Workflow graph"
    return _Composer(states, region).run(region, title)


class _Composer:
    def __init__(self, states: Mapping[str, Any] | None, region: Region) -> None:
        self.states = gathered(states, {figure.key for figure in region.walk()})
        self.layers: dict[int, dict[str, int]] = {}
        self.direction: Direction = "right" if self._depth(region) <= WIDE else "down"
        self.cards: list[Card] = []
        self.frames: list[Frame] = []
        self.lines: list[Line] = []

    def run(self, region: Region, title: str) -> Scene:
        """The finished picture."""
        content = self._content(region)
        self._emit(content, MARGIN, MARGIN, 0)
        width, height = content.layout.width + 2 * MARGIN, content.layout.height + 2 * MARGIN
        cards, frames, lines = tuple(self.cards), tuple(self.frames), tuple(self.lines)
        return Scene(title, cards, frames, lines, width, height, self.direction)

    def _depth(self, region: Region) -> int:
        found = self.layers[id(region)] = layers(region.graph)
        inner = {
            name: max(self._depth(part) for part in figure.parts)
            for name, figure in region.figures.items()
            if figure.parts
        }
        return depth(found, inner)

    # Sizes, from the inside.

    def _content(self, region: Region) -> _Content:
        sizes: dict[str, Size] = {}
        framed: dict[str, tuple[tuple[Lane, _Content], ...]] = {}
        for name, figure in region.figures.items():
            texts = self._texts(figure)
            if figure.parts:
                framed[name], sizes[name] = self._lanes(figure, texts)
            else:
                sizes[name] = Size(max(MIN_WIDTH, round(texts.width)), texts.height)
        labels = {
            index: wrapped(edge_label(region.graph, edge), LABEL_CELLS, LINES)
            for index, edge in enumerate(region.graph.edges)
            if edge.condition is not None
        }
        label_sizes = {index: _label_size(label) for index, label in labels.items()}
        found = arrange(region.graph, self.layers[id(region)], sizes, label_sizes, self.direction)
        return _Content(region, found, labels, framed)

    def _texts(self, figure: Figure) -> Texts:
        state = self.states.get(figure.key) or (State("pending") if self.states else None)
        limit = CAPTION_CELLS if figure.parts else SMALL_CELLS
        title = wrapped(figure.title, CAPTION_CELLS if figure.parts else TITLE_CELLS, LINES)
        return Texts(title, wrapped(figure.subtitle, limit, LINES), state)

    def _lanes(self, figure: Figure, texts: Texts) -> tuple[tuple[tuple[Lane, _Content], ...], Size]:
        """The parts of a node side by side, across the direction of the picture, and the size of all with the
        frame."""
        contents = [self._content(part) for part in figure.parts]
        padding = PADDING if any(content.region.name is not None for content in contents) else 0.0
        sizes = [_lane_size(content) for content in contents]
        right = self.direction == "right"
        length = max(size.width if right else size.height for size in sizes)
        x, y = padding, texts.height
        lanes: list[tuple[Lane, _Content]] = []
        for content, size in zip(contents, sizes, strict=True):
            width, height = (length, size.height) if right else (size.width, length)
            lanes.append((Lane(Box(x, y, width, height), _lane_name(content)), content))
            x, y = (x, y + height + LANE_GAP) if right else (x + width + LANE_GAP, y)
        width = max(MIN_WIDTH, texts.width, max(lane.box.right for lane, _ in lanes) + padding)
        height = max(lane.box.bottom for lane, _ in lanes) + padding
        if right or len(lanes) == 1:
            room = width - 2 * padding
            lanes = [(replace(lane, box=replace(lane.box, width=room)), inner) for lane, inner in lanes]
        return tuple(lanes), Size(width, height)

    # Places, from the outside.

    def _emit(self, content: _Content, dx: float, dy: float, level: int) -> None:
        keys = {name: figure.key for name, figure in content.region.figures.items()}
        for name, figure in content.region.figures.items():
            box, texts = content.layout.boxes[name].moved(dx, dy), self._texts(figure)
            if name not in content.framed:
                self.cards.append(Card(figure, box, texts))
                continue
            lanes = [(replace(a, box=a.box.moved(box.x, box.y)), inner) for a, inner in content.framed[name]]
            self.frames.append(Frame(figure, box, texts, tuple(lane for lane, _ in lanes), level))
            for lane, inner in lanes:
                x, y = _inside(lane, inner)
                self._emit(inner, x, y, level + 1)
        for index, route in enumerate(content.layout.routes):
            source, target = keys[route.edge.source], keys[route.edge.target]
            skipped = any(
                (state := self.states.get(key)) is not None and state.status == "skipped"
                for key in (source, target)
            )
            label = content.labels.get(index, ())
            self.lines.append(Line(source, target, route.moved(dx, dy), label, skipped))


def _label_size(label: tuple[str, ...]) -> Size:
    width = max(text_width(line, LABEL) for line in label)
    return Size(width + 16, (len(label) - 1) * LABEL_STEP + LABEL + 9)


def _lane_size(content: _Content) -> Size:
    name = _lane_name(content)
    head = _lane_head(name)
    width = max(content.layout.width, text_width(name or "", SMALL, bold=True))
    return Size(width + 2 * PADDING, content.layout.height + head + 2 * PADDING - (4 if head else 10))


def _lane_name(content: _Content) -> str | None:
    return None if content.region.name is None else clip(content.region.name, CAPTION_CELLS)


def _lane_head(name: str | None) -> float:
    return 18.0 if name is not None else 0.0


def _inside(lane: Lane, content: _Content) -> tuple[float, float]:
    """Where the content of a lane begins: in its middle, under its name."""
    head = _lane_head(lane.name)
    return (
        lane.box.x + (lane.box.width - content.layout.width) / 2,
        lane.box.y + head + (lane.box.height - head - content.layout.height) / 2,
    )
