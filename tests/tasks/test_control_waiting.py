"""control/terminate, emit-event, wait-event, human-task: what is refused, and how an end travels as data."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mirror_realm.compiler import analyze
from mirror_realm.core.termination import Terminate, Termination
from mirror_realm.tasks import NodeContext, node_type
from mirror_realm.tasks.control.basics import NoParameters
from mirror_realm.tasks.control.events import EmitParameters, WaitParameters
from mirror_realm.tasks.control.people import HumanTaskParameters
from mirror_realm.tasks.control.shared import Anything
from mirror_realm.tasks.executor import NodeCall, execute
from mirror_realm.tasks.registry import Registry
from tests.tasks.test_control import error, run

ENDINGS = [
    {"status": "completed", "message": None, "output": {"uri": "s3://a/b"}},
    {"status": "failed", "message": "没有配额", "output": None},
    {"status": "canceled", "message": None, "output": None},
]


@pytest.mark.parametrize("ending", ENDINGS)
async def test_an_end_is_the_output_and_a_note(ending):
    outcome = await run("terminate", {name: value for name, value in ending.items() if value is not None})
    assert outcome.error is None
    assert outcome.output == ending
    termination = Termination.noted(outcome.notes)
    assert termination is not None
    assert termination.to_dict() == ending


async def test_without_anything_said_the_instance_completes():
    assert (await run("terminate", {})).output == {"status": "completed", "message": None, "output": None}


@pytest.mark.parametrize(
    "parameters",
    [{"status": "failed"}, {"status": "canceled", "output": {}}, {"status": "done"}, {"message": ""}],
)
async def test_an_unclear_end_is_refused(parameters):
    assert (await error("terminate", parameters)).code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("notes", [None, {}, {"terminate": "now"}, {"terminate": {"status": "gone"}}])
def test_other_notes_end_nothing(notes):
    assert Termination.noted(notes) is None


def end_with(output):
    @node_type("test/end", version="1.0.0")
    def end(parameters: NoParameters, input: Anything, context: NodeContext) -> Anything:
        """Ends the instance."""
        raise Terminate(Termination(output=output))

    call = NodeCall("test/end", "n", "i", "k", max_payload_bytes=1000)
    return execute(call, registry=Registry([end]))


def test_any_node_may_end_its_instance_within_the_limit_of_outputs():
    assert Termination.noted(end_with({"n": 1}).notes) == Termination(output={"n": 1})
    outcome = end_with({"n": "x" * 1000})
    assert outcome.error is not None
    assert outcome.error["code"] == "OUT_OF_RANGE"
    assert outcome.notes == {}


# What waits

WHO = {"title": "Publish?", "assignees": ["王", "li"]}


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (EmitParameters, {"type": "order.paid"}),
        (EmitParameters, {"type": "订单.已付", "correlation": {"order": 1}, "payload": [1, None]}),
        (WaitParameters, {"type": "a", "filter": "event.payload.n > 1", "correlation": 7}),
        (WaitParameters, {"type": "a", "timeout": "2d", "on_timeout": "continue", "since": "wait"}),
        (HumanTaskParameters, WHO),
        (HumanTaskParameters, {**WHO, "approval": "quorum", "quorum": 2, "timeout": 60}),
        (HumanTaskParameters, {"title": "t", "role": "editor", "approval": "quorum", "quorum": 9}),
        (HumanTaskParameters, {**WHO, "timeout": "1d", "on_timeout": "escalate", "escalate_to": ["zhao"]}),
        (HumanTaskParameters, {**WHO, "form": {"type": "object", "required": ["amount"]}}),
    ],
)
def test_what_fits_is_taken(model, given):
    assert model.model_validate(given)


@pytest.mark.parametrize(
    ("model", "given", "says"),
    [
        (EmitParameters, {"type": ""}, "at least 1"),
        (EmitParameters, {"type": "media.*"}, "pattern"),
        (EmitParameters, {"type": "a", "correlation": {}}, "at least 1"),
        (WaitParameters, {"type": "a", "timeout": "soon"}, "not a duration"),
        (WaitParameters, {"type": "a", "timeout": 0}, "no time at all"),
        (WaitParameters, {"type": "a", "on_timeout": "continue"}, "needs a timeout"),
        (WaitParameters, {"type": "a", "since": "ever"}, "instance"),
        (HumanTaskParameters, {"title": "t"}, "either assignees or role"),
        (HumanTaskParameters, {**WHO, "role": "editor"}, "either assignees or role"),
        (HumanTaskParameters, {"title": "t", "assignees": []}, "at least 1"),
        (HumanTaskParameters, {"title": "t", "assignees": ["li", "li"]}, "named twice"),
        (HumanTaskParameters, {"title": "t", "role": "r", "approval": "all"}, "needs assignees"),
        (HumanTaskParameters, {"title": "t", "role": "r", "approval": "sequential"}, "needs assignees"),
        (HumanTaskParameters, {**WHO, "approval": "quorum"}, "quorum: n"),
        (HumanTaskParameters, {**WHO, "quorum": 1}, "quorum: n"),
        (HumanTaskParameters, {**WHO, "approval": "quorum", "quorum": 3}, "more than the 2"),
        (HumanTaskParameters, {**WHO, "approval": "quorum", "quorum": 0}, "greater than"),
        (HumanTaskParameters, {**WHO, "form": {"type": "thing"}}, "not a JSON Schema: type"),
        (HumanTaskParameters, {**WHO, "on_timeout": "approve"}, "needs a timeout"),
        (HumanTaskParameters, {**WHO, "timeout": "1d", "on_timeout": "escalate"}, "escalate_to"),
        (HumanTaskParameters, {**WHO, "timeout": "1d", "escalate_to": ["zhao"]}, "escalate_to"),
    ],
)
def test_what_does_not_fit_is_refused(model, given, says):
    with pytest.raises(ValidationError, match=says):
        model.model_validate(given)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("emit-event", {"type": "a"}), ("wait-event", {"type": "a"}), ("human-task", WHO)],
)
async def test_outside_of_a_run_they_say_so(name, parameters):
    found = await error(name, parameters)
    assert found.code == "FAILED_PRECONDITION"
    assert "inside a workflow" in found.message


def test_a_filter_reads_the_event_and_what_every_expression_reads():
    def found(condition):
        text = (
            "name: w\nnodes:\n  - node_id: wait\n    type: control/wait-event\n"
            f"    parameters: {{type: a, filter: '{condition}'}}\n"
        )
        return [d.code for d in analyze("w.yaml", text=text).errors]

    assert found("event.payload.amount > input.amount") == []
    assert found("event.payload.amount >") == ["MR301"]
    assert found("evnt.payload.amount > 3") == ["MR302"]
    assert found('"text"') == ["MR304"]
