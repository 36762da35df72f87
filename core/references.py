"""References: how files travel between nodes. A node's JSON carries where a file is and what it must contain."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from .errors import Code, RealmError


class FileRef(BaseModel):
    """A file in artifact storage: its URI, and the sha256 and size that its bytes must have."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    uri: str = Field(description="Where the bytes are: file:///… or s3://bucket/key")
    sha256: str = Field(description="Hex digest of the bytes", pattern=r"^[0-9a-f]{64}$")
    size: int = Field(description="Bytes", ge=0)
    media_type: str = Field(
        default="application/octet-stream", description="MIME type, read from the content"
    )
    name: str = Field(description="The file name a person knows it by, such as IMG_1234.jpg")


class ImageRef(FileRef):
    """An image. ``width`` and ``height`` are of the upright picture, in pixels."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)
    captured_at: datetime | None = Field(
        default=None, description="When the picture was taken (EXIF), else the file's own time"
    )
    source_sha256: str | None = Field(
        default=None, description="sha256 of the original file that this image was made from"
    )


def file_uri(path: Path) -> str:
    """The ``file:`` URI of an absolute path (any characters, also bytes that are no text)."""
    return "file://" + quote(os.fsencode(path.absolute()))


def local_path(uri: str) -> Path:
    """The path that a ``file:`` URI (or a plain path) names; INVALID_ARGUMENT for any other scheme."""
    if "://" not in uri and not uri.startswith("file:"):
        return Path(uri)
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise RealmError(Code.INVALID_ARGUMENT, f"{uri!r} is not a file on this machine")
    return Path(os.fsdecode(unquote_to_bytes(parts.path)))
