"""Cached results on real runs: used again, computed once, whole, and never longer than they live."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mirror_realm.core.references import local_path
from mirror_realm.store.cache import LEASE, Computer

NOTE = """
nodes:
  - {{node_id: {id}, type: test/note, cache: {cache}, parameters: {{line: "{line}", ledger: "{ledger}"}}{more}}}
"""


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger"


def note(ledger, *, id="n", line="x", cache="{ttl: 1h}", more=""):
    return NOTE.format(id=id, line=line, ledger=ledger, cache=cache, more=more)


def lines(ledger):
    return ledger.read_text().split()


async def test_the_same_node_given_the_same_is_not_run_again(lab, ledger):
    first = await lab(note(ledger))
    second = await lab(note(ledger))
    assert lines(ledger) == ["x"]
    assert second["output"] == first["output"]
    node = second["nodes"]["n"]
    assert (first["nodes"]["n"]["cached"], node["cached"]) == (False, True)
    assert node["cached_from"]["instance_id"] == first["instance_id"]
    assert node["status"] == "completed"


async def test_other_parameters_or_inputs_are_another_result(lab, ledger):
    await lab(note(ledger))
    await lab(note(ledger, line="y"))
    await lab(note(ledger, more=", input: {a: 1}"))
    assert lines(ledger) == ["x", "y", "x"]


async def test_another_node_that_asks_the_same_gets_it_too(lab, ledger):
    await lab(note(ledger))
    assert (await lab(note(ledger, id="other")))["nodes"]["other"]["cached"]


async def test_a_key_without_parameters_belongs_to_the_node(lab, ledger):
    rule = "{key: [inputs]}"
    await lab(note(ledger, cache=rule))
    assert (await lab(note(ledger, line="y", cache=rule)))["nodes"]["n"]["output"] == {"line": "x"}
    await lab(note(ledger, id="other", line="z", cache=rule))
    assert lines(ledger) == ["x", "z"]


async def test_a_result_that_is_too_old_is_computed_again(lab, ledger):
    await lab(note(ledger))
    await lab(note(ledger, cache="{ttl: 1ms}"))
    assert lines(ledger) == ["x", "x"]


async def test_cleared_results_are_computed_again(lab, ledger):
    await lab(note(ledger))
    assert lab.store.cache.clear(workflow="test") == 1
    await lab(note(ledger))
    assert lines(ledger) == ["x", "x"]


async def test_a_failure_is_not_cached(lab, ledger):
    broken = (
        note(ledger)
        .replace('ledger: "', 'break_at: x, ledger: "')
        .replace("}}\n", "}, retry: {max_attempts: 1}}\n")
    )
    assert (await lab(broken))["status"] == "failed"
    assert (await lab(broken))["status"] == "completed"
    assert lines(ledger) == ["x!", "x"]


async def test_of_many_items_that_ask_the_same_one_computes(lab, ledger):
    result = await lab(
        f"""
nodes:
  - node_id: each
    type: control/foreach
    parameters: {{items: [1, 2, 1, 2, 1, 2]}}
    body:
      - node_id: slow
        type: test/slow-note
        input: {{}}
        cache: {{}}
        parameters: {{line: "{{{{ string(item) }}}}", ledger: "{ledger}"}}
"""
    )
    assert result["status"] == "completed", result["error"]
    assert sorted(lines(ledger)) == ["1", "2"]
    assert [one["slow"]["line"] for one in result["output"]["each"]] == ["1", "2"] * 3
    assert sum(node["cached"] for node in result["nodes"].values()) == 4


async def test_what_a_dead_process_was_computing_is_taken_over(lab, ledger):
    first = await lab(note(ledger))
    (row,) = list(await asyncio.to_thread(_rows, lab.store))
    lab.store.cache.clear()
    dead = Computer(owner="dead", node_type="test/note", workflow="w", node_id="n", instance_id="inst-dead")
    lab.store.cache.claim(row, dead, at=datetime.now(UTC) - timedelta(seconds=LEASE + 1))
    second = await lab(note(ledger))
    assert first["output"] == second["output"]
    assert lines(ledger) == ["x", "x"]


def _rows(store):
    from sqlalchemy import select

    from mirror_realm.store.recovery_models import CachedResultRow

    with store._database.read() as connection:
        return list(connection.execute(select(CachedResultRow.key)).scalars())


async def test_a_result_whose_file_is_gone_is_computed_again(lab, tmp_path):
    source = tmp_path / "a.json"
    source.write_text('{"a": 1}')
    text = f"nodes: [{{node_id: keep, type: test/keep, cache: {{}}, parameters: {{path: '{source}'}}}}]\n"
    first = await lab(text)
    assert (await lab(text))["nodes"]["keep"]["cached"]
    local_path(first["output"]["keep"]["file"]["uri"]).unlink()
    again = await lab(text)
    assert not again["nodes"]["keep"]["cached"]
    assert Path(local_path(again["output"]["keep"]["file"]["uri"])).exists()
