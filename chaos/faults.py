"""The faults: what each does to a stage, and how it is healed."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from mirror_realm.core.errors import RealmError
from mirror_realm.flows import control

from .stage import Stage, can_mount

NEWER = "newer versions registered"
"""No fault: it must change nothing."""


@dataclass
class Fault:
    """One fault: struck when the ledger has ``lines`` lines, ``delay`` seconds later, healed after ``seconds``."""

    kind: str
    lines: int
    delay: float
    seconds: float
    struck_at: float | None = None
    healed_at: float | None = None
    note: Any = None
    """What healing needs to know."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. ``ways`` are the ways to run that have what it breaks; ``spares`` says that it never lets a node
    fail, so that the outcome is that of a run without faults."""

    strike: Callable[[Stage, Fault], None]
    heal: Callable[[Stage, Fault], None] | None = None
    ways: tuple[str, ...] = ("run", "serve", "dask", "prefect")
    longest: float = 0.0
    spares: bool = True
    databases: tuple[str, ...] = ("sqlite", "postgres")
    small: str = ""
    """The folder that needs a file system of its own."""
    weight: float = field(default=1.0)


def _kill_run(stage: Stage, fault: Fault) -> None:
    stage.signal(signal.SIGKILL)
    if stage.process is not None:
        stage.process.wait()


def _kill_tree(stage: Stage, fault: Fault) -> None:
    for process in stage.mine():
        with contextlib.suppress(psutil.Error):
            process.kill()
    if stage.process is not None:
        stage.process.wait()
    if stage.cluster is not None:
        stage.cluster.close()
        stage.start_cluster()


def _terminate(stage: Stage, fault: Fault) -> None:
    stage.signal(signal.SIGTERM)
    if stage.process is not None:
        with contextlib.suppress(Exception):
            stage.process.wait(25)


def _freeze_run(stage: Stage, fault: Fault) -> None:
    stage.signal(signal.SIGSTOP)
    fault.note = stage.process


def _thaw_run(stage: Stage, fault: Fault) -> None:
    if fault.note is not None and fault.note.poll() is None:
        fault.note.send_signal(signal.SIGCONT)


def _take_over(stage: Stage, fault: Fault) -> None:
    """Somebody takes the instance from a frozen process, which wakes up later: a zombie."""
    if stage.found() is None or stage.dead:
        return
    stage.signal(signal.SIGSTOP)
    assert stage.process is not None
    stage.zombies.append(stage.process)
    fault.note = stage.process
    stage.start(take=True)


def _workers(stage: Stage) -> list[psutil.Process]:
    return stage.named("multiprocessing.spawn")


def _kill_worker(stage: Stage, fault: Fault) -> None:
    if workers := _workers(stage):
        with contextlib.suppress(psutil.Error):
            workers[fault.lines % len(workers)].kill()


def _freeze_worker(stage: Stage, fault: Fault) -> None:
    if workers := _workers(stage):
        fault.note = workers[fault.lines % len(workers)]
        with contextlib.suppress(psutil.Error):
            fault.note.suspend()


def _thaw_worker(stage: Stage, fault: Fault) -> None:
    with contextlib.suppress(psutil.Error):
        if fault.note is not None:
            fault.note.resume()


def _kill_scheduler(stage: Stage, fault: Fault) -> None:
    """The cluster's process: the scheduler, and its workers with it."""
    for process in stage.named("deployments.cluster_process"):
        with contextlib.suppress(psutil.Error):
            process.kill()


def _restart_scheduler(stage: Stage, fault: Fault) -> None:
    if stage.cluster is not None:
        stage.cluster.close()
        stage.start_cluster()


def _kill_prefect(stage: Stage, fault: Fault) -> None:
    for process in stage.named("prefect_process"):
        with contextlib.suppress(psutil.Error):
            process.kill()


def _cut(name: str, *, hold: bool) -> Callable[[Stage, Fault], None]:
    def strike(stage: Stage, fault: Fault) -> None:
        proxy = stage.proxies[name]
        (proxy.hold if hold else proxy.drop)()

    return strike


def _heal(name: str) -> Callable[[Stage, Fault], None]:
    def heal(stage: Stage, fault: Fault) -> None:
        stage.proxies[name].heal()

    return heal


def _lock_database(stage: Stage, fault: Fault) -> None:
    """Another program holds the database file."""
    connection = sqlite3.connect(stage.home / "realm.db", timeout=10, check_same_thread=False)
    connection.isolation_level = None
    connection.execute("BEGIN EXCLUSIVE")
    fault.note = connection


def _unlock_database(stage: Stage, fault: Fault) -> None:
    if fault.note is not None:
        fault.note.execute("ROLLBACK")
        fault.note.close()


