"""``python -m chaos.long_night``: thousands of instances of ten nodes, nodes that fail, a kill every 30 seconds.

All must end, as drawn; none may be lost; the memory of every process must stay flat.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from mirror_realm.core.status import InstanceStatus

from .blocks import ALWAYS, Outcome, Work
from .invariants import Evidence, Findings, check, left_behind
from .ledger import Ledger
from .stage import Stage, prepare

NODES = 10
SAMPLE = 1.0
"""Seconds between two samples of the memory."""
WARM = 20.0
"""Seconds that a process has to reach its size before its slope counts."""
SHARE_FAILING, SHARE_FINAL = 0.05, 0.1
"""How many nodes fail, and how many of these for good."""


@dataclass
class Memory:
    """The resident memory of the processes of one role, each life of one as (seconds, MiB)."""

    lives: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def slope(self) -> tuple[float, float, float]:
        """MiB a minute over all lives together after their warm-up (least squares, each life with a level of its
        own), the largest size, and the seconds that were looked at."""
        above = below = seconds = 0.0
        for samples in self.lives.values():
            began = samples[0][0]
            steady = [(at, size) for at, size in samples if at - began >= WARM]
            if len(steady) < 5:
                continue
            middle = sum(at for at, _ in steady) / len(steady)
            level = sum(size for _, size in steady) / len(steady)
            above += sum((at - middle) * (size - level) for at, size in steady)
            below += sum((at - middle) ** 2 for at, _ in steady)
            seconds += steady[-1][0] - steady[0][0]
        most = max((size for samples in self.lives.values() for _, size in samples), default=0.0)
        return (60 * above / below if below else 0.0), most, seconds


def definition(ledger: Path) -> dict[str, Any]:
    """Ten nodes: five in a row, two side by side, one that joins them, two in a row."""
    retry = {"max_attempts": 6, "initial": "50ms", "multiplier": 1.5, "max": "500ms"}
    given = {"ledger": "{{ input.ledger }}", "after": 0.002}
    nodes = [
        {
            "node_id": f"n{number}",
            "type": "chaos/work",
            "input": {},
            "parameters": {**given, "fails": f"{{{{ input.fails[{number}] }}}}"},
            "retry": retry,
        }
        for number in range(NODES)
    ]
    pairs = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (4, 6), (5, 7), (6, 7), (7, 8), (8, 9)]
    edges = [{"source": f"n{one}", "target": f"n{other}"} for one, other in pairs]
    schema = {
        "type": "object",
        "required": ["ledger", "fails"],
        "properties": {
            "ledger": {"type": "string"},
            "fails": {"type": "array", "items": {"type": "integer"}},
        },
    }
    return {"name": "long-night", "version": "1.0.0", "input": schema, "nodes": nodes, "edges": edges}


def drawn(draw: random.Random, folder: Path, count: int) -> list[dict[str, Any]]:
    """The inputs: which nodes of each instance fail, once or for good."""
    inputs = []
    for number in range(count):
        fails = [0] * NODES
        for node in range(NODES):
            if draw.random() < SHARE_FAILING:
                fails[node] = ALWAYS if draw.random() < SHARE_FINAL else 1
        inputs.append({"ledger": str(folder / f"{number}"), "fails": fails})
    return inputs


def night(count: int, way: str, database: str, seed: int, every: float, longest: float) -> dict[str, Any]:
    """Run it; what it came to."""
    draw = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="realm-night-"))
    ledgers = folder / "ledgers"
    ledgers.mkdir()
    inputs = drawn(draw, ledgers, count)
    stage = Stage(folder, way, database, [definition(ledgers)], inputs=inputs)
    memory: dict[str, Memory] = defaultdict(Memory)
    kills: Counter[str] = Counter()
    began = time.monotonic()
    try:
        _through(stage, draw, memory, kills, every, longest)
        seconds = time.monotonic() - began
        findings = Findings()
        if not stage.stop():
            findings.wrong.append("a process did not end when it was told to")
        processes = stage.close()
        statuses = _judge(stage, inputs, findings)
        left_behind(stage.home, stage.temporary, stage.artifacts, processes, findings)
        return {
            "instances": count,
            "nodes": NODES,
            "way": way,
            "database": database,
            "seed": seed,
            "seconds": round(seconds, 1),
            "kills": dict(kills),
            "starts": stage.starts,
            "statuses": dict(statuses),
            "checks": sum(findings.checks.values()),
            "wrong": findings.wrong[:20],
            "memory": {role: _told(one) for role, one in sorted(memory.items())},
        }
    finally:
        for process in stage.mine():
            process.kill()
        stage.leave()
        shutil.rmtree(folder, ignore_errors=True)


def _through(
    stage: Stage,
    draw: random.Random,
    memory: dict[str, Memory],
    kills: Counter[str],
    every: float,
    longest: float,
) -> None:
    stage.start()
    began = told = time.monotonic()
    next_kill = began + every
    while True:
        time.sleep(SAMPLE)
        now = time.monotonic()
        if stage.dead:
            stage.start()
        if stage.way == "dask" and stage.cluster is not None and not stage.cluster.running:
            stage.cluster.close()
            stage.start_cluster()
        _measure(stage, memory, now)
        left = sum(stage.store.instances.count(status) for status in InstanceStatus if not status.terminal)
        if now - told > 15:
            told = now
            print(f"{now - began:7.1f} s: {left} left, kills {dict(kills)}", flush=True)
        if not left:
            return
        if now - began > longest:
            print(f"not over after {longest:g} s: {left} left", flush=True)
            return
        if now >= next_kill:
            next_kill = now + every
            kills[_kill(stage, draw)] += 1


def _measure(stage: Stage, memory: dict[str, Memory], now: float) -> None:
    for process in stage.mine():
        try:
            command = " ".join(process.cmdline())
            size = process.memory_info().rss / 2**20
        except psutil.Error:
            continue
        memory[_role(command, process.pid, stage)].lives[process.pid].append((now, size))


def _role(command: str, pid: int, stage: Stage) -> str:
    if stage.process is not None and pid == stage.process.pid:
        return "run"
    known = {
        "cluster_process": "scheduler",
        "multiprocessing.spawn": "worker",
        "prefect_process": "Prefect server",
    }
    return next((role for word, role in known.items() if word in command), "other")


def _kill(stage: Stage, draw: random.Random) -> str:
    """Kill something: mostly the process that runs the instances, else a worker or the scheduler."""
    targets = {"serve": ["run"], "dask": ["run", "worker", "worker", "scheduler"]}
    what = draw.choice(targets.get(stage.way, ["run", "worker", "Prefect server", "tree"]))
    words = {
        "worker": "multiprocessing.spawn",
        "scheduler": "cluster_process",
        "Prefect server": "prefect_process",
    }
    if what == "run":
        stage.signal(signal.SIGKILL)
        return what
    victims = stage.mine() if what == "tree" else stage.named(words[what])
    for victim in victims if what == "tree" else victims[:1]:
        try:
            victim.kill()
        except psutil.Error:
            continue
    return what


def _judge(stage: Stage, inputs: Sequence[dict[str, Any]], findings: Findings) -> Counter[str]:
    """Check every instance."""
    statuses: Counter[str] = Counter()
    for id, given in zip(stage.instance_ids, inputs, strict=True):
        works = [Work(f"n{number}", Outcome(given["fails"][number], attempts=6)) for number in range(NODES)]
        evidence = Evidence(stage.store, id, works, Ledger(Path(given["ledger"])))
        statuses[str(evidence.instance.status)] += 1
        found = check(evidence, None)
        final = ALWAYS in given["fails"]
        wanted = "failed" if final else "completed"
        if not evidence.strange:
            found.check(
                "ends as drawn", evidence.instance.status == wanted, f"{id} is {evidence.instance.status}"
            )
        findings.checks += found.checks
        findings.wrong += [f"{id}: {one}" for one in found.wrong]
    return statuses


def _told(memory: Memory) -> dict[str, float]:
    slope, most, seconds = memory.slope()
    return {
        "lives": len(memory.lives),
        "most_mib": round(most, 1),
        "mib_a_minute": round(slope, 2),
        "seconds": round(seconds),
    }


def main(arguments: list[str]) -> int:
    """Run a night, and write what it came to."""
    parser = argparse.ArgumentParser(prog="python -m chaos.long_night", description=__doc__)
    parser.add_argument("--instances", type=int, default=2000)
    parser.add_argument("--way", choices=["serve", "dask", "prefect"], default="dask")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two kills")
    parser.add_argument("--longest", type=float, default=7200.0, help="seconds after which it is given up")
    parser.add_argument("--results", type=Path)
    given = parser.parse_args(arguments)
    prepare()
    came = night(given.instances, given.way, given.database, given.seed, given.every, given.longest)
    print(json.dumps(came, indent=2))
    if given.results is not None:
        with given.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(came) + "\n")
    return 1 if came["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
