"""A foreach over pictures in batches: the same rows as one by one, wherever it is interrupted."""

import asyncio
import json
from collections import Counter
from shutil import rmtree

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mirror_realm.compiler import analyze
from mirror_realm.core.errors import Code, RealmError, StoreLost
from mirror_realm.core.settings import settings
from mirror_realm.flows import control, media
from mirror_realm.flows.batches import worker
from mirror_realm.flows.batches.worker import Batch
from mirror_realm.flows.rerun import plan_rerun
from mirror_realm.flows.runners import ThreadRunner
from mirror_realm.store.media_stages import MediaStages
from tests.flows import pictures_in_batches
from tests.flows.pictures_in_batches import BODY, developing, each_of, home_with, rows_of, told

sent, folder, files, on_both = (
    pictures_in_batches.sent,
    pictures_in_batches.folder,
    pictures_in_batches.files,
    pictures_in_batches.on_both,
)


async def test_the_rows_are_those_of_one_by_one(folder, home, sent):
    seen = []
    for size in (1, 5):
        async with home_with(ThreadRunner(2)) as lab:
            results = [await lab(each_of(folder, BODY, batch_size=size)) for _ in range(2)]
            events = [
                Counter((e.type, e.node_id, e.iteration) for e in lab.store.history.of(one["instance_id"]))
                for one in results
            ]
        rows = rows_of(home / "realm.db")
        seen.append((rows, [told(one) for one in results], [one["output"] for one in results], events))
        rmtree(home)
        home.mkdir()
    assert seen[0] == seen[1]
    rows, (first, again), (output, _), _ = seen[1]
    # Of the twelve one is damaged, and one is the same picture as another.
    assert sent == ["ddddd", "dl", "ddd", "dd"] * 2
    assert sum(rows["media_files"].values()) == 11
    assert sum(rows["media_stages"].values()) == 10 * 3
    assert sum(rows["media_processing_tasks"].values()) == 10 * 3
    failed = [row for row in output["each"] if "error" in row]
    assert [row["error"]["code"] for row in failed] == ["DATA_CORRUPTED"]
    assert sum(row["cached"] for row in first.values()) == 3
    assert sum(row["cached"] for row in again.values()) == 11 * 3, "nothing is computed twice"


async def test_many_share_the_workers_and_the_second_run_finds_everything(folder, on_both, sent):
    text = each_of(folder, BODY, batch_size=500, max_concurrent=4)
    async with on_both as lab:
        first, second = await lab(text), await lab(text)
    assert first["rounds"]["each/keep"] == {"completed": 11}
    assert first["rounds"]["each/prepare"] == {"completed": 11, "failed": 1}
    assert sum(row["cached"] for row in second["nodes"].values()) == 11 * 3
    assert all(row["attempts"] == 1 for row in second["nodes"].values() if row["status"] == "completed")
    assert "".join(sent).count("d") == 22


async def test_reuse_can_be_switched_off(files, lab, sent, tmp_path, monkeypatch):
    monkeypatch.setenv("MIRROR_REALM_REUSE", "false")
    settings.cache_clear()
    async with home_with(ThreadRunner(2)) as lab:
        for _ in range(2):
            await lab(developing(files, tmp_path / "ledger", batch_size=4))
        assert lab.store.stages.counts("test/develop") == {}
    assert set(Counter((tmp_path / "ledger").read_text().split()).values()) == {2}
    assert "l" not in "".join(sent)


