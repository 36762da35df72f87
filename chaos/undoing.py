"""What must hold of undoing: of each try of a transaction, and of the instance, read from the order of the events."""

from __future__ import annotations

from dataclasses import dataclass, field

from mirror_realm.core.status import InstanceStatus, NodeStatus
from mirror_realm.store.history import BEGAN, CANCELED, ENDED, REOPENED, HistoryEvent

from .blocks import Transaction
from .evidence import UNDO, Evidence, Findings
from .oracle import Place

NAME = "compensations in reverse order, once"
TRIES = "each try of a transaction is undone before the next"
ROOT: Place = ("", "")


def undone(evidence: Evidence, findings: Findings) -> None:
    """What had to be undone was, once each or with a record of why not, in reverse order of completion; and before a
    transaction began again."""
    past = _Past(evidence, findings)
    for event in evidence.events:
        past.hear(event)
    steps = {(step.node_id, step.iteration): step for step in evidence.steps}
    for place in evidence.rows:
        if not _can_be_undone(place, evidence):
            continue
        step = steps.get(place)
        status = None if step is None else step.status
        must = _must_be_undone(place, evidence)
        if place in past.standing:
            findings.check(NAME, status == "registered", f"{place} stands, and its step is {status}")
            findings.check(NAME, not must, f"{place} stands, although it had to be undone")
        elif place in past.left:
            findings.check(NAME, status == "failed", f"{place} could not be undone, and its step is {status}")
        elif place in past.undone:
            findings.check(NAME, status == "undone", f"{place} was undone, and its step is {status}")
            needless = evidence.rows[place].status is NodeStatus.COMPLETED and not must
            findings.check(NAME, not needless, f"{place} was undone, although nothing around it failed")
        else:
            findings.check(NAME, step is None, f"{place} never completed, and yet its step is {status}")
    for saga in {step.saga_id for step in evidence.steps if step.saga_id}:
        own = [step for step in evidence.steps if step.saga_id == saga]
        order = [past.undone_at.get((step.node_id, step.iteration), 0) for step in reversed(own)]
        findings.check(NAME, order == sorted(order), f"undone in the order {order}")
        registered = [past.completed_at.get((step.node_id, step.iteration), 0) for step in own]
        findings.check(NAME, registered == sorted(registered), f"registered in the order {registered}")


@dataclass
class _Try:
    """One try of a transaction, from its beginning; or the instance itself."""

    undone: list[int] = field(default_factory=list)
    """The numbers of the events with which completed what was undone since, in the order of undoing."""
    broken: bool = False
    """Whether undoing one of them failed."""


class _Past:
    """Which nodes stand, and which tries are under way, after each event."""

    def __init__(self, evidence: Evidence, findings: Findings) -> None:
        self._evidence = evidence
        self._findings = findings
        self._transactions = {
            place for place, row in evidence.rows.items() if row.node_type == "control/transaction"
        }
        self._tries: dict[Place, _Try] = {ROOT: _Try()}
        self.standing: dict[Place, int] = {}
        """What completed and was not undone, with the number of the event of its completion."""
        self.undone: set[Place] = set()
        self.left: set[Place] = set()
        """What could not be undone."""
        self.completed_at: dict[Place, int] = {}
        self.undone_at: dict[Place, int] = {}

    def hear(self, event: HistoryEvent) -> None:
        """The next event."""
        if event.node_id is None:
            if event.after == InstanceStatus.RETRYING:
                self._tries[ROOT] = _Try()
            return
        place = (event.node_id, event.iteration or "")
        if place in self._transactions:
            self._transaction(place, event)
        elif place[0].endswith(UNDO):
            if event.type == ENDED and event.after in (NodeStatus.COMPLETED, NodeStatus.FAILED):
                self._undoing_ended((place[0].removesuffix(UNDO), place[1]), event)
        elif _can_be_undone(place, self._evidence):
            self._step(place, event)

    def _step(self, place: Place, event: HistoryEvent) -> None:
        stands = place in self.standing
        if event.type == ENDED and event.after == NodeStatus.COMPLETED:
            self._findings.check(NAME, not stands, f"{place} completed again, and was not undone before")
            self.standing[place] = self.completed_at[place] = event.sequence
            self.undone.discard(place)
            self.left.discard(place)
        elif event.type == REOPENED:
            self._findings.check(NAME, not stands, f"{place} was reopened, and not undone")

    def _undoing_ended(self, place: Place, event: HistoryEvent) -> None:
        number = self.standing.pop(place, None)
        self._findings.check(
            NAME, number is not None, f"{place} was undone (event {event.sequence}), and did not stand"
        )
        around = max((one for one in self._tries if _inside(place, one)), key=lambda one: len(one[0]))
        this = self._tries[around]
        completed = event.after == NodeStatus.COMPLETED
        (self.undone if completed else self.left).add(place)
        self.undone_at[place] = event.sequence
        if number is None:
            return
        last = this.undone[-1] if this.undone else number + 1
        # What several of its transactions left half done is undone for one after the other.
        ordered = number < last or (around == ROOT and self._evidence.canceled is not None)
        self._findings.check(
            NAME, ordered, f"{place} was undone after what had completed before it, in {around}"
        )
        stop = self._stops(around) and this.broken
        self._findings.check(
            NAME, not stop, f"{place} was undone, although undoing had stopped before, in {around}"
        )
        this.undone.append(number)
        this.broken = this.broken or not completed

    def _transaction(self, place: Place, event: HistoryEvent) -> None:
        inside = [one for one in self.standing if _inside(one, place)]
        if event.type == BEGAN:
            # One that was interrupted with its process goes on, with what stands.
            goes_on = event.before in (NodeStatus.CANCELED, NodeStatus.RUNNING)
            self._findings.check(
                TRIES, goes_on or not inside, f"{place} began ({event.attempt}), and {inside} still stood"
            )
            self._tries[place] = _Try()
        elif event.type in (CANCELED, ENDED):
            this = self._tries.pop(place, _Try())
            if event.after == NodeStatus.COMPLETED:
                self._findings.check(
                    TRIES, not this.undone, f"{place} completed, and {this.undone} was undone"
                )
                return
            if self._stops(place) and this.broken:
                for one in inside:
                    self.left.add(one)
                    del self.standing[one]
                return
            held = (
                not inside or event.type == CANCELED
            )  # Then it is looked at in the end: it may be undone later.
            self._findings.check(TRIES, held, f"{place} failed ({event.attempt}), and {inside} still stands")

    def _stops(self, place: Place) -> bool:
        block = self._evidence.blocks.get(place[0].rpartition("/")[2])
        return isinstance(block, Transaction) and block.stop


def _can_be_undone(place: Place, evidence: Evidence) -> bool:
    work = evidence.work(place[0])
    return work is not None and work.undo is not None and not place[0].endswith(UNDO)


def _inside(place: Place, around: Place) -> bool:
    """Whether a node is inside another, in the same round of the loops around that."""
    node_id, iteration = around
    if not node_id:
        return True
    own = not iteration or place[1] == iteration or place[1].startswith(f"{iteration}.")
    return own and place[0].startswith(f"{node_id}/")


def _must_be_undone(place: Place, evidence: Evidence) -> bool:
    if evidence.instance.status is InstanceStatus.FAILED or evidence.canceled:
        return True
    return any(
        row.node_type == "control/transaction"
        and row.status in (NodeStatus.FAILED, NodeStatus.CANCELED)
        and _inside(place, around)
        for around, row in evidence.rows.items()
    )
