"""A loop that is carried on: it goes on at the round that is not done, and asks for hundreds of them at a time."""

import json

from sqlalchemy import event

from mirror_realm.flows import control
from mirror_realm.flows.constructs.site import AT_ONCE
from mirror_realm.flows.rerun import Rerun


def foreach(count, bad, **parameters):
    body = [
        {
            "node_id": "one",
            "type": "test/fail-on",
            "parameters": {"value": "{{ item }}", "bad": bad},
            "input": {},
        }
    ]
    parameters = {"items": list(range(count)), "max_concurrent": 3, **parameters}
    each = {"node_id": "each", "type": "control/foreach", "parameters": parameters, "body": body}
    return f"nodes: {json.dumps([each])}\n"


def began(store, instance_id, after):
    return [
        change.iteration
        for change in store.history.of(instance_id, after=after)
        if change.type == "node.began" and change.iteration
    ]


async def retried(lab, first, second):
    """The result of a run, retried with another definition of the same shape; and where that one's events begin."""
    failed = await lab(first)
    assert failed["status"] == "failed"
    id = failed["instance_id"]
    control.retry(lab.store, id, Rerun(definition=_definition(second)))
    before = lab.store.history.of(id)[-1].sequence
    return await lab(second, instance_id=id), before


def _definition(text):
    from mirror_realm.compiler import analyze

    definition = analyze("test.yaml", text="name: test\n" + text).definition
    assert definition is not None
    return definition


async def test_a_foreach_goes_on_at_the_item_that_failed(lab):
    statements = []

    def heard(connection, cursor, statement, *rest):
        statements.append(statement)

    count, bad = 2 * AT_ONCE + 100, 441
    failing = foreach(count, bad, results="none")
    failed = await lab(failing)
    id = failed["instance_id"]
    done = lab.store.rounds.counts(id)["each/one"]
    assert failed["error"]["message"] == f"node 'each/one[{bad}]': {bad} is bad"
    event.listen(lab.store._database.engine, "before_cursor_execute", heard)
    whole = foreach(count, -1, results="none")
    control.retry(lab.store, id, Rerun(definition=_definition(whole)))
    before = lab.store.history.of(id)[-1].sequence
    result = await lab(whole, instance_id=id)
    assert result["status"] == "completed"
    assert result["output"] == {"each": {"count": count, "failed": 0}}
    again = began(lab.store, id, before)
    assert again[0] == str(bad)
    assert len(again) == len(set(again)) == count - done["completed"]
    asked = [one for one in statements if "FROM node_executions" in one and "iteration IN" in one]
    assert len(asked) == -(-count // AT_ONCE)


async def test_rounds_in_rounds_are_told_apart(lab):
    def nested(bad):
        step = {
            "node_id": "one",
            "type": "test/fail-on",
            "input": {},
            "parameters": {"value": "{{ 10 * x + y }}", "bad": bad},
        }
        inner = {"items": [0, 1, 2], "item": "y", "max_concurrent": 1}
        outer = {"items": [0, 1, 2, 3], "item": "x", "max_concurrent": 1}
        within = {"node_id": "in", "type": "control/foreach", "parameters": inner, "body": [step]}
        each = {"node_id": "out", "type": "control/foreach", "parameters": outer, "body": [within]}
        return f"nodes: {json.dumps([each])}\n"

    result, before = await retried(lab, nested(21), nested(-1))
    assert result["status"] == "completed"
    found = [[one["one"]["value"] for one in row["in"]] for row in result["output"]["out"]]
    assert found == [[10 * x + y for y in range(3)] for x in range(4)]
    again = began(lab.store, result["instance_id"], before)
    assert [one for one in again if "." in one] == ["2.1", "2.2", "3.0", "3.1", "3.2"]


async def test_a_loop_goes_on_at_the_round_that_failed(lab):
    def loop(bad):
        step = {
            "node_id": "one",
            "type": "test/fail-on",
            "input": {},
            "parameters": {"value": "{{ loop.index }}", "bad": bad},
        }
        rounds = {
            "node_id": "loop",
            "type": "control/loop",
            "parameters": {"condition": "loop.index < 6"},
            "body": [step],
        }
        return f"nodes: {json.dumps([rounds])}\n"

    result, before = await retried(lab, loop(4), loop(-1))
    assert result["status"] == "completed"
    assert began(lab.store, result["instance_id"], before) == ["4", "5"]