async def test_an_attempt_that_failed_is_retried_and_nothing_is_done_twice(files, lab, sent, tmp_path):
    retry = {"max_attempts": 3, "initial": "10ms"}
    body = [
        {"node_id": "one", "type": "test/develop", "parameters": {"ledger": str(tmp_path / "one")}},
        {
            "node_id": "two",
            "type": "test/develop",
            "parameters": {"ledger": str(tmp_path / "two"), "bad": "f7"},
            "input": {"file_path": "{{ item.file_path }}"},
            "retry": retry,
        },
    ]
    edges = [{"source": "one", "target": "two"}]
    result = await lab(each_of(files, {"nodes": body, "edges": edges}, batch_size=4))
    assert result["status"] == "completed"
    assert sent == ["dddd", "dddl", "dd"]
    assert Counter((tmp_path / "one").read_text().split())["f7"] == 1
    assert Counter((tmp_path / "two").read_text().split())["f7"] == 2
    # The attempt that the worker made counts as made, though its record was there when the run came to it.
    assert not result["nodes"]["each/one[7]"]["cached"]
    assert [one["status"] for one in result["nodes"]["each/two[7]"]["history"]] == ["failed", "completed"]
    originals = {file.filename: file for file in lab.store.media.list()}
    steps = {name: len(lab.store.media.tasks(file.id)) for name, file in originals.items()}
    assert steps == {path.name: 2 for path in files}


async def test_it_is_canceled_in_the_middle_and_carried_on(files, lab, tmp_path, sent):
    ledger = tmp_path / "ledger"
    text = developing(files, ledger, bad="f5", how="wait", seconds=60, batch_size=4, on_item_error="fail")

    async def cancel():
        while not ledger.exists() or "f5" not in ledger.read_text():
            await asyncio.sleep(0.02)
        control.cancel(lab.store, lab.store.instances.list()[0].id)

    canceling = asyncio.create_task(cancel())
    result = await lab(text)
    await canceling
    assert result["status"] == "canceled"
    # What came home in a batch is there with its nodes; of the batch that was cut there is neither.
    completed = {label for label, row in result["nodes"].items() if "[" in label}
    assert completed == {f"each/one[{number}]" for number in range(4)}
    assert {file.filename for file in lab.store.media.list()} == {f"f{number}.raw" for number in range(4)}
    again = await lab(text)
    assert again["status"] == "completed"
    assert [row["cached"] for label, row in again["nodes"].items() if "[" in label].count(True) == 5
    assert set(Counter(ledger.read_text().split()).values()) == {1, 2}
    assert Counter(ledger.read_text().split())["f4"] == 1, "what the cut batch had done is remembered"
    originals = lab.store.media.list()
    assert {file.filename for file in originals} == {path.name for path in files}


async def test_a_failed_one_is_carried_on_from_the_journal(files, lab, tmp_path, sent):
    ledger = tmp_path / "ledger"
    once_only = {"max_attempts": 1}
    text = developing(files, ledger, bad="f5", batch_size=4, on_item_error="fail", retry=once_only)
    failed = await lab(text)
    assert failed["status"] == "failed"
    rows = lab.store.executions.for_instance(failed["instance_id"])
    control.retry(
        lab.store, failed["instance_id"], plan_rerun(rows, analyze("test.yaml", text="name: test\n" + text))
    )
    again = await lab(text, instance_id=failed["instance_id"])
    assert again["status"] == "completed"
    assert Counter(ledger.read_text().split()) == Counter({path.stem: 1 for path in files} | {"f5": 2})
    originals = lab.store.media.list()
    assert {file.filename for file in originals} == {path.name for path in files}
    assert {len(lab.store.media.tasks(file.id)) for file in originals} == {1}
    assert {file.status for file in originals} == {"processed"}


async def test_a_life_that_ends_while_a_batch_is_written_leaves_all_of_it_or_nothing(
    files, lab, tmp_path, sent, monkeypatch
):
    real, ledger = media.record, tmp_path / "ledger"

    def ends(store, instance_id, found, **more):
        if any(facts.original["name"] == "f6.raw" for facts in found.values()):
            raise StoreLost(Code.UNAVAILABLE, "it is gone")
        real(store, instance_id, found, **more)

    text = developing(files, ledger, batch_size=4)
    with monkeypatch.context() as patch:
        patch.setattr(media, "record", ends)
        cut = await lab(text)
    assert cut["status"] == "running"
    assert {label for label in cut["nodes"] if "[" in label} == {f"each/one[{n}]" for n in range(4)}
    assert {file.filename for file in lab.store.media.list()} == {f"f{n}.raw" for n in range(4)}
    result = await lab(text, instance_id=cut["instance_id"])
    assert result["status"] == "completed"
    assert result["rounds"]["each/one"] == {"completed": 10}
    originals = lab.store.media.list()
    assert {file.filename for file in originals} == {path.name for path in files}
    assert Counter(ledger.read_text().split()) == Counter(path.stem for path in files)
    # What the life before had not written is found again, and known as its own: it was made, not found.
    steps = {file.filename: len(lab.store.media.tasks(file.id)) for file in originals}
    assert steps == {path.name: 1 for path in files}
    assert not any(row["cached"] for row in result["nodes"].values())


