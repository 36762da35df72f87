"""One trial: a definition, faults, and what came of it. The same seed draws the same trial."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mirror_realm.core.errors import RealmError
from mirror_realm.core.status import InstanceStatus, NodeStatus
from mirror_realm.store.history import BEGAN

from . import faults as broken
from .blocks import Asking, Part, all_blocks, constructs
from .definitions import document, inner_documents, later_documents, registered_documents
from .drawing import Drawer
from .evidence import Evidence, Findings
from .faults import KINDS, Fault
from .invariants import check, left_behind
from .oracle import Expected, expected
from .people import LOST, People
from .questions import Question
from .stage import Stage

LONGEST = 600.0
"""Seconds after which an instance that has not ended is lost."""
LOOK = 0.02
MOST_STARTS = 25
BESIDE = 4
"""Instances that share a serving process."""
WAYS_SHARE = {"run": 38, "serve": 38, "dask": 19, "prefect": 5}
"""How often each way to run is drawn."""


AGAIN = {
    "control/transaction": "transactions begun again",
    "control/subworkflow": "sub-workflows begun again",
}
"""What is counted of these types of nodes."""


@dataclass
class Result:
    """What a trial came to."""

    seed: int
    way: str
    database: str
    constructs: list[list[str]]
    """What each definition is made of."""
    faults: list[Fault]
    statuses: list[str] = field(default_factory=list)
    as_simulated: list[bool] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)
    """Failures of nodes that the faults caused, where they let the outcome differ."""
    canceled: int = 0
    """Instances that a person canceled."""
    seen: Counter[str] = field(default_factory=Counter)
    """How often what was drawn really came to pass: see :func:`_seen`."""
    nodes: int = 0
    starts: int = 0
    seconds: float = 0.0
    recovery: float | None = None
    """Seconds from the end of the last fault to the end of the instance."""
    checks: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    kept: str = ""
    """Where the trial's folder is, of one that went wrong."""

    @property
    def struck(self) -> list[str]:
        """The faults that were struck before the instance had ended."""
        return [fault.kind for fault in self.faults if fault.struck_at is not None]

    def line(self) -> str:
        """The line of progress."""
        verdict = "WRONG" if self.wrong else "degraded" if self.degraded else "ok"
        took = "" if self.recovery is None else f", recovered in {self.recovery:.1f} s"
        what = ", ".join(self.struck) or "no fault"
        return (
            f"seed {self.seed:>6} {self.way:<7} {self.database:<8} {len(self.statuses)} of {self.nodes:>3} nodes "
            f"{verdict:<8} "
            f"{sum(self.checks.values()):>5} checks {self.seconds:5.1f} s: {what}{took}"
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a seed says of its trial."""

    seed: int
    way: str
    database: str
    parts: list[Part]
    faults: list[Fault]
    patience: float | None


def drawn(seed: int, way: str | None = None, count: int = BESIDE) -> Drawn:
    """The trial of a ``seed``; ``way`` chooses how to run, else the seed does."""
    draw = random.Random(seed)
    own = draw.choices(list(WAYS_SHARE), list(WAYS_SHARE.values()))[0]
    way = way or own
    database = draw.choices(["sqlite", "postgres"], [65, 35])[0]
    drawer = Drawer(draw, slack=4 if way in ("dask", "prefect") else 0, failing=0.02)
    parts = [drawer.definition() for _ in range(1 if way == "run" else count)]
    wanted = [expected(part) for part in parts]
    lines = 2 * sum("completed" in statuses for one in wanted for statuses in one.nodes.values())
    newer = any(True for part in parts for _ in later_documents(part, ""))
    faults = broken.draw(draw, way, database, lines, newer=newer)
    return Drawn(seed, way, database, parts, faults, draw.choice([None, 0.3]))


def _stage(trial: Drawn, folder: Path) -> Stage:
    ledger, parts = str(folder / "ledger"), trial.parts
    return Stage(
        folder,
        trial.way,
        trial.database,
        [document(f"chaos-{trial.seed}-{number}", part, ledger) for number, part in enumerate(parts)],
        small=next((KINDS[fault.kind].small for fault in trial.faults if KINDS[fault.kind].small), ""),
        inner=[one for part in parts for one in inner_documents(part, ledger)],
        registered=[one for part in parts for one in registered_documents(part, ledger)],
        later=[one for part in parts for one in later_documents(part, ledger)],
        patience=trial.patience,
    )


def run(seed: int, way: str | None = None, *, keep: Path | None = None, count: int = BESIDE) -> Result:
    """Run the trial of a ``seed``; ``way`` chooses how, else the seed does. ``count`` instances, each of a definition
    of its own, share a process that serves several. The folder of a trial that went wrong is kept under ``keep``."""
    trial = drawn(seed, way, count)
    wanted = [expected(part) for part in trial.parts]
    made_of = [sorted(set(constructs(part))) for part in trial.parts]
    result = Result(seed, trial.way, trial.database, made_of, trial.faults)
    folder = Path(tempfile.mkdtemp(prefix=f"realm-chaos-{seed}-"))
    began = time.monotonic()
    stage = _stage(trial, folder)
    people = People(stage.store, stage.ledger, _questions(trial.parts), seed)
    try:
        people.start()
        _play(stage, result)
        people.stop()
        findings = Findings()
        if not stage.stop():
            findings.wrong.append("nothing is left behind: a process did not end when it was told to")
        processes = stage.close()
        if stage.found() is None:
            findings.wrong.append("every instance ends: it was never accepted")
        for id, part, one in zip(stage.instance_ids, trial.parts, wanted, strict=False):
            canceled = stage.canceled.get(id)
            evidence = Evidence(
                stage.store, id, part, stage.ledger, answers=people.answers, canceled=canceled
            )
            _judge(evidence, one, result, findings)
        left_behind(stage.home, stage.temporary, stage.artifacts, processes, findings)
        result.checks, result.wrong = findings.checks, result.wrong + findings.wrong
        result.seconds = time.monotonic() - began
        if result.wrong and keep is not None:
            result.kept = str(keep / folder.name)
            shutil.copytree(folder, result.kept, dirs_exist_ok=True, ignore_dangling_symlinks=True)
    finally:
        people.stop()
        for process in stage.mine():
            with contextlib.suppress(Exception):
                process.kill()
        stage.leave()
    return result


def _questions(parts: list[Part]) -> dict[str, Question]:
    """What people are asked, by the ids of the nodes that ask."""
    blocks = (block for part in parts for block in all_blocks(part))
    return {block.id: block.question for block in blocks if isinstance(block, Asking)}


def _judge(evidence: Evidence, wanted: Expected, result: Result, findings: Findings) -> None:
    """Check one instance; where a fault lets nodes fail, and some did, only what must hold of every instance."""
    allowed = any(not KINDS[kind].spares for kind in result.struck)
    result.nodes += len(evidence.rows)
    result.statuses.append(str(evidence.instance.status))
    found = check(evidence, wanted if evidence.canceled is None else None)
    result.canceled += evidence.canceled is not None
    result.seen += _seen(evidence)
    degraded = bool(found.wrong) and allowed and bool(evidence.strange)
    if degraded:
        result.degraded += evidence.strange
        found = check(evidence, None)
    result.as_simulated.append(not degraded and evidence.canceled is None and not found.wrong)
    findings.checks += found.checks
    findings.wrong += [f"{evidence.instance.id}: {one}" for one in found.wrong]


def _seen(evidence: Evidence) -> Counter[str]:
    """How often transactions and sub-workflows began again, people were asked, answered and were refused, a timeout
    passed, and an instance was put aside to wait."""
    found: Counter[str] = Counter()
    types = {place: row.node_type for place, row in evidence.rows.items()}
    for event in evidence.events:
        kind = types.get((event.node_id or "", event.iteration or ""), "")
        if kind in AGAIN and event.type == BEGAN and event.before == NodeStatus.RETRYING:
            found[AGAIN[kind]] += 1
        if event.node_id is None and event.after == InstanceStatus.WAITING:
            found["instances put aside"] += 1
    for task in evidence.tasks:
        found["tasks of people"] += 1
        found["timeouts of tasks"] += len(task.escalations)
        for answer in evidence.answers:
            if answer.task_id == task.id:
                found[
                    f"answers {'lost' if answer.got == LOST else 'refused' if answer.got else 'accepted'}"
                ] += 1
    return found


def _play(stage: Stage, result: Result) -> None:
    """Run the instances to their ends through all faults."""
    began = time.monotonic()
    stage.start()
    due: dict[int, float] = {}
    looked = 0.0
    while True:
        now = time.monotonic()
        _strike_and_heal(stage, result.faults, due, now)
        if now - looked > 0.1:
            looked = now
            if _all_ended(stage):
                _ended(stage, result, now)
                break
            if stage.dead and stage.starts < MOST_STARTS:
                stage.start()
        if now - began > LONGEST:
            result.wrong.append(f"every instance ends: not within {LONGEST:g} s and {stage.starts} starts")
            break
        time.sleep(LOOK)
    for fault in result.faults:
        if fault.struck_at is not None:
            broken.heal(stage, fault)
    result.starts = stage.starts


def _all_ended(stage: Stage) -> bool:
    """Whether every instance has ended, and not only since its ``realm run`` was told to stop."""
    with contextlib.suppress(RealmError, OSError):
        if stage.found() is None:
            return False
        for id in stage.instance_ids:
            status = stage.store.instances.get(id).status
            stopped = status is InstanceStatus.CANCELED and id not in stage.canceled
            if not status.terminal or (stage.way == "run" and stopped):
                return False
        return True
    return False


def _strike_and_heal(stage: Stage, faults: list[Fault], due: dict[int, float], now: float) -> None:
    written = stage.ledger.count()
    for number, fault in enumerate(faults):
        if fault.struck_at is None:
            if number not in due and written >= fault.lines:
                due[number] = now + fault.delay
            earlier = all(other.healed_at is not None for other in faults[:number])
            if earlier and due.get(number, now + 1) <= now and not (stage.dead and fault.lines):
                broken.strike(stage, fault)
        elif fault.healed_at is None and time.monotonic() >= fault.struck_at + fault.seconds:
            broken.heal(stage, fault)


def _ended(stage: Stage, result: Result, now: float) -> None:
    healed = [fault.healed_at or now for fault in result.faults if fault.struck_at is not None]
    if healed:
        result.recovery = max(0.0, now - max(healed))


def describe(result: Result) -> dict[str, Any]:
    """The result as JSON, for the report."""
    return {
        "seed": result.seed,
        "way": result.way,
        "database": result.database,
        "constructs": result.constructs,
        "faults": result.struck,
        "drawn": [fault.kind for fault in result.faults],
        "statuses": result.statuses,
        "as_simulated": result.as_simulated,
        "degraded": [_without_folder(one) for one in result.degraded],
        "canceled": result.canceled,
        "seen": dict(result.seen),
        "nodes": result.nodes,
        "starts": result.starts,
        "seconds": round(result.seconds, 2),
        "recovery": None if result.recovery is None else round(result.recovery, 2),
        "checks": dict(result.checks),
        "wrong": [_without_folder(one) for one in result.wrong],
    }


def _without_folder(text: str) -> str:
    """A message without the trial's own folder, which says nothing on another machine."""
    return re.sub(r"/\S*?realm-chaos-\d+-\w+/", "", text)
