"""The image formats we know, and what a file's first bytes say it is, whatever its name claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """What a format is called and what it can hold. ``max_side`` is its own limit on width and height."""

    name: str
    media_type: str
    suffixes: tuple[str, ...]
    pillow: tuple[str, ...]
    """Pillow's names of its decoders; the first writes it."""
    writable: bool = True
    lossless: bool = False
    deep: bool = False
    """Whether we write it with more than 8 bits per channel."""
    alpha: bool = True
    cmyk: bool = False
    grey: bool = True
    max_side: int = 1 << 31
    stand_in: str = "png"
    """What is written instead, where we read the format but do not write it."""


FORMATS: Mapping[str, Format] = {
    f.name: f
    for f in (
        Format("jpeg", "image/jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"), ("JPEG",), alpha=False, cmyk=True,
               max_side=65_500),
        Format("png", "image/png", (".png",), ("PNG",), lossless=True, deep=True),
        Format("webp", "image/webp", (".webp",), ("WEBP",), grey=False, max_side=16_383),
        Format("tiff", "image/tiff", (".tif", ".tiff"), ("TIFF",), lossless=True, deep=True, cmyk=True),
        Format("heic", "image/heic", (".heic", ".heif", ".hif"), ("HEIF",), deep=True, max_side=16_384),
        Format("avif", "image/avif", (".avif",), ("AVIF",), writable=False, stand_in="jpeg"),
        Format("gif", "image/gif", (".gif",), ("GIF",), writable=False, lossless=True),
        Format("bmp", "image/bmp", (".bmp", ".dib"), ("BMP",), writable=False, lossless=True),
    )
}  # fmt: skip

READABLE = ", ".join(f.name.upper() for f in FORMATS.values())

_ALIASES = {"jpg": "jpeg", "tif": "tiff", "heif": "heic"}

_IMAGES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}

_BMP_HEADERS = {bytes((size, 0, 0, 0)) for size in (12, 40, 52, 56, 64, 108, 124)}
"""Lengths of the header behind the file's own."""

_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a ZIP archive (or an Office document)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"\0\0\x01\0", "a Windows icon"),
    (b"8BPS", "a Photoshop document"),
    (b"gimp xcf", "a GIMP document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"FUJIFILMCCD-RAW", "a Fujifilm camera raw file"),
    (b"IIU\0", "a Panasonic camera raw file"),
    (b"IIRO", "an Olympus camera raw file"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"ID3", "an MP3 recording"),
    (b"OggS", "an Ogg recording"),
)


def named(name: str) -> Format | None:
    """The format that ``name`` (``jpg``, ``JPEG``, ``.tif`` …) means, or ``None``."""
    key = name.lower().lstrip(".")
    return FORMATS.get(_ALIASES.get(key, key))


def sniff(head: bytes) -> tuple[Format | None, str]:
    """The format that content beginning with ``head`` (4 KiB are plenty) has, and what to call it.

    >>> sniff(b"\\xff\\xd8\\xff\\xe0")[1], sniff(b"Dear Sir")
    ('a JPEG image', (None, 'text'))
    """
    for magic, name in _IMAGES:
        if head.startswith(magic):
            return (None, "a Canon camera raw file") if head[8:10] == b"CR" else _found(name)
    if head.startswith(b"RIFF"):
        return _found("webp") if head[8:12] == b"WEBP" else (None, "a RIFF file (video or sound)")
    if head[4:8] == b"ftyp":
        return _iso_media(head[8:12])
    if head.startswith(b"BM") and head[14:18] in _BMP_HEADERS:
        return _found("bmp")
    for magic, what in _OTHERS:
        if head.startswith(magic):
            return None, what
    return None, _text_or_data(head)


def _found(name: str) -> tuple[Format, str]:
    return FORMATS[name], f"{'an' if name == 'avif' else 'a'} {name.upper()} image"


def _iso_media(brand: bytes) -> tuple[Format | None, str]:
    if brand in _HEIF_BRANDS:
        return _found("heic")
    if brand in (b"avif", b"avis"):
        return _found("avif")
    return None, "a Canon camera raw file" if brand == b"crx " else "an MP4 or QuickTime video"


def _text_or_data(head: bytes) -> str:
    stripped = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if stripped[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if stripped.startswith((b"<svg", b"<?xml")):
        return "an SVG or XML document"
    if b"\0" in head:
        return "zeros only" if not head.strip(b"\0") else "unknown binary data"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The sample may end in the middle of a character.
        if error.start < len(head) - 4 or error.start == 0:
            return "unknown binary data"
    return "text"
