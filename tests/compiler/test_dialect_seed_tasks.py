"""Seed 004's own workflows as they stand: its task types that exist nowhere are all that is wrong with them, and with
those registered, as the setting ``nodes`` does, they compile."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from mirror_realm.compiler import analyze
from mirror_realm.tasks.registry import registry
from mirror_realm.tasks.sdk import node_type

FOLDER = Path(__file__).parent / "fixtures" / "dialects"
EXPENSE = FOLDER / "next-branch" / "seed" / "expense.json"
ETL = FOLDER / "next-branch" / "seed" / "etl.yaml"
CUSTOMERS = FOLDER / "connections" / "seed" / "customers.yaml"
NOWHERE = {
    EXPENSE: {"system", "validation", "system_integration", "data_operation"},
    ETL: {
        "data_extraction", "data_validation", "data_transformation", "data_enrichment", "batch_processing",
        "direct_processing", "data_loading",
    },
    CUSTOMERS: {"data_processing", "batch_operation"},
}  # fmt: skip


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


def stub(name):
    @node_type(f"task/{name.replace('_', '-')}", version="1.0.0")
    def executed(parameters: Anything, input: Anything, context: object) -> Anything:
        """Whatever the seed meant."""
        return input

    return executed


def analyze_with(path, text=None):
    types = registry().plus(stub(name) for name in NOWHERE[path])
    return analyze(path, text=text, registry=types)


@pytest.mark.parametrize("path", list(NOWHERE), ids=lambda path: path.stem)
def test_its_types_are_what_is_missing(path):
    found = [d for d in analyze(path).errors if d.code == "MR120"]
    assert {d.message.split("'")[1] for d in found} == {
        f"task/{name.replace('_', '-')}" for name in NOWHERE[path]
    }
    assert all("the setting `nodes`" in d.hint or "did you mean" in d.hint for d in found)


@pytest.mark.parametrize("path", [EXPENSE, CUSTOMERS], ids=lambda path: path.stem)
def test_it_compiles_where_its_types_are_registered(path):
    assert not analyze_with(path).errors


def test_a_name_that_the_seed_itself_gets_wrong_is_found():
    analysis = analyze_with(ETL)
    (finding,) = [d for d in analysis.errors if d.code == "MR302"]
    assert finding.message == "there is no task or name 'branch_process'"
    assert "'batch_process'" in finding.hint
    assert finding.path == "tasks.load.inputs.data.transform"
    mended = analyze_with(ETL, ETL.read_text(encoding="utf-8").replace("branch_process.", "batch_process."))
    assert not mended.errors
    assert mended.definition.node("load").input == {
        "data": "{{ merge(default(nodes.batch_process, {}), default(nodes.direct_process, {})) }}"
    }


def test_the_approvals_are_human_tasks():
    definition = analyze_with(EXPENSE).definition
    assert definition is not None
    director = definition.node("executive_approval")
    assert director.type == "control/human-task"
    assert director.parameters["approval"] == "sequential"
    assert director.parameters["assignees"].endswith("? ['cfo'] : []) }}")
    assert definition.node("manager_and_finance_approval").parameters["assignees"] == [
        "department_manager", "finance_officer",
    ]  # fmt: skip
    assert definition.node("manager_approval").parameters["timeout"] == 3 * 86400
    assert definition.node("update_request_status").input["executive_result"] == (
        "{{ default(nodes.executive_approval.decisions, null) }}"
    )
    assert definition.timeout == 7 * 86400


def test_units():
    expense, customers = analyze_with(EXPENSE).definition, analyze_with(CUSTOMERS).definition
    retry = expense.node("process_approved_request").retry
    assert (retry.max_attempts, retry.initial, retry.max) == (3, 5.0, 60.0)
    assert expense.node("process_approved_request").timeout == 300
    retry = customers.node("extract-data").retry
    assert (retry.max_attempts, retry.initial, retry.multiplier, retry.max) == (4, 5.0, 2.0, 20.0)
    retry = customers.node("transform-data").retry
    assert (retry.max_attempts, retry.initial, retry.multiplier) == (3, 3.0, 1.0)
