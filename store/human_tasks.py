"""Tasks of people: what is asked, what they decided, what happens when nobody does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, select, update

from ..core.errors import Code, RealmError
from ..core.ids import new_id
from . import approval as rules
from .cleaning import clean_text, encode_json, plain_json
from .engine import Database
from .models import DEFAULT_PROJECT
from .records import Shape
from .types import moment
from .upsert import insert
from .waiting_models import HumanTaskRow

MAX_FORM_BYTES = 64 << 10
"""The most bytes of JSON that a filled-in form may be."""

Choice = Literal["approve", "reject"]
OUTCOMES: Mapping[str, rules.Outcome] = {"approve": "approved", "reject": "rejected"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHumanTask:
    """What is asked, in one iteration of a node. Either ``assignees`` or a ``role``; ``timeout`` in seconds."""

    instance_id: str
    node_id: str
    title: str
    iteration: str = ""
    description: str | None = None
    assignees: list[str] | None = None
    role: str | None = None
    approval: str = "any"
    quorum: int | None = None
    form: dict[str, Any] | None = None
    timeout: float | None = None
    on_timeout: str = "notify"
    escalate_to: list[str] | None = None
    project_id: str = DEFAULT_PROJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanTask:
    """A task as it stands: ``status`` is open, decided (then ``outcome`` is approved or rejected) or canceled.

    ``decisions`` are ``{by, decision, comment, form, at, round}`` and ``escalations`` ``{action, at, round, …}``; both
    only grow. A retry and an escalation begin a new ``round``, in which only new decisions count.
    """

    id: str
    project_id: str
    instance_id: str
    node_id: str
    iteration: str
    title: str
    description: str | None
    assignees: list[str] | None
    role: str | None
    approval: str
    quorum: int | None
    form: Mapping[str, Any] | None
    timeout: float | None
    on_timeout: str
    escalate_to: list[str] | None
    status: str
    outcome: str | None
    timed_out: bool
    round: int
    decisions: Sequence[Mapping[str, Any]]
    escalations: Sequence[Mapping[str, Any]]
    deadline: datetime | None
    created_at: datetime
    decided_at: datetime | None

    @property
    def present(self) -> list[Mapping[str, Any]]:
        """The decisions of this round."""
        return [decision for decision in self.decisions if decision["round"] == self.round]

    def asks(self, person: str, roles: Collection[str] = ()) -> bool:
        """Whether a person with these roles may decide."""
        return person in (self.assignees or ()) or (self.role is not None and self.role in roles)

    def result(self) -> dict[str, Any]:
        """The node's output, once the task is decided."""
        by_people = self.status == "decided" and not self.timed_out
        return {
            "task_id": self.id,
            "outcome": self.outcome,
            "timed_out": self.timed_out,
            "decisions": [dict(decision) for decision in self.decisions],
            "form": self.present[-1]["form"] if by_people else None,
        }


_task = Shape(HumanTask, HumanTaskRow)


