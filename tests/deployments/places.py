"""What the tests of the reconciler share: a folder with a definition and the processes that run it, `realm serve` and
the reconciler in this process. A module takes the fixtures by name: ``quick, place = places.quick, places.place``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mirror_realm.core.settings import settings
from mirror_realm.deployments.serve import serve
from mirror_realm.flows.journal import Journal
from mirror_realm.flows.recovery.reconcile import Reconciler
from mirror_realm.tasks.registry import registry

FLOWS = str(Path(__file__).parents[1] / "flows")

RUN = """
import asyncio, sys
from pathlib import Path
from mirror_realm.core.errors import RealmError
from mirror_realm.deployments.run import run_workflow
try:
    print(asyncio.run(run_workflow(Path(sys.argv[1]), engine="local"))["status"])
except RealmError as error:
    sys.exit(f"{error.code}: {error}")
"""

CHAIN = """
name: chain
nodes:
  - {{node_id: one, type: test/note, parameters: {{line: one, ledger: {ledger}}}}}
  - {{node_id: two, type: test/sleep, depends_on: one, parameters: {{seconds: {seconds}, ledger: {ledger}}}}}
  - {{node_id: three, type: test/note, depends_on: two, parameters: {{line: three, ledger: {ledger}}}}}
"""


@pytest.fixture(autouse=True)
def quick(home, monkeypatch):
    """The test nodes, here and in children; a pass every second."""
    monkeypatch.setenv("MIRROR_REALM_NODES", "realm_test_nodes")
    monkeypatch.setenv("PYTHONPATH", FLOWS)
    monkeypatch.setenv("MIRROR_REALM_RECONCILE_INTERVAL", "1")
    monkeypatch.syspath_prepend(FLOWS)
    settings.cache_clear()
    registry.cache_clear()


class Place:
    """A folder with a definition, its ledger, and the processes that run it."""

    def __init__(self, folder):
        self.folder, self.ledger, self.file = folder, folder / "ledger", folder / "flow.yaml"
        self.children = []

    def define(self, text=CHAIN, seconds=0.0):
        self.file.write_text(text.format(ledger=self.ledger, seconds=seconds))

    def start(self):
        child = subprocess.Popen(
            [sys.executable, "-c", RUN, str(self.file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.children.append(child)
        return child

    def lines(self):
        return self.ledger.read_text().splitlines() if self.ledger.exists() else []

    def words(self):
        """How often each line is there; of the sleeping node, by its word."""
        return Counter(line.split()[-1] for line in self.lines())

    async def until(self, condition, child=None, seconds=60.0):
        async with asyncio.timeout(seconds):
            while not (found := await asyncio.to_thread(condition)):
                assert child is None or child.poll() is None, child.stderr.read()
                await asyncio.sleep(0.02)
        return found


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    for child in place.children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGCONT)
        child.kill()
        child.wait()


@contextlib.asynccontextmanager
async def serving(configured=None):
    """``realm serve --engine local`` in this process."""
    task = asyncio.create_task(serve(configured or settings(), engine="local"))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def reconciler(store, **changes):
    journal = Journal(store)
    try:
        yield Reconciler(journal, settings().model_copy(update=changes), owner="home:test")
    finally:
        journal.close()
