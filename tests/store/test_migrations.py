"""Migrations: models and revisions agree, up from nothing and down again, and two processes at once."""

import multiprocessing
import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.store import Store, migrate
from mirror_realm.store.engine import Database
from mirror_realm.store.media_models import Row


def test_models_and_migrations_agree(empty_url):
    Store.open(empty_url).close()
    with Database(empty_url).read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Row.metadata) == []


def test_checks_of_models_and_migrations_agree(empty_url):
    """Alembic does not compare checks: build both schemas and look."""

    def checks(connection):
        inspector = sa.inspect(connection)
        return {
            (table, check["name"], check["sqltext"])
            for table in inspector.get_table_names()
            for check in inspector.get_check_constraints(table)
        }

    database = Database(empty_url)
    with database.write() as connection:
        Row.metadata.create_all(connection)
        from_models = checks(connection)
        Row.metadata.drop_all(connection)
    migrate.upgrade(database)
    with database.read() as connection:
        assert checks(connection) == from_models
    assert len(from_models) == 26
    database.close()


def test_down_to_nothing_and_up_again(empty_url):
    database = Database(empty_url)
    migrate.upgrade(database)
    with database.write() as connection:
        command.downgrade(migrate.config(connection), "base")
        assert set(sa.inspect(connection).get_table_names()) <= {"alembic_version"}
    migrate.upgrade(database)
    database.close()
    with Store.open(empty_url, migrate=False) as store:
        assert store.instances.count() == 0


def test_head_is_the_newest_revision():
    assert ScriptDirectory.from_config(migrate.config()).get_heads() == [migrate.HEAD]


def test_without_migration_an_old_database_is_refused(empty_url):
    with pytest.raises(RealmError, match="revision none") as caught:
        Store.open(empty_url, migrate=False)
    assert caught.value.code is Code.FAILED_PRECONDITION


def test_a_newer_database_is_refused(database_url):
    database = Database(database_url)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        with pytest.raises(RealmError, match="9999") as caught:
            Store.open(database_url)
        assert caught.value.code is Code.FAILED_PRECONDITION
        assert "upgrade" in (caught.value.hint or "")
    finally:
        with database.write() as connection:
            connection.execute(
                sa.text("UPDATE alembic_version SET version_num = :head"), {"head": migrate.HEAD}
            )
        database.close()


def test_a_failing_migration_leaves_nothing(empty_url, monkeypatch):
    from alembic.operations import Operations

    real = Operations.create_index

    def fail(self, name, *arguments, **options):
        if name == "ix_node_executions_status_started_at":
            raise RuntimeError("the disk fell out")
        return real(self, name, *arguments, **options)

    database = Database(empty_url)
    monkeypatch.setattr(Operations, "create_index", fail)
    with pytest.raises(RuntimeError):
        migrate.upgrade(database)
    with database.read() as connection:
        assert sa.inspect(connection).get_table_names() == []
    monkeypatch.undo()
    migrate.upgrade(database)
    database.close()


def _open(url, barrier, outcome):
    barrier.wait()
    try:
        Store.open(url).close()
        outcome.put("opened")
    except BaseException as error:
        outcome.put(repr(error))


def test_processes_that_open_at_once_migrate_once(empty_url):
    spawn = multiprocessing.get_context("spawn")
    barrier, outcome = spawn.Barrier(3), spawn.Queue()
    processes = [spawn.Process(target=_open, args=(empty_url, barrier, outcome)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [outcome.get(timeout=150) for _ in processes] == ["opened"] * 3
    for process in processes:
        process.join(30)


def test_an_open_database_needs_no_alembic(database_url):
    program = f"""
import sys
from mirror_realm.store import Store
Store.open({database_url!r}).close()
assert "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