class HumanTasks:
    """Every operation sees the outcome of the one before it; repeated by the same person, it changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, new: NewHumanTask, *, at: datetime | None = None) -> HumanTask:
        """Put a task to people. Repeated for the same iteration, it is the task of then, decided or not; a canceled one
        is opened again, in a new round."""
        at = moment(at)
        what = asdict(new)
        deadline = None if new.timeout is None else at + timedelta(seconds=new.timeout)
        state = {"status": "open", "deadline": deadline, "decided_at": None}
        begin = {"timed_out": False, "round": 1, "decisions": [], "escalations": [], "created_at": at}
        who = ["instance_id", "node_id", "iteration"]
        with self._database.write() as connection:
            statement = insert(connection, HumanTaskRow).values(
                {"id": new_id("human-task"), **what, **state, **begin}
            )
            again = statement.on_conflict_do_update(
                index_elements=who,
                set_={**what, **state, "round": HumanTaskRow.round + 1},
                where=HumanTaskRow.status == "canceled",
            )
            row = connection.execute(again.returning(*_task.columns)).one_or_none()
            if row is None:
                same = {name: what[name] for name in who}
                row = connection.execute(select(*_task.columns).filter_by(**same)).one()
            return _task(row)

    def get(self, task_id: str) -> HumanTask:
        """The task; NOT_FOUND when there is none."""
        with self._database.read() as connection:
            return _get(connection, task_id)

    def list(
        self,
        status: str | None = None,
        *,
        instance_id: str | None = None,
        person: str | None = None,
        roles: Collection[str] = (),
        limit: int = 50,
        project_id: str = DEFAULT_PROJECT,
    ) -> list[HumanTask]:
        """Tasks, newest first; of one ``status``, of one instance, or those that a ``person`` with ``roles`` may decide
        and has not yet decided in this round."""
        statement = select(*_task.columns).where(HumanTaskRow.project_id == project_id)
        if status is not None:
            statement = statement.where(HumanTaskRow.status == status)
        if instance_id is not None:
            statement = statement.where(HumanTaskRow.instance_id == instance_id)
        statement = statement.order_by(HumanTaskRow.created_at.desc(), HumanTaskRow.id.desc())
        found: list[HumanTask] = []
        with self._database.read() as connection:
            for row in connection.execute(statement.execution_options(yield_per=200)):
                task = _task(row)
                if person is None or _is_up_to(task, person, roles):
                    found.append(task)
                if len(found) == limit:
                    break
        return found

    def decide(
        self,
        task_id: str,
        by: str,
        decision: Choice,
        *,
        roles: Collection[str] = (),
        comment: str | None = None,
        form: Any = None,
        at: datetime | None = None,
    ) -> HumanTask:
        """Note a person's decision; the task as it then is, decided where this decision was the one that counted.

        The very same decision again changes nothing. PERMISSION_DENIED for somebody who is not asked, ALREADY_EXISTS
        for a second thought, FAILED_PRECONDITION when the task is over, its time is over, or it is another's turn,
        INVALID_ARGUMENT when the form does not hold against its schema (a rejection need not fill it in), OUT_OF_RANGE
        when it is too large.
        """
        at, by = moment(at), clean_text(by)
        given = {"by": by, "decision": decision, "comment": comment, "form": plain_json(form)}
        with self._database.write() as connection:
            task = _get(connection, task_id, lock=True)
            if not task.asks(by, roles):
                raise _not_asked(task, by)
            own = next((one for one in task.present if one["by"] == by), None)
            if own is not None and all(own[name] == value for name, value in given.items()):
                return task
            _check_open(task, by, own, at)
            _check_form(task, decision, given["form"])
            decisions = [*task.decisions, {**given, "at": at.isoformat(), "round": task.round}]
            present = [one for one in decisions if one["round"] == task.round]
            changes: dict[str, Any] = {"decisions": decisions}
            if (found := rules.outcome(task, present)) is not None:
                changes |= {"status": "decided", "outcome": found, "decided_at": at}
            return _change(connection, task_id, changes)

    def due(self, at: datetime | None = None, *, limit: int = 1000) -> list[HumanTask]:
        """The open tasks whose time is over, the oldest deadline first."""
        statement = (
            select(*_task.columns)
            .where(HumanTaskRow.status == "open", HumanTaskRow.deadline <= moment(at))
            .order_by(HumanTaskRow.deadline, HumanTaskRow.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_task(row) for row in connection.execute(statement)]

    def time_out(self, task_id: str, *, at: datetime | None = None) -> tuple[HumanTask, str | None]:
        """Do what is to be done after the timeout: the task as it then is, and the action taken here (for whoever tells
        people); ``None`` when its time is not over, or another process was first."""
        at = moment(at)
        with self._database.write() as connection:
            task = _get(connection, task_id, lock=True)
            if task.status != "open" or task.deadline is None or at < task.deadline:
                return task, None
            return _change(connection, task_id, _after_timeout(task, at)), task.on_timeout

    def cancel(self, instance_id: str, *, task_id: str | None = None, at: datetime | None = None) -> int:
        """Close the open tasks of an instance, or one of them; returns how many."""
        chosen = (HumanTaskRow.instance_id == instance_id) & (HumanTaskRow.status == "open")
        if task_id is not None:
            chosen &= HumanTaskRow.id == task_id
        statement = update(HumanTaskRow).where(chosen).values(status="canceled", decided_at=moment(at))
        with self._database.write() as connection:
            return connection.execute(statement).rowcount


def _get(connection: Connection, task_id: str, *, lock: bool = False) -> HumanTask:
    statement = select(*_task.columns).where(HumanTaskRow.id == task_id)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise RealmError(Code.NOT_FOUND, f"no task {task_id!r}", hint="realm tasks list shows them")
    return _task(row)


def _change(connection: Connection, task_id: str, changes: Mapping[str, Any]) -> HumanTask:
    statement = update(HumanTaskRow).where(HumanTaskRow.id == task_id).values(dict(changes))
    return _task(connection.execute(statement.returning(*_task.columns)).one())


def _is_up_to(task: HumanTask, person: str, roles: Collection[str]) -> bool:
    turn = rules.next_in_turn(task, task.present)
    return (
        task.asks(person, roles)
        and turn in (None, person)
        and all(decision["by"] != person for decision in task.present)
    )


def _not_asked(task: HumanTask, by: str) -> RealmError:
    asked = f"role {task.role!r}" if task.role is not None else ", ".join(task.assignees or ())
    return RealmError(Code.PERMISSION_DENIED, f"{by!r} is not asked", hint=f"asked are: {asked}")


def _check_open(task: HumanTask, by: str, own: Mapping[str, Any] | None, at: datetime) -> None:
    if own is not None:
        raise RealmError(
            Code.ALREADY_EXISTS,
            f"{by!r} has decided already: {own['decision']}",
            hint="a decision is final; the form and the comment belong to it",
        )
    if task.status != "open":
        became = task.outcome or "canceled"
        raise RealmError(
            Code.FAILED_PRECONDITION, f"the task is over: {became}", hint="nothing is left to do"
        )
    if task.deadline is not None and at > task.deadline and task.on_timeout != "notify":
        since = task.deadline.isoformat(timespec="seconds")
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"the time for this task was over at {since}",
            hint=f"what follows is: {task.on_timeout}",
        )
    turn = rules.next_in_turn(task, task.present)
    if turn not in (None, by):
        raise RealmError(
            Code.FAILED_PRECONDITION, f"it is the turn of {turn!r}", hint="people decide in order here"
        )


def _check_form(task: HumanTask, decision: Choice, form: Any) -> None:
    size = len(encode_json(form).encode())
    if size > MAX_FORM_BYTES:
        raise RealmError(
            Code.OUT_OF_RANGE, f"the form is {size} bytes of JSON; at most {MAX_FORM_BYTES} are allowed"
        )
    if task.form is None or (decision == "reject" and form is None):
        return
    from jsonschema import Draft202012Validator

    violations = [
        {"field": ".".join(["form", *map(str, error.absolute_path)]), "description": error.message}
        for error in Draft202012Validator(dict(task.form)).iter_errors({} if form is None else form)
    ]
    if violations:
        first = violations[0]
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{first['field']}: {first['description']}",
            hint="realm tasks show prints the form",
            details={"field_violations": violations},
        )


def _after_timeout(task: HumanTask, at: datetime) -> dict[str, Any]:
    """The changes that the task's ``on_timeout`` makes."""
    step: dict[str, Any] = {"action": task.on_timeout, "at": at.isoformat(), "round": task.round}
    if task.on_timeout in OUTCOMES:
        ended = {
            "status": "decided",
            "outcome": OUTCOMES[task.on_timeout],
            "timed_out": True,
            "decided_at": at,
        }
        return {**ended, "escalations": [*task.escalations, step]}
    changes: dict[str, Any] = {"deadline": at + timedelta(seconds=task.timeout or 0)}
    if task.on_timeout == "escalate":
        step |= {"from": task.assignees or task.role, "to": task.escalate_to}
        changes |= {"assignees": task.escalate_to, "role": None, "approval": "any", "quorum": None}
        changes["on_timeout"] = "notify"  # those who are asked now are reminded
    if task.on_timeout != "notify":
        changes["round"] = task.round + 1
    return {**changes, "escalations": [*task.escalations, step]}
