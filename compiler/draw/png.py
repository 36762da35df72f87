"""A scene as PNG, drawn with Pillow at a multiple of its size and scaled down, which smooths every edge."""

from __future__ import annotations

import io
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .curves import arrowhead, cubics, sampled
from .layout import Point
from .scene import CARD, INK, LABEL, LINE, MUTED, PAPER, SMALL, TITLE, Card, Line, Scene

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

SCALE = 2.0
"""Pixels of the picture per unit of the layout: crisp on dense screens."""
OVERSAMPLE = 2
MAX_PIXELS = 48_000_000
"""Of the drawing before it is scaled down; larger graphs are drawn at a smaller scale."""

_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts", "/Library/Fonts",
            "/System/Library/Fonts", "C:/Windows/Fonts")  # fmt: skip
_CHINESE = ("NotoSansCJK-Regular", "NotoSansCJKsc-Regular", "NotoSansSC-Regular", "SourceHanSansSC-Regular",
            "SourceHanSansCN-Regular", "wqy-microhei", "wqy-zenhei", "DroidSansFallbackFull", "DroidSansFallback",
            "PingFang", "Hiragino Sans GB", "STHeiti Light", "msyh", "simhei", "simsun", "uming")  # fmt: skip
_LATIN = ("DejaVuSans", "LiberationSans-Regular", "NotoSans-Regular", "Helvetica", "Arial", "arial")
_LATIN_BOLD = ("DejaVuSans-Bold", "LiberationSans-Bold", "NotoSans-Bold", "Arial Bold", "arialbd")


def render_png(scene: Scene) -> bytes:
    """The PNG file of ``scene``."""
    from PIL import Image

    width, height = scene.layout.width, scene.layout.height
    scale = min(SCALE, (MAX_PIXELS / (max(width * height, 1.0) * OVERSAMPLE**2)) ** 0.5)
    canvas = _Canvas(width, height, scale * OVERSAMPLE)
    for line in scene.lines:
        canvas.curve(line, scene)
    for card in scene.cards:
        canvas.card(card)
    for line in scene.lines:
        canvas.label(line)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    buffer = io.BytesIO()
    canvas.image.resize(size, Image.Resampling.LANCZOS).save(buffer, "PNG")
    return buffer.getvalue()


