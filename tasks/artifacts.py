"""Artifact storage: where nodes put files so that other nodes, on other machines, can read them.

Content-addressed: the key is the sha256, so storing the same bytes twice stores them once, and a reference whose
bytes changed is found out when it is read.
"""

from __future__ import annotations

import errno
import hashlib
import stat
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from ..blocks.objectstore import LocalObjectStore, ObjectStore, open_s3
from ..core.errors import Code, RealmError
from ..core.references import FileRef, local_path
from ..core.settings import Settings

CHUNK = 1 << 20


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes, read in chunks. OSError for what is no plain file: a pipe may never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ArtifactStore:
    """Put files in, get them back by reference. ``bucket`` is the folder's name inside the object store."""

    def __init__(self, store: ObjectStore, bucket: str, prefix: str = "") -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix

    @classmethod
    def open(cls, settings: Settings) -> ArtifactStore:
        """The store that ``settings.artifacts`` names: a folder, or ``s3://bucket/prefix``."""
        location = settings.artifact_location
        if location.startswith("s3://"):
            parts = urlsplit(location)
            return cls(open_s3(settings), parts.netloc, parts.path.strip("/"))
        return _in_folder(location)

    def put(self, path: Path, *, name: str, media_type: str) -> FileRef:
        """Store the file at ``path`` (copied, atomically) and return its reference."""
        digest = sha256_file(path)
        suffix = Path(name).suffix.lower()
        key = "/".join(filter(None, (self._prefix, digest[:2], digest + suffix)))
        stored = self._store.put_file(self._bucket, key, path, sha256=digest, media_type=media_type)
        return FileRef(uri=stored.uri, sha256=digest, size=stored.size, media_type=media_type, name=name)

    def fetch(self, reference: FileRef, workdir: Path) -> Path:
        """A local path with the reference's bytes, checked. NOT_FOUND when they are gone, DATA_CORRUPTED when they
        changed. The path may be the artifact itself: read it, never write it."""
        if reference.uri.startswith("file:"):
            path = local_path(reference.uri)
        else:
            path = workdir / (reference.sha256 + Path(reference.name).suffix)
            if not path.exists():
                self._store.fetch_file(reference.uri, path)
        if not path.is_file():
            raise RealmError(
                Code.NOT_FOUND, f"the artifact {reference.uri} is gone", hint="run the instance again"
            )
        if path.stat().st_size != reference.size or sha256_file(path) != reference.sha256:
            raise RealmError(Code.DATA_CORRUPTED, f"the artifact {reference.uri} does not match its sha256")
        return path

    def holds(self, reference: FileRef) -> bool:
        """Whether there is a file of that size where the reference points; its bytes are not read."""
        if reference.uri.startswith("file:"):
            path = local_path(reference.uri)
            return path.is_file() and path.stat().st_size == reference.size
        bucket, _, key = reference.uri.removeprefix("s3://").partition("/")
        found = self._store.head(bucket, key)
        return found is not None and found.size == reference.size


@lru_cache(maxsize=8)
def _in_folder(location: str) -> ArtifactStore:
    """Kept, since every attempt of every node opens it. ``~`` is the home of the process that asks first."""
    folder = Path(location).expanduser().absolute()
    return ArtifactStore(LocalObjectStore(folder.parent), folder.name)
