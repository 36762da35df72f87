"""What a file is, by its content: a picture, a film or recording, a document, or something else.

A film is only ever handed to the one reader that its first bytes call for: FFmpeg's own guessing would also take
playlists, which name other files and addresses to read.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..core.errors import Code, RealmError
from .imaging.formats import sniff

Kind = Literal["image", "moving", "document", "other"]

_HEAD = 4096


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is. ``reader`` is FFmpeg's demuxer of a moving picture or recording, a document's format, or a
    picture's; ``what`` says it in words."""

    kind: Kind
    reader: str
    media_type: str
    what: str


def _moving(reader: str, media_type: str, what: str) -> FileKind:
    return FileKind("moving", reader, media_type, what)


_MAGIC: tuple[tuple[bytes, FileKind], ...] = (
    (rb"\x1aE\xdf\xa3", _moving("matroska", "video/x-matroska", "a Matroska or WebM file")),
    (rb"OggS\0", _moving("ogg", "audio/ogg", "an Ogg file")),
    (rb"fLaC", _moving("flac", "audio/flac", "a FLAC recording")),
    (rb"FLV\x01", _moving("flv", "video/x-flv", "a Flash video")),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _moving("asf", "video/x-ms-asf", "a Windows Media file")),
    (rb"\0\0\x01\xba", _moving("mpeg", "video/mpeg", "an MPEG program stream")),
    (rb"#!AMR", _moving("amr", "audio/amr", "an AMR recording")),
    (rb"ID3[\x02-\x04]|\xff[\xfb\xf3\xf2]", _moving("mp3", "audio/mpeg", "an MP3 recording")),
    (rb"\xff[\xf1\xf9]", _moving("aac", "audio/aac", "an AAC recording")),
    (rb"RIFF....AVI ", _moving("avi", "video/x-msvideo", "an AVI file")),
    (rb"RIFF....WAVE", _moving("wav", "audio/wav", "a WAVE recording")),
    (rb"FORM....AIF[FC]", _moving("aiff", "audio/aiff", "an AIFF recording")),
    # The length before a box's name has a zero byte, which no text has.
    (rb"\0...(?:ftyp|moov|mdat|wide|free|skip)", _moving("mov", "video/mp4", "an MP4 or QuickTime file")),
    # Packets of 188 bytes, on Blu-ray discs with four bytes before each.
    (rb"(?:G.{187}){3}|.{4}G.{191}G", _moving("mpegts", "video/mp2t", "an MPEG transport stream")),
    (rb"%PDF-", FileKind("document", "pdf", "application/pdf", "a PDF document")),
)
"""What the content of each begins with, as regular expressions."""

_OFFICE = {
    "word/document.xml": FileKind(
        "document",
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "a Word document",
    ),
    "xl/workbook.xml": FileKind("other", "", "application/octet-stream", "an Excel workbook"),
    "ppt/presentation.xml": FileKind("other", "", "application/octet-stream", "a PowerPoint presentation"),
}

_TEXTS = {
    ".md": ("markdown", "text/markdown", "Markdown"),
    ".markdown": ("markdown", "text/markdown", "Markdown"),
    ".htm": ("html", "text/html", "an HTML page"),
    ".html": ("html", "text/html", "an HTML page"),
    ".xhtml": ("html", "text/html", "an HTML page"),
}
"""Texts are told apart by name, where their content is no HTML: Markdown is text with a habit."""


def kind_of(path: Path, name: str) -> FileKind:
    """What the file at ``path`` is; ``name`` is what a person calls it. DATA_CORRUPTED for an empty file."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise RealmError(Code.DATA_CORRUPTED, f"{name} is empty (0 bytes)", hint="copy the original again")
    picture, what = sniff(head)
    if picture is not None:
        return FileKind("image", picture.name, picture.media_type, what)
    for magic, kind in _MAGIC:
        if re.match(magic, head, re.DOTALL):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _office(path, what)
    return _text(head, name, what)


def _office(path: Path, what: str) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        return FileKind("other", "", "application/octet-stream", "a damaged ZIP archive")
    known = next((kind for member, kind in _OFFICE.items() if member in names), None)
    return known or FileKind("other", "", "application/zip", what)


def _text(head: bytes, name: str, what: str) -> FileKind:
    utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if what == "an HTML page":
        return FileKind("document", "html", "text/html", what)
    if not utf16 and what not in ("text", "an SVG or XML document") and not _readable(head):
        return FileKind("other", "", "application/octet-stream", what)
    reader, media_type, words = _TEXTS.get(Path(name).suffix.lower(), ("text", "text/plain", "text"))
    return FileKind("document", reader, media_type, words)


def _readable(head: bytes) -> bool:
    """Whether this may be text in an encoding other than UTF-8: no control characters but those of text."""
    return not any(byte < 9 or 13 < byte < 27 or 27 < byte < 32 or byte == 127 for byte in head)
