"""A scene as SVG: one self-contained file without scripts and outside references, light or dark as its
reader's screen."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from .geometry import Box
from .paint import Curve, Dot, Group, Polygon, Rectangle, Shape, Words, paint
from .palette import PAPER, Tone
from .scene import Scene

FONTS = (
    "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'PingFang SC', 'Hiragino Sans GB', 'Microsoft YaHei', "
    "'Noto Sans CJK SC', 'Source Han Sans SC', 'WenQuanYi Micro Hei', sans-serif"
)
_SHADOW = (
    '<filter id="shadow" x="-10%" y="-20%" width="120%" height="150%"><feDropShadow dx="0" dy="1.5" '
    'stdDeviation="2" flood-color="#1f2733" flood-opacity="0.16"/></filter>'
)


def render_svg(scene: Scene) -> str:
    """The SVG text of ``scene``. Colours are attributes, so that every viewer has the light ones; a style
    replaces them where the screen is dark."""
    width, height = round(scene.width), round(scene.height)
    pen = _Pen()
    ground = Rectangle(Box(0, 0, width, height), 10, PAPER)
    body = [pen.shape(ground), *(line for group in paint(scene) for line in pen.group(group))]
    about = _description(scene)
    mark = f"{zlib.crc32(chr(10).join(body).encode('utf-8', 'replace')):08x}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{FONTS}" '
        f'role="img" aria-labelledby="title-{mark} about-{mark}">'
    )
    names = (
        f'<title id="title-{mark}">{_text(scene.title)}</title><desc id="about-{mark}">{_text(about)}</desc>'
    )
    defs = f"<defs>{_SHADOW}<style>{pen.style()}</style></defs>"
    return "\n".join([head, names, defs, *body, "</svg>"]) + "\n"


class _Pen:
    """Writes shapes, and remembers which colours it used."""

    def __init__(self) -> None:
        self._fills: dict[str, Tone] = {}
        self._strokes: dict[str, Tone] = {}

    def style(self) -> str:
        """The dark colours of what was drawn."""
        rules = [f".f-{name}{{fill:{tone.dark}}}" for name, tone in sorted(self._fills.items())]
        rules += [f".s-{name}{{stroke:{tone.dark}}}" for name, tone in sorted(self._strokes.items())]
        return f"@media (prefers-color-scheme:dark){{{''.join(rules)}}}"

    def group(self, group: Group) -> Iterator[str]:
        """A group's lines."""
        attributes = "" if group.key is None else f" data-node={quoteattr(_clean(group.key))}"
        attributes += ' opacity="0.7"' if group.faded else ""
        yield f"<g{attributes}><title>{_text(group.title)}</title>"
        yield from map(self.shape, group.shapes)
        yield "</g>"

    def shape(self, shape: Shape) -> str:
        """One element."""
        match shape:
            case Rectangle():
                return self._rectangle(shape)
            case Words(x, baseline, text, size, tone, bold, centered):
                weight = ' font-weight="600"' if bold else ""
                anchor = ' text-anchor="middle"' if centered else ""
                return (
                    f'<text x="{_n(x)}" y="{_n(baseline)}" font-size="{size:g}"{weight}{anchor}'
                    f"{self._paint(tone, None)}>{_text(text)}</text>"
                )
            case Curve(pieces, tone, dashed):
                path = f"M{_n(pieces[0][0][0])} {_n(pieces[0][0][1])}" + "".join(
                    f" C{_n(b[0])} {_n(b[1])} {_n(c[0])} {_n(c[1])} {_n(d[0])} {_n(d[1])}"
                    for _, b, c, d in pieces
                )
                dashes = ' stroke-dasharray="5 4"' if dashed else ""
                return f'<path d="{path}" stroke-width="1.6"{dashes}{self._paint(None, tone)}/>'
            case Polygon(points, tone):
                corners = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
                return f'<polygon points="{corners}"{self._paint(tone, None)}/>'
            case Dot((x, y), radius, tone):
                return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{radius:g}"{self._paint(tone, None)}/>'

    def _rectangle(self, shape: Rectangle) -> str:
        box = shape.box
        place = f'x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}"'
        line = f' stroke-width="{shape.width:g}"' if shape.stroke else ""
        line += ' stroke-dasharray="6 5"' if shape.dashed else ""
        line += ' filter="url(#shadow)"' if shape.shadow else ""
        return f'<rect {place} rx="{_n(shape.radius)}"{line}{self._paint(shape.fill, shape.stroke)}/>'

    def _paint(self, fill: Tone | None, stroke: Tone | None) -> str:
        """The attributes and classes of a fill and a stroke."""
        words, classes = f' fill="{fill.light if fill else "none"}"', []
        if fill is not None:
            self._fills[fill.name] = fill
            classes.append(f"f-{fill.name}")
        if stroke is not None:
            self._strokes[stroke.name] = stroke
            classes.append(f"s-{stroke.name}")
            words += f' stroke="{stroke.light}"'
        return f'{words} class="{" ".join(classes)}"'


def _description(scene: Scene) -> str:
    """The picture in words."""
    nodes = len(scene.cards) + len(scene.frames)
    words = [f"{_count(nodes, 'node')} and {_count(len(scene.lines), 'edge')}."]
    words += [f"{frame.figure.title}: {frame.figure.subtitle}." for frame in scene.frames[:20]]
    drawn = (*scene.cards, *scene.frames)
    states = Counter(one.texts.state.status for one in drawn if one.texts.state is not None)
    if states:
        words.append(", ".join(f"{number} {status}" for status, number in states.most_common()) + ".")
    return " ".join(words)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(text: str) -> str:
    return escape(_clean(text))


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot carry."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "\ufffd"
        for c in text
    )
