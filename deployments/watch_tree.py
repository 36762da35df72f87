"""Looking at a folder tree: which files count, what they look like, and what is in them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.names import IGNORED, any_of, is_text
from ..core.references import file_uri
from .watch_remarks import Remark

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Signature:
    """What a file looks like from outside; two looks that differ say that somebody wrote. (No inode number: some
    network and FUSE file systems make a new one up at every look.)"""

    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        """The signature in a stat result."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Changed(Exception):
    """A file changed, or vanished, while it was read."""


class Stopped(Exception):
    """Reading was given up because the watch stops."""


class TreeFilter:
    """Which names count. Patterns are shell patterns, compared without regard to case: with a slash against the path
    relative to the watched folder, else against the name. ``ignore`` adds to :data:`IGNORED`."""

    def __init__(self, patterns: Sequence[str] = (), ignore: Sequence[str] = ()) -> None:
        self._wanted = _either(patterns)
        self._ignored = _either((*IGNORED, *ignore))

    def ignored(self, relative: str) -> bool:
        """Whether this file is never taken, or this folder never descended into."""
        return self._ignored is not None and self._ignored(relative)

    def wanted(self, relative: str) -> bool:
        """Whether a file counts, as far as its own name says."""
        return not self.ignored(relative) and (self._wanted is None or self._wanted(relative))

    def descends(self, relative: str) -> bool:
        """Whether a folder counts, and all folders above it."""
        parts = relative.split(os.sep)
        return not any(self.ignored(os.sep.join(parts[:depth])) for depth in range(1, len(parts) + 1))

    def reaches(self, relative: str) -> bool:
        """Whether a file counts, its folders considered too."""
        above = relative.rpartition(os.sep)[0]
        return self.wanted(relative) and (not above or self.descends(above))


def _either(patterns: Sequence[str]) -> Callable[[str], bool] | None:
    if not patterns:
        return None
    names = any_of(tuple(p for p in patterns if "/" not in p))
    paths = any_of(tuple(p for p in patterns if "/" in p))

    def matches(relative: str) -> bool:
        name = relative.rpartition(os.sep)[2]
        return names.match(name) is not None or paths.match(relative.replace(os.sep, "/")) is not None

    return matches


def scan(
    root: str,
    folder: str,
    keep: TreeFilter,
    *,
    recursive: bool,
    on_error: Callable[[str, OSError], None],
    on_remark: Callable[[str, Remark], object] = lambda path, remark: None,
) -> Iterator[tuple[str, os.stat_result]]:
    """The regular files that count in ``folder``, which lies in ``root``. Links are not followed.

    A subfolder that cannot be read goes to ``on_error``; when ``folder`` itself cannot be, the OSError is raised. Links
    that may lead to files that count, and names that are no text, go to ``on_remark``.
    """
    prefix = len(root.rstrip(os.sep)) + 1
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = os.scandir(here)
        except OSError as error:
            if here == folder:
                raise
            on_error(here, error)
            continue
        with entries:
            for entry in entries:
                relative = entry.path[prefix:]
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if not recursive or keep.ignored(relative):
                            continue
                        waiting.append(entry.path)
                    elif keep.wanted(relative) and entry.is_file(follow_symlinks=False):
                        yield entry.path, entry.stat(follow_symlinks=False)
                    else:
                        # Whether a link leads to a folder is not asked: that hangs where a mount is away.
                        if entry.is_symlink() and (
                            keep.wanted(relative) or (recursive and not keep.ignored(relative))
                        ):
                            on_remark(entry.path, Remark.LINK)
                        continue
                    if not is_text(entry.name):
                        on_remark(entry.path, Remark.NAME)
                except FileNotFoundError:
                    continue  # gone between the listing and the look
                except OSError as error:
                    on_error(entry.path, error)


def look(path: str) -> os.stat_result | None:
    """The stat result of a regular file; ``None`` when there is none at ``path`` (any more)."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def digest(path: str, expected: Signature, stopping: Callable[[], bool]) -> str:
    """The sha256 of a file that still has the signature ``expected`` before and after it is read.

    Raises :class:`Changed`, :class:`Stopped`, or the OSError of a file that does not open or read.
    """
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise Changed from None
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if Signature.of(os.fstat(descriptor)) != expected:
            raise Changed
        hasher = hashlib.sha256()
        while chunk := file.read(CHUNK):
            hasher.update(chunk)
            if stopping():
                raise Stopped
        now = look(path)
        if Signature.of(os.fstat(descriptor)) != expected or now is None or Signature.of(now) != expected:
            raise Changed
    return hasher.hexdigest()


def path_text(path: str) -> str:
    """A path as text that survives JSON, databases and APIs: itself, or its ``file:`` URI where it holds bytes that
    are no text or reads like a URI. ``core.references.local_path`` gives the path back.

    >>> path_text("/nas/照片 1.jpg"), path_text("/nas/\\udcff.jpg")
    ('/nas/照片 1.jpg', 'file:///nas/%FF.jpg')
    """
    plain = is_text(path) and "://" not in path and not path.startswith("file:")
    return path if plain else file_uri(Path(path))
