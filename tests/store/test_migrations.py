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

SEARCH = {"ix_media_files_pictures", "ix_media_files_words", "ix_media_tags_parts"}
"""Indexes of PostgreSQL only, which no model names."""


def in_the_models(thing, name, kind, reflected, compared_to):
    return not (kind == "index" and name in SEARCH)


def test_models_and_migrations_agree(empty_url):
    Store.open(empty_url).close()
    with Database(empty_url).read() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_object": in_the_models}
        )
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


def test_postgresql_finds_media_by_words_and_tags_by_parts_of_words(empty_url):
    """Each of the specification's indexes serves the question that it was asked for."""
    if not empty_url.startswith("postgresql"):
        Store.open(empty_url).close()
        return
    Store.open(empty_url).close()
    words = (
        "to_tsvector('simple'::regconfig, coalesce(filename, '') || ' ' || coalesce(metadata->>'title', '') || ' ' ||"
        " coalesce(metadata->>'description', '')) @@ plainto_tsquery('simple', 'red car')"
    )
    asked = {
        "ix_media_files_pictures": "SELECT id FROM media_files WHERE project_id = 'p' AND mime_type LIKE 'image/%'",
        "ix_media_files_words": f"SELECT id FROM media_files WHERE {words}",
        "ix_media_tags_parts": "SELECT file_id FROM media_tags WHERE tag_value ILIKE '%each%'",
    }
    with Database(empty_url).write() as connection:
        connection.exec_driver_sql("ALTER TABLE media_tags DROP CONSTRAINT fk_media_tags_file_id")
        connection.exec_driver_sql(
            "INSERT INTO media_tags (file_id, tag_type, tag_value, confidence, source, created_at)"
            " SELECT 'f' || n, 'object', 'tag ' || md5(n::text), 0.5, 'test', now() FROM generate_series(1, 20000) n"
        )
        connection.exec_driver_sql("ANALYZE media_tags")
        connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
        for name, question in asked.items():
            plan = "\n".join(connection.exec_driver_sql("EXPLAIN " + question.replace("%", "%%")).scalars())
            assert name in plan, plan