class _Canvas:
    """A drawing in layout units."""

    def __init__(self, width: float, height: float, scale: float) -> None:
        from PIL import Image, ImageDraw

        self.scale = scale
        self.image: Image.Image = Image.new(
            "RGB", (max(1, round(width * scale)), max(1, round(height * scale))), PAPER
        )
        self.pen: ImageDraw.ImageDraw = ImageDraw.Draw(self.image)

    def curve(self, line: Line, scene: Scene) -> None:
        """An edge with its arrowhead."""
        color = _blend(LINE, PAPER, 0.5) if line.faded else LINE
        points = sampled(cubics(line.route, scene.layout.direction), 24)
        if line.faded or line.route.back:
            self._dashes(points, color)
        else:
            self.pen.line([self._at(p) for p in points], fill=color, width=self._px(1.6), joint="curve")
        corners = [self._at(p) for p in arrowhead(line.route, scene.layout.direction)]
        self.pen.polygon(corners, fill=color)

    def card(self, card: Card) -> None:
        """A node."""
        box, state = card.box, card.state
        faded = state is not None and state.status == "skipped"
        border = state.color if state is not None and not faded else "#d9e0e9"
        strong = state is not None and state.status in ("failed", "running", "retrying")
        for spread, shade in ((2.6, 0.025), (1.8, 0.04), (1.0, 0.06)):
            wide, high = box.width + 2 * spread - 2, box.height + 2 * spread - 2
            tint = _blend(INK, PAPER, shade)
            self._rounded(box.x - spread + 1, box.y - spread + 2.6, wide, high, 9 + spread, tint)
        self._rounded(box.x, box.y, box.width, box.height, 9, CARD, border, 1.8 if strong else 1.2)
        tone = (lambda color: _blend(color, CARD, 0.55)) if faded else (lambda color: color)
        self._rounded(box.x + 7, box.y + 9, 4, box.height - 18, 2, tone(card.color))
        self.text(box.x + 20, box.y + 24, card.title, TITLE, tone(INK), bold=True)
        self.text(box.x + 20, box.y + 42, card.subtitle, SMALL, tone(card.color))
        if state is not None:
            x, y = box.x + 24, box.y + 56.5
            self.pen.ellipse((*self._at((x - 3.6, y - 3.6)), *self._at((x + 3.6, y + 3.6))), fill=state.color)
            self.text(box.x + 33, box.y + 60.5, state.text, SMALL, tone(MUTED))

    def label(self, line: Line) -> None:
        """An edge's label in a pill."""
        if line.label is None or line.label_size is None or line.route.label is None:
            return
        x, y = line.route.label
        width, height = line.label_size.width, line.label_size.height
        self._rounded(x - width / 2, y - height / 2, width, height, height / 2, PAPER, "#d9e0e9", 1.0)
        tint = _blend(MUTED, PAPER, 0.6) if line.faded else MUTED
        start = x - self._measure(line.label, LABEL) / 2
        self.text(start, y + LABEL * 0.35, line.label, LABEL, tint)

    def text(
        self, x: float, baseline: float, text: str, size: float, color: str, *, bold: bool = False
    ) -> None:
        """``text`` from ``x`` on, its letters standing on ``baseline``."""
        left, y = self._at((x, baseline))
        for part, font in self._runs(text, size, bold):
            self.pen.text((left, y), part, font=font, fill=color, anchor="ls")
            left += font.getlength(part)

    def _measure(self, text: str, size: float) -> float:
        return sum(font.getlength(part) for part, font in self._runs(text, size, False)) / self.scale

    def _runs(self, text: str, size: float, bold: bool) -> list[tuple[str, Any]]:
        """``text`` in stretches of one font: Chinese and the like in a font that has them."""
        pixels = max(1, self._px(size))
        latin, chinese = font(pixels, bold), chinese_font(pixels)
        if chinese is None:
            return [(text, latin)]
        runs: list[tuple[str, Any]] = []
        for character in text:
            chosen = chinese if ord(character) >= 0x2E80 else latin
            if runs and runs[-1][1] is chosen:
                runs[-1] = (runs[-1][0] + character, chosen)
            else:
                runs.append((character, chosen))
        return runs

    def _dashes(self, points: list[Point], color: str) -> None:
        on, left, dash = True, 5.0, [points[0]]
        for start, stop in pairwise(points):
            length = ((stop[0] - start[0]) ** 2 + (stop[1] - start[1]) ** 2) ** 0.5
            done = 0.0
            while length - done > left:
                done += left
                spot = (
                    start[0] + (stop[0] - start[0]) * done / length,
                    start[1] + (stop[1] - start[1]) * done / length,
                )
                if on:
                    self.pen.line([self._at(p) for p in [*dash, spot]], fill=color, width=self._px(1.6))
                on, left, dash = not on, 4.0 if on else 5.0, [spot]
            left -= length - done
            dash.append(stop)
        if on and len(dash) > 1:
            self.pen.line([self._at(p) for p in dash], fill=color, width=self._px(1.6))

    def _rounded(self, x: float, y: float, width: float, height: float, radius: float, fill: str,
                 outline: str | None = None, line: float = 0.0) -> None:  # fmt: skip
        corners = (*self._at((x, y)), *self._at((x + width, y + height)))
        self.pen.rounded_rectangle(
            corners,
            radius=radius * self.scale,
            fill=fill,
            outline=outline,
            width=self._px(line) if outline else 0,
        )

    def _at(self, point: Point) -> Point:
        return point[0] * self.scale, point[1] * self.scale

    def _px(self, length: float) -> int:
        return max(1, round(length * self.scale))


@cache
def font(pixels: int, bold: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A sans-serif font; Pillow's own where the machine has none."""
    from PIL import ImageFont

    path = _find(_LATIN_BOLD if bold else _LATIN) or chinese_path()
    return ImageFont.truetype(path, pixels) if path else ImageFont.load_default(pixels)


@cache
def chinese_font(pixels: int) -> ImageFont.FreeTypeFont | None:
    """A font with Chinese characters, or ``None`` where the machine has none."""
    from PIL import ImageFont

    path = chinese_path()
    return ImageFont.truetype(path, pixels) if path else None


@cache
def chinese_path() -> str | None:
    """Where a font with Chinese characters lies."""
    return _find(_CHINESE)


@cache
def _find(names: tuple[str, ...]) -> str | None:
    files = _font_files()
    return next((files[name.casefold()] for name in names if name.casefold() in files), None)


@cache
def _font_files() -> dict[str, str]:
    """The font files of this machine by name, and those that come with OpenCV's wheel."""
    import importlib.util

    folders = [Path(folder).expanduser() for folder in _FOLDERS]
    spec = importlib.util.find_spec("cv2")
    if spec is not None and spec.origin:
        folders.append(Path(spec.origin).parent / "qt" / "fonts")
    found: dict[str, str] = {}
    for folder in folders:
        for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if file.suffix.lower() in (".ttf", ".ttc", ".otf"):
                found.setdefault(file.stem.casefold(), str(file))
    return found


def _blend(color: str, under: str, share: float) -> str:
    """``color`` laid over ``under`` with that opacity."""
    pairs = [(int(color[i : i + 2], 16), int(under[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(over * share + below * (1 - share)):02x}" for over, below in pairs)