async def test_what_was_opened_around_is_known_inside(folder, home, sent):
    """The original is found by an outer node; what is made of it inside is a step of it."""
    outer = {
        "node_id": "outer",
        "type": "image/preprocess",
        "input": {"file_path": str(folder[0])},
        "parameters": {"max_size": "64x64"},
    }
    body = {
        "nodes": [
            {
                "node_id": "small",
                "type": "image/convert",
                "input": {"image": "{{ nodes.outer.image }}"},
                "parameters": {"format": "{{ item }}"},
            }
        ],
        "edges": [],
    }
    seen = []
    for size in (1, 4):
        parameters = {"items": ["png", "webp", "jpeg"], "max_concurrent": 1, "batch_size": size}
        each = {"node_id": "each", "type": "control/foreach", "parameters": parameters, "body": body}
        text = f"nodes: {json.dumps([outer, each])}\nedges: [{{source: outer, target: each}}]\n"
        async with home_with(ThreadRunner(2)) as lab:
            result = await lab(text)
            assert result["status"] == "completed", result
            (original,) = lab.store.media.list()
            assert len(lab.store.media.tasks(original.id)) == 4
        seen.append(rows_of(home / "realm.db"))
        rmtree(home)
        home.mkdir()
    assert seen[0] == seen[1]
    assert sent == ["ddd"]


async def test_what_the_run_archived_stays_archived(files, home, sent, tmp_path):
    """The second item of each file does not archive it."""
    ledger, seen = str(tmp_path / "ledger"), []
    one = {
        "node_id": "one",
        "type": "test/develop",
        "parameters": {"ledger": ledger, "keep": "{{ loop.index % 2 == 0 }}"},
    }
    for size in (1, 3):
        async with home_with(ThreadRunner(2)) as lab:
            twice = [path for path in files for _ in range(2)]
            result = await lab(each_of(twice, [one], batch_size=size))
            assert result["status"] == "completed", result
            originals = [file for file in lab.store.media.list() if file.original_id is None]
            assert {file.status for file in originals} == {"archived"}
        seen.append(rows_of(home / "realm.db"))
        rmtree(home)
        home.mkdir()
    assert seen[0] == seen[1]
    assert "".join(sent) == "d" * 20


async def test_rows_that_the_database_refuses_cost_neither_nodes_nor_the_other_items(
    files, on_both, sent, tmp_path, monkeypatch, caplog
):
    real = media._step

    def refused(store, original, step):
        if original.filename == "f2.raw":
            store.media.set_status(original.id, "odd")
        real(store, original, step)

    monkeypatch.setattr(media, "_step", refused)
    async with on_both as lab:
        result = await lab(developing(files, tmp_path / "ledger", batch_size=4))
        steps = {file.filename: len(lab.store.media.tasks(file.id)) for file in lab.store.media.list()}
    assert result["status"] == "completed"
    assert result["rounds"]["each/one"] == {"completed": 10}
    assert steps == {path.name: 1 for path in files if path.stem != "f2"}
    assert "could not be written" in caplog.text


