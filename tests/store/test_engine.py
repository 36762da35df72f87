"""Transactions, accidents and errors: what the engine promises on both databases."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy as sa

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.status import InstanceStatus, NodeStatus
from mirror_realm.store import Store
from mirror_realm.store.engine import Database, normal_url


def test_calls_in_a_transaction_count_together(store, accept):
    with store.transaction():
        instance = accept(InstanceStatus.RUNNING)
        execution = store.executions.begin(instance.id, "a", "x/y", attempt=1)
        store.executions.finish(execution.id, 1, status=NodeStatus.COMPLETED, output={"n": 1})
        with store.transaction():
            store.triggers.put("photos", "t", {"n": 1})
        assert store.instances.get(instance.id).status is InstanceStatus.RUNNING  # sees its own
        with ThreadPoolExecutor(1) as other:
            assert other.submit(store.instances.count).result() == 0  # others do not
    assert store.instances.count() == 1
    assert store.triggers.get("photos", "t") == {"n": 1}


def test_an_error_in_a_transaction_undoes_all_of_it(store, accept):
    def spoil():
        with store.transaction():
            instance = accept()
            store.triggers.put("photos", "t", {"n": 1})
            store.instances.transition(instance.id, InstanceStatus.COMPLETED)

    with pytest.raises(RealmError):
        spoil()
    assert store.instances.count() == 0
    assert store.triggers.get("photos", "t") is None
    accept()
    assert store.instances.count() == 1


def test_threads_share_a_store(store, accept):
    instance = accept(InstanceStatus.RUNNING)

    def node(n):
        execution = store.executions.begin(instance.id, f"n{n}", "x/y", attempt=1, input={"n": n})
        store.executions.finish(execution.id, 1, status=NodeStatus.COMPLETED, output={"n": n})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(node, range(40)))
    found = store.executions.for_instance(instance.id)
    assert {one.output["n"] for one in found if one.status is NodeStatus.COMPLETED} == set(range(40))


KILLED = """
import os, signal, sys
from mirror_realm.core.status import InstanceStatus, NodeStatus
from mirror_realm.store import NewInstance, Store

store = Store.open(sys.argv[1])
def accept(key):
    new = NewInstance(workflow="photos", version="1", input={}, trigger_type="manual", idempotency_key=key)
    return store.instances.create(new)[0].id
id = accept("whole")
store.instances.transition(id, InstanceStatus.RUNNING)
store.executions.begin(id, "a", "x/y", attempt=1)
with store.transaction():
    half = accept("half")
    store.instances.transition(half, InstanceStatus.RUNNING)
    execution = store.executions.begin(half, "a", "x/y", attempt=1)
    print(id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_nothing_half(store, database_url):
    program = subprocess.run([sys.executable, "-c", KILLED, database_url], capture_output=True, timeout=60)
    assert program.returncode == -signal.SIGKILL, program.stderr.decode()
    (instance,) = store.instances.list()
    assert instance.id == program.stdout.decode().strip()
    assert instance.status is InstanceStatus.RUNNING
    (execution,) = store.executions.for_instance(instance.id)
    # and who comes next goes on from there, without waiting for the dead one's locks
    again = store.executions.begin(instance.id, "a", "x/y", attempt=2)
    assert again.id == execution.id
    assert [one.status for one in again.attempts] == [NodeStatus.FAILED, NodeStatus.RUNNING]
    if database_url.startswith("sqlite"):
        with Database(database_url).read() as connection:
            assert connection.execute(sa.text("PRAGMA integrity_check")).scalar_one() == "ok"


def test_a_lost_connection_is_found_before_it_is_used(postgres_url):
    with Store.open(postgres_url) as store, psycopg.connect(postgres_url, autocommit=True) as admin:
        store.ping()
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        store.ping()
        assert store.triggers.get("photos", "none") is None


def test_a_connection_lost_in_a_transaction_is_unavailable(postgres_url):
    def lose(store, admin):
        with store.transaction():
            store.triggers.put("photos", "lost", {})
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            )
            store.triggers.put("photos", "lost", {})

    with Store.open(postgres_url) as store, psycopg.connect(postgres_url, autocommit=True) as admin:
        with pytest.raises(RealmError) as caught:
            lose(store, admin)
        assert caught.value.code is Code.UNAVAILABLE
        assert store.triggers.get("photos", "lost") is None


def test_an_absent_server_is_unavailable_and_the_password_stays_hidden():
    with pytest.raises(RealmError) as caught:
        Store.open("postgresql://user:geheim@127.0.0.1:1/none")
    assert caught.value.code is Code.UNAVAILABLE
    assert "geheim" not in str(caught.value)


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "photo.db"
    path.write_bytes(b"this is not a database" * 1000)
    with pytest.raises(RealmError, match=r"photo\.db") as caught:
        Store.open(f"sqlite:///{path}")
    assert caught.value.code is Code.DATA_CORRUPTED
    with pytest.raises(RealmError) as caught:
        Store.open(f"sqlite:///{path}/below/it.db")
    assert caught.value.code is Code.FAILED_PRECONDITION


@pytest.mark.parametrize("url", ["mysql://host/db", "sqlite://", "sqlite:///:memory:", "not a url", ""])
def test_urls_that_cannot_be(url):
    with pytest.raises(RealmError) as caught:
        Store.open(url)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.hint


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@h/d?sslmode=require", "postgres://u:p@h/d", "postgresql+asyncpg://h/d"]
)
def test_postgresql_urls_get_our_driver(url):
    assert normal_url(url).drivername == "postgresql+psycopg"


def test_sqlite_is_set_up_for_many_readers_and_one_writer(tmp_path):
    with Store.open(f"sqlite:///{tmp_path}/家/realm.db"):
        database = Database(f"sqlite:///{tmp_path}/家/realm.db")
        with database.read() as connection:
            pragmas = {
                name: connection.execute(sa.text(f"PRAGMA {name}")).scalar_one()
                for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
            }
        database.close()
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1, "busy_timeout": 30_000}


WRITER = """
import sys
from mirror_realm.store import Store
with Store.open(sys.argv[1]) as store:
    for n in range(200):
        with store.transaction():
            state = store.triggers.get("photos", "count") or {"n": 0}
            store.triggers.put("photos", "count", {"n": state["n"] + 1})
"""


def test_writers_of_two_processes_wait_for_each_other(tmp_path):
    """Read, then write, in one transaction: it would fail at once on SQLite if it did not begin IMMEDIATE."""
    url = f"sqlite:///{tmp_path / 'realm.db'}"
    with Store.open(url) as store:
        programs = [subprocess.Popen([sys.executable, "-c", WRITER, url]) for _ in range(2)]
        assert [program.wait(60) for program in programs] == [0, 0]
        assert store.triggers.get("photos", "count") == {"n": 400}


def test_a_reader_is_not_held_up_by_a_writer(store, accept):
    accept()
    inside, done = threading.Event(), threading.Event()

    def write():
        with store.transaction():
            accept()
            inside.set()
            done.wait(30)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert inside.wait(30)
        assert store.instances.count() == 1
    finally:
        done.set()
        writer.join()
    assert store.instances.count() == 2


def test_the_store_opens_where_the_process_is_not_at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store.open("sqlite:///deep/er/realm.db"):
        assert os.path.exists("deep/er/realm.db")
