"""A scene as PNG, drawn with Pillow at a multiple of its size and scaled down, which smooths every edge."""

from __future__ import annotations

import io
import math
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .curves import sampled
from .geometry import Box, Point
from .paint import Curve, Dot, Group, Polygon, Rectangle, Words, paint
from .palette import INK, PAPER, Tone
from .regions import region_of
from .scene import Scene

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

    from ..analysis import Analysis
    from ..graph import Graph
    from ..scopes import Scope

SCALE = 2.0
"""Pixels of the picture per unit of the layout: crisp on dense screens."""
OVERSAMPLE = 2
MAX_PIXELS = 48_000_000
"""Of the drawing before it is scaled down; larger graphs are drawn at a smaller scale."""
_FIRST_CHINESE = 0x2E80
"""Characters from here on are drawn in the Chinese font."""

_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts",
            "/Library/Fonts", "/System/Library/Fonts", "C:/Windows/Fonts")  # fmt: skip
_CHINESE = ("NotoSansCJK-Regular", "NotoSansCJKsc-Regular", "NotoSansSC-Regular", "SourceHanSansSC-Regular",
            "SourceHanSansCN-Regular", "wqy-microhei", "wqy-zenhei", "DroidSansFallbackFull",
            "DroidSansFallback", "PingFang", "Hiragino Sans GB", "STHeiti Light", "msyh", "simhei", "simsun",
            "uming")  # fmt: skip
_LATIN = ("DejaVuSans", "LiberationSans-Regular", "NotoSans-Regular", "Helvetica", "Arial", "arial")
_LATIN_BOLD = ("DejaVuSans-Bold", "LiberationSans-Bold", "NotoSans-Bold", "Arial Bold", "arialbd")


def render_png(scene: Scene) -> bytes:
    """The PNG file of ``scene``."""
    from PIL import Image

    scale = min(SCALE, (MAX_PIXELS / (max(scene.width * scene.height, 1.0) * OVERSAMPLE**2)) ** 0.5)
    canvas = _Canvas(scene.width, scene.height, scale * OVERSAMPLE)
    for group in paint(scene):
        canvas.group(group)
    size = (max(1, round(scene.width * scale)), max(1, round(scene.height * scale)))
    buffer = io.BytesIO()
    canvas.image.resize(size, Image.Resampling.LANCZOS).save(buffer, "PNG")
    return buffer.getvalue()


def unreadable(source: Graph | Scope | Analysis) -> bool:
    """Whether the picture has Chinese in it, and this machine no font for that."""
    if chinese_path() is not None:
        return False
    region = region_of(source)
    texts = [text for figure in region.walk() for text in (figure.title, figure.subtitle)]
    return any(ord(character) >= _FIRST_CHINESE for text in texts for character in text)


class _Canvas:
    """A drawing in layout units."""

    def __init__(self, width: float, height: float, scale: float) -> None:
        from PIL import Image, ImageDraw

        self.scale = scale
        self.share = 1.0
        self.image: Image.Image = Image.new(
            "RGB", (max(1, round(width * scale)), max(1, round(height * scale))), PAPER.light
        )
        self.pen: ImageDraw.ImageDraw = ImageDraw.Draw(self.image)

    def group(self, group: Group) -> None:
        """The shapes of a group."""
        self.share = 0.7 if group.faded else 1.0
        for shape in group.shapes:
            match shape:
                case Rectangle():
                    self._rectangle(shape)
                case Words(x, baseline, text, size, tone, bold, centered):
                    start = x - self._measure(text, size, bold) / 2 if centered else x
                    self.text(start, baseline, text, size, self._color(tone), bold=bold)
                case Curve(pieces, tone, dashed):
                    self._curve(sampled(list(pieces), 24), self._color(tone), dashed=dashed)
                case Polygon(points, tone):
                    self.pen.polygon([self._at(p) for p in points], fill=self._color(tone))
                case Dot((x, y), radius, tone):
                    corners = (*self._at((x - radius, y - radius)), *self._at((x + radius, y + radius)))
                    self.pen.ellipse(corners, fill=self._color(tone))

    def _color(self, tone: Tone) -> str:
        return _blend(tone.light, PAPER.light, self.share)

    def _rectangle(self, shape: Rectangle) -> None:
        box = shape.box
        if shape.shadow:
            for spread, shade in ((2.6, 0.025), (1.8, 0.04), (1.0, 0.06)):
                around = Box(
                    box.x - spread + 1,
                    box.y - spread + 2.6,
                    box.width + 2 * spread - 2,
                    box.height + 2 * spread - 2,
                )
                self._rounded(around, shape.radius + spread, _blend(INK.light, PAPER.light, shade))
        if shape.fill is not None:
            line = self._color(shape.stroke) if shape.stroke and not shape.dashed else None
            self._rounded(box, shape.radius, self._color(shape.fill), line, shape.width)
        if shape.stroke is not None and (shape.dashed or shape.fill is None):
            self._curve(_outline(box, shape.radius), self._color(shape.stroke), dashed=shape.dashed)

    def _curve(self, points: list[Point], color: str, *, dashed: bool) -> None:
        if dashed:
            self._dashes(points, color)
        else:
            self.pen.line([self._at(p) for p in points], fill=color, width=self._px(1.6), joint="curve")

    def text(
        self, x: float, baseline: float, text: str, size: float, color: str, *, bold: bool = False
    ) -> None:
        """``text`` from ``x`` on, its letters standing on ``baseline``."""
        left, y = self._at((x, baseline))
        for part, font in self._runs(text, size, bold):
            self.pen.text((left, y), part, font=font, fill=color, anchor="ls")
            left += font.getlength(part)

    def _measure(self, text: str, size: float, bold: bool) -> float:
        return sum(font.getlength(part) for part, font in self._runs(text, size, bold)) / self.scale

    def _runs(self, text: str, size: float, bold: bool) -> list[tuple[str, Any]]:
        """``text`` in stretches of one font: Chinese and the like in a font that has them."""
        pixels = max(1, self._px(size))
        latin, chinese = font(pixels, bold), chinese_font(pixels)
        if chinese is None:
            return [(text, latin)]
        runs: list[tuple[str, Any]] = []
        for character in text:
            chosen = chinese if ord(character) >= _FIRST_CHINESE else latin
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

    def _rounded(
        self, box: Box, radius: float, fill: str, outline: str | None = None, line: float = 0.0
    ) -> None:
        corners = (*self._at((box.x, box.y)), *self._at((box.right, box.bottom)))
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


def _outline(box: Box, radius: float) -> list[Point]:
    """The border of a rounded rectangle, as points."""
    corners = (
        (box.right - radius, box.y + radius, -math.pi / 2),
        (box.right - radius, box.bottom - radius, 0.0),
        (box.x + radius, box.bottom - radius, math.pi / 2),
        (box.x + radius, box.y + radius, math.pi),
    )
    points = [
        (
            x + radius * math.cos(start + step * math.pi / 12),
            y + radius * math.sin(start + step * math.pi / 12),
        )
        for x, y, start in corners
        for step in range(7)
    ]
    return [*points, points[0]]


def _blend(color: str, under: str, share: float) -> str:
    """``color`` laid over ``under`` with that opacity."""
    pairs = [(int(color[i : i + 2], 16), int(under[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(over * share + below * (1 - share)):02x}" for over, below in pairs)
