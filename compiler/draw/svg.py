"""A scene as SVG: one self-contained file without scripts, styles or outside references."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from .curves import arrowhead, cubics
from .scene import CARD, INK, LABEL, LINE, MUTED, PAPER, SMALL, TITLE, Card, Line, Scene

FONTS = (
    "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'PingFang SC', 'Hiragino Sans GB', 'Microsoft YaHei', "
    "'Noto Sans CJK SC', 'Source Han Sans SC', 'WenQuanYi Micro Hei', sans-serif"
)


def render_svg(scene: Scene) -> str:
    """The SVG text of ``scene``."""
    width, height = round(scene.layout.width), round(scene.layout.height)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="{FONTS}" role="img">'
    )
    shadow = (
        '<defs><filter id="shadow" x="-10%" y="-20%" width="120%" height="150%"><feDropShadow dx="0" dy="1.5" '
        'stdDeviation="2" flood-color="#1f2733" flood-opacity="0.16"/></filter></defs>'
    )
    background = f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>'
    curves = "\n".join(part for line in scene.lines for part in _curve(line, scene))
    cards = "\n".join(part for card in scene.cards for part in _card(card))
    labels = "\n".join(part for line in scene.lines for part in _label(line))
    return "\n".join(filter(None, (head, shadow, background, curves, cards, labels, "</svg>"))) + "\n"


def _curve(line: Line, scene: Scene) -> Iterator[str]:
    pieces = cubics(line.route, scene.layout.direction)
    start = pieces[0][0]
    path = f"M{_n(start[0])} {_n(start[1])}" + "".join(
        f" C{_n(b[0])} {_n(b[1])} {_n(c[0])} {_n(c[1])} {_n(d[0])} {_n(d[1])}" for _, b, c, d in pieces
    )
    dashes = ' stroke-dasharray="5 4"' if line.faded or line.route.back else ""
    opacity = ' opacity="0.55"' if line.faded else ""
    corners = " ".join(f"{_n(x)},{_n(y)}" for x, y in arrowhead(line.route, scene.layout.direction))
    edge = line.route.edge
    yield f"<g{opacity}><title>{_text(f'{edge.source} → {edge.target}')}</title>"
    yield f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.6"{dashes}/>'
    yield f'<polygon points="{corners}" fill="{LINE}"/></g>'


def _card(card: Card) -> Iterator[str]:
    box, color = card.box, card.color
    x, y, width, height = (_n(v) for v in (box.x, box.y, box.width, box.height))
    faded = card.state is not None and card.state.status == "skipped"
    border = card.state.color if card.state is not None and not faded else "#d9e0e9"
    thick = (
        "1.8" if card.state is not None and card.state.status in ("failed", "running", "retrying") else "1.2"
    )
    words = f"{card.node.id} ({card.node.type})" + (f": {card.state.text}" if card.state else "")
    yield f"<g data-node={quoteattr(_clean(card.node.id))}{' opacity=' + chr(34) + '0.6' + chr(34) if faded else ''}>"
    yield f"<title>{_text(words)}</title>"
    yield (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="9" fill="{CARD}" stroke="{border}" '
        f'stroke-width="{thick}" filter="url(#shadow)"/>'
    )
    strip = f'<rect x="{_n(box.x + 7)}" y="{_n(box.y + 9)}" width="4" height="{_n(box.height - 18)}"'
    yield f'{strip} rx="2" fill="{color}"/>'
    left = _n(box.x + 20)
    yield (
        f'<text x="{left}" y="{_n(box.y + 24)}" font-size="{TITLE:g}" font-weight="600" fill="{INK}">'
        f"{_text(card.title)}</text>"
    )
    yield (
        f'<text x="{left}" y="{_n(box.y + 42)}" font-size="{SMALL:g}" fill="{color}">{_text(card.subtitle)}</text>'
    )
    if card.state is not None:
        state = card.state
        yield f'<circle cx="{_n(box.x + 24)}" cy="{_n(box.y + 56.5)}" r="3.6" fill="{state.color}"/>'
        yield (
            f'<text x="{_n(box.x + 33)}" y="{_n(box.y + 60.5)}" font-size="{SMALL:g}" fill="{MUTED}">'
            f"{_text(state.text)}</text>"
        )
    yield "</g>"


def _label(line: Line) -> Iterator[str]:
    if line.label is None or line.label_size is None or line.route.label is None:
        return
    x, y = line.route.label
    width, height = line.label_size.width, line.label_size.height
    opacity = ' opacity="0.65"' if line.faded else ""
    yield (
        f"<g{opacity}><title>{_text(line.route.edge.condition or '')}</title>"
        f'<rect x="{_n(x - width / 2)}" y="{_n(y - height / 2)}" width="{_n(width)}" height="{_n(height)}" '
        f'rx="{_n(height / 2)}" fill="{PAPER}" stroke="#d9e0e9"/>'
    )
    yield (
        f'<text x="{_n(x)}" y="{_n(y + LABEL * 0.35)}" font-size="{LABEL:g}" fill="{MUTED}" text-anchor="middle">'
        f"{_text(line.label)}</text></g>"
    )


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
