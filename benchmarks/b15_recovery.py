"""Recovery: what is killed with -9 under instances at work, and the seconds until the next node starts.

``realm serve`` with everything embedded, as a person starts it. Each trial accepts an instance of three nodes, waits
until the second one is at work, kills, and reads from a ledger that the nodes write when the next node began. Then the
instance must complete, and no node that had completed may be in the ledger twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import Report, Series, readable

ROUNDS = int(os.environ.get("REALM_BENCH_ROUNDS", "3"))
WORK = 2.0
"""Seconds that the node takes which is at work when something is killed."""
LIMIT = 300.0
TARGET = 30.0
REALM = [sys.executable, "-m", "mirror_realm.cli"]

DEFINITION = """
name: chain
nodes:
  - {{node_id: one, type: bench/note, parameters: {{ledger: {ledger}}}}}
  - {{node_id: two, type: bench/note, depends_on: one, parameters: {{ledger: {ledger}, seconds: {work}}}}}
  - {{node_id: three, type: bench/note, depends_on: two, parameters: {{ledger: {ledger}}}}}
"""


class Bench:
    """A home that is served, and what was run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.serving: subprocess.Popen[bytes] | None = None

    def serve(self) -> None:
        """Start ``realm serve``."""
        log = (self.folder / "serve.log").open("ab")
        self.serving = subprocess.Popen([*REALM, "serve"], stdout=log, stderr=log)
        log.close()

    def define(self) -> tuple[Path, Path]:
        """A definition of its own, and its ledger."""
        self.count += 1
        file, ledger = self.folder / f"chain-{self.count}.yaml", self.folder / f"ledger-{self.count}"
        file.write_text(DEFINITION.format(ledger=ledger, work=WORK), encoding="ascii")
        return file, ledger

    def accept(self) -> tuple[str, Path]:
        """An instance for whoever serves."""
        from mirror_realm.compiler import analyze
        from mirror_realm.core.settings import settings
        from mirror_realm.store import NewInstance, Store

        file, ledger = self.define()
        definition = analyze(file).definition
        assert definition is not None
        digest = definition.hash.removeprefix("sha256:")
        with Store.open(settings().database) as store:
            store.definitions.keep(digest, definition.document(), str(file))
            new = NewInstance(
                workflow="chain", version="0.0.0", input={}, trigger_type="manual", definition_hash=digest
            )
            return store.instances.create(new)[0].id, ledger


def entries(ledger: Path) -> list[tuple[str, int, float]]:
    """What the nodes wrote: each one's id, process and moment."""
    if not ledger.exists():
        return []
    lines = [line.split() for line in ledger.read_text(encoding="ascii").splitlines()]
    return [(line[0], int(line[1]), float(line[2])) for line in lines if len(line) == 3]


def until(look: Callable[[], Any], what: str) -> Any:
    """What ``look`` gives, as soon as it gives something."""
    deadline = time.monotonic() + LIMIT
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {LIMIT:.0f} s")
        time.sleep(0.02)
    return found


def at_work(ledger: Path) -> int:
    """The process of the second node, once it is at work."""
    return until(
        lambda: next((pid for node, pid, _ in entries(ledger) if node == "two"), 0), "a node at work"
    )


def decided(id: str) -> tuple[str, int]:
    """The status of an instance that is over, and how many lives it had."""
    from mirror_realm.core.settings import settings
    from mirror_realm.store import Store

    with Store.open(settings().database) as store:
        row = until(lambda: (one := store.instances.get(id)).status.terminal and one, f"the end of {id}")
        return str(row.status), row.epoch


def judged(bench: Bench, id: str, ledger: Path, killed: float) -> float:
    """Seconds from the kill to the next node; the instance must have completed with nothing repeated."""
    status, _ = decided(id)
    written = entries(ledger)
    count = Counter(node for node, _, _ in written)
    if status != "completed" or count["one"] != 1 or count["three"] != 1 or count["two"] > 2:
        raise AssertionError(f"{id} is {status}, and its nodes ran {dict(count)}")
    return min(at for _, _, at in written if at > killed) - killed


def kill(pid: int) -> float:
    """Kill a process; when."""
    os.kill(pid, signal.SIGKILL)
    return time.time()


