"""Files that are complete or absent, whatever dies while they are written, and nothing else left behind."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..core.errors import Code, RealmError

CHUNK = 1 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def copy_atomically(source: Path, target: Path, *, sha256: str | None = None, overwrite: bool = True) -> None:
    """Copy so that ``target`` is complete or untouched; its folder must exist.

    With ``sha256``, bytes that differ from it are refused (DATA_CORRUPTED). Without ``overwrite``, a target
    that exists is left alone (ALREADY_EXISTS), also when another process makes it at this very moment.
    """
    digest = hashlib.sha256()
    with source.open("rb") as read, atomic_file(target, overwrite=overwrite) as write:
        while chunk := read.read(CHUNK):
            digest.update(chunk)
            write.write(chunk)
        if sha256 is not None and digest.hexdigest() != sha256:
            raise RealmError(
                Code.DATA_CORRUPTED, f"{source} changed while it was read: its sha256 is another"
            )


@contextmanager
def atomic_file(target: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A file to write that becomes ``target`` at the end of the block, on the disk (file and folder synced).

    An exception in the block leaves ``target`` as it was. On Linux the file has no name until it is complete,
    so that not even a killed process leaves a half file; killed in the very moment of replacing, it leaves the
    whole new file as a hidden ``.part``, which the next writer of ``target`` takes away. Elsewhere the file is
    a hidden ``.part`` from its first byte.
    """
    file, publish = _unnamed(target) or _named(target)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            publish(overwrite)
    except FileExistsError:
        raise RealmError(Code.ALREADY_EXISTS, f"{target} exists already") from None
    except OSError as error:
        if error.filename is None and error.errno in _NO_ROOM:
            error.filename = str(target)  # write(2) knows no names; the person needs to know which disk
        raise
    finally:
        if isinstance(publish, _PartFile):
            publish.discard()
    _sync_folder(target.parent)


def _unnamed(target: Path) -> tuple[BinaryIO, Callable[[bool], None]] | None:
    if not hasattr(os, "O_TMPFILE") or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        descriptor = os.open(target.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
            return None  # NFS, SMB, FUSE and older kernels
        raise

    def publish(overwrite: bool) -> None:
        try:
            _link(descriptor, target.parent, target.name)
        except FileExistsError:
            if not overwrite:
                raise
            _replace(descriptor, target)

    return os.fdopen(descriptor, "wb"), publish


def _replace(descriptor: int, target: Path) -> None:
    # No call puts an unnamed file in the place of a named one: it needs a name for a moment. That name is always the
    # same for one target, so that what a writer killed in this moment left is found and removed by the next one. Of
    # living writers one at a time has it: a file whose only name another took away cannot be given one again.
    import fcntl  # Not on Windows, where no file is unnamed.

    name = f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:32]}.part"
    temporary = target.with_name(name)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        temporary.unlink(missing_ok=True)
        _link(descriptor, target.parent, name)
        temporary.replace(target)
    finally:
        os.close(folder)


def _link(descriptor: int, folder: Path, name: str) -> None:
    # Only with a folder descriptor does os.link call linkat(AT_SYMLINK_FOLLOW), which /proc/self/fd needs.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=handle, follow_symlinks=True)
    finally:
        os.close(handle)


class _PartFile:
    """Publishes a hidden ``.part`` file under its real name."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f".{uuid.uuid4().hex}.part")
        self._target = target

    def __call__(self, overwrite: bool) -> None:
        if overwrite:
            self.path.replace(self._target)
            return
        try:
            os.link(self.path, self._target)
        except FileExistsError:
            raise
        except OSError:
            # A file system without hard links: check, then rename, which is as good as it gets there.
            if self._target.exists():
                raise FileExistsError(self._target) from None
            self.path.replace(self._target)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


def _named(target: Path) -> tuple[BinaryIO, _PartFile]:
    publish = _PartFile(target)
    return publish.path.open("xb"), publish


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems cannot sync a folder; the file itself is on the disk
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
