"""Random bodies of a foreach: item by item and in batches they do the same."""

import asyncio
import contextlib
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mirror_realm.core.errors import RealmError
from mirror_realm.core.settings import settings
from mirror_realm.flows.batches.items import Batches
from mirror_realm.flows.batches.worker import Done, Left
from mirror_realm.flows.engines import engine_choice
from mirror_realm.flows.environment import Environment, use
from mirror_realm.flows.journal import Journal
from mirror_realm.flows.results import instance_result
from mirror_realm.flows.runners import ThreadRunner
from mirror_realm.store import Store
from mirror_realm.tasks.registry import registry
from tests.compiler.plan_strategies import bodies
from tests.compiler.test_optimise_equivalence import plan_without_checks

HERE = Path(__file__).parent


def each_of(body, **parameters):
    """A definition with one foreach, whose nodes decide by the item what others decide by the input."""
    text = json.dumps(body).replace("input.x", "item")
    each = {
        "node_id": "each",
        "type": "control/foreach",
        "parameters": {"items": [0, 1, 2], **parameters},
        "body": json.loads(text),
    }
    variables = {"on": True, "off": False, "n": 3, "names": ["a", "b"]}
    return {"name": "random", "variables": variables, "nodes": [each]}


@pytest.fixture
def both(home, monkeypatch):
    """Runs the flow of a plan under the local engine, with the nodes of the compiler's tests."""
    from mirror_realm.compiler.emission import source_of
    from mirror_realm.compiler.load import load_flow_module

    monkeypatch.setenv("MIRROR_REALM_NODES", "table_nodes")
    monkeypatch.syspath_prepend(str(HERE.parent / "compiler"))
    settings.cache_clear()
    registry.cache_clear()
    token = engine_choice.set("local")
    with Store.open(settings().database) as store:
        journal, runner, events = Journal(store), ThreadRunner(2), []
        environment = Environment(journal, runner, settings(), (), events.append)
        with use(environment), asyncio.Runner() as loop:

            def result(plan, input):
                flow = load_flow_module(source_of(plan), "batches_flow").random
                with contextlib.suppress(RealmError):
                    loop.run(flow(input=input))
                return instance_result(store, events[-1]["instance_id"])

            yield result
            loop.run(runner.close())
        journal.close()
    engine_choice.reset(token)


def codes(outputs):
    """Outputs in which errors are only their codes: what they tell beyond depends on where and when."""
    return [one["error"]["code"] if "error" in one else one for one in outputs]


def decided(result):
    """What is in the journal of each node in items none of whose nodes failed: there, all are decided by the rules."""
    failed = {label.partition("[")[2] for label, row in result["nodes"].items() if row["status"] == "failed"}
    same = ("status", "output", "reason", "attempts", "type", "error")
    return {
        label: {name: row.get(name) for name in same}
        for label, row in result["nodes"].items()
        if label != "each" and label.partition("[")[2] not in failed
    }


def test_random_bodies_do_the_same_in_batches(both, monkeypatch):
    seen = Counter()
    run = Batches.run

    async def noted(self, items):
        results = await run(self, items)
        seen.update(type(result) for result in results)
        return results

    monkeypatch.setattr(Batches, "run", noted)

    @hypothesis_settings(
        max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        body=bodies(),
        most=st.sampled_from([1, 8]),
        rule=st.sampled_from(["fail", "collect", "ignore"]),
    )
    def check(body, most, rule):
        parameters = {"max_concurrent": most, "on_item_error": rule}
        plain = plan_without_checks(each_of(body, **parameters))
        batched = plan_without_checks(each_of(body, **parameters, batch_size=3))
        one, other = both(plain, {}), both(batched, {})
        assert one["status"] == other["status"]
        seen[one["status"]] += 1
        if one["status"] == "failed":
            return  # What had begun, and which failure came first, depends on the moment.
        assert codes(one["output"]["each"]) == codes(other["output"]["each"])
        assert decided(one) == decided(other)

    check()
    assert min(seen[Done], seen[Left], seen["completed"]) > 20, seen
    assert seen["failed"], seen
