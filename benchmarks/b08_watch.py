"""Watching: 10,000 files dropped into a tree, each handed over exactly once; files a second, and delay beyond settle.

The files are handed over to a store (SQLite): an instance is created and the file remembered, as `realm serve` does.
Three sizes show the growth, a second pass drops files one by one for the delay of a single file, and a third watches
the full tree at rest.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import Report, Series, growth_exponent, readable

from mirror_realm.deployments.watch import FileEvent, FolderWatch
from mirror_realm.store import NewInstance, Store

SIZES = (1_000, 3_000, 10_000)
SETTLE = 1.0
SINGLE = 60
AT_REST = 10.0


class Receiver:
    """Makes a pending instance of each file, in a database of its own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.taken: Counter[str] = Counter()
        self.when: dict[str, float] = {}
        self.arrived = threading.Event()
        self.expected = 0

    def known_file(self, path: str):
        """What is remembered of a path."""
        return self.store.triggers.known_file("bench", path)

    def seen(self, sha256: str):
        """Whether the content was taken."""
        return self.store.triggers.seen("bench", sha256)

    def remember_file(
        self, path: str, size: int, mtime_ns: int, sha256: str, instance: str | None = None
    ) -> None:
        """Remember a file."""
        self.store.triggers.remember_file("bench", path, size, mtime_ns, sha256, instance)

    def take(self, event: FileEvent) -> None:
        """Persist the instance, then remember the file."""
        new = NewInstance(
            workflow="bench",
            version="1.0.0",
            input={},
            trigger_type="filesystem",
            trigger_payload={"file_path": event.path, "sha256": event.sha256},
            idempotency_key=f"file:bench:{event.sha256}",
            definition_hash="0" * 64,
        )
        instance, _ = self.store.instances.create(new)
        self.remember_file(event.path, event.size, event.mtime_ns, event.sha256, instance.id)
        self.taken[event.path] += 1
        self.when[event.path] = time.perf_counter()
        if len(self.taken) >= self.expected:
            self.arrived.set()


@contextmanager
def watched() -> Iterator[tuple[Path, FolderWatch, Receiver]]:
    """An empty watched tree."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "tree"
        root.mkdir()
        with Store.open(f"sqlite:///{scratch}/bench.db") as store:
            receiver = Receiver(store)
            with FolderWatch(
                {"path": root, "settle": SETTLE}, receiver, receiver.take, batch=store.transaction
            ) as watch:
                while not watch.status.scans:
                    time.sleep(0.01)
                yield root, watch, receiver


def drop(root: Path, count: int) -> None:
    """Write ``count`` different small files into folders of a hundred; run in a process of its own."""
    for number in range(count):
        folder = root / f"{number // 100:04d}"
        if number % 100 == 0:
            folder.mkdir()
        (folder / f"{number:06d}.jpg").write_bytes(os.urandom(2048))


def flood(count: int, report: Report) -> float:
    """Drop everything at once; seconds from the last write, less settle, until all are pending rows."""
    with watched() as (root, watch, receiver):
        receiver.expected = count
        begun = time.perf_counter()
        subprocess.run([sys.executable, __file__, "--drop", str(root), str(count)], check=True)
        written = time.perf_counter()
        if not receiver.arrived.wait(600):
            raise SystemExit(f"only {len(receiver.taken)} of {count} files arrived")
        first, last = min(receiver.when.values()), max(receiver.when.values())
        scans = watch.status.scans
        while watch.status.scans < scans + 2:  # twice more over the tree: nothing comes again
            time.sleep(0.05)
        once = len(receiver.taken) == count and set(receiver.taken.values()) == {1}
        if not once or {str(path) for path in root.rglob("*.jpg")} != set(receiver.taken):
            raise SystemExit("not each file exactly once")
        report.row(
            case=f"{count} files at once",
            written=readable(written - begun),
            rate=f"{count / (last - first):.0f} files/s",
            whole=f"{count / (last - begun - SETTLE):.0f} files/s from first write",
            once="yes",
        )
        if count == SIZES[-1]:
            at_rest(report, count)
        return last - first


def at_rest(report: Report, count: int) -> None:
    """What watching costs when nothing happens."""
    before, start = _cpu(), time.perf_counter()
    time.sleep(AT_REST)
    share = (_cpu() - before) / (time.perf_counter() - start)
    report.row(case=f"at rest over {count} files", rate=f"{share:.1%} of a core")


def one_by_one(report: Report, *, events: bool) -> Series:
    """Drop single files; the delay from the end of the write to the pending row, less settle."""
    with watched() as (root, watch, receiver):
        if not events:
            watch._hints.stop()
        delays = []
        for number in range(SINGLE):
            path = root / f"{number}.jpg"
            path.write_bytes(os.urandom(2048))
            written = time.perf_counter()
            receiver.arrived.clear()
            receiver.expected = number + 1
            receiver.arrived.wait(30)
            delays.append(receiver.when[str(path)] - written - SETTLE)
    name = "single files, filesystem events" if events else "single files, scans alone"
    series = Series(name, tuple(delays))
    report.row(
        case=name,
        rate=f"p50 {readable(series.median)}, p95 {readable(series.percentile(0.95))} beyond settle",
        once="yes",
    )
    return series


def main() -> None:
    """Run all passes and report."""
    report = Report(
        "watch",
        f"Files into a watched tree, settle {SETTLE:g} s, store SQLite",
        target="each exactly once; ≥ 500 files/s to pending rows; p95 detection ≤ settle + 250 ms",
    )
    seconds = [flood(count, report) for count in SIZES]
    report.note(f"growth: seconds ≈ files^{growth_exponent(SIZES, seconds):.2f}")
    report.facts["delays_seconds"] = {
        series.name: [round(delay, 4) for delay in series.seconds]
        for series in (one_by_one(report, events=True), one_by_one(report, events=False))
    }
    report.write()


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    if sys.argv[1:2] == ["--drop"]:
        drop(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
