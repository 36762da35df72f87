"""The three changes we make to Prefect, in the embedded server's process.

*SQLite transactions begin IMMEDIATE.*
Prefect's server begins its SQLite transactions DEFERRED unless the caller asks for a lock. Such a transaction
reads, then writes, and when another connection (the event recorder) committed in between, SQLite refuses at once
with SQLITE_BUSY_SNAPSHOT, which no busy timeout covers. The API then answers 503 and drops the connection, and
Prefect's client backs off for two seconds. A transaction that begins IMMEDIATE queues for the write lock instead,
under the 60 s timeout that Prefect sets. Measured, 8 clients creating 60 flow runs and moving them through two
states: without the change 57 of the 60 creations failed, with it none of the 180 writes did.

*Inserts may name computed attributes* (:func:`let_estimates_pass`), without which no schedule starts a run.

*Task runs are recorded in sets.* Prefect's recorder writes each event in a transaction of its own, or, where it is set
to write sets, those of whole seconds: so late that a canceled flow run's finished task runs are taken for unfinished
and shown as canceled. Ours writes what has come every :data:`RECORD_EVERY` seconds (``docs/decisions.md`` §51).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ..core.errors import Code, RealmError

RECORD_EVERY = 0.1
"""Seconds for which events of task runs gather before they are written."""
RECORD_AT_MOST = 100
"""Events that are written at once, as soon as that many have gathered."""

_PARAMETERS = ["self", "session", "with_for_update"]
_CONSUMER_PARAMETERS = ["write_batch_size", "flush_every"]
_MARK = "_mirror_realm"


def begin_immediately() -> None:
    """Make every transaction of Prefect's SQLite configuration begin IMMEDIATE. Idempotent.

    Raises FAILED_PRECONDITION, having changed nothing, when this Prefect is not shaped as expected.
    """
    configuration = _configuration()
    original = getattr(configuration, "begin_transaction", None)
    if getattr(original, _MARK, False):
        return
    check_shape()
    assert original is not None, "its shape was checked"

    @asynccontextmanager
    async def begin_transaction(self: Any, session: Any, with_for_update: bool = False) -> AsyncIterator[Any]:
        async with original(self, session, with_for_update=True) as transaction:
            yield transaction

    setattr(begin_transaction, _MARK, True)
    configuration.begin_transaction = begin_transaction
    if (modes := begin_modes()) != ("IMMEDIATE", "IMMEDIATE"):
        configuration.begin_transaction = original
        raise _changed(f"after the change transactions begin {modes}")


def let_estimates_pass() -> None:
    """Let rows be inserted in bulk that name a computed attribute, as Prefect's scheduler does. Idempotent.

    SQLAlchemy 2.0 left out what is no column; from 2.1 on it refuses a hybrid attribute that does not say what it does
    in bulk (``bulk_dml``), and Prefect's say nothing. Unchanged, no schedule of any deployment ever starts a run.
    """
    from prefect.server.database import orm_models
    from sqlalchemy import inspect
    from sqlalchemy.ext.hybrid import hybrid_property

    for mapper in orm_models.Base.registry.mappers:
        for attribute in inspect(mapper.class_).all_orm_descriptors:
            silent = (
                isinstance(attribute, hybrid_property) and getattr(attribute, "bulk_dml_setter", 0) is None
            )
            if silent:
                setattr(attribute, "bulk_dml_setter", _nothing)  # noqa: B010 - none before SQLAlchemy 2.1


def record_in_sets() -> None:
    """Let the recorder of task runs write the events of a tenth of a second at once. Idempotent.

    Raises FAILED_PRECONDITION, having changed nothing, when this Prefect is not shaped as expected.
    """
    from prefect.server.services import task_run_recorder

    original = getattr(task_run_recorder, "consumer", None)
    if getattr(original, _MARK, False):
        return
    used = "consumer" in task_run_recorder.TaskRunRecorder.start.__code__.co_names
    if (
        not used
        or original is None
        or list(inspect.signature(original).parameters)[:2] != _CONSUMER_PARAMETERS
    ):
        raise _changed(
            "task_run_recorder.consumer(write_batch_size, flush_every) is not what it records with"
        )

    def consumer(write_batch_size: int, flush_every: float, **others: Any) -> Any:
        """The same, except where somebody has set it to write less often or more at once."""
        if write_batch_size == 1:
            write_batch_size, flush_every = RECORD_AT_MOST, RECORD_EVERY
        return original(write_batch_size=write_batch_size, flush_every=flush_every, **others)

    setattr(consumer, _MARK, True)
    task_run_recorder.consumer = consumer


def _nothing(row: Any, mapping: Any, value: Any) -> None:
    """What a computed attribute sets in a row that is inserted."""


def check_shape() -> None:
    """Raise FAILED_PRECONDITION unless unpatched Prefect has the method we change, behaving as we know it."""
    method = vars(_configuration()).get("begin_transaction")
    if method is None or list(inspect.signature(method).parameters) != _PARAMETERS:
        raise _changed(
            "AioSqliteConfiguration.begin_transaction(self, session, with_for_update) is not there"
        )
    if (modes := begin_modes()) != ("DEFERRED", "IMMEDIATE"):
        raise _changed(f"transactions begin {modes}, not DEFERRED and IMMEDIATE for update")


def begin_modes() -> tuple[str | None, str | None]:
    """The modes in which a plain and a for-update transaction of Prefect's SQLite configuration begin."""
    from prefect.server.database import configurations

    if not hasattr(configurations, "SQLITE_BEGIN_MODE"):
        raise _changed("SQLITE_BEGIN_MODE is not there")
    modes: list[str | None] = []

    class Session:
        @asynccontextmanager
        async def begin(self) -> AsyncIterator[Any]:
            modes.append(configurations.SQLITE_BEGIN_MODE.get())
            yield self

    async def probe() -> None:
        method = _configuration().begin_transaction
        for with_for_update in (False, True):
            async with method(None, Session(), with_for_update=with_for_update):
                pass

    try:
        asyncio.run(probe())
    except (TypeError, AttributeError) as error:
        raise _changed(f"begin_transaction cannot be called as before ({error})") from error
    return modes[0], modes[1]


def _configuration() -> Any:
    try:
        from prefect.server.database.configurations import AioSqliteConfiguration
    except ImportError as error:
        raise _changed(str(error)) from error
    return AioSqliteConfiguration


def _changed(what: str) -> RealmError:
    import prefect

    return RealmError(
        Code.FAILED_PRECONDITION,
        f"Prefect {prefect.__version__} is not the Prefect that our change was written for: {what}",
        hint="install the versions in constraints.txt, or adapt deployments/prefect_patches.py",
    )
