"""The processes that run instances, and what they left behind when they died.

A process is a row with a count of its signs of life. Whether one is dead is judged elsewhere
(:mod:`..flows.recovery`): here are the rows, and the moves that take instances from it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, or_, select, update

from ..core.ids import new_id
from ..core.process import Identity
from ..core.status import InstanceStatus
from .engine import Database
from .history import ASKED, Change, append, guard, words
from .models import InstanceRow
from .records import Shape
from .runner_models import RunnerRow
from .types import moment
from .upsert import insert

_S = InstanceStatus
_RUN = (_S.RUNNING, _S.COMPENSATING, _S.RETRYING)
"""Where an instance has a process, or should have one."""
_OVER = (_S.COMPLETED, _S.FAILED, _S.CANCELED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """One life of a process that runs instances for ``owner``, which may touch ``roots``."""

    id: str
    owner: str
    host: str
    pid: int
    process: str
    roots: list[str]
    beat: int
    began_at: datetime
    alive_at: datetime
    ended_at: datetime | None

    @property
    def identity(self) -> Identity:
        """The process, where it can be looked for: on its own host."""
        return Identity(self.pid, self.process)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An undecided instance, without what makes its row large."""

    id: str
    workflow: str
    version: str
    status: InstanceStatus
    claimed_by: str | None
    runner_id: str | None
    epoch: int
    flow_run_id: str | None
    requested: str | None
    created_at: datetime
    started_at: datetime | None
    resumed_at: datetime | None
    claimed_at: datetime | None


_runner = Shape(Runner, RunnerRow)
_held = Shape(Held, InstanceRow)


