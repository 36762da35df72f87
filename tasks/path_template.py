"""Object keys and file paths from templates such as ``year={year}/month={month}/{filename}``.

Every segment comes out safe on every system: no way up, no control characters, nothing that Windows or S3
refuses, Unicode in composed form (macOS hands out decomposed names), at most 255 bytes.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath

from ..core.errors import Code, RealmError
from ..core.references import FileRef, ImageRef

FIELDS: Mapping[str, str] = {
    "year": "four digits",
    "month": "two digits",
    "day": "two digits",
    "hour": "two digits",
    "filename": "the file's name, such as IMG_1234.jpg",
    "name": "the same as filename",
    "stem": "the name without its extension",
    "ext": "the extension, lower case, without the dot",
    "sha256": "digest of the bytes",
    "sha8": "its first eight digits",
    "width": "pixels, of an image",
    "height": "pixels, of an image",
}
"""What a template may name, and what it stands for. Times are the picture's ``captured_at``, else now, in
UTC."""

MAX_SEGMENT_BYTES = 255
MAX_KEY_BYTES = 1024

_FIELD = re.compile(r"\{([^{}]*)\}")
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_RESERVED_CHARACTERS = re.compile(r'[<>:"|?*\\/]')
_RESERVED_NAMES = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)

_EXTENSIONS: Mapping[str, tuple[str, ...]] = {
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "image/png": (".png",),
    "image/webp": (".webp",),
    "image/tiff": (".tif", ".tiff"),
}


def check_template(template: str) -> str:
    """The template itself; :class:`ValueError` for unknown fields, stray braces and ways up (for a model's
    validator)."""
    for name in _FIELD.findall(template):
        if name not in FIELDS:
            matches = difflib.get_close_matches(name, FIELDS, n=1)
            suggestion = f"; did you mean {{{matches[0]}}}?" if matches else ""
            raise ValueError(f"unknown field {{{name}}}{suggestion} Known are: {', '.join(FIELDS)}")
    literal = _FIELD.sub("x", template)
    if "{" in literal or "}" in literal:
        raise ValueError(f"{template!r} has a brace without its partner")
    if literal.startswith("/") or ".." in literal.split("/"):
        raise ValueError(f"{template!r} must be a path below the bucket or folder, without '..'")
    if not any(segment.strip() for segment in literal.split("/")) or literal.endswith("/"):
        raise ValueError(f"{template!r} does not name a file; end it with {{filename}}")
    return template


def expand(template: str, file: FileRef, *, now: datetime | None = None) -> str:
    """The path that ``template`` gives for ``file``, ``/`` between segments.

    Raises INVALID_ARGUMENT for a bad template, a field that this file has no value for, or a path that is too
    long.

    >>> photo = FileRef(uri="file:///a", sha256="ab" * 32, size=1, name="照片 1.JPG")
    >>> expand("{stem}-{sha8}.{ext}", photo)
    '照片 1-abababab.jpg'
    """
    try:
        check_template(template)
    except ValueError as error:
        raise RealmError(Code.INVALID_ARGUMENT, f"path_template: {error}") from None
    values = field_values(file, now=now)
    # Fields are filled in segment by segment, so that no value can add a segment.
    segments = [
        _FIELD.sub(lambda m: _value(values, m.group(1), template), part) for part in template.split("/")
    ]
    path = "/".join(safe_segment(segment) for segment in segments if segment.strip())
    if len(path.encode()) > MAX_KEY_BYTES:
        raise RealmError(Code.INVALID_ARGUMENT, f"the path {path[:60]}… is longer than {MAX_KEY_BYTES} bytes")
    return path


def field_values(file: FileRef, *, now: datetime | None = None) -> dict[str, str]:
    """The value of each field that ``file`` has one for."""
    moment = (file.captured_at if isinstance(file, ImageRef) else None) or now or datetime.now(UTC)
    # The camera's clock is what the person remembers: a picture of New Year's Eve stays in its year, whatever
    # UTC says.
    name = safe_segment(_fitting_name(file))
    path = PurePosixPath(name)
    values = {
        "year": f"{moment.year:04}",
        "month": f"{moment.month:02}",
        "day": f"{moment.day:02}",
        "hour": f"{moment.hour:02}",
        "filename": name,
        "name": name,
        "stem": path.stem,
        "ext": path.suffix[1:].lower(),
        "sha256": file.sha256,
        "sha8": file.sha256[:8],
    }
    if isinstance(file, ImageRef):
        values |= {"width": str(file.width), "height": str(file.height)}
    return values


def safe_segment(text: str) -> str:
    """``text`` as one path segment that every system takes.

    >>> safe_segment("a/../b\\x07.jpg"), safe_segment("CON.txt"), safe_segment(".."), safe_segment("x. ")
    ('a_.._b.jpg', '_CON.txt', '_', 'x')
    """
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    text = _RESERVED_CHARACTERS.sub("_", text).strip(" ").rstrip(". ")
    if not text:
        return "_"
    if _RESERVED_NAMES.fullmatch(text):
        text = f"_{text}"
    return _shortened(text)


def with_suffix(path: str, suffix: str) -> str:
    """``path`` with ``-suffix`` before its extension, still within the limits.

    >>> with_suffix("2024/a.jpg", "0123abcd")
    '2024/a-0123abcd.jpg'
    """
    folder, slash, name = path.rpartition("/")
    pure = PurePosixPath(name)
    room = MAX_SEGMENT_BYTES - len(f"-{suffix}{pure.suffix}".encode())
    return f"{folder}{slash}{_cut(pure.stem, room)}-{suffix}{pure.suffix}"


def _fitting_name(file: FileRef) -> str:
    """The file's name; an image's extension is made to say what its bytes are (``IMG.HEIC`` holding a JPEG →
    ``IMG.jpg``)."""
    path = PurePosixPath(file.name.replace("\\", "/").rpartition("/")[2] or "_")
    fitting = _EXTENSIONS.get(file.media_type)
    if fitting is None or path.suffix.lower() in fitting:
        return path.name
    return path.stem + fitting[0]


def _value(values: Mapping[str, str], name: str, template: str) -> str:
    if name not in values:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"path_template {template!r}: this file has no {name}",
            hint="width and height are known for images only",
        )
    return values[name]


def _shortened(text: str) -> str:
    if len(text.encode()) <= MAX_SEGMENT_BYTES:
        return text
    path = PurePosixPath(text)
    extension = path.suffix if len(path.suffix.encode()) <= 20 else ""
    mark = "~" + hashlib.sha256(text.encode()).hexdigest()[:8] + extension
    stem = text[: len(text) - len(extension)]
    return _cut(stem, MAX_SEGMENT_BYTES - len(mark.encode())) + mark


def _cut(text: str, size: int) -> str:
    """The longest beginning of ``text`` of at most ``size`` bytes, whole characters only."""
    return text.encode()[:size].decode(errors="ignore")
