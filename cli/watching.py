"""Definitions on the disk: which files are meant, and looking at them again whenever they change."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .terminal import STDIN

if TYPE_CHECKING:
    from ..compiler import Analysis
    from ..compiler.verify.pool import Pool

ENDINGS = frozenset({".yaml", ".yml", ".json"})
LOOK_EVERY = 2.0
"""Seconds between two looks at the disk where no event comes: on network folders, or when events are used up."""
SETTLE = 0.1
"""Seconds without an event after which a burst of them (an editor's save) is over."""

Signatures = dict[Path, tuple[int, int, int]]


def definition_files(named: Sequence[Path]) -> list[Path]:
    """The files that are named, and those in the folders that are named which look like definitions."""
    found: dict[Path, None] = {}
    for one in named:
        if str(one) != STDIN and one.is_dir():
            found |= dict.fromkeys(file for file in _candidates(one) if _is_definition(file))
        else:
            found[one] = None
    return list(found)


def watch(
    named: Sequence[Path], show: Callable[[list[Analysis]], None], pool: Pool | None = None
) -> NoReturn:
    """Call ``show`` with the analyses of all definitions, now and after every change, until it is interrupted.

    Only what changed, or may have a changed file in it, is read again. A file that disappears is shown as missing when
    it was named, else left out.
    """
    analyses: dict[Path, Analysis] = {}
    seen: Signatures | None = None
    woken = threading.Event()
    with _events(named, woken):
        while True:
            now = _signatures(named)
            if now != seen:
                files = definition_files(named)
                changed = {file for file in files if seen is None or now.get(file) != seen.get(file)}
                analyses = {file: _analysis(file, changed, analyses, pool) for file in files}
                seen = now
                show(list(analyses.values()))
            if woken.wait(LOOK_EVERY):
                while woken.is_set():  # a save is several events; the last one counts
                    woken.clear()
                    woken.wait(SETTLE)


def _analysis(file: Path, changed: set[Path], earlier: dict[Path, Analysis], pool: Pool | None) -> Analysis:
    if file not in changed and file in earlier and "subworkflow" not in earlier[file].text:
        return earlier[file]
    from ..compiler import analyze

    return analyze(file, pool=pool)


def _candidates(folder: Path) -> Iterator[Path]:
    """YAML and JSON files of a folder and those in it, hidden ones left out, in order."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in ENDINGS:
                yield Path(place, name)


def _is_definition(file: Path) -> bool:
    """Whether some dialect takes it for one; a file that cannot be read is shown, since it may be one."""
    from ..compiler.dialects import DIALECTS
    from ..compiler.source import load

    document = load(file).document
    return document is None or any(dialect.recognises(document.tree) for dialect in DIALECTS)


def _signatures(named: Sequence[Path]) -> Signatures:
    """What the files look like from outside. The inode tells a file that was put in another's place."""
    found: Signatures = {}
    for one in named:
        for file in _candidates(one) if one.is_dir() else (one,):
            try:
                status = file.stat()
            except OSError:
                continue
            found[file] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


@contextmanager
def _events(named: Sequence[Path], woken: threading.Event) -> Iterator[None]:
    """Set ``woken`` when something happens near the files; nothing more where the system offers no events."""
    try:
        from watchdog.events import FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer
    except (ImportError, OSError):  # a system without the C library's inotify
        yield
        return

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:
            # Reading a file is an event too, and our own reading must not wake us.
            if event.event_type not in ("opened", "closed_no_write"):
                woken.set()

    observer: Any = Observer()
    handler = Handler()
    for folder, recursive in _places(named).items():
        try:
            observer.schedule(handler, str(folder), recursive=recursive)
        except OSError:
            continue  # looking every so often must do
    try:
        observer.start()
    except OSError:
        yield
        return
    try:
        yield
    finally:
        observer.stop()
        observer.join(5)


def _places(named: Sequence[Path]) -> dict[Path, bool]:
    """The folders to listen to, each with whether those in it count. A file's own folder tells of its replacement."""
    places: dict[Path, bool] = {}
    for one in named:
        place = one if one.is_dir() else one.parent
        if place.is_dir():
            places[place] = places.get(place, False) or one.is_dir()
    return places
