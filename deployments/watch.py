"""The filesystem trigger as a library: each new content in a folder is handed over once, when it is complete.

A scan at intervals is the truth; filesystem events only say where to look sooner. A file is taken when its size and
times have been still for ``settle`` seconds over two looks or more, it opens, and it reads the same from beginning
to end. Which contents were taken is remembered by the caller's :class:`KnownFiles`; this module keeps nothing.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .watch_candidates import Candidate, Receiver
from .watch_hints import Hints
from .watch_remarks import Remark, Remarks
from .watch_tree import Changed, Signature, Stopped, TreeFilter, digest, look, path_text, scan
from .watch_types import FileEvent, Known, KnownFiles, WatchConfig, WatchStatus

__all__ = ["FileEvent", "FolderWatch", "Known", "KnownFiles", "WatchConfig", "WatchStatus"]

log = logging.getLogger(__name__)

EMPTY_PATIENCE = 10.0
"""Seconds, or five times ``settle``, that an empty file must stay empty before it is taken for one."""
READERS = min(4, os.cpu_count() or 1)
BATCH = 50
"""Files handed over in one batch: enough to share a commit, few enough not to hold up other writers."""
SCAN_REST = 10
"""Between two scans pass so many times the time of one, if that is more than the poll interval."""
MASS = 10
"""So many files that vanish at once, leaving none, look like a lost mount rather than like an emptied folder."""
MOST_BACKOFF = 60.0
FAILURES_THAT_PAUSE = 3
"""So many refusals in a row say that the receiver is down, not that a file is bad: then all files wait."""


class FolderWatch:
    """Watches one folder in a thread of its own: :meth:`start`, :meth:`stop`, or as a context manager.

    ``on_file`` must make the event lasting (persist the instance, remember the file) before it returns; when it
    raises, the file counts as not taken and is offered again later. Dying between its effect and its return means
    that it is offered again after a restart: it must be idempotent by content. ``on_duplicate`` hears of files whose
    content was taken before. Both are called from the watch's thread, one at a time.

    ``batch`` makes many files cheap: when given, up to :data:`BATCH` files are handed over inside one such context,
    a transaction of the receiver's. If it raises, none of its files counts as taken, and each is offered again
    alone.
    """

    def __init__(
        self,
        config: WatchConfig | Mapping[str, Any],
        known: KnownFiles,
        on_file: Callable[[FileEvent], object],
        on_duplicate: Callable[[FileEvent], object] | None = None,
        batch: Callable[[], AbstractContextManager[object]] | None = None,
    ) -> None:
        self.config = WatchConfig.of(config)
        self.status = WatchStatus()
        self._root = str(self.config.path.expanduser().resolve())
        self._known = known
        self._receiver = Receiver(known, on_file, self.config.events)
        self._on_duplicate = on_duplicate
        self._batch = batch
        self._filter = TreeFilter(self.config.patterns, self.config.ignore)
        self._hints = Hints(self._root, recursive=self.config.recursive, wake=self._wake_up)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._decided: dict[str, tuple[int, int]] = {}
        self._candidates: dict[str, Candidate] = {}
        self._due: list[tuple[float, int, str]] = []
        self._order = itertools.count()
        self._ready: list[str] = []
        self._read: queue.SimpleQueue[tuple[str, Future[str]]] = queue.SimpleQueue()
        self._reported: set[str] = set()
        self._remarks = Remarks(self._root)
        self._refusals = 0
        self._paused_until = 0.0
        self._next_scan = 0.0
        self._root_identity: tuple[int, int] | None = None

    # -- life ------------------------------------------------------------------------------------------

    def start(self) -> FolderWatch:
        """Start watching; at once, and harmless when it is started already."""
        if self._thread is None:
            if more := self.config.events - {"create", "modify"}:
                log.warning("%s: events %s are not watched for", self._root, ", ".join(sorted(more)))
            self._stopping.clear()
            self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="watch-read")
            self._thread = threading.Thread(target=self._run, name=f"watch {self._root}", daemon=True)
            self._thread.start()
        return self

    def stop(self, timeout: float = 30.0) -> None:
        """Stop watching. A file that is being handed over is finished; the others wait for the next start."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        self._wake.set()
        thread.join(timeout)

    def __enter__(self) -> FolderWatch:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _wake_up(self) -> None:
        self._wake.set()

    def _run(self) -> None:
        assert self._pool is not None
        try:
            while not self._stopping.is_set():
                try:
                    self._turn()
                except Exception:  # a fault of ours must not end the watch unnoticed, and files with it
                    log.exception("%s: the watch stumbled; it goes on", self._root)
                    self._stopping.wait(1.0)
        finally:
            self._hints.stop()
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _turn(self) -> None:
        self._wake.clear()
        if time.monotonic() >= self._next_scan:
            self._scan_all()
        self._follow_hints()
        self._collect_readings()
        self._advance()
        self._decide_ready()
        self.status.waiting = len(self._candidates)
        self._wake.wait(self._pause())

    def _pause(self) -> float:
        """Seconds to sleep; events come in floods, so a short pause first lets one look serve many."""
        self._stopping.wait(0.02)
        next_look = min(self._next_scan, self._due[0][0] if self._due else self._next_scan)
        return 0.0 if not self._read.empty() else max(0.0, next_look - time.monotonic())

    # -- looking ---------------------------------------------------------------------------------------

    def _scan_all(self) -> None:
        started = time.monotonic()
        found: dict[str, tuple[int, int]] = {}
        remarks: dict[str, Remark] = {}
        try:
            self._check_root()
            for path, status in scan(
                self._root,
                self._root,
                self._filter,
                recursive=self.config.recursive,
                on_error=self._report,
                on_remark=remarks.__setitem__,
            ):
                if self._stopping.is_set():
                    return
                self._observe(path, status, first=self.status.scans == 0)
                if path in self._decided:
                    found[path] = self._decided[path]
        except OSError as error:
            self._went_missing(error)
        else:
            if found or len(self._decided) < MASS:
                self._decided = (
                    found  # only a cache: what vanished is asked of the caller's memory when it returns
                )
                self._came_back()
                self._remarks.say(remarks)
            else:
                self._went_missing(None)
            self.status.scans += 1
        ended = time.monotonic()
        # Looking at a huge tree must not become the machine's main work.
        self._next_scan = ended + max(self.config.poll_interval, SCAN_REST * (ended - started))

    def _check_root(self) -> None:
        status = os.stat(self._root)
        identity = (status.st_dev, status.st_ino)
        if (
            identity != self._root_identity
        ):  # another folder than before (a remount): events of the old one are moot
            self._root_identity = identity
            self._hints.start()

    def _went_missing(self, error: OSError | None) -> None:
        if not self.status.missing:
            self.status.missing = True
            self._root_identity = None
            what = f"cannot be read ({error})" if error else "is suddenly empty"
            log.warning("%s %s: waiting; nothing is forgotten", self._root, what)

    def _came_back(self) -> None:
        if self.status.missing:
            self.status.missing = False
            log.info("%s is back", self._root)

    def _follow_hints(self) -> None:
        files, folders, overflow = self._hints.take()
        if overflow:
            self._next_scan = 0.0
        prefix = len(self._root.rstrip(os.sep)) + 1
        for path in files:
            relative = path[prefix:]
            if path.startswith(self._root) and self._filter.reaches(relative) and (status := look(path)):
                self._observe(path, status)
        for folder in folders:
            if self.config.recursive and self._filter.descends(folder[prefix:]):
                self._look_into(folder)

    def _look_into(self, folder: str) -> None:
        try:
            for path, status in scan(self._root, folder, self._filter, recursive=True, on_error=self._report):
                self._observe(path, status)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                self._report(folder, error)

    def _observe(self, path: str, status: os.stat_result, *, first: bool = False) -> None:
        if self._decided.get(path) == (status.st_size, status.st_mtime_ns):
            return
        now = time.monotonic()
        signature = Signature.of(status)
        if candidate := self._candidates.get(path):
            if candidate.signature != signature:
                candidate.restart(signature, now)
                self._put_off(path, candidate, now + self.config.settle)
            return
        known, asked = (None, False) if path in self._decided else self._remembered(path)
        looks = (status.st_size, status.st_mtime_ns)
        unchanged = known is not None and (known.size, known.mtime_ns) == looks
        if unchanged or (first and not self.config.existing):
            self._decided[path] = looks
        else:
            candidate = self._candidates[path] = Candidate(signature, now, known=known, asked=asked)
            self._put_off(path, candidate, now + self.config.settle)

    def _remembered(self, path: str) -> tuple[Known | None, bool]:
        """What the memory has of a path, and whether it could be asked."""
        try:
            return self._known.known_file(path_text(path)), True
        except Exception as error:  # noqa: BLE001 - the caller's memory may fail in any way; asked again when it is due
            self._report("the memory of known files", error)
            return None, False

    # -- taking ----------------------------------------------------------------------------------------

    def _put_off(self, path: str, candidate: Candidate, until: float) -> None:
        candidate.due = until  # an older entry in the heap no longer agrees with it, and is passed over
        heapq.heappush(self._due, (until, next(self._order), path))

    def _advance(self) -> None:
        """Look again at the candidates whose time has come."""
        assert self._pool is not None
        for _ in range(self.config.max_batch):
            if self._stopping.is_set() or not self._due or self._due[0][0] > time.monotonic():
                return
            due, _, path = heapq.heappop(self._due)
            candidate = self._candidates.get(path)
            if candidate is not None and not candidate.reading and candidate.due == due:
                try:
                    self._look_again(path, candidate)
                except OSError as error:
                    self._try_later(path, candidate, error)

    def _look_again(self, path: str, candidate: Candidate) -> None:
        now = time.monotonic()
        status = look(path)
        if status is None:
            del self._candidates[path]
            return
        signature = Signature.of(status)
        if signature != candidate.signature:
            candidate.restart(signature, now)
        else:
            candidate.looks += 1
        needed = self.config.settle
        if signature.size == 0:
            needed = max(5 * needed, EMPTY_PATIENCE)
        ready = candidate.since + needed
        if now < ready or candidate.looks < 2:
            self._put_off(path, candidate, max(ready, now + min(0.05, self.config.settle)))
        elif candidate.sha256 is not None:
            self._ready.append(path)
        else:
            self._start_reading(path, candidate)

    def _start_reading(self, path: str, candidate: Candidate) -> None:
        assert self._pool is not None
        candidate.reading = True
        future = self._pool.submit(digest, path, candidate.signature, self._stopping.is_set)
        future.add_done_callback(lambda done: (self._read.put((path, done)), self._wake.set()))

    def _collect_readings(self) -> None:
        for _ in range(self.config.max_batch):
            if self._stopping.is_set() or self._read.empty():
                return
            path, future = self._read.get()
            candidate = self._candidates.get(path)
            if candidate is None or future.cancelled():
                continue
            candidate.reading = False
            try:
                candidate.sha256 = future.result()
            except Stopped:
                return
            except Changed:
                now = time.monotonic()
                candidate.restart(candidate.signature, now)
                self._put_off(path, candidate, now + self.config.settle)
            except OSError as error:
                self._try_later(path, candidate, error)
            else:
                self._ready.append(path)

    def _decide_ready(self) -> None:
        size = 1 if self._batch is None else BATCH
        ready, self._ready = self._ready, []
        for start in range(0, len(ready), size):
            if self._stopping.is_set():
                return
            if time.monotonic() < self._paused_until:
                for path in ready[start:]:
                    self._put_off(path, self._candidates[path], self._paused_until)
                return
            paths = ready[start : start + size]
            if not self._decide(paths, alone=size == 1) and size > 1:
                for path in paths:
                    self._decide([path], alone=True)

    def _decide(self, paths: list[str], *, alone: bool) -> bool:
        """Hand files over together, or remember why not. False, with nothing decided, when the receiver refuses;
        a file that was refused ``alone`` is kept for later."""
        decisions: list[tuple[str, FileEvent]] = []
        try:
            with self._batch() if self._batch else nullcontext():
                decisions.extend(self._receiver.decide(path, self._candidates[path]) for path in paths)
        except Exception as error:  # noqa: BLE001 - the receiver may raise anything: the watch goes on, and offers it again
            if alone:
                self._refused(paths[0], error)
            return False
        self._refusals = 0
        for path, (outcome, event) in zip(paths, decisions, strict=True):
            self._reported.discard(path)
            signature = self._candidates.pop(path).signature
            self._decided[path] = (signature.size, signature.mtime_ns)
            if outcome == "taken":
                self.status.taken += 1
            elif outcome == "duplicate":
                self.status.duplicates += 1
                if self._on_duplicate is not None:
                    self._on_duplicate(event)
        return True

    def _refused(self, path: str, error: Exception) -> None:
        self.status.failures += 1
        self._refusals += 1
        if self._refusals >= FAILURES_THAT_PAUSE:
            self._paused_until = time.monotonic() + _backoff(self._refusals - FAILURES_THAT_PAUSE + 1)
        self._try_later(path, self._candidates[path], error)

    def _try_later(self, path: str, candidate: Candidate, error: Exception) -> None:
        candidate.failures += 1
        self._report(path, error)
        self._put_off(path, candidate, time.monotonic() + _backoff(candidate.failures))

    def _report(self, what: str, error: Exception) -> None:
        """Log a fault once, until what it concerns has succeeded."""
        if what not in self._reported:
            self._reported.add(what)
            log.warning("%s: %s; trying again later", path_text(what), error)


def _backoff(failures: int) -> float:
    return min(MOST_BACKOFF, 2.0 ** min(failures - 1, 10))
