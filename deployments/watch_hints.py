"""Filesystem events as hints where to look next. Their loss costs time, never a file: a scan finds what they miss."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

MOST_HINTS = 20_000
"""More hints than this at once are worth one whole scan."""


class Hints:
    """Collects the paths that events name, and calls ``wake`` when there are some."""

    def __init__(self, folder: str, *, recursive: bool, wake: Callable[[], None]) -> None:
        self._folder = folder
        self._recursive = recursive
        self._wake = wake
        self._lock = threading.Lock()
        self._files: dict[str, None] = {}
        self._folders: dict[str, None] = {}
        self._overflow = False
        self._observer: Any = None

    @property
    def alive(self) -> bool:
        """Whether events come at all."""
        return self._observer is not None and self._observer.is_alive()

    def start(self) -> None:
        """(Re)start listening. Where the system offers no events, or no more of them, scans alone must do."""
        self.stop()
        try:
            from watchdog import events
            from watchdog.observers import Observer
        except (ImportError, OSError) as error:  # a system without the C library's inotify
            log.warning("%s: no filesystem events (%s)", self._folder, error)
            return

        hints = self

        class Handler(events.FileSystemEventHandler):
            def on_any_event(self, event: events.FileSystemEvent) -> None:
                hints._note(event)

        wanted = [
            events.FileCreatedEvent,
            events.FileModifiedEvent,
            events.FileClosedEvent,
            events.FileMovedEvent,
            events.DirCreatedEvent,
            events.DirMovedEvent,
        ]
        observer = Observer()
        try:
            observer.schedule(Handler(), self._folder, recursive=self._recursive, event_filter=wanted)
            observer.start()
        except OSError as error:
            log.info("%s: no filesystem events (%s); looking every so often instead", self._folder, error)
            return
        self._observer = observer

    def stop(self) -> None:
        """Stop listening."""
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join(5)

    def take(self) -> tuple[list[str], list[str], bool]:
        """The files and the folders hinted at since the last call, and whether there were too many to tell."""
        with self._lock:
            taken = list(self._files), list(self._folders), self._overflow
            self._files, self._folders, self._overflow = {}, {}, False
        return taken

    def _note(self, event: Any) -> None:
        path = os.fsdecode(event.dest_path or event.src_path)
        with self._lock:
            if len(self._files) >= MOST_HINTS:
                self._overflow = True
            else:
                (self._folders if event.is_directory else self._files)[path] = None
        self._wake()