def worker(bench: Bench) -> float:
    """The Dask worker that runs the node."""
    id, ledger = bench.accept()
    return judged(bench, id, ledger, kill(at_work(ledger)))


def scheduler(bench: Bench) -> float:
    """The Dask scheduler, with its nannies and workers."""
    import psutil

    id, ledger = bench.accept()
    at_work(ledger)
    assert bench.serving is not None
    children = psutil.Process(bench.serving.pid).children()
    cluster = next(one for one in children if "mirror_realm.deployments.cluster_process" in one.cmdline())
    return judged(bench, id, ledger, kill(cluster.pid))


def _server() -> int:
    from mirror_realm.core.settings import settings
    from mirror_realm.deployments.prefect_process import Files

    return until(lambda: (found := Files(settings().home).running()) and found[0].pid, "a Prefect server")


def server(bench: Bench) -> float:
    """Prefect's server: the next node of an instance at work."""
    id, ledger = bench.accept()
    at_work(ledger)
    return judged(bench, id, ledger, kill(_server()))


def server_next_instance(bench: Bench) -> float:
    """Prefect's server: the first node of an instance that is accepted right after."""
    killed = kill(_server())
    id, ledger = bench.accept()
    return judged(bench, id, ledger, killed)


def flow_process(bench: Bench) -> float:
    """The process of a person's `realm run`; `realm serve` beside it carries on."""
    from mirror_realm.core.settings import settings
    from mirror_realm.store import Store

    file, ledger = bench.define()
    run = subprocess.Popen([*REALM, "run", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    at_work(ledger)
    killed = kill(run.pid)
    run.wait()
    with Store.open(settings().database) as store:
        id = store.instances.list(limit=1)[0].id
    return judged(bench, id, ledger, killed)


def serving_process(bench: Bench) -> float:
    """`realm serve` itself, started again at once, as a service manager does."""
    id, ledger = bench.accept()
    at_work(ledger)
    assert bench.serving is not None
    killed = kill(bench.serving.pid)
    bench.serving.wait()
    bench.serve()
    return judged(bench, id, ledger, killed)


TRIALS = (worker, scheduler, server, server_next_instance, flow_process, serving_process)


@contextmanager
def served() -> Iterator[Bench]:
    """A home of its own, served."""
    with tempfile.TemporaryDirectory(prefix="realm-b15-") as folder:
        os.environ |= {
            "MIRROR_REALM_HOME": f"{folder}/home",
            "MIRROR_REALM_ROOTS": folder,
            "MIRROR_REALM_NODES": "bench_nodes",
            "PYTHONPATH": str(Path(__file__).parent),
        }
        os.environ.pop("PREFECT_API_URL", None)
        bench = Bench(Path(folder))
        bench.serve()
        try:
            id, ledger = bench.accept()  # Everything is started and imported then.
            judged(bench, id, ledger, 0.0)
            yield bench
        finally:
            if bench.serving is not None:
                bench.serving.terminate()
                bench.serving.wait(60)


def main() -> None:
    """Kill each in turns and report."""
    seconds: dict[Callable[[Bench], float], list[float]] = {trial: [] for trial in TRIALS}
    with served() as bench:
        for _ in range(ROUNDS):
            for trial in TRIALS:
                seconds[trial].append(trial(bench))
                print(f"{trial.__name__}: {seconds[trial][-1]:.2f} s", flush=True)
    report = Report(
        "recovery",
        "Recovery: seconds from kill -9 to the next node's start",
        "at most 30 s, nothing repeated",
    )
    for trial, found in seconds.items():
        series = Series(trial.__name__, tuple(found))
        report.row(
            killed=(trial.__doc__ or "").rstrip("."),
            median=readable(series.median),
            worst=readable(max(found)),
            target="met" if max(found) <= TARGET else "missed",
        )
        report.facts.setdefault("seconds", {})[trial.__name__] = [round(one, 3) for one in found]
    report.note(f"{ROUNDS} rounds; a node at work takes {WORK:g} s, which the row of the server includes")
    report.note("every instance completed; no node that had completed is in its ledger twice")
    report.write()


if __name__ == "__main__":
    main()
