"""Each test of the store runs on SQLite and on PostgreSQL."""

import shutil

import psycopg
import pytest

from mirror_realm.core.status import InstanceStatus
from mirror_realm.store import NewInstance, Store
from tests.postgres import fresh_database

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    """A migrated SQLite file to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("store") / "template.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgres_url():
    """A migrated PostgreSQL database of this process."""
    with fresh_database() as url:
        Store.open(url).close()
        yield url


@pytest.fixture(params=DATABASES)
def database_url(request, tmp_path):
    """A migrated database without rows but the default project."""
    if request.param == "sqlite":
        path = tmp_path / "journal" / "realm.db"
        path.parent.mkdir()
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    url = request.getfixturevalue("postgres_url")
    with psycopg.connect(url) as connection:
        # Not TRUNCATE, which makes new files for every table and index: ten times slower for a few rows.
        tables = ("workflows", "workflow_instances", "trigger_state", "known_files", "media_files")
        media = ("media_stages", "media_spaces", "media_faces", "media_people")
        for table in (*tables, *media, "events", "cached_results", "circuit_breakers"):
            connection.execute(f"DELETE FROM {table}")
    return url


@pytest.fixture(params=DATABASES)
def empty_url(request, tmp_path):
    """A database without a table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        with fresh_database() as url:
            yield url


@pytest.fixture
def store(database_url):
    """An open store."""
    with Store.open(database_url) as store:
        yield store


@pytest.fixture
def accept(store):
    """A function that accepts an instance; ``status`` moves it on from pending."""

    def accept(status=InstanceStatus.PENDING, **fields):
        new = {"workflow": "photos", "version": "1.0.0", "input": {"n": 1}, "trigger_type": "manual"}
        instance, _ = store.instances.create(NewInstance(**(new | fields)))
        if status is not InstanceStatus.PENDING:
            instance = store.instances.transition(instance.id, InstanceStatus.RUNNING)
        if status not in (InstanceStatus.PENDING, InstanceStatus.RUNNING):
            instance = store.instances.transition(instance.id, status)
        return instance

    return accept
