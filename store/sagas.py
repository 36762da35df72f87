"""What can be undone, and what came of undoing it.

A node with a ``compensate`` that completes is *registered* with the finished call that undoes it, in the transaction
that journals its result. So undoing needs neither the flow nor its expressions, and survives any crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, update

from ..core.errors import ErrorRecord
from ..core.ids import new_id
from .cleaning import plain_json
from .engine import Database
from .records import Shape
from .recovery_models import SagaRow, SagaStepRow
from .types import moment
from .upsert import insert


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStep:
    """A completed node, and the call that undoes it: the node type, its parameters and its input. ``error`` says why
    there can be no such call."""

    instance_id: str
    node_id: str
    iteration: str
    node_type: str
    parameters: Mapping[str, Any]
    input: Mapping[str, Any]
    retry: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaStep:
    """A step as registered. ``status``: registered, undoing, undone or failed."""

    instance_id: str
    node_id: str
    iteration: str
    position: int
    status: str
    node_type: str
    parameters: Mapping[str, Any]
    input: Mapping[str, Any]
    retry: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    saga_id: str | None
    registered_at: datetime
    decided_at: datetime | None

    @property
    def label(self) -> str:
        """What people call the node: its id, and the round it ran in, as ``each/pay[3]``."""
        return f"{self.node_id}[{self.iteration}]" if self.iteration else self.node_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Saga:
    """The undoing of one attempt of a transaction; of the instance itself, where ``node_id`` is empty. ``error`` is
    what it is undone for."""

    id: str
    instance_id: str
    node_id: str
    iteration: str
    attempt: int
    status: str
    error: Mapping[str, Any]
    started_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """A step that stands undone. ``around`` is the id of the transaction whose failure undid it, ``""`` of the
    instance."""

    node_id: str
    iteration: str
    position: int
    around: str


_saga = Shape(Saga, SagaRow)
_step = Shape(SagaStep, SagaStepRow)
_LEFT = ("registered", "undoing")


class Sagas:
    """The steps that can be undone, and the sagas that undid some."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, step: NewStep, at: datetime | None = None) -> None:
        """Remember how to undo a node that has just completed; again, when it completed again."""
        last = select(func.coalesce(func.max(SagaStepRow.position), 0) + 1)
        position = last.where(SagaStepRow.instance_id == step.instance_id).scalar_subquery()
        fresh: dict[str, Any] = {
            "position": position,
            "status": "registered",
            "node_type": step.node_type,
            "parameters": plain_json(step.parameters),
            "input": plain_json(step.input),
            "retry": plain_json(step.retry),
            "error": plain_json(step.error),
            "saga_id": None,
            "registered_at": moment(at),
            "decided_at": None,
        }
        identity = {
            "instance_id": step.instance_id,
            "node_id": step.node_id,
            "iteration": step.iteration,
        }
        with self._database.write() as connection:
            statement = insert(connection, SagaStepRow).values(**identity, **fresh)
            connection.execute(statement.on_conflict_do_update(index_elements=list(identity), set_=fresh))

    def steps(self, instance_id: str) -> list[SagaStep]:
        """Every step of an instance, in the order of completion."""
        statement = select(*_step.columns).where(SagaStepRow.instance_id == instance_id)
        with self._database.read() as connection:
            return [_step(row) for row in connection.execute(statement.order_by(SagaStepRow.position))]

    def undone(self, instance_id: str) -> list[Undone]:
        """The steps of an instance that stand undone, in the order of completion."""
        statement = (
            select(
                SagaStepRow.node_id,
                SagaStepRow.iteration,
                SagaStepRow.position,
                SagaRow.node_id.label("around"),
            )
            .join(SagaRow, SagaRow.id == SagaStepRow.saga_id)
            .where(SagaStepRow.instance_id == instance_id, SagaStepRow.status == "undone")
            .order_by(SagaStepRow.position)
        )
        with self._database.read() as connection:
            return [Undone(**row._mapping) for row in connection.execute(statement)]

    def find(self, instance_id: str, node_id: str, iteration: str, attempt: int) -> Saga | None:
        """The saga of one attempt of a transaction (or life of an instance), if it was undone or is being undone."""
        with self._database.read() as connection:
            return _find(connection, instance_id, node_id, iteration, attempt)

    def unfinished(self, instance_id: str) -> list[Saga]:
        """The sagas that a crash left half done, the first begun first."""
        statement = (
            select(*_saga.columns)
            .where(SagaRow.instance_id == instance_id, SagaRow.status == "compensating")
            .order_by(SagaRow.started_at, SagaRow.id)
        )
        with self._database.read() as connection:
            return [_saga(row) for row in connection.execute(statement)]

    def begin(
        self,
        instance_id: str,
        node_id: str,
        iteration: str,
        attempt: int,
        error: ErrorRecord,
        at: datetime | None = None,
    ) -> Saga | None:
        """Begin to undo what completed inside a node (``""``: in the whole instance) and can be undone; ``None`` where
        there is nothing. Beginning again is the same saga."""
        with self._database.write() as connection:
            if (known := _find(connection, instance_id, node_id, iteration, attempt)) is not None:
                return known
            free = (SagaStepRow.status == "registered") & SagaStepRow.saga_id.is_(None)
            registered = _inside(instance_id, node_id, iteration) & free
            if connection.execute(select(SagaStepRow.position).where(registered).limit(1)).first() is None:
                return None
            saga = Saga(
                id=new_id("saga"),
                instance_id=instance_id,
                node_id=node_id,
                iteration=iteration,
                attempt=attempt,
                status="compensating",
                error=plain_json(error.to_dict()),
                started_at=moment(at),
                completed_at=None,
            )
            values = {column.name: getattr(saga, column.name) for column in _saga.columns}
            connection.execute(insert(connection, SagaRow).values(values))
            connection.execute(update(SagaStepRow).where(registered).values(saga_id=saga.id))
            return saga

    def of(self, saga_id: str) -> list[SagaStep]:
        """The steps of a saga in the order in which they are undone: the last one completed first."""
        statement = select(*_step.columns).where(SagaStepRow.saga_id == saga_id)
        with self._database.read() as connection:
            found = connection.execute(statement.order_by(SagaStepRow.position.desc()))
            return [_step(row) for row in found]

    def undoing(self, step: SagaStep) -> None:
        """The call that undoes the step is about to be made."""
        self._set(step, status="undoing")

    def decide(self, step: SagaStep, error: ErrorRecord | None, at: datetime | None = None) -> None:
        """The step is undone, or (with an ``error``) is left to a person."""
        failure = None if error is None else plain_json(error.to_dict())
        self._set(step, status="failed" if error else "undone", error=failure, decided_at=moment(at))

    def finish(self, saga_id: str, at: datetime | None = None) -> Saga:
        """The verdict on a saga all of whose steps are decided: ``compensated``, or ``compensation_failed``."""
        failed = select(SagaStepRow.position).where(
            SagaStepRow.saga_id == saga_id, SagaStepRow.status != "undone"
        )
        with self._database.write() as connection:
            broken = connection.execute(failed.limit(1)).first() is not None
            status = "compensation_failed" if broken else "compensated"
            statement = update(SagaRow).where(SagaRow.id == saga_id, SagaRow.status == "compensating")
            connection.execute(statement.values(status=status, completed_at=moment(at)))
            return _saga(connection.execute(select(*_saga.columns).where(SagaRow.id == saga_id)).one())

    def _set(self, step: SagaStep, **values: Any) -> None:
        statement = update(SagaStepRow).where(
            SagaStepRow.instance_id == step.instance_id,
            SagaStepRow.node_id == step.node_id,
            SagaStepRow.iteration == step.iteration,
            SagaStepRow.status.in_(_LEFT),
        )
        with self._database.write() as connection:
            connection.execute(statement.values(**values))


def _find(
    connection: Connection, instance_id: str, node_id: str, iteration: str, attempt: int
) -> Saga | None:
    statement = select(*_saga.columns).where(
        SagaRow.instance_id == instance_id,
        SagaRow.node_id == node_id,
        SagaRow.iteration == iteration,
        SagaRow.attempt == attempt,
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else _saga(row)


def _inside(instance_id: str, node_id: str, iteration: str) -> ColumnElement[bool]:
    """The steps inside a node, in one iteration of the loops around it."""
    found: ColumnElement[bool] = SagaStepRow.instance_id == instance_id
    if node_id:
        found &= SagaStepRow.node_id.startswith(f"{node_id}/", autoescape=True)
    if iteration:
        deeper = SagaStepRow.iteration.startswith(f"{iteration}.", autoescape=True)
        found &= (SagaStepRow.iteration == iteration) | deeper
    return found
