"""Fonts for writing on pictures: the first one at hand that has every character of a text."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import Code, RealmError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

PREFERRED = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "NotoSansSC-Regular.otf",
    "NotoSansSC-Regular.ttf",
    "SourceHanSansSC-Regular.otf",
    "SourceHanSansCN-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "DroidSansFallback.ttf",
    "PingFang.ttc",
    "STHeiti Light.ttc",
    "msyh.ttc",
    "simhei.ttf",
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "Arial.ttf",
    "arial.ttf",
)
"""File names of widespread fonts, those with Chinese first."""

_SAMPLE = 24


def font_for(text: str, size: int, *, file: Path | None = None) -> FreeTypeFont:
    """A font of ``size`` pixels for ``text``: ``file``, or a system font, or the one that Pillow brings.

    Raises INVALID_ARGUMENT when ``file`` is no font, FAILED_PRECONDITION when no font has all the characters:
    boxes instead of Chinese are worse than no text.
    """
    from PIL import ImageFont

    if file is not None:
        try:
            font = ImageFont.truetype(str(file), size)
        except OSError as error:
            raise RealmError(Code.INVALID_ARGUMENT, f"{file.name} is not a font: {error}") from None
        if missing := _missing(font, text):
            raise RealmError(
                Code.FAILED_PRECONDITION, f"the font {file.name} has no {missing!r}", hint="name another font"
            )
        return font
    for path in _system_fonts():
        try:
            font = ImageFont.truetype(path, size)
        except OSError:
            continue
        if not _missing(font, text):
            return font
    built_in = ImageFont.load_default(size)
    if isinstance(built_in, ImageFont.FreeTypeFont) and not (missing := _missing(built_in, text)):
        return built_in
    raise RealmError(
        Code.FAILED_PRECONDITION,
        f"no font on this machine has every character of {text[:40]!r}",
        hint="install one (on Debian and Ubuntu: apt-get install fonts-noto-cjk), or name a file in `font`",
    )


def _missing(font: FreeTypeFont, text: str) -> str:
    """The characters that the font would draw as its box for unknown ones."""
    small = font.font_variant(size=_SAMPLE)
    unknown = _drawn(small, "\U0010fffe")
    characters = {c for c in text if c.isprintable() and not c.isspace()}
    return "".join(sorted(c for c in characters if _drawn(small, c) == unknown))


def _drawn(font: FreeTypeFont, character: str) -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("L", (3 * _SAMPLE, 3 * _SAMPLE))
    ImageDraw.Draw(image).text((_SAMPLE // 2, _SAMPLE // 2), character, font=font, fill=255)
    return image.tobytes()


@cache
def _system_fonts() -> tuple[str, ...]:
    """The preferred fonts that are installed, best first."""
    found: dict[str, str] = {}
    for folder in _folders():
        for base, _, names in os.walk(folder):
            for name in names:
                if name in PREFERRED:
                    found.setdefault(name, os.path.join(base, name))
    return tuple(found[name] for name in PREFERRED if name in found)


def _folders() -> Iterator[Path]:
    home = Path.home()
    if sys.platform == "darwin":
        yield from (Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts")
    elif sys.platform == "win32":
        yield Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"
    else:
        yield from (home / ".local/share/fonts", home / ".fonts", Path("/usr/local/share/fonts"))
        yield Path("/usr/share/fonts")