def _fill(stage: Stage, fault: Fault) -> None:
    """Write until not a byte more fits."""
    assert stage.small is not None
    filler = stage.small / "filler"
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(65536))
    with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(512))


def _empty(stage: Stage, fault: Fault) -> None:
    assert stage.small is not None
    (stage.small / "filler").unlink(missing_ok=True)


def _register_later(stage: Stage, fault: Fault) -> None:
    """Newer versions are published of the workflows that instances run inside them."""
    stage.register_later()


def _cancel(*, undo: bool) -> Callable[[Stage, Fault], None]:
    """A person cancels one of the instances, with everything inside it."""

    def strike(stage: Stage, fault: Fault) -> None:
        if stage.found() is None:
            return
        id = stage.instance_ids[fault.lines % len(stage.instance_ids)]
        if not stage.store.instances.get(id).status.terminal:
            with contextlib.suppress(RealmError):  # It may have ended just now.
                control.cancel(stage.store, id, undo=undo)
                stage.canceled[id] = undo

    return strike


KINDS: Mapping[str, Kind] = {
    "none": Kind(lambda stage, fault: None, weight=0.5),
    "kill -9 of the run": Kind(_kill_run, weight=4),
    "kill -9 of the whole tree": Kind(_kill_tree, ways=("dask", "prefect"), weight=1.5),
    "SIGTERM of the run": Kind(_terminate, ways=("run", "serve", "dask", "prefect")),
    "SIGSTOP of the run": Kind(_freeze_run, _thaw_run, longest=3),
    "a frozen run is taken over": Kind(_take_over, _thaw_run, ways=("run",), longest=3),
    "kill -9 of a worker": Kind(_kill_worker, ways=("dask", "prefect"), weight=2),
    "SIGSTOP of a worker": Kind(_freeze_worker, _thaw_worker, ways=("dask", "prefect"), longest=4),
    "kill -9 of the scheduler": Kind(
        _kill_scheduler, _restart_scheduler, ways=("dask", "prefect"), longest=1, spares=False
    ),
    "kill -9 of the Prefect server": Kind(_kill_prefect, ways=("prefect",), weight=2),
    "network to the scheduler dropped": Kind(
        _cut("scheduler", hold=False), _heal("scheduler"), ways=("dask",), longest=3, spares=False
    ),
    "network to the scheduler held": Kind(
        _cut("scheduler", hold=True), _heal("scheduler"), ways=("dask",), longest=3
    ),
    "connection to the database dropped": Kind(
        _cut("database", hold=False), _heal("database"), databases=("postgres",), longest=3, weight=2
    ),
    "connection to the database held": Kind(
        _cut("database", hold=True), _heal("database"), databases=("postgres",), longest=3
    ),
    "database locked": Kind(_lock_database, _unlock_database, databases=("sqlite",), longest=3),
    "canceled by a person": Kind(_cancel(undo=False)),
    "canceled and undone": Kind(_cancel(undo=True)),
    NEWER: Kind(_register_later, weight=0.0),
    "artifact disk full": Kind(_fill, _empty, longest=2, spares=False, small="artifacts", weight=1.5),
    "home disk full": Kind(
        _fill, _empty, ways=("run", "serve"), longest=2, spares=False, databases=("sqlite",), small="home"
    ),
}
"""Every kind by its name, as the report shows it."""


def draw(random: random.Random, way: str, database: str, lines: int, *, newer: bool = False) -> list[Fault]:
    """The faults of one trial, one to three, at random points of a run that writes about ``lines`` lines. ``newer``:
    newer versions of what is registered too."""
    small = ""
    faults: list[Fault] = []
    for _ in range(random.choice([1, 1, 2, 3])):
        fitting = {
            name: kind.weight
            for name, kind in KINDS.items()
            if way in kind.ways
            and database in kind.databases
            and (not kind.small or (can_mount() and small in ("", kind.small)))
        }
        name = random.choices(list(fitting), list(fitting.values()))[0]
        small = KINDS[name].small or small
        seconds = random.uniform(0.2, KINDS[name].longest) if KINDS[name].longest else 0.0
        faults.append(Fault(name, random.randint(0, int(lines * 0.8)), random.uniform(0, 0.15), seconds))
    if newer:
        # Not before the first line: an instance that is not there yet rightly takes them.
        faults.append(Fault(NEWER, max(1, random.randint(0, int(lines * 0.5))), 0.0, 0.0))
    return sorted(faults, key=lambda one: one.lines)


def strike(stage: Stage, fault: Fault) -> None:
    """Let it happen."""
    fault.struck_at = time.monotonic()
    KINDS[fault.kind].strike(stage, fault)


def heal(stage: Stage, fault: Fault) -> None:
    """Make an end of it."""
    if fault.healed_at is None:
        fault.healed_at = time.monotonic()
        if (undo := KINDS[fault.kind].heal) is not None:
            undo(stage, fault)
