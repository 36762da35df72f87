"""The runtime's tests run with their own node types, in this process and on Dask workers alike."""

import contextlib
import sys
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze, compile_workflow
from mirror_realm.compiler.library import Folder
from mirror_realm.core.errors import RealmError
from mirror_realm.core.settings import settings
from mirror_realm.flows.engines import engine_choice
from mirror_realm.flows.environment import Environment, use
from mirror_realm.flows.journal import Journal
from mirror_realm.flows.results import instance_result
from mirror_realm.flows.runners import ThreadRunner
from mirror_realm.store import Store
from mirror_realm.tasks.registry import registry

HERE = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def test_nodes(home, monkeypatch):
    """Make ``realm_test_nodes`` the setting ``nodes``, importable here and in child processes."""
    monkeypatch.setenv("MIRROR_REALM_NODES", "realm_test_nodes")
    monkeypatch.setenv("PYTHONPATH", HERE)
    if HERE not in sys.path:
        monkeypatch.syspath_prepend(HERE)
    settings.cache_clear()
    registry.cache_clear()


class Lab:
    """Compiles definitions and runs them under the local engine; ``rows`` are the journal's of the last one."""

    def __init__(self, store: Store, environment: Environment, events: list) -> None:
        self.store, self.environment, self.events = store, environment, events
        self.beside: Path | None = None
        """Where definitions lie that others name."""

    async def __call__(self, text: str, instance_id: str | None = None, **input):
        library = Folder(self.beside) if self.beside else None
        analysis = analyze("test.yaml", text="name: test\n" + text, library=library)
        assert analysis.ok, analysis.render()
        flow = compile_workflow(analysis).flow
        before = {i.id for i in self.store.instances.list()}
        with contextlib.suppress(RealmError):
            await flow(input=input, instance_id=instance_id)
        made = instance_id or next(i.id for i in self.store.instances.list() if i.id not in before)
        return instance_result(self.store, made)


@pytest.fixture
async def lab(home):
    token = engine_choice.set("local")
    with Store.open(settings().database) as store:
        journal, runner, events = Journal(store), ThreadRunner(4), []
        environment = Environment(journal, runner, settings(), (Path(home.parent),), events.append)
        with use(environment):
            yield Lab(store, environment, events)
        await runner.close()
        journal.close()
    engine_choice.reset(token)
