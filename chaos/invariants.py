"""What must hold of an instance once it has ended, whatever happened to it. Read from the journal and the ledger."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from mirror_realm.core.status import INSTANCE_TRANSITIONS, NODE_TRANSITIONS, InstanceStatus, NodeStatus
from mirror_realm.store.history import ASKED, BEGAN, CANCELED, ENDED, REOPENED, HistoryEvent, fold

from .answers import decided
from .evidence import UNDO, Evidence, Findings
from .ledger import AGAIN, BEGIN, EFFECT
from .oracle import ABSENT, Expected, Place
from .undoing import undone

HEARD = 6.0
"""Seconds in which a run that is not held up longer hears that it is to end."""


def check(evidence: Evidence, wanted: Expected | None) -> Findings:
    """Check everything; ``wanted`` is ``None`` where a fault allows the instance to fail."""
    findings = Findings()
    for one in CHECKS:
        one(evidence, findings)
    if wanted is not None:
        outcome(evidence, findings, wanted)
    return findings


def outcome(evidence: Evidence, findings: Findings, wanted: Expected) -> None:
    """The instance and each node ended as the simulation says."""
    name = "ends as simulated"
    status = str(evidence.instance.status)
    error = (evidence.instance.error or {}).get("message")
    findings.check(name, status == wanted.status, f"is {status} ({error}), simulated {wanted.status}")
    for place, allowed in wanted.nodes.items():
        row = evidence.rows.get(place)
        found = str(row.status) if row is not None else ABSENT
        findings.check(name, found in allowed, f"{place} is {found}, simulated {sorted(allowed)}")
    for place in evidence.rows:
        known = place in wanted.nodes or place[0].endswith(UNDO)
        findings.check(name, known, f"{place} ran, and nothing says that it should")


def _terminal(evidence: Evidence, findings: Findings) -> None:
    name = "every instance ends"
    findings.check(name, evidence.instance.status.terminal, f"it is {evidence.instance.status}")
    failed = evidence.instance.status is InstanceStatus.FAILED
    reason = (evidence.instance.error or {}).get("message")
    findings.check(name, not failed or bool(reason), "it failed without a reason")


def _nothing_open(evidence: Evidence, findings: Findings) -> None:
    name = "nothing stays open"
    for place, row in evidence.rows.items():
        findings.check(name, row.status.terminal, f"{place} is {row.status}")
        for attempt in row.attempts:
            open_still = attempt.status is NodeStatus.RUNNING
            findings.check(name, not open_still, f"attempt {attempt.attempt} of {place} is still running")


def _gapless(evidence: Evidence, findings: Findings) -> None:
    numbers = [event.sequence for event in evidence.events]
    name = "events are gapless and ordered"
    findings.check(name, numbers == list(range(1, len(numbers) + 1)), f"numbers {numbers}")
    epoch = 0
    for event in evidence.events:
        findings.check(
            name, event.epoch >= epoch, f"event {event.sequence} is of life {event.epoch}, after {epoch}"
        )
        epoch = max(epoch, event.epoch)


def _legal(evidence: Evidence, findings: Findings) -> None:
    """Each change begins where the one before ended, and is in the table of transitions."""
    name = "every change is a legal one"
    status = InstanceStatus.PENDING
    nodes: dict[Place, NodeStatus] = {}
    for event in evidence.events:
        if event.after is None:
            continue
        if event.node_id is None:
            before, after = InstanceStatus(event.before or "pending"), InstanceStatus(event.after)
            legal = before is after or after in INSTANCE_TRANSITIONS[before]
            findings.check(name, legal and before is status, f"instance: {before} to {after}, was {status}")
            status = after
            continue
        place = (event.node_id, event.iteration or "")
        was = nodes.get(place, NodeStatus.PENDING)
        before, after = NodeStatus(event.before or "pending"), NodeStatus(event.after)
        again = (before is after and after in _REPEATABLE) or _retried(event, before)
        legal = again or after in NODE_TRANSITIONS[before]
        findings.check(
            name,
            legal and before is was,
            f"{place}: {before} to {after} (event {event.sequence}), was {was}",
        )
        nodes[place] = after


_REPEATABLE = (NodeStatus.RUNNING, NodeStatus.SKIPPED)
"""What a node may become although it is: a later life of the instance begins or skips it again."""


def _retried(event: HistoryEvent, before: NodeStatus) -> bool:
    """A later life of the instance begins again what failed, was cancelled or was skipped in an earlier one."""
    return event.type == BEGAN and before is not NodeStatus.COMPLETED


def _fold(evidence: Evidence, findings: Findings) -> None:
    name = "state is the fold of the events"
    state = fold(evidence.events)
    findings.check(
        name,
        state.status is evidence.instance.status,
        f"{state.status}, the row says {evidence.instance.status}",
    )
    findings.check(name, set(state.nodes) == set(evidence.rows), "other nodes than the rows")
    for place, row in evidence.rows.items():
        past = state.nodes.get(place)
        if past is None:
            continue
        attempts = {attempt.attempt: attempt.status for attempt in row.attempts}
        findings.check(name, past.status is row.status, f"{place}: {past.status}, the row says {row.status}")
        findings.check(
            name,
            dict(past.attempts) == attempts,
            f"attempts of {place}: {past.attempts}, the rows say {attempts}",
        )


def _once(evidence: Evidence, findings: Findings) -> None:
    """What completed did not begin again, says the journal; nor did it run again, says the ledger."""
    name = "no completed node runs again"
    completed: dict[Place, int] = {}
    for event in evidence.events:
        if event.node_id is None:
            continue
        place = (event.node_id, event.iteration or "")
        if event.type == ENDED and event.after == NodeStatus.COMPLETED:
            completed[place] = event.attempt or 0
        elif event.type == REOPENED:
            completed.pop(place, None)
        elif event.type in (BEGAN, CANCELED):
            findings.check(name, place not in completed, f"{place}: {event.type} after it had completed")
    for place, lines in evidence.by_place.items():
        begun = Counter(line.attempt for line in lines if line.what == BEGIN)
        findings.check(
            name,
            max(begun.values(), default=0) <= 1 or evidence.ahead(place),
            f"{place}: an attempt ran twice: {dict(begun)}",
        )
        if (last := completed.get(place)) is not None:
            ran = max(begun, default=0)
            findings.check(name, ran <= last, f"{place} completed in attempt {last}, and then ran as {ran}")


def _effects(evidence: Evidence, findings: Findings) -> None:
    name = "effects are exactly once"
    for place, row in evidence.rows.items():
        work = evidence.work(place[0])
        if work is None:
            continue
        keys = evidence.keys(place)
        undoes = place[0].endswith(UNDO)
        once = work.once or undoes
        most = evidence.lives(place)
        findings.check(name, len(keys) <= most, f"{place} has several execution keys: {keys}")
        for earlier in keys[:-1]:  # It completed under that key, and was undone.
            effects = evidence.effects(place, earlier)
            findings.check(
                name,
                effects == 1 if once else effects >= 1,
                f"{place} had the effect {earlier} {effects} times",
            )
        lines = [line for line in evidence.by_place.get(place, []) if line.key in keys[-1:]]
        effects = sum(line.what == EFFECT for line in lines)
        begun = sum(line.what == BEGIN for line in lines)
        if row.status is NodeStatus.COMPLETED:
            fits = effects == 1 if once else effects >= 1
            findings.check(name, fits, f"{place} completed with {effects} effects")
        else:
            findings.check(
                name, effects <= (1 if once else begun), f"{place} is {row.status} with {effects} effects"
            )
    for place, lines in evidence.by_place.items():
        done = any(line.what in (EFFECT, AGAIN) for line in lines)
        cut = evidence.ahead(place) and evidence.instance.status is not InstanceStatus.COMPLETED
        findings.check(
            name,
            not done or place in evidence.rows or cut,
            f"{place} had an effect, and the journal knows nothing",
        )


def _order(evidence: Evidence, findings: Findings) -> None:
    """What ran began, the last time, after what is before it had ended, the last time."""
    name = "nodes run after what is before them"
    began: dict[Place, int] = {}
    ended: dict[Place, int] = {}
    for event in evidence.events:
        if event.node_id is not None and event.type in (BEGAN, ENDED):
            (began if event.type == BEGAN else ended)[event.node_id, event.iteration or ""] = event.sequence
    iterations: dict[str, set[str]] = {}
    for node_id, iteration in evidence.rows:
        iterations.setdefault(node_id, set()).add(iteration)
    for before, after in evidence.followings:
        for iteration in iterations.get(before, set()) & iterations.get(after, set()):
            rows = evidence.rows[before, iteration], evidence.rows[after, iteration]
            if any(row.status is not NodeStatus.COMPLETED for row in rows):
                continue
            held = ended[before, iteration] < began[after, iteration]
            findings.check(name, held, f"{after}[{iteration}] began before {before} had ended the last time")


def _heard(evidence: Evidence, findings: Findings) -> None:
    """What a person asked to end begins nothing more, some seconds after its run could hear it."""
    name = "a cancel is heard"
    since: datetime | None = None
    for event in evidence.events:
        if event.type == ASKED and (event.data or {}).get("request") in ("cancel", "undo"):
            since = since or event.at
        elif since is not None and event.node_id is None and event.after == InstanceStatus.RUNNING:
            since = event.at
        elif since is not None and event.type == BEGAN and "!" not in (event.node_id or ""):
            late = (event.at - since).total_seconds()
            findings.check(name, late < HEARD, f"{event.node_id} began {late:.1f} s after it was to end")
    if since is not None:
        findings.check(name, evidence.instance.status.terminal, f"it is {evidence.instance.status}")


CHECKS: tuple[Callable[[Evidence, Findings], None], ...] = (
    _terminal,
    _nothing_open,
    _gapless,
    _legal,
    _fold,
    _once,
    _effects,
    _order,
    undone,
    decided,
    _heard,
)


def left_behind(
    home: Path, temporary: Path, artifacts: Path, processes: list[str], findings: Findings
) -> None:
    """No process, no temporary file, no half-written output is left."""
    name = "nothing is left behind"
    findings.check(name, not processes, f"processes: {processes}")
    strays = [str(path.relative_to(temporary)) for path in temporary.rglob("*") if path.is_file()]
    findings.check(name, not strays, f"temporary files: {strays[:5]}")
    for path in _files(home / "tmp"):
        findings.check(
            name, path.suffix == ".lock", f"in the home's temporary folder: {path.relative_to(home)}"
        )
    for path in _files(artifacts):
        whole = hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
        findings.check(name, whole, f"not a whole artifact: {path.relative_to(artifacts)}")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
