"""What the filesystem trigger is told and what it tells: its configuration, its events, its caller's memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from ..core.durations import parse_duration
from ..core.references import local_path


@dataclass(frozen=True, slots=True)
class FileEvent:
    """A complete file with a content that was not taken before.

    ``path`` is text for JSON and databases (see ``watch_tree.path_text``), ``file`` the path to open.
    """

    path: str
    event: Literal["create", "modify"]
    size: int
    mtime_ns: int
    sha256: str
    detected_at: datetime

    @property
    def file(self) -> Path:
        """The path to open."""
        return local_path(self.path)


class Known(Protocol):
    """What is remembered of one path."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def mtime_ns(self) -> int:
        """Modification time in nanoseconds."""
        ...

    @property
    def sha256(self) -> str:
        """Digest of the content that was last decided on."""
        ...


class KnownFiles(Protocol):
    """The caller's lasting memory of what was taken. Called from one thread."""

    def known_file(self, path: str) -> Known | None:
        """What is remembered of ``path``."""
        ...

    def seen(self, sha256: str) -> object:
        """True when this content was taken, under whatever path."""
        ...

    def remember_file(self, path: str, size: int, mtime_ns: int, sha256: str) -> object:
        """Remember a file that is *not* handed over: a copy, a moved file, one touched without a change."""
        ...


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """How a folder is watched; seconds. ``ignore`` adds to the names that are always ignored."""

    path: Path
    recursive: bool = True
    events: frozenset[str] = frozenset({"create"})
    patterns: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    settle: float = 2.0
    poll_interval: float = 1.0
    existing: bool = True
    max_batch: int = 1000
    """Files looked at between two looks at the tree."""

    @classmethod
    def of(cls, config: WatchConfig | Mapping[str, Any]) -> WatchConfig:
        """From a trigger's ``config``; durations as people write them, absent or null fields by default."""
        if isinstance(config, WatchConfig):
            return config
        given = {name: value for name, value in config.items() if name in cls.__slots__ and value is not None}
        for name in ("settle", "poll_interval"):
            if name in given:
                given[name] = parse_duration(given[name])
        for name in ("patterns", "ignore"):
            given[name] = tuple(given.get(name, ()))
        return cls(
            **{**given, "path": Path(given["path"]), "events": frozenset(given.get("events", ("create",)))}
        )


@dataclass(slots=True)
class WatchStatus:
    """Counters since the start, and how things stand."""

    waiting: int = 0
    taken: int = 0
    duplicates: int = 0
    failures: int = 0
    scans: int = 0
    missing: bool = False
    """Whether the folder is not there (an unplugged disk, a lost mount)."""
