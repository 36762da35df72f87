"""Private folders of node attempts: made under ``home/tmp``, removed afterwards, swept when their process
died.

A process owns ``tmp/<id>/`` as long as it holds the lock on ``tmp/<id>.lock``. The kernel drops the lock with
the process, however it dies, so a lock that can be taken marks a folder that nobody uses any more. Process
numbers would not do: they are reused, and mean different processes in two containers that share a home.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: no advisory locks of this kind; leftovers there stay until removed by hand
    fcntl = None

_log = logging.getLogger(__name__)
_guard = threading.Lock()
_owned: dict[tuple[int, Path], tuple[Path, IO[bytes]]] = {}
"""(process, temporary folder) → our folder in it and the open lock. Keyed by process since a fork inherits
this table."""


@contextmanager
def private_workdir(home: Path, label: str) -> Iterator[Path]:
    """A new empty folder for one attempt; it and all in it are gone afterwards, whatever happened."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in label)[:60]
    folder = _process_folder(home / "tmp") / f"{name}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        yield folder
    finally:
        _remove(folder)


class Workdir:
    """The private folder of one attempt, made when it is first asked for: most nodes need none."""

    def __init__(self, home: Path, label: str) -> None:
        self._made = ExitStack()
        self._making = threading.Lock()
        self._home, self._label = home, label
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder. Any thread of the attempt may ask."""
        with self._making:
            if self._folder is None:
                self._folder = self._made.enter_context(private_workdir(self._home, self._label))
            return self._folder

    def close(self) -> None:
        """Remove it and all in it."""
        with self._making:
            self._made.close()


def sweep(temporary: Path) -> int:
    """Remove the folders of processes that ended without cleaning up; how many there were."""
    if fcntl is None or not temporary.is_dir():
        return 0
    removed = 0
    for lock in temporary.glob("*.lock"):
        with suppress(FileNotFoundError), lock.open("rb+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its process lives
            _remove(lock.with_suffix(""))
            lock.unlink(missing_ok=True)
            removed += 1
    return removed


def _process_folder(temporary: Path) -> Path:
    key = (os.getpid(), temporary)
    with _guard:
        if key in _owned and _owned[key][0].is_dir():
            return _owned[key][0]
        temporary.mkdir(parents=True, exist_ok=True)
        swept = sweep(temporary)
        if swept:
            _log.info("removed the temporary folders of %d processes that had died", swept)
        # The lock is taken before it gets its name, so that no other process's sweep can mistake it for a
        # dead one's.
        name = uuid.uuid4().hex[:12]
        draft = temporary / f".{name}.draft"
        handle = draft.open("xb")
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        folder = temporary / name
        draft.rename(temporary / f"{name}.lock")
        folder.mkdir()
        _owned[key] = (folder, handle)
        if len(_owned) == 1:
            atexit.register(_leave)
        return folder


def _leave() -> None:
    """Take our own folders along at an orderly end; a fork's exit leaves its parent's alone."""
    for (process, _), (folder, handle) in _owned.items():
        if process == os.getpid():
            _remove(folder)
            folder.with_suffix(".lock").unlink(missing_ok=True)
            handle.close()


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        # The attempt's result stands; the next start's sweep tries again.
        _log.warning("could not remove the temporary folder %s: %s", folder, error)
