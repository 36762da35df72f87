"""The people of a trial: they answer what instances ask, from a process that is not the runs', at random times; twice
too, too late, without being asked, and not in the order that was agreed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.store import HumanTask, Store
from mirror_realm.store.human_tasks import Choice

from .ledger import Ledger
from .questions import ROLE, Question

LOOK = 0.05
ASKED, ANSWERED = "asked", "answered"
"""What their lines in the ledger say, so that faults strike while somebody is asked too."""
LOST = "lost"
"""The answer of a store that does not answer: what was told it may be there or not."""
_LOST = (Code.UNAVAILABLE, Code.TRANSIENT_ERROR, Code.INTERNAL_ERROR, Code.DEPENDENCY_FAILURE)
_DENIED, _TWICE, _OVER, _WRONG = (
    Code.PERMISSION_DENIED.value,
    Code.ALREADY_EXISTS.value,
    Code.FAILED_PRECONDITION.value,
    Code.INVALID_ARGUMENT.value,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. ``got`` is empty where it was accepted, else the code of the refusal (or :data:`LOST`); ``fitting``
    is what it may be."""

    task_id: str
    by: str
    approves: bool
    round: int
    got: str
    fitting: tuple[str, ...]


@dataclass
class _Seen:
    """A task as its people know it: until when they think about it, and what they still try that they must not."""

    due: float
    draw: random.Random
    round: int
    misdeeds: list[str] = field(default_factory=list)


class People:
    """Those who are asked, on a thread of their own. ``questions`` are by the ids of the nodes that ask."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        questions: Mapping[str, Question],
        seed: int,
        *,
        often: float = 0.3,
    ) -> None:
        self.answers: list[Answer] = []
        self._store = store
        self._ledger = ledger
        self._questions = questions
        self._seed = seed
        self._often = often
        self._seen: dict[str, _Seen] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live, name="people", daemon=True)

    def start(self) -> None:
        """Begin to look for tasks, where any can be asked."""
        if self._questions:
            self._thread.start()

    def stop(self) -> None:
        """Answer nothing more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _live(self) -> None:
        while not self._over.wait(LOOK):
            try:
                self._look()
            except (RealmError, SQLAlchemyError, OSError):
                continue  # The database is away for a while.

    def _look(self) -> None:
        open_now = {task.id: task for task in self._store.human_tasks.list("open", limit=200)}
        for task in open_now.values():
            seen = self._seen.get(task.id)
            question = self._questions[task.node_id.rpartition("/")[2]]
            if seen is None or seen.round != task.round:
                self._seen[task.id] = self._first_look(task, question)
            elif time.monotonic() >= seen.due:
                seen.due = time.monotonic() + seen.draw.uniform(0, 0.15)
                self._act(task, question, seen)
        for task_id in self._seen.keys() - open_now.keys():
            seen = self._seen[task_id]
            if "late" in seen.misdeeds:
                seen.misdeeds.remove("late")
                self._late(self._store.human_tasks.get(task_id))

    def _first_look(self, task: HumanTask, question: Question) -> _Seen:
        draw = random.Random(f"{self._seed}/{task.node_id}/{task.iteration}/{task.round}")
        wanted = ["stranger", "form", "turn", "second", "repeat", "overdue", "late"]
        misdeeds = [one for one in wanted if draw.random() < self._often]
        self._write(ASKED, task)
        return _Seen(time.monotonic() + draw.uniform(0, question.delay), draw, task.round, misdeeds)

    def _act(self, task: HumanTask, question: Question, seen: _Seen) -> None:
        """Do one thing with an open task: answer, or what must have no effect."""
        votes = question.told(task.assignees, timed_out=bool(task.escalations))
        voted = {decision["by"] for decision in task.present}
        left = [person for person in votes if person not in voted]
        if task.approval != "sequential":
            seen.draw.shuffle(left)
        for misdeed in [one for one in seen.misdeeds if one != "late"]:
            if self._misdeed(misdeed, task, question, left, sorted(voted)):
                seen.misdeeds.remove(misdeed)
                return
        if left and not _overdue(task):
            fitting = ("",) if question.timeout is None else ("", _OVER)
            self._answer(task, left[0], votes[left[0]], fitting)

    def _misdeed(
        self, what: str, task: HumanTask, question: Question, left: list[str], voted: list[str]
    ) -> bool:
        """Try something that must change nothing; whether it could be tried now."""
        if what == "stranger":
            self._answer(task, "stranger", True, (_DENIED,), roles=("somebody",))
        elif what == "form" and question.form and left:
            self._answer(task, left[0], True, (_WRONG, _OVER), form={"seen": "no number"})
        elif what == "turn" and task.approval == "sequential" and len(left) > 1:
            self._answer(task, left[1], True, (_OVER,))
        elif what == "overdue" and left and _overdue(task):
            self._answer(task, left[0], True, (_OVER,))
        elif what == "second" and voted:
            before = next(one for one in task.present if one["by"] == voted[0])
            self._answer(task, voted[0], before["decision"] != "approve", (_TWICE,))
        elif what == "repeat" and voted:
            before = next(one for one in task.present if one["by"] == voted[0])
            self._answer(task, voted[0], before["decision"] == "approve", ("",), form=before["form"])
        else:
            return False
        return True

    def _late(self, task: HumanTask) -> None:
        """Answer what is decided, or was withdrawn."""
        votes = self._questions[task.node_id.rpartition("/")[2]].votes
        voted = {decision["by"] for decision in task.present}
        left = [person for person in votes if person not in voted]
        if left:
            self._answer(task, left[0], True, (_OVER, _DENIED))

    def _answer(
        self,
        task: HumanTask,
        by: str,
        approves: bool,
        fitting: tuple[str, ...],
        *,
        roles: tuple[str, ...] = (ROLE,),
        form: object = None,
    ) -> None:
        """Tell the store, in the round that was seen."""
        decision: Choice = "approve" if approves else "reject"
        form = {"seen": task.round} if form is None and task.form is not None and approves else form
        roles = () if task.role is None else roles
        round, got = task.round, ""
        try:
            with self._store.transaction():
                after = self._store.human_tasks.decide(task.id, by, decision, roles=roles, form=form)
                if after.round != round:
                    raise _Moved
        except _Moved:
            return
        except RealmError as error:
            got = error.code.value
            if error.code in _LOST:
                got = LOST
        except (SQLAlchemyError, OSError):
            got = LOST
        if got not in (*fitting, LOST) and self._moved(task):
            return
        self.answers.append(Answer(task.id, by, approves, round, got, fitting))
        if not got:
            self._write(ANSWERED, task)

    def _moved(self, task: HumanTask) -> bool:
        """Whether the task was taken back meanwhile, or is in another round."""
        while True:
            try:
                now = self._store.human_tasks.get(task.id)
                return now.status == "canceled" or now.round != task.round
            except (RealmError, SQLAlchemyError, OSError):
                time.sleep(LOOK)

    def _write(self, what: str, task: HumanTask) -> None:
        place = task.node_id + (f"[{task.iteration}]" if task.iteration else "")
        self._ledger.write(what, f"{task.instance_id}/{place}", task.round)


def _overdue(task: HumanTask) -> bool:
    """Whether the time of a task is over, and nobody has done yet what is to follow."""
    late = task.deadline is not None and datetime.now(UTC) > task.deadline
    return late and task.on_timeout != "notify"


class _Moved(Exception):
    """Another round began since the task was looked at."""
