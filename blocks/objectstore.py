"""Object stores: S3 or MinIO, and a folder that stands in for one. No Prefect here; the blocks wrap these."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from ..core.errors import Code, RealmError
from ..core.references import file_uri, local_path
from ..core.settings import Settings


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as stored. ``created`` is false when the very same bytes were already there."""

    uri: str
    size: int
    sha256: str
    created: bool = True
    version: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class ObjectStore(Protocol):
    """Buckets of objects by key. Every write is atomic: a reader sees the old bytes, the new ones, or none."""

    kind: str

    def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        *,
        sha256: str,
        media_type: str,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:
        """Store ``path`` under ``key``. Idempotent: the same bytes under the same key are not written again."""
        ...

    def head(self, bucket: str, key: str) -> StoredObject | None:
        """What is stored under ``key``, or ``None``."""
        ...

    def fetch_file(self, uri: str, path: Path) -> None:
        """Copy the object to ``path`` atomically; NOT_FOUND when there is none."""
        ...

    def delete(self, bucket: str, key: str) -> bool:
        """Remove it; whether there was one."""
        ...


class LocalObjectStore:
    """An object store in a folder: ``folder/bucket/key``, with the sha256 and metadata beside each object."""

    kind = "local"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        *,
        sha256: str,
        media_type: str,
        metadata: Mapping[str, str] | None = None,
    ) -> StoredObject:
        """See :class:`ObjectStore`."""
        target = self._path(bucket, key)
        size = path.stat().st_size
        if target.is_file() and target.stat().st_size == size and _digest(target) == sha256:
            return StoredObject(file_uri(target), size, sha256, created=False)
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_atomically(path, target)
        return StoredObject(file_uri(target), size, sha256)

    def head(self, bucket: str, key: str) -> StoredObject | None:
        """See :class:`ObjectStore`."""
        target = self._path(bucket, key)
        if not target.is_file():
            return None
        return StoredObject(file_uri(target), target.stat().st_size, _digest(target))

    def fetch_file(self, uri: str, path: Path) -> None:
        """See :class:`ObjectStore`."""
        source = local_path(uri)
        if not source.is_file():
            raise RealmError(Code.NOT_FOUND, f"there is no object {uri}")
        copy_atomically(source, path)

    def delete(self, bucket: str, key: str) -> bool:
        """See :class:`ObjectStore`."""
        target = self._path(bucket, key)
        if not target.is_file():
            return False
        target.unlink()
        return True

    def _path(self, bucket: str, key: str) -> Path:
        parts = (bucket, *PurePosixPath(key).parts)
        if any(part in ("", ".", "..", "/") or "\0" in part for part in parts) or "/" in bucket:
            raise RealmError(Code.INVALID_ARGUMENT, f"{bucket}/{key} is not a usable object key")
        return self.folder.joinpath(*parts)


def copy_atomically(source: Path, target: Path) -> None:
    """Copy so that ``target`` is complete or untouched, whatever dies in between; its folder must exist."""
    temporary = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with source.open("rb") as read, temporary.open("xb") as write:
            shutil.copyfileobj(read, write, 1 << 20)
            write.flush()
            os.fsync(write.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def open_s3(settings: Settings) -> ObjectStore:
    """The S3 or MinIO store that the settings name."""
    from .s3 import S3ObjectStore

    return S3ObjectStore.from_settings(settings)


def _digest(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
