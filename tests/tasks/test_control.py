"""control/*: values pass through, conditions decide, unclear delays are refused."""

from __future__ import annotations

import pytest

from mirror_realm.core.errors import ErrorRecord
from mirror_realm.tasks import control
from mirror_realm.tasks.executor import NodeCall, NodeOutcome, execute_in_flow
from mirror_realm.tasks.registry import Registry, node_types_of

REGISTRY = Registry(node_types_of(control))


async def run(name: str, parameters: dict, input: dict | None = None, timeout: float = 0) -> NodeOutcome:
    call = NodeCall(
        node_type=f"control/{name}",
        node_id="node-01",
        instance_id="i",
        execution_key="key",
        parameters=parameters,
        input=input or {},
        timeout=timeout,
    )
    return await execute_in_flow(call, registry=REGISTRY)


async def output(name: str, parameters: dict, input: dict | None = None) -> dict:
    outcome = await run(name, parameters, input)
    assert outcome.output is not None, outcome.error
    return outcome.output


async def error(name: str, parameters: dict, input: dict | None = None) -> ErrorRecord:
    outcome = await run(name, parameters, input)
    assert outcome.error is not None, outcome.output
    return ErrorRecord.from_dict(outcome.error)


def test_all_of_them_run_in_the_flow():
    assert {t.where for t in REGISTRY} <= {"flow", "run"}
    assert {t.resources.cpu_millis for t in REGISTRY} == {0}


@pytest.mark.parametrize("name", ["start", "end"])
async def test_begin_and_end_pass_everything_through(name):
    given = {"image": {"uri": "file:///a"}, "model_dump": 1, "n": None}
    assert await output(name, {}, given) == given


async def test_set_computes_values():
    values = {"threshold": 0.5, "names": ["a"], "nested": {"model_x": None}, "copy": True}
    assert await output("set", {"values": values}, {"ignored": 1}) == values


@pytest.mark.parametrize("holds", [True, False])
async def test_a_condition_decides_and_passes_the_input_on(holds):
    found = await output(
        "condition", {"condition": holds, "true_path": "a", "false_path": ["b", "c"]}, {"score": 7}
    )
    assert found == {"score": 7, "result": holds, "case": str(holds).lower()}


@pytest.mark.parametrize(
    ("holding", "result", "case"), [((False, True, True), True, "b"), ((False, False, False), False, None)]
)
async def test_the_first_case_that_holds_is_taken(holding, result, case):
    cases = [
        {"name": "a", "when": holding[0]},
        {"target": "b", "when": holding[1]},
        {"name": "c", "target": "d", "when": holding[2]},
    ]
    found = await output("condition", {"cases": cases})
    assert (found["result"], found["case"]) == (result, case)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"condition": "yes"},
        {"condition": 1},
        {"condition": True, "cases": [{"name": "a", "when": True}]},
        {"cases": []},
        {"cases": [{"when": True}]},
        {"cases": [{"name": "a", "when": True}, {"target": "a", "when": True}]},
    ],
)
async def test_anything_but_true_or_false_is_an_error(parameters):
    assert (await error("condition", parameters)).code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "parameters", [{}, {"duration": "soon"}, {"duration": "1s", "until": "2030-01-01"}, {"until": "later"}]
)
async def test_unclear_delays_are_refused(parameters):
    assert (await error("delay", parameters)).code == "INVALID_ARGUMENT"
