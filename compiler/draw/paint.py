"""A scene as shapes, from the ground up: what SVG and PNG have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .curves import Cubic, arrowhead, cubics
from .geometry import Box, Direction, Point
from .palette import BORDER, CARD, FRAMES, INK, LINE, MUTED, PAPER, Tone, family_tone
from .scene import (
    LABEL,
    LABEL_STEP,
    SMALL,
    SMALL_STEP,
    TITLE,
    TITLE_STEP,
    Card,
    Frame,
    Line,
    Scene,
    Texts,
)

_STRONG = ("failed", "running", "retrying", "waiting")


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle with round corners; ``shadow``: it seems to lie a little above the ground."""

    box: Box
    radius: float
    fill: Tone | None
    stroke: Tone | None = None
    width: float = 1.0
    dashed: bool = False
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """A text from ``x`` on, or around it if ``centered``, its letters standing on ``baseline``."""

    x: float
    baseline: float
    text: str
    size: float
    tone: Tone
    bold: bool = False
    centered: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of cubic pieces."""

    pieces: tuple[Cubic, ...]
    tone: Tone
    dashed: bool


@dataclass(frozen=True, slots=True)
class Polygon:
    """A filled polygon."""

    points: tuple[Point, ...]
    tone: Tone


@dataclass(frozen=True, slots=True)
class Dot:
    """A filled circle."""

    center: Point
    radius: float
    tone: Tone


Shape = Rectangle | Words | Curve | Polygon | Dot


@dataclass(frozen=True, slots=True)
class Group:
    """Shapes that belong together: a node (which has a key), an edge, a label. ``title`` says in words what
    it is."""

    title: str
    shapes: tuple[Shape, ...]
    key: str | None = None
    faded: bool = False


def paint(scene: Scene) -> Iterator[Group]:
    """The shapes of ``scene``, those underneath first."""
    for frame in scene.frames:
        yield _frame(frame)
    for card in scene.cards:
        yield _card(card)
    for line in scene.lines:
        yield _line(line, scene.direction)
    for line in scene.lines:
        if line.label and line.route.label is not None:
            yield _label(line, line.route.label)


def _card(card: Card) -> Group:
    box, stroke, width = card.box, *_border(card.texts)
    tone = family_tone(card.figure.node.type)
    shapes = (
        Rectangle(box, 9, CARD, stroke, width, shadow=True),
        Rectangle(Box(box.x + 7, box.y + 9, 4, box.height - 18), 2, tone),
        *_texts(card.texts, box, tone),
    )
    return Group(_about(card), shapes, card.figure.key, _skipped(card.texts))


def _frame(frame: Frame) -> Group:
    box, stroke, width = frame.box, *_border(frame.texts)
    tone = family_tone(frame.figure.node.type)
    ground = FRAMES[frame.level % 2]
    head = frame.texts.height
    shapes = [
        Rectangle(box, 12, ground, stroke, width),
        Rectangle(Box(box.x + 7, box.y + 9, 4, head - 18), 2, tone),
        *_texts(frame.texts, box, tone),
    ]
    for lane in frame.lanes:
        if lane.name is not None:
            shapes.append(Rectangle(lane.box, 9, None, BORDER, 1.2, dashed=True))
            x, baseline = lane.box.x + 12, lane.box.y + 18
            shapes.append(Words(x, baseline, lane.name, SMALL, MUTED, bold=True))
    return Group(_about(frame), tuple(shapes), frame.figure.key, _skipped(frame.texts))


def _texts(texts: Texts, box: Box, tone: Tone) -> Iterator[Shape]:
    left, baseline = box.x + 20, box.y + 6.0
    for line in texts.title:
        baseline += TITLE_STEP
        yield Words(left, baseline, line, TITLE, INK, bold=True)
    baseline += 2
    for line in texts.small:
        baseline += SMALL_STEP
        yield Words(left, baseline, line, SMALL, tone)
    if texts.state is not None:
        baseline += SMALL_STEP + 2
        yield Dot((left + 4, baseline - 4), 3.6, texts.state.tone)
        yield Words(left + 13, baseline, texts.state.text, SMALL, MUTED)


def _line(line: Line, direction: Direction) -> Group:
    curve = Curve(tuple(cubics(line.route, direction)), LINE, line.faded or line.route.back)
    head = Polygon(arrowhead(line.route, direction), LINE)
    return Group(f"{line.source} → {line.target}", (curve, head), faded=line.faded)


def _label(line: Line, box: Box) -> Group:
    x = box.center[0]
    words = [
        Words(x, box.y + LABEL + 3.5 + row * LABEL_STEP, text, LABEL, MUTED, centered=True)
        for row, text in enumerate(line.label)
    ]
    pill = Rectangle(box, min(box.height / 2, 10), PAPER, BORDER)
    return Group(line.route.edge.condition or "", (pill, *words), faded=line.faded)


def _border(texts: Texts) -> tuple[Tone, float]:
    if texts.state is None or _skipped(texts):
        return BORDER, 1.2
    return texts.state.tone, 1.8 if texts.state.status in _STRONG else 1.2


def _skipped(texts: Texts) -> bool:
    return texts.state is not None and texts.state.status == "skipped"


def _about(drawn: Card | Frame) -> str:
    figure, state = drawn.figure, drawn.texts.state
    words = f"{figure.key} ({figure.node.type})"
    if isinstance(drawn, Frame) or figure.title != figure.node.id:
        words += f": {figure.title}, {figure.subtitle}"
    return words + (f": {state.text}" if state else "")
