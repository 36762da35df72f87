"""What must hold of an instance once it has ended, whatever happened to it. Read from the journal and the ledger."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mirror_realm.core.status import INSTANCE_TRANSITIONS, NODE_TRANSITIONS, InstanceStatus, NodeStatus
from mirror_realm.store import NodeExecution, Store
from mirror_realm.store.history import BEGAN, CANCELED, ENDED, REOPENED, HistoryEvent, fold

from .definitions import Part, Work, all_works, batched
from .ledger import AGAIN, BEGIN, EFFECT, Ledger, Line
from .oracle import ABSENT, Expected, Place

UNDO = "!compensate"
DRAWN = "fails as drawn"


@dataclass
class Findings:
    """How many things were looked at for each invariant, and what was wrong."""

    checks: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def check(self, invariant: str, holds: bool, what: str) -> None:
        """Count a check; note what is wrong where it does not hold."""
        self.checks[invariant] += 1
        if not holds:
            self.wrong.append(f"{invariant}: {what}")


class Evidence:
    """What is known of one instance."""

    def __init__(self, store: Store, instance_id: str, part: Part, ledger: Ledger) -> None:
        self.instance = store.instances.get(instance_id)
        self.rows: dict[Place, NodeExecution] = {
            (row.node_id, row.iteration): row for row in store.executions.for_instance(instance_id)
        }
        self.events = store.history.of(instance_id)
        self.steps = store.sagas.steps(instance_id)
        self.batched = frozenset(batched(part))
        self.works: Mapping[str, Work] = {work.id: work for work in all_works(part)}
        self.lines = [line for line in ledger.lines() if line.key.startswith(f"{instance_id}/")]
        self.by_place: dict[Place, list[Line]] = {}
        for line in self.lines:
            self.by_place.setdefault(place_of(line.key), []).append(line)

    def work(self, node_id: str) -> Work | None:
        """What was drawn for a node; ``None`` for a construct."""
        return self.works.get(node_id.rpartition("/")[2].removesuffix(UNDO))

    def ahead(self, place: Place) -> bool:
        """Whether a worker may have gone ahead with a node, before the journal knew."""
        return place[0].rpartition("/")[2] in self.batched

    def keys(self, place: Place, what: str = "") -> list[str]:
        """The execution keys under which a node ran (or had its effect: ``what``), in that order."""
        return list(
            dict.fromkeys(line.key for line in self.by_place.get(place, []) if what in ("", line.what))
        )

    def effects(self, place: Place, key: str) -> int:
        """How many effects a node had under a key."""
        return sum(line.what == EFFECT and line.key == key for line in self.by_place.get(place, []))

    @property
    def retried(self) -> bool:
        """Whether it ran again after it had ended, as a ``realm run`` does that was told to stop."""
        return any(event.node_id is None and event.after == InstanceStatus.RETRYING for event in self.events)

    @property
    def strange(self) -> list[str]:
        """Failures of attempts that were not drawn: what faults did to nodes."""
        found = []
        for (node_id, iteration), row in self.rows.items():
            own = self.work(node_id) is not None
            for attempt in row.attempts:
                error = attempt.error or {}
                # Of a construct, only what it could not write itself: else it tells of a node inside it.
                if not own and (
                    error.get("message", "").startswith("node '") or "errno" not in error.get("details", {})
                ):
                    continue
                if (
                    attempt.status is NodeStatus.FAILED
                    and DRAWN not in error.get("message", "")
                    and "without recording its end" not in error.get("message", "")
                ):
                    found.append(f"{node_id}[{iteration}]: {error.get('code')}: {error.get('message')}")
        return found


def place_of(key: str) -> Place:
    """The node and iteration of an execution key, also of one that goes with undoing (``~3``)."""
    label = key.partition("/")[2]
    match = re.fullmatch(r"(.*?)(?:\[([\d.]+)\])?(?:~\d+)?", label)
    assert match is not None
    return match[1], match[2] or ""


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
            findings.check(
                name, max(begun) <= last, f"{place} completed in attempt {last}, and then ran as {max(begun)}"
            )


def _effects(evidence: Evidence, findings: Findings) -> None:
    name = "effects are exactly once"
    for place, row in evidence.rows.items():
        work = evidence.work(place[0])
        if work is None:
            continue
        keys = evidence.keys(place)
        undoes = place[0].endswith(UNDO)
        once = work.once or undoes
        most = 1
        if evidence.retried:  # What was undone when it was canceled runs again, which is another effect.
            step = (place[0].removesuffix(UNDO), place[1])
            most = (
                len(evidence.keys(step))
                if undoes
                else 1 + len(evidence.keys((place[0] + UNDO, place[1]), EFFECT))
            )
        findings.check(name, len(keys) <= most, f"{place} has several execution keys: {keys}")
        for earlier in keys[:-1]:
            findings.check(
                name,
                not once or evidence.effects(place, earlier) <= 1,
                f"{place} had the effect {earlier} twice",
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


def _undone(evidence: Evidence, findings: Findings) -> None:
    """What had to be undone was, once each or with a record of why not, in reverse order of completion."""
    name = "compensations in reverse order, once"
    steps = {(step.node_id, step.iteration): step for step in evidence.steps}
    ended = {
        (event.node_id, event.iteration or ""): event.sequence
        for event in evidence.events
        if event.type == ENDED and event.after in (NodeStatus.COMPLETED, NodeStatus.FAILED)
    }
    for place, row in evidence.rows.items():
        work = evidence.work(place[0])
        if work is None or work.undo is None or place[0].endswith(UNDO):
            continue
        step = steps.get(place)
        if row.status is not NodeStatus.COMPLETED:
            findings.check(name, step is None, f"{place} is {row.status}, and yet a step to undo")
            continue
        findings.check(name, step is not None, f"{place} completed, and nothing says how to undo it")
        if step is None:
            continue
        must = _must_be_undone(place, evidence)
        findings.check(
            name,
            (step.status in ("undone", "failed")) == must,
            f"{place} is {step.status}, must be undone: {must}",
        )
        undoing = evidence.rows.get((place[0] + UNDO, place[1]))
        done = undoing is not None and undoing.status is NodeStatus.COMPLETED
        ran_again = evidence.retried and step.status == "registered" and len(evidence.keys(place)) > 1
        findings.check(
            name,
            done == (step.status == "undone" or ran_again),
            f"{place}: step {step.status}, row {undoing and undoing.status}",
        )
    for saga in {step.saga_id for step in evidence.steps if step.saga_id}:
        own = [step for step in evidence.steps if step.saga_id == saga]
        order = [ended.get((step.node_id + UNDO, step.iteration), 0) for step in reversed(own)]
        findings.check(name, order == sorted(order), f"undone in the order {order}")
        registered = [ended.get((step.node_id, step.iteration), 0) for step in own]
        findings.check(name, registered == sorted(registered), f"registered in the order {registered}")


def _must_be_undone(place: Place, evidence: Evidence) -> bool:
    if evidence.instance.status is InstanceStatus.FAILED:
        return True
    for (node_id, iteration), row in evidence.rows.items():
        around = place[0].startswith(f"{node_id}/") and (
            not iteration or place[1] == iteration or place[1].startswith(f"{iteration}.")
        )
        if around and row.node_type == "control/transaction" and row.status is NodeStatus.FAILED:
            return True
    return False


CHECKS: tuple[Callable[[Evidence, Findings], None], ...] = (
    _terminal,
    _nothing_open,
    _gapless,
    _legal,
    _fold,
    _once,
    _effects,
    _undone,
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