async def test_a_worker_out_of_reach_of_the_records_leaves_its_items_to_the_run(
    files, lab, sent, tmp_path, monkeypatch
):
    run = ThreadRunner.run

    async def elsewhere(self, call, *rest):
        """The call; a batch, on a worker whose database is another one."""
        other = f"sqlite:///{tmp_path / 'other.db'}"
        return await run(self, Away(call, other) if isinstance(call, Batch) else call, *rest)

    monkeypatch.setattr(ThreadRunner, "run", elsewhere)
    result = await lab(developing(files, tmp_path / "ledger", batch_size=4))
    assert result["status"] == "completed"
    assert sent == ["llll", "llll", "ll"]
    assert Counter((tmp_path / "ledger").read_text().split()) == Counter(path.stem for path in files)
    assert lab.store.stages.counts("test/develop") == {"done": 10}
    assert len(lab.store.media.list()) == 10


class Away:
    """A batch whose worker looks for the records elsewhere."""

    def __init__(self, call, url):
        self._call, self._url = call, url

    def __getattr__(self, name):
        return getattr(self._call, name)

    def perform(self, report=None):
        with pytest.MonkeyPatch.context() as patch:
            own = settings().model_copy(update={"database_url": self._url})
            patch.setattr(worker, "settings", lambda: own)
            return self._call.perform(report)


async def test_what_a_worker_could_not_record_the_run_records(files, lab, sent, tmp_path, monkeypatch):
    done, lost = MediaStages.done, []

    def away(self, key, result=None):
        if len(lost) < 1:
            lost.append(key)
            raise RealmError(Code.UNAVAILABLE, "the database does not answer")
        return done(self, key, result)

    monkeypatch.setattr(MediaStages, "done", away)
    result = await lab(developing(files, tmp_path / "ledger", batch_size=4))
    assert result["status"] == "completed"
    assert sent[0][0] == "l"
    assert Counter((tmp_path / "ledger").read_text().split()) == Counter(path.stem for path in files)
    assert lab.store.stages.counts("test/develop") == {"done": 10}
    assert not any(row["cached"] for row in result["nodes"].values())


STEPS = st.lists(
    st.fixed_dictionaries(
        {
            "file": st.integers(0, 3),
            "bad": st.sampled_from(["", "", "", "always", "once"]),
            "keep": st.booleans(),
            "second": st.booleans(),
        }
    ),
    min_size=1,
    max_size=8,
)


def test_random_items_leave_the_same_rows(files, home, tmp_path, sent):
    """Files that come again, attempts that fail once or always, nodes that are skipped, what is archived or not."""
    ledger = tmp_path / "ledger"

    async def both(items, size, fails):
        seen = []
        for batch in (1, size):
            ledger.unlink(missing_ok=True)
            each = [{**one, "file_path": str(files[one["file"]])} for one in items]
            bad = "{{ item.bad != '' ? 'f' + string(item.file) : '' }}"
            times = "{{ item.bad == 'always' ? 1000 : 1 }}"
            body = {
                "nodes": [
                    {
                        "node_id": "one",
                        "type": "test/develop",
                        "parameters": {"ledger": str(ledger), "bad": bad, "times": times},
                        "retry": {"max_attempts": 2, "initial": "10ms"},
                    },
                    {
                        "node_id": "two",
                        "type": "test/develop",
                        "when": "item.second",
                        "input": {"file_path": "{{ item.file_path }}"},
                        "parameters": {"ledger": f"{ledger} two", "keep": "{{ item.keep }}"},
                    },
                ],
                "edges": [{"source": "one", "target": "two"}],
            }
            async with home_with(ThreadRunner(2)) as lab:
                result = await lab(each_of([], body, batch_size=batch, items=each, on_item_error=fails))
            seen.append((rows_of(home / "realm.db"), told(result), result["output"]))
            rmtree(home)
            home.mkdir()
        return [json.dumps(one, sort_keys=True, default=str) for one in seen]

    @hypothesis_settings(
        max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(items=STEPS, size=st.integers(2, 4), fails=st.sampled_from(["fail", "collect"]))
    def check(items, size, fails):
        one, other = asyncio.run(both(items, size, fails))
        assert one == other

    check()
    assert "d" in "".join(sent)
    assert "l" in "".join(sent)