class Runners:
    """Who runs instances."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self, owner: str, host: str, process: Identity, roots: Sequence[str] = (), at: datetime | None = None
    ) -> Runner:
        """A process begins to run instances."""
        runner = Runner(
            id=new_id("runner"),
            owner=owner,
            host=host,
            pid=process.pid,
            process=process.started,
            roots=list(roots),
            beat=0,
            began_at=(now := moment(at)),
            alive_at=now,
            ended_at=None,
        )
        values = {column.name: getattr(runner, column.name) for column in _runner.columns}
        with self._database.write() as connection:
            connection.execute(insert(connection, RunnerRow).values(values))
        return runner

    def beat(self, id: str, at: datetime | None = None) -> None:
        """A sign of life."""
        statement = update(RunnerRow).where(RunnerRow.id == id)
        with self._database.write() as connection:
            connection.execute(statement.values(beat=RunnerRow.beat + 1, alive_at=moment(at), ended_at=None))

    def end(self, id: str, at: datetime | None = None) -> None:
        """The process ends in order."""
        statement = update(RunnerRow).where(RunnerRow.id == id)
        with self._database.write() as connection:
            connection.execute(statement.values(alive_at=(now := moment(at)), ended_at=now))

    def get(self, id: str) -> Runner | None:
        """A runner, if it is still known."""
        with self._database.read() as connection:
            row = connection.execute(select(*_runner.columns).where(RunnerRow.id == id)).one_or_none()
        return None if row is None else _runner(row)

    def of_owner(self, owner: str) -> list[Runner]:
        """The lives of an owner that are still known, the last one first."""
        statement = select(*_runner.columns).where(RunnerRow.owner == owner)
        with self._database.read() as connection:
            found = connection.execute(statement.order_by(RunnerRow.began_at.desc()))
            return [_runner(row) for row in found]

    def list(self) -> list[Runner]:
        """All that are known."""
        with self._database.read() as connection:
            found = connection.execute(select(*_runner.columns).order_by(RunnerRow.began_at))
            return [_runner(row) for row in found]

    def forget(self, older: timedelta, at: datetime | None = None) -> int:
        """Drop those that gave no sign of life for so long, and have left nothing undecided; how many."""
        theirs = or_(InstanceRow.runner_id == RunnerRow.id, InstanceRow.claimed_by == RunnerRow.owner)
        left = exists().where(theirs, InstanceRow.status.not_in(_OVER))
        old = RunnerRow.alive_at < moment(at) - older
        with self._database.write() as connection:
            return connection.execute(delete(RunnerRow).where(old, ~left)).rowcount

    # -- what they hold ---------------------------------------------------------------------------------

    def held(self, id: str) -> Held | None:
        """One instance as :meth:`running` shows it."""
        with self._database.read() as connection:
            row = connection.execute(select(*_held.columns).where(InstanceRow.id == id)).one_or_none()
        return None if row is None else _held(row)

    def running(self) -> list[Held]:
        """The instances that have a process, or should have one, oldest first."""
        statement = select(*_held.columns).where(InstanceRow.status.in_(_RUN))
        with self._database.read() as connection:
            found = connection.execute(statement.order_by(InstanceRow.created_at, InstanceRow.id))
            return [_held(row) for row in found]

    def of_flow_runs(self, flow_run_ids: Collection[str]) -> dict[str, Held]:
        """Instances by the flow run that Prefect last saw them in."""
        statement = select(*_held.columns).where(InstanceRow.flow_run_id.in_(list(flow_run_ids)))
        with self._database.read() as connection:
            found = [_held(row) for row in connection.execute(statement)]
        return {str(one.flow_run_id): one for one in found}

    def claimants(self) -> set[str]:
        """The owners of claims that have not begun, and of instances that wait."""
        with self._database.read() as connection:
            return {
                owner
                for where in (_CLAIMED, _WAITING)
                for owner in connection.execute(
                    select(InstanceRow.claimed_by).where(where).distinct()
                ).scalars()
                if owner
            }

    def claims(self, owners: Collection[str]) -> list[str]:
        """The instances that these have claimed and not begun."""
        statement = select(InstanceRow.id).where(_CLAIMED, InstanceRow.claimed_by.in_(list(owners)))
        with self._database.read() as connection:
            return list(connection.execute(statement).scalars())

    def waiting(self, owners: Collection[str]) -> list[str]:
        """The waiting instances of these."""
        statement = select(InstanceRow.id).where(_WAITING, InstanceRow.claimed_by.in_(list(owners)))
        with self._database.read() as connection:
            return list(connection.execute(statement).scalars())

    def free(self, owners: Collection[str]) -> list[str]:
        """Give back what these have claimed and not begun; which."""
        statement = (
            update(InstanceRow)
            .where(_CLAIMED, InstanceRow.claimed_by.in_(list(owners)))
            .values(claimed_by=None, claimed_at=None)
            .returning(InstanceRow.id)
        )
        with self._database.write() as connection:
            return list(connection.execute(statement).scalars())

    def adopt(self, owners: Collection[str], owner: str) -> list[str]:
        """Let ``owner`` look after the waiting instances of these; which."""
        statement = (
            update(InstanceRow)
            .where(_WAITING, InstanceRow.claimed_by.in_(list(owners)))
            .values(claimed_by=owner)
            .returning(InstanceRow.id)
        )
        with self._database.write() as connection:
            return list(connection.execute(statement).scalars())

    def take(self, held: Held, *, by: str, reason: str, at: datetime | None = None) -> bool:
        """Take an instance from the process that runs it, for the next dispatcher to carry on; False, having changed
        nothing, where it has moved since ``held`` was read. That process may write until the next one begins."""
        with self._database.write() as connection:
            guard(connection, held.id)
            here = InstanceRow.id == held.id
            present = _held(connection.execute(select(*_held.columns).where(here)).one())
            same = (present.status, present.epoch, present.claimed_by) == (
                held.status,
                held.epoch,
                held.claimed_by,
            )
            if not same:
                return False
            taken = {"requested": "resume", "claimed_by": None, "claimed_at": None}
            connection.execute(update(InstanceRow).where(here).values(taken))
            data = {"request": "resume", "by": by, **(words(reason) or {})}
            append(connection, held.id, present.epoch, Change(type=ASKED, at=moment(at), data=data))
            return True


_RESUMABLE = InstanceRow.requested == "resume"
_CLAIMED = (
    ((InstanceRow.status == _S.PENDING) | _RESUMABLE)
    & InstanceRow.claimed_by.is_not(None)
    & InstanceRow.status.not_in(_OVER)
)
_WAITING = (InstanceRow.status == _S.WAITING) & InstanceRow.claimed_by.is_not(None)
