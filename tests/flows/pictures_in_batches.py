"""What the tests of pictures in batches share: folders, definitions, and what a run leaves in the database."""

import json
import sqlite3
from collections import Counter
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from shutil import copy

import pytest

from mirror_realm.core.settings import settings
from mirror_realm.flows.engines import engine_choice
from mirror_realm.flows.environment import Environment, use
from mirror_realm.flows.journal import Journal
from mirror_realm.flows.runners import ThreadRunner
from mirror_realm.flows.stages import MADE_FOR
from mirror_realm.store import Store
from tests import photos
from tests.flows import test_batches
from tests.flows.conftest import Lab
from tests.postgres import fresh_database

BODY = {
    "nodes": [
        {"node_id": "prepare", "type": "image/preprocess", "parameters": {"format": "jpeg", "max_size": "64x64"}},
        {"node_id": "analyze", "type": "ai/image-analyze"},
        {"node_id": "sharp", "type": "control/set", "when": "false", "parameters": {"values": {"a": 1}}},
        {"node_id": "keep", "type": "image/convert", "parameters": {"format": "png"}},
    ],
    "edges": [
        {"source": "prepare", "target": "analyze"},
        {"source": "analyze", "target": "sharp"},
        {"source": "analyze", "target": "keep"},
    ],
}  # fmt: skip


def each_of(paths, body, *more, **parameters):
    """A definition with a foreach over files, one after another unless ``parameters`` say otherwise."""
    items = [{"file_path": str(path)} for path in paths]
    parameters = {"items": items, "max_concurrent": 1, "on_item_error": "collect", **parameters}
    each = {"node_id": "each", "type": "control/foreach", "parameters": parameters, "body": body}
    return f"nodes: {json.dumps([*more, each])}\n"


def developing(paths, ledger, *, retry=None, how="fail", bad="", seconds=0.0, **parameters):
    """The same with the tests' own node, which fails, waits or dies at one of them."""
    settings = {"ledger": str(ledger), "bad": bad, "how": how, "seconds": seconds}
    one = {"node_id": "one", "type": "test/develop", "parameters": settings}
    return each_of(paths, [one | ({"retry": retry} if retry else {})], **parameters)


@pytest.fixture
def folder(tmp_path):
    """Ten different photos; one of them once more under another name, and a damaged one."""
    place = tmp_path / "照片"
    place.mkdir()
    good = [
        photos.photo(place / f"{n:02}.jpg", picture=photos.detailed(90, 70, seed=n)) for n in range(1, 11)
    ]
    copy(good[1], place / "05 again.jpg")
    (place / "06 damaged.jpg").write_bytes(good[0].read_bytes()[:300])
    return sorted(place.iterdir())


@pytest.fixture
def files(tmp_path):
    """Ten files of different contents, for nodes that do not look at them."""
    place = tmp_path / "files"
    place.mkdir()
    for number in range(10):
        (place / f"f{number}.raw").write_bytes(b"%d" % number)
    return sorted(place.iterdir())


@asynccontextmanager
async def home_with(runner):
    """A lab on a store of its own, with a runner."""
    token = engine_choice.set("local")
    with Store.open(settings().database) as store:
        journal = Journal(store)
        environment = Environment(journal, runner, settings(), (settings().roots[0],))
        with use(environment):
            yield Lab(store, environment, [])
        await runner.close()
        journal.close()
    engine_choice.reset(token)


@pytest.fixture(params=["sqlite", "postgresql"])
def on_both(request, home, monkeypatch):
    """A store on either database."""
    with ExitStack() as stack:
        if request.param == "postgresql":
            monkeypatch.setenv("MIRROR_REALM_DATABASE_URL", stack.enter_context(fresh_database()))
            settings.cache_clear()
        yield home_with(ThreadRunner(4))


sent = test_batches.sent

TABLES = (
    *("media_files", "media_tags", "media_processing_tasks", "media_stages"),
    *("node_executions", "artifacts"),
)
PASSING = {"id", "duration", "worker_id", "workflow_instance_id", "instance_id", "resource_requirements"}
PASSING |= {"execution_key", "resource_usage"}
MOMENTS = {"cached", "cached_from", "started_at", "duration", "worker", "history", "output", "error"}


def rows_of(database: Path):
    """What the library holds, without moments, workers and invented ids: rows of each table in any order."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        names = dict(connection.execute("SELECT id, path || '#' || version FROM media_files"))
        names |= dict(connection.execute("SELECT id, node_id || '#' || iteration FROM node_executions"))
        found = {}
        for table in TABLES:
            rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
            for row in rows:
                for name in [name for name in row if name in PASSING or name.endswith("_at")]:
                    del row[name]
                for name in row:
                    row[name] = names.get(row[name], row[name])
                if table == "media_stages":
                    row["result"] = {
                        k: v for k, v in json.loads(row["result"] or "{}").items() if k != MADE_FOR
                    }
            found[table] = Counter(json.dumps(row, sort_keys=True, default=str) for row in rows)
        return found


def told(result):
    """What a result says of each node, without moments and places."""
    return {
        label: {
            "attempts": [(one["attempt"], one["status"]) for one in row["history"]],
            "error": row["error"] and (row["error"]["code"], row["error"]["message"]),
            "output": row["output"],
            "cached": row["cached"],
            "content": (row["cached_from"] or {}).get("content"),
            **{name: row[name] for name in row if name not in MOMENTS},
        }
        for label, row in result["nodes"].items()
    }
