"""Retrying instances with sub-workflows: what is inside them counts as the rest does."""

import pytest

from mirror_realm.core.errors import RealmError
from tests.flows.test_control import attempts, retry

PARENT = """
nodes:
  - {node_id: first, type: test/add}
  - {node_id: sub, type: control/subworkflow, depends_on: first, parameters: {name: child%s}}
  - {node_id: last, type: test/fail, depends_on: sub, parameters: {code: NOT_FOUND, times: %s}}
"""
CHILD = """
name: child
version: %s
variables: {amount: %s}
nodes:
  - {node_id: one, type: test/add, parameters: {amount: 2}}
  - {node_id: two, type: test/add, depends_on: one, parameters: {amount: "{{ vars.amount }}"}}
  - {node_id: three, type: %s, depends_on: two}
output: {value: "{{ nodes.two.value }}"}
"""


@pytest.fixture
def publish(lab, tmp_path):
    """Put a version of the child beside the parent."""
    lab.beside = tmp_path

    def write(version="1.0.0", amount=3, last="test/add"):
        (tmp_path / f"child-{version}.yaml").write_text(CHILD % (version, amount, last))

    write()
    return write


def values(result):
    return {name: (node["output"] or {}).get("value") for name, node in result["nodes"].items()}


def again(lab, id, rows):
    """The nodes of ``rows`` that have run again since."""
    now = (one for one in lab.store.executions.for_instance(id) if one.node_id in rows)
    return {one.node_id for one in now if len(one.attempts) > len(rows[one.node_id].attempts)}


FAILS, MENDED = PARENT % ("", 1), PARENT % ("", 0)


async def failed(lab, text=FAILS):
    result = await lab(text)
    assert result["status"] == "failed"
    return result["instance_id"]


async def test_onto_the_same_file_nothing_inside_runs_again(lab, publish):
    id = await failed(lab)
    result = await retry(lab, FAILS, id, newer=MENDED)
    assert result["status"] == "completed"
    assert attempts(result) == {"first": 1, "sub": 1, "sub/one": 1, "sub/two": 1, "sub/three": 1, "last": 2}


@pytest.mark.parametrize("start", ["first", "sub"])
async def test_what_is_inside_runs_again_with_what_it_is_in_and_with_what_was_before_it(lab, publish, start):
    id = await failed(lab)
    rows = {row.node_id: row for row in lab.store.executions.for_instance(id)}
    result = await retry(lab, FAILS, id, newer=MENDED, start=start)
    assert result["status"] == "completed"
    assert again(lab, id, rows) == {"sub", "sub/one", "sub/two", "sub/three", "last"} | ({"first"} & {start})


async def test_from_a_node_inside(lab, publish):
    id = await failed(lab)
    result = await retry(lab, FAILS, id, newer=MENDED, start="sub/two")
    assert result["status"] == "completed"
    assert values(result) == {"first": 1, "sub": 6, "sub/one": 3, "sub/two": 6, "sub/three": 7, "last": 2}


async def test_onto_another_version_of_what_failed_inside(lab, publish):
    """The third node of the child is mended in its next version: its first two stay."""
    publish(last="test/fail, parameters: {code: NOT_FOUND}")
    id = await failed(lab, MENDED)
    publish("1.1.0")
    newer = PARENT % (", version: ^1", 0)
    rows = {row.node_id: row for row in lab.store.executions.for_instance(id)}
    assert rows["sub/three"].status == "failed"
    result = await retry(lab, PARENT % (", version: 1.0.0", 0), id, newer=newer)
    assert result["status"] == "completed"
    assert again(lab, id, rows) == {"sub", "sub/three"}


async def test_onto_a_version_that_changes_what_has_completed(lab, publish):
    ran = PARENT % (", version: 1.0.0", 1)
    id = await failed(lab, ran)
    publish("1.1.0", amount=4)
    with pytest.raises(RealmError, match="changes what has completed") as caught:
        await retry(lab, ran, id, newer=PARENT % (', version: "1.1"', 0))
    assert "sub: its parameters changed; sub/one: inside sub" in str(caught.value)
    result = await retry(lab, ran, id, newer=PARENT % (', version: "1.1"', 0), start="sub")
    assert values(result)["sub"] == 7
