"""A foreach whose nodes call services goes in batches too, and a service that fails is left alone as ever."""

import asyncio
import json
from collections import Counter
from shutil import rmtree

import pytest

from mirror_realm.flows.runners import ThreadRunner
from tests.flows import pictures_in_batches, test_breakers
from tests.flows.pictures_in_batches import BODY, each_of, home_with, rows_of, told

strict = test_breakers.strict
sent, folder, files = pictures_in_batches.sent, pictures_in_batches.folder, pictures_in_batches.files


def asking(files, ledger, down="", *, mends=False, attempts=1, **parameters):
    """A foreach that asks the tests' service about each file, one after another unless ``parameters`` say otherwise."""
    asked = {"ledger": str(ledger), "down": down, "mends": mends}
    node = {
        "node_id": "one",
        "type": "test/ask",
        "parameters": asked,
        "retry": {"max_attempts": attempts, "initial": "10ms"},
    }
    return each_of(files, [node], **parameters)


def asked(ledger):
    return Counter(ledger.read_text().split())


async def test_items_go_in_batches_while_the_service_is_well(files, lab, sent, tmp_path):
    result = await lab(asking(files, tmp_path / "ledger", batch_size=4))
    assert result["status"] == "completed"
    assert sent == ["dddd", "dddd", "dd"]
    assert lab.store.breakers.list() == []


async def test_one_failure_is_counted_once_and_forgotten_when_the_service_answers(files, lab, sent, tmp_path):
    result = await lab(asking(files, tmp_path / "ledger", "f3", mends=True, attempts=2, batch_size=8))
    assert result["status"] == "completed"
    # The batch came home with the failure, and nothing was asked after it.
    assert "".join(sent) == "dddl" + 6 * "d"
    assert asked(tmp_path / "ledger") == {f"f{n}": 1 + (n == 3) for n in range(10)}
    assert [one["status"] for one in result["nodes"]["each/one[3]"]["history"]] == ["failed", "completed"]
    breaker = lab.store.breakers.find("asked", "GET")
    assert (breaker.state, breaker.failures) == ("closed", 0)


async def test_an_answer_to_a_batch_is_an_answer(files, strict, lab, sent, tmp_path):
    """Failures that other calls lie between do not add up."""
    for down in ("f2", "f4", "f6"):
        result = await lab(asking(files, tmp_path / "ledger", down, batch_size=8))
        assert [row["error"]["code"] for row in result["output"]["each"] if "error" in row] == ["UNAVAILABLE"]
        assert lab.store.breakers.find("asked", "GET").failures == 0
    assert "l" in "".join(sent)


@pytest.mark.parametrize("size", [1, 4])
async def test_a_service_that_is_down_is_left_alone(files, strict, lab, sent, tmp_path, size):
    ledger = tmp_path / "ledger"
    result = await lab(asking(files, ledger, "*", batch_size=size))
    codes = Counter(row["error"]["code"] for row in result["output"]["each"])
    assert codes == {"UNAVAILABLE": 10}
    assert sum(asked(ledger).values()) == 2, "two failures open the breaker, whoever made them"
    await asyncio.sleep(0.5)
    sent.clear()
    again = await lab(asking(files, ledger, batch_size=size))
    assert not [row for row in again["output"]["each"] if "error" in row]
    assert lab.store.breakers.find("asked", "GET").state == "closed"
    # The run itself sees whether the service is back; then batches go on.
    assert sent == ([] if size == 1 else ["llll", "dddd", "dd"])


async def test_what_follows_a_failure_does_not_wait_for_its_retries(files, lab, sent, tmp_path):
    """Two takers: while one item waits to be tried again, the other goes on with the rest of its lot."""
    ledger = tmp_path / "ledger"
    text = asking(files, ledger, "f0", mends=True, attempts=2, batch_size=5, max_concurrent=2)
    result = await lab(text.replace('"initial": "10ms"', '"initial": "2s"'))
    assert result["status"] == "completed"
    assert ledger.read_text().split()[-1] == "f0", "the others were asked before its second attempt"
    assert asked(ledger) == {f"f{n}": 1 + (n == 0) for n in range(10)}


async def test_attempts_beside_the_one_that_ends_it_are_told(files, lab, sent, tmp_path):
    """Four takers, all of whose first items fail: each attempt is journaled, and counted against the service."""
    ledger = tmp_path / "ledger"
    text = asking(files, ledger, "*", batch_size=3, max_concurrent=4, on_item_error="fail")
    result = await lab(text)
    assert result["status"] == "failed"
    journaled = {label for label in result["nodes"] if label.startswith("each/one[")}
    assert journaled == {f"each/one[{stem[1:]}]" for stem in asked(ledger)}
    assert lab.store.breakers.find("asked", "GET").failures == sum(asked(ledger).values())


async def test_photos_are_stored_as_one_by_one(folder, home, sent):
    store = {"node_id": "store", "type": "storage/minio", "parameters": {"bucket": "照片"}}
    body = {
        "nodes": [*BODY["nodes"], store],
        "edges": [*BODY["edges"], {"source": "keep", "target": "store"}],
    }
    seen = []
    for size in (1, 5):
        async with home_with(ThreadRunner(2)) as lab:
            results = [await lab(each_of(folder, body, batch_size=size)) for _ in range(2)]
        seen.append((rows_of(home / "realm.db"), [told(one) for one in results]))
        rmtree(home)
        home.mkdir()
    assert json.dumps(seen[0][1], sort_keys=True, default=str) == json.dumps(
        seen[1][1], sort_keys=True, default=str
    )
    assert seen[0] == seen[1]
    assert sent == ["ddddd", "dl", "ddd", "dd"] * 2
    statuses = Counter(json.loads(row)["status"] for row in seen[1][0]["media_files"].elements())
    assert statuses["archived"] >= 10
