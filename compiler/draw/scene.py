"""What is drawn: each node's words and colours, each edge's label, and the geometry of all. Formats only render it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...core.durations import format_duration
from ..graph import Graph, GraphNode
from ..snippets import width as cells
from .layout import Box, Layout, Route, Size, layout

TITLE = 14.0
SMALL = 11.0
LABEL = 10.5
"""Font sizes in pixels."""
EM_PER_CELL = 0.58
"""Width of half a Chinese character in ems: a Latin letter of a sans-serif is a little narrower on average."""
MIN_WIDTH, MAX_CELLS, LABEL_CELLS = 150.0, 30, 34
HEIGHT, HEIGHT_WITH_STATE = 54.0, 72.0
PADDING = 18.0

INK, MUTED, LINE, PAPER, CARD = "#1f2733", "#697586", "#9aa5b4", "#fbfcfe", "#ffffff"

FAMILIES: Mapping[str, str] = {
    "image": "#0f8b8d",
    "ai": "#7c4dff",
    "storage": "#c77700",
    "data": "#2f6fed",
    "http": "#0b93c4",
    "control": "#55657a",
    "notify": "#d6336c",
    "script": "#3a8f3d",
}
"""A colour for each family of node types."""
OTHER = "#8a6d5a"

STATES: Mapping[str, str] = {
    "completed": "#2e9e5b",
    "failed": "#d83a3a",
    "running": "#2f6fed",
    "retrying": "#d98a00",
    "skipped": "#98a2b1",
    "canceled": "#7d6b91",
    "waiting": "#b08900",
    "pending": "#b3bcca",
}
"""A colour for each state of a node."""


@dataclass(frozen=True, slots=True)
class State:
    """A node's state and how long it took, in seconds, where known."""

    status: str
    seconds: float | None = None

    @property
    def text(self) -> str:
        """As shown: ``completed · 1.2s``."""
        return (
            self.status
            if self.seconds is None
            else f"{self.status} · {format_duration(round(self.seconds, 2))}"
        )

    @property
    def color(self) -> str:
        """The state's colour."""
        return STATES.get(self.status, STATES["pending"])


@dataclass(frozen=True, slots=True)
class Card:
    """A node as drawn."""

    node: GraphNode
    box: Box
    title: str
    subtitle: str
    color: str
    state: State | None


@dataclass(frozen=True, slots=True)
class Line:
    """An edge as drawn."""

    route: Route
    label: str | None
    label_size: Size | None
    faded: bool
    """Whether it was not taken: one of its ends was skipped."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole picture."""

    cards: tuple[Card, ...]
    lines: tuple[Line, ...]
    layout: Layout


def state_of(value: Any) -> State:
    """A :class:`State` from a status, from ``(status, seconds)``, or from a mapping with these names."""
    if isinstance(value, State):
        return value
    if isinstance(value, Mapping):
        seconds = value.get("seconds", value.get("duration"))
        return State(str(value.get("status", "pending")), None if seconds is None else float(seconds))
    if isinstance(value, tuple):
        status, seconds = value
        return State(str(status), None if seconds is None else float(seconds))
    return State(str(value))


def scene(graph: Graph, states: Mapping[str, Any] | None) -> Scene:
    """The picture of ``graph``, coloured by ``states`` (node id → state)."""
    known = {node_id: state_of(value) for node_id, value in (states or {}).items()}
    titles = {node.id: clip(node.id, MAX_CELLS) for node in graph.nodes}
    kinds = {node.id: clip(node.type or "?", MAX_CELLS) for node in graph.nodes}
    sizes = {
        node.id: _size(titles[node.id], kinds[node.id], known.get(node.id), bool(states))
        for node in graph.nodes
    }
    labels = {
        index: clip(condition_text(edge.condition), LABEL_CELLS)
        for index, edge in enumerate(graph.edges)
        if edge.condition is not None
    }
    label_sizes = {i: Size(text_width(text, LABEL) + 14, LABEL + 9) for i, text in labels.items()}
    placed = layout(graph, sizes, label_sizes)
    cards = tuple(
        Card(
            node,
            placed.boxes[node.id],
            titles[node.id],
            kinds[node.id],
            FAMILIES.get(node.type.partition("/")[0], OTHER),
            known.get(node.id) or (State("pending") if states else None),
        )
        for node in graph.nodes
    )
    lines = tuple(
        Line(route, labels.get(index), label_sizes.get(index), _faded(route, known))
        for index, route in enumerate(placed.routes)
    )
    return Scene(cards, lines, placed)


def condition_text(condition: str | None) -> str:
    """A condition as an edge's label: without braces, on one line."""
    text = " ".join((condition or "").split())
    if text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1:
        text = text[2:-2].strip()
    return text


def text_width(text: str, size: float) -> float:
    """Pixels that ``text`` takes at most, roughly: a Chinese character is as wide as it is high."""
    return sum(map(cells, text)) * EM_PER_CELL * size


def clip(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` cells, with an ellipsis where it was cut. Control characters become spaces."""
    text = "".join(c if c.isprintable() else " " for c in text)
    if sum(map(cells, text)) <= limit:
        return text
    kept, used = "", 1
    for character in text:
        used += cells(character)
        if used > limit:
            break
        kept += character
    return kept + "…"


def _size(title: str, kind: str, state: State | None, with_states: bool) -> Size:
    needed = max(
        text_width(title, TITLE) * 1.06,  # the title is bold
        text_width(kind, SMALL),
        text_width(state.text, SMALL) + 12 if state else 0,
    )
    return Size(max(MIN_WIDTH, round(needed + 2 * PADDING + 6)), HEIGHT_WITH_STATE if with_states else HEIGHT)


def _faded(route: Route, states: Mapping[str, State]) -> bool:
    ends = (states.get(route.edge.source), states.get(route.edge.target))
    return any(end is not None and end.status == "skipped" for end in ends)
