"""Engines and transactions: what differs between SQLite and PostgreSQL, kept in one place."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url

from ..core.errors import Code, RealmError
from .cleaning import encode_json

STORE_AWAY, OUTCOME_UNKNOWN = "store_away", "outcome_unknown"
"""Details of an UNAVAILABLE error: that it is the database which does not answer, and that it may have committed."""
BUSY_SECONDS = 30
"""How long a SQLite writer waits for another process's write."""


class Database:
    """A database and its transactions. Safe for threads; each thread has its own transaction.

    On SQLite every write transaction begins IMMEDIATE: a transaction that reads first and writes later would
    lose at once, whatever the timeout, when another process wrote in between. Writers of one process queue on
    a lock, which is fairer and faster than SQLite's polling.
    """

    def __init__(self, url: str | URL) -> None:
        self.url = normal_url(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        if self.sqlite:
            self._make_folder()
        with translated(self.url):
            self.engine = _create_engine(self.url)
            if self.sqlite:
                _set_wal(self.engine)
        self._writers = self.engine.execution_options(realm_begin="BEGIN IMMEDIATE")
        self._lock = threading.RLock() if self.sqlite else nullcontext()
        self._local = threading.local()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in a write transaction: the thread's open one, else a new one that commits at the
        end."""
        current: Connection | None = getattr(self._local, "connection", None)
        if current is not None:
            with translated(self.url):
                yield current
            return
        with self._lock, translated(self.url), self._writers.connect() as connection:
            transaction = connection.begin()
            self._local.connection = connection
            try:
                yield connection
            except BaseException:
                with suppress(
                    exc.SQLAlchemyError
                ):  # Of a connection that was cut, nothing is left to take back.
                    transaction.rollback()
                raise
            finally:
                self._local.connection = None
            with _deciding(self.url):
                transaction.commit()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with: the thread's open transaction, else a snapshot of its own."""
        current: Connection | None = getattr(self._local, "connection", None)
        with translated(self.url):
            if current is not None:
                yield current
            else:
                with self.engine.connect() as connection:
                    yield connection

    def close(self) -> None:
        """Close all idle connections."""
        self.engine.dispose()

    def _make_folder(self) -> None:
        database = self.url.database
        if not database or database == ":memory:" or "mode=memory" in database:
            raise RealmError(
                Code.INVALID_ARGUMENT,
                "the store needs a SQLite file: other processes cannot open a database in memory",
                hint="write sqlite:////absolute/path/realm.db",
            )
        try:
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RealmError(
                Code.FAILED_PRECONDITION, f"cannot make the folder of {database}: {error}"
            ) from None


def normal_url(url: str | URL) -> URL:
    """``url`` with the driver we ship: psycopg 3 for PostgreSQL. INVALID_ARGUMENT for anything else."""
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise RealmError(Code.INVALID_ARGUMENT, "the database URL cannot be read", hint=_URL_HINT) from None
    backend = parsed.drivername.partition("+")[0]
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return parsed.set(drivername="sqlite")
    raise RealmError(
        Code.INVALID_ARGUMENT, f"databases of kind {backend!r} are not supported", hint=_URL_HINT
    )


_URL_HINT = "write sqlite:////absolute/path/realm.db or postgresql://user:password@host/database"


def _create_engine(url: URL) -> Engine:
    json_options: dict[str, Any] = {"json_serializer": encode_json, "json_deserializer": json.loads}
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url,
            pool_pre_ping=True,
            connect_args={"options": "-c timezone=utc", "connect_timeout": 10},
            **json_options,
        )
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, **json_options)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; _begin_sqlite does
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("realm_begin", "BEGIN"))


def _set_wal(engine: Engine) -> None:
    """Switch the file to WAL, once for ever. The switch does not wait for other processes by itself."""
    deadline = time.monotonic() + BUSY_SECONDS
    with engine.connect() as connection:
        while True:
            try:
                # Past SQLAlchemy, which would begin a transaction first.
                connection.connection.cursor().execute("PRAGMA journal_mode = WAL")
                return
            except engine.dialect.loaded_dbapi.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise exc.OperationalError(None, None, error) from error
                time.sleep(0.02)


@contextmanager
def _deciding(url: URL) -> Iterator[None]:
    """Around a commit: when it is cut, nobody knows whether it counted, and the error says so."""
    try:
        with translated(url):
            yield
    except RealmError as error:
        if not error.record.details.get(STORE_AWAY):
            raise
        record = error.record
        details = {**record.details, OUTCOME_UNKNOWN: True}
        raise RealmError(record.code, record.message, hint=record.hint, details=details) from error


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn the driver's errors into ours: what the caller sent, what the database refuses, what may be
    retried."""
    try:
        yield
    except exc.StatementError as error:
        if isinstance(error.orig, RealmError):  # raised by a column type
            raise error.orig from None
        raise _translate(error, url) from error
    except exc.SQLAlchemyError as error:
        raise _translate(error, url) from error


def _translate(error: exc.SQLAlchemyError, url: URL) -> RealmError:
    original = getattr(error, "orig", None) or error
    reason = " ".join(str(original).split())
    place = url.render_as_string(hide_password=True)
    if isinstance(error, exc.IntegrityError):
        code = Code.NOT_FOUND if "foreign key" in reason.lower() else Code.FAILED_PRECONDITION
        return RealmError(code, f"the database refuses the row: {reason}")
    if isinstance(error, exc.DataError):
        return RealmError(Code.INVALID_ARGUMENT, f"the database refuses the value: {reason}")
    if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError):
        return RealmError(
            Code.UNAVAILABLE,
            f"the database {place} does not answer: {reason}",
            hint="realm doctor checks it",
            details={STORE_AWAY: True},
        )
    if "not a database" in reason or "malformed" in reason:
        return RealmError(
            Code.DATA_CORRUPTED, f"the database {place} is damaged: {reason}", hint="restore it from a backup"
        )
    return RealmError(Code.INTERNAL_ERROR, f"the database {place} failed: {reason}")
