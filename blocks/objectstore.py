"""Object stores: S3 or MinIO, and a folder that stands in for one. No Prefect here; the blocks wrap these."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from ..core.errors import Code, RealmError
from ..core.references import file_uri, local_path
from ..core.settings import Settings
from .atomic import atomic_file, copy_atomically

__all__ = [
    "LocalObjectStore",
    "ObjectStore",
    "StoredObject",
    "copy_atomically",
    "open_object_store",
    "open_s3",
]


_LONGEST_NAME = 255
"""Bytes, on the file systems that there are."""


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
    """Buckets of objects by key. Every write is atomic: a reader sees the old bytes, the new ones, or
    none."""

    kind: str
    """``s3``, or ``local-folder``."""

    def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        *,
        sha256: str,
        media_type: str,
        metadata: Mapping[str, str] | None = None,
        overwrite: bool = True,
    ) -> StoredObject:
        """Store ``path`` under ``key``. Idempotent: the same bytes under the same key are not written again.

        Without ``overwrite``, other bytes under the key stay and ALREADY_EXISTS is raised.
        """
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
    """An object store in a folder: objects at ``folder/bucket/key``, their metadata at
    ``folder/.metadata/bucket/key.json``.

    The sha256 is always computed from the bytes, so that an object that a person changed by hand is seen as
    changed.
    """

    kind = "local-folder"

    def __init__(self, folder: Path, *, create_buckets: bool = True) -> None:
        self.folder = folder
        self._create_buckets = create_buckets

    def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        *,
        sha256: str,
        media_type: str,
        metadata: Mapping[str, str] | None = None,
        overwrite: bool = True,
    ) -> StoredObject:
        """See :class:`ObjectStore`."""
        target = self._path(bucket, key)
        size = path.stat().st_size
        if _same(target, size, sha256):
            return self._stored(bucket, key, target, sha256, created=False)
        if not self._create_buckets and not (self.folder / bucket).is_dir():
            raise RealmError(Code.NOT_FOUND, f"there is no bucket {bucket!r} in {self.folder}")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy_atomically(path, target, sha256=sha256, overwrite=overwrite)
        except RealmError as error:
            if error.code is Code.ALREADY_EXISTS and _same(target, size, sha256):
                return self._stored(bucket, key, target, sha256, created=False)  # another writer was first
            raise
        if metadata:
            record = {"sha256": sha256, "media_type": media_type, "metadata": dict(metadata)}
            beside = self._metadata_path(bucket, key)
            beside.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(beside) as file:
                file.write(json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True).encode())
        return self._stored(bucket, key, target, sha256)

    def head(self, bucket: str, key: str) -> StoredObject | None:
        """See :class:`ObjectStore`."""
        target = self._path(bucket, key)
        if not target.is_file():
            return None
        return self._stored(bucket, key, target, _digest(target))

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
        self._metadata_path(bucket, key).unlink(missing_ok=True)
        return True

    def _stored(
        self, bucket: str, key: str, target: Path, sha256: str, *, created: bool = True
    ) -> StoredObject:
        beside = self._metadata_path(bucket, key)
        metadata: dict[str, str] = {}
        if beside.is_file():
            record = json.loads(beside.read_bytes())
            metadata = record["metadata"] if record.get("sha256") == sha256 else {}
        return StoredObject(file_uri(target), target.stat().st_size, sha256, created, metadata=metadata)

    def _metadata_path(self, bucket: str, key: str) -> Path:
        path = self._path(bucket, key)
        name = path.name + ".json"
        if len(os.fsencode(name)) > _LONGEST_NAME:
            name = hashlib.sha256(os.fsencode(path.name)).hexdigest() + ".json"
        return (self.folder / ".metadata" / path.relative_to(self.folder)).with_name(name)

    def _path(self, bucket: str, key: str) -> Path:
        parts = (bucket, *PurePosixPath(key).parts)
        unusable = any(part in ("", ".", "..", "/") or "\0" in part for part in parts)
        if unusable or not key or "/" in bucket or bucket.startswith(".metadata"):
            raise RealmError(Code.INVALID_ARGUMENT, f"{bucket}/{key} is not a usable object key")
        return self.folder.joinpath(*parts)


def open_s3(settings: Settings) -> ObjectStore:
    """The S3 or MinIO store that the settings name."""
    from .s3 import S3ObjectStore

    return S3ObjectStore.from_settings(settings)


def open_object_store(
    settings: Settings, *, create_buckets: bool = True, timeout: float = 30.0
) -> ObjectStore:
    """S3 or MinIO where an endpoint is configured, else the folder that stands in for it.

    ``timeout``: seconds that the server may keep one request waiting.
    """
    if settings.s3_endpoint is None:
        return LocalObjectStore(settings.object_folder, create_buckets=create_buckets)
    from .s3 import S3ObjectStore

    return S3ObjectStore.from_settings(settings, create_buckets=create_buckets, read_timeout=timeout)


def _same(path: Path, size: int, sha256: str) -> bool:
    return path.is_file() and path.stat().st_size == size and _digest(path) == sha256


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
