"""A foreach over pictures in batches on several workers: slow items are spread, and one of them dies."""

import json
from collections import Counter

import pytest
from distributed import LocalCluster

from mirror_realm.flows.runners import DaskRunner
from tests.flows import pictures_in_batches
from tests.flows.pictures_in_batches import BODY, developing, each_of, home_with

sent, folder, files = pictures_in_batches.sent, pictures_in_batches.folder, pictures_in_batches.files


@pytest.fixture(autouse=True)
def alone():
    import realm_test_nodes

    realm_test_nodes._company.update(now=0, most=0)


async def test_few_slow_items_run_on_all_workers_at_once(lab, sent):
    one = {"node_id": "one", "type": "test/company", "input": {}, "parameters": {"want": 4}}
    parameters = {"items": list(range(8)), "max_concurrent": 4, "batch_size": 500}
    each = {"node_id": "each", "type": "control/foreach", "parameters": parameters, "body": [one]}
    result = await lab(f"nodes: {json.dumps([each])}\n")
    assert max(item["one"]["most"] for item in result["output"]["each"]) == 4


async def test_slow_items_that_lie_together_are_spread(lab, sent, monkeypatch):
    """All of the first lot but its first item wait for one another: one worker alone would never get through."""
    monkeypatch.setattr("mirror_realm.flows.batches.worker.SECONDS", -1.0)
    wants = "{{ item > 0 && item < 8 ? 2 : 0 }}"
    one = {"node_id": "one", "type": "test/company", "input": {}, "parameters": {"want": wants}}
    parameters = {"items": list(range(32)), "max_concurrent": 4, "batch_size": 8}
    each = {"node_id": "each", "type": "control/foreach", "parameters": parameters, "body": [one]}
    result = await lab(f"nodes: {json.dumps([each])}\n")
    assert len(result["output"]["each"]) == 32
    assert min(item["one"]["most"] for item in result["output"]["each"][1:8]) >= 2


# -- worker processes -------------------------------------------------------------------------------------


@pytest.fixture
async def processes(home, monkeypatch):
    """A lab on two worker processes that know its home."""
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    async with LocalCluster(
        processes=True, asynchronous=True, resources={"MEMORY_MB": 4000}, **options
    ) as cluster:
        runner = await DaskRunner.connect(cluster.scheduler_address)
        async with home_with(runner) as lab:
            yield lab


@pytest.mark.slow
async def test_on_worker_processes_one_of_which_dies(files, processes, tmp_path, sent):
    ledger = tmp_path / "ledger"
    text = developing(files, ledger, bad="f7", how="die", batch_size=5, max_concurrent=2)
    result = await processes(text)
    assert result["status"] == "completed"
    assert result["rounds"]["each/one"] == {"completed": 10}
    store = processes.store
    originals = store.media.list()
    assert {file.filename for file in originals} == {path.name for path in files}
    assert {len(store.media.tasks(file.id)) for file in originals} <= {0, 1}, "no step is there twice"
    ran = Counter(ledger.read_text().split())
    assert ran == Counter({path.stem: 1 for path in files} | {"f7": 2}), "what was recorded is not done again"
    cached = {label for label, row in result["nodes"].items() if row["cached"]}
    assert len(cached) <= 2, "those that the dead worker had done"
    assert store.stages.counts("test/develop") == {"done": 10}


@pytest.mark.slow
async def test_photos_on_worker_processes(folder, processes, sent):
    text = each_of(folder, BODY, batch_size=500, max_concurrent=2)
    first, second = await processes(text), await processes(text)
    assert first["rounds"]["each/keep"] == second["rounds"]["each/keep"] == {"completed": 11}
    assert sum(row["cached"] for row in second["nodes"].values()) == 11 * 3
    assert "".join(sent).count("l") == 2
    assert {row["worker"] for row in second["nodes"].values() if row["cached"]} == {""}
