"""Stages: nothing is computed twice, "nothing found" is an answer, a failure waits longer each time."""

from datetime import UTC, datetime, timedelta

import pytest

from mirror_realm.core.errors import Code, ErrorRecord
from mirror_realm.store.media_stages import FIRST_WAIT, LONGEST_WAIT, StageKey

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ERROR = ErrorRecord(Code.DATA_CORRUPTED, "照片 is cut off")


def key(sha256="a" * 64, stage="faces", model="m1", **parameters) -> StageKey:
    return StageKey.of(sha256, stage, model, parameters)


def test_a_key_is_content_stage_model_and_parameters():
    assert key(a=1, b=2) == key(b=2, a=1)
    others = {key("b" * 64), key(stage="tags"), key(model="m2"), key(a=1), key(a=2), key()}
    assert len(others) == 6


def test_results_stay(store):
    assert store.stages.get(key()) is None
    store.stages.done(key(), {"faces": 2, "names": ["猫"]})
    found = store.stages.get(key())
    assert (found.status, found.settled, found.due()) == ("done", True, False)
    assert found.result == {"faces": 2, "names": ["猫"]}
    assert store.stages.get(key(model="m2")) is None


def test_nothing_found_is_an_answer(store):
    store.stages.plan([key()])
    assert [s.sha256 for s in store.stages.due("faces")] == ["a" * 64]
    store.stages.empty(key())
    assert store.stages.get(key()).settled
    store.stages.plan([key()])
    assert store.stages.due("faces") == []
    assert store.stages.counts("faces") == {"empty": 1}


def test_failures_wait_longer_each_time(store):
    waits = []
    for _ in range(9):
        failed = store.stages.failed(key(), ERROR, NOW)
        waits.append(failed.not_before - NOW)
    assert waits[:3] == [FIRST_WAIT, FIRST_WAIT * 4, FIRST_WAIT * 16]
    assert waits[-1] == LONGEST_WAIT
    assert waits == sorted(waits)
    assert (failed.attempts, failed.error["message"]) == (9, "照片 is cut off")
    assert store.stages.due("faces", now=NOW + LONGEST_WAIT - timedelta(seconds=1)) == []
    assert len(store.stages.due("faces", now=NOW + LONGEST_WAIT)) == 1
    assert failed.due(NOW + LONGEST_WAIT)
    store.stages.done(key())
    assert (store.stages.get(key()).attempts, store.stages.get(key()).error) == (0, None)


def test_due_is_of_one_stage_and_model(store):
    store.stages.plan([key("b" * 64), key("c" * 64), key("d" * 64, model="m2"), key(stage="tags")])
    assert len(store.stages.due("faces")) == 3
    assert [s.sha256[0] for s in store.stages.due("faces", model="m1")] == ["b", "c"]
    assert len(store.stages.due("faces", limit=2)) == 2
    assert store.stages.counts("faces", "m1") == {"pending": 2}


def test_forgetting_a_content(store):
    store.stages.plan([key(), key(stage="tags"), key("b" * 64)])
    assert store.stages.forget("a" * 64) == 2
    assert store.stages.get(key("b" * 64)) is not None


@pytest.mark.parametrize("many", [1, 500])
def test_planning_many_is_one_statement(store, many):
    store.stages.plan(key(f"{n:064x}") for n in range(many))
    assert store.stages.counts("faces") == {"pending": many}
