"""The reconciler and a PostgreSQL journal whose connections are cut off, or that is away for a while."""

import asyncio
import contextlib

import psycopg
import pytest
from psycopg import sql

from mirror_realm.core.settings import settings
from mirror_realm.core.status import InstanceStatus
from mirror_realm.flows import journal as journals
from mirror_realm.flows.journal import Journal
from mirror_realm.store import NewInstance, Store
from tests.deployments import places
from tests.deployments.places import serving
from tests.postgres import fresh_database, server_url
from tests.store.histories import assert_history_agrees

pytestmark = pytest.mark.slow

quick, place = places.quick, places.place

S = InstanceStatus


@pytest.fixture
def postgres(monkeypatch):
    """A PostgreSQL journal, and the name of its database."""
    with fresh_database() as url:
        monkeypatch.setenv("MIRROR_REALM_DATABASE_URL", url)
        settings.cache_clear()
        yield url.rpartition("/")[2].partition("?")[0]


def cut(name):
    """End every connection to the database, as an operator or a restart does; how many."""
    with psycopg.connect(server_url(), autocommit=True) as connection:
        found = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        return len(found.fetchall())


def reachable(name, yes):
    statement = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
    with psycopg.connect(server_url(), autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.SQL("true" if yes else "false")))


async def test_connections_that_are_cut_fail_nothing(place, postgres):
    nodes = "".join(
        f"  - {{node_id: n{n}, type: test/slow-note, parameters: {{line: n{n}, ledger: {place.ledger}}}}}\n"
        for n in range(40)
    )
    place.file.write_text("name: many\nnodes:\n" + nodes)
    child = place.start()
    await place.until(lambda: place.lines(), child)
    cuts = 0
    while child.poll() is None:
        cuts += await asyncio.to_thread(cut, postgres)
        await asyncio.sleep(0.15)
    assert child.returncode == 0, child.stderr.read()
    assert cuts > 3
    with Store.open(settings().database) as store:
        (instance,) = store.instances.list()
        assert instance.status is S.COMPLETED
        assert place.words() == dict.fromkeys((f"n{n}" for n in range(40)), 1)
        assert_history_agrees(store, instance.id)


async def test_a_store_that_breaks_after_the_last_node_leaves_the_verdict_to_the_reconciler(
    place, postgres, monkeypatch
):
    """The database is away when the instance is to be decided, for longer than its run asks for it."""
    monkeypatch.setattr(journals, "PATIENCE", 0.3)
    place.define(seconds=0.0)
    original = Journal.transition

    async def away(self, instance_id, status, **changes):
        if status is S.COMPLETED and not broken:
            broken.append(instance_id)
            reachable(postgres, False)
            cut(postgres)
        return await original(self, instance_id, status, **changes)

    broken = []
    monkeypatch.setattr(Journal, "transition", away)
    async with serving() as task:
        await asyncio.sleep(0)
        Store.open(settings().database).close()
        store = Store.open(settings().database)
        _accept(store, place)
        await place.until(lambda: broken)
        await asyncio.sleep(1.5)
        reachable(postgres, True)
        instance = await place.until(lambda: _terminal(store))
        assert not task.done()
    assert (instance.status, instance.error) == (S.COMPLETED, None)
    assert place.words() == {"one": 1, "start": 1, "end": 1, "three": 1}
    store.close()


def _accept(store, place):
    """An instance of a definition of its own, for whoever serves."""
    from mirror_realm.compiler import analyze

    analysis = analyze(place.file)
    digest = analysis.definition.hash.removeprefix("sha256:")
    store.definitions.keep(digest, analysis.definition.document(), str(place.file))
    new = NewInstance(
        workflow="chain", version="0.0.0", input={}, trigger_type="manual", definition_hash=digest
    )
    return store.instances.create(new)[0].id


def _terminal(store):
    from mirror_realm.core.errors import RealmError

    with contextlib.suppress(RealmError):
        return next((one for one in store.instances.list() if one.status.terminal), None)
