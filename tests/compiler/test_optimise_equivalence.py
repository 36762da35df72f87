"""The optimised plan and the plain one are the same to whoever looks at their runs: random definitions, really run."""

import asyncio
import contextlib
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirror_realm.compiler.analysis import Analysis
from mirror_realm.compiler.dialects import rewrite
from mirror_realm.compiler.emission import source_of
from mirror_realm.compiler.load import load_flow_module
from mirror_realm.compiler.optimise import optimise
from mirror_realm.compiler.plan import plan_of
from mirror_realm.compiler.scopes import build_scopes
from mirror_realm.compiler.source import load
from mirror_realm.compiler.validate import validate
from mirror_realm.core.errors import RealmError
from mirror_realm.core.settings import settings as realm_settings
from mirror_realm.flows.engines import engine_choice
from mirror_realm.flows.environment import Environment, use
from mirror_realm.flows.journal import Journal
from mirror_realm.flows.results import instance_result
from mirror_realm.flows.runners import ThreadRunner
from mirror_realm.store import Store
from mirror_realm.tasks.registry import registry
from tests.compiler.plan_strategies import chains, definitions

HERE = str(Path(__file__).parent)
FORKS = ("control/foreach", "control/parallel")


@pytest.fixture
def run(home, monkeypatch):
    """Runs the flow of a plan under the local engine: the instance's result, from the journal."""
    monkeypatch.setenv("MIRROR_REALM_NODES", "table_nodes")
    monkeypatch.syspath_prepend(HERE)
    realm_settings.cache_clear()
    registry.cache_clear()
    token = engine_choice.set("local")
    with Store.open(realm_settings().database) as store:
        journal, runner, events = Journal(store), ThreadRunner(2), []
        environment = Environment(journal, runner, realm_settings(), (), events.append)
        with use(environment), asyncio.Runner() as loop:

            def result(plan, input):
                flow = load_flow_module(source_of(plan), "equivalence_flow").random
                with contextlib.suppress(RealmError):
                    loop.run(flow(input=input))
                return instance_result(store, events[-1]["instance_id"])

            yield result
            loop.run(runner.close())
        journal.close()
    engine_choice.reset(token)


def plan_without_checks(definition):
    """The plain plan also of what the checks would refuse: conditions that never hold, joins that are never met."""
    document, found = rewrite(load("w.json", text=json.dumps(definition)).document, None, registry())
    valid = validate(document)
    assert not found, found
    assert not valid.diagnostics, valid.diagnostics
    scope = build_scopes(valid.document, registry())
    return plan_of(Analysis("w.json", "", valid.document, valid.definition, scope, (), registry()))


def labels(plan):
    return {block.label(node.id) for block in plan.root.walk() for node in block.graph.nodes}


def of_node(label):
    """``each/resize`` of ``each/resize[3]``."""
    return label.partition("[")[0]


def same(one, other, removed):
    """Hold the result of a plan's run against that of the plain one, from which ``removed`` nodes were taken."""
    assert one["status"] == other["status"]
    assert one["output"] == other["output"]
    failed = one["status"] == "failed"
    for label, row in other["nodes"].items():
        if of_node(label) in removed:
            assert row["status"] == "skipped"
            assert row["reason"]
    for label, row in one["nodes"].items():
        if of_node(label) in removed:
            # The node that a failure overtook has no row in the plain run.
            assert row["status"] == "skipped"
            assert failed or label in other["nodes"], label
            continue
        again = other["nodes"].get(label)
        # What had begun when a node failed the instance, also inside a fork, depends on the moment, in either plan.
        if failed and (
            again is None or "canceled" in (row["status"], again["status"]) or row["type"] in FORKS
        ):
            continue
        assert again is not None, label
        assert (row["status"], row["output"]) == (again["status"], again["output"]), label
    # One that a failure inside a fork overtook has no row in the plain run; left out, it is skipped all the same.
    told = {label for label in other["nodes"] if label in one["nodes"] or of_node(label) not in removed}
    assert failed or set(one["nodes"]) == told


def test_the_optimised_plan_runs_as_the_plain_one(run):
    seen = Counter()

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(definition=definitions(), x=st.integers(0, 2))
    def check(definition, x):
        plain = plan_without_checks(definition)
        optimised = optimise(plain)
        one, other = run(plain, {"x": x}), run(optimised, {"x": x})
        removed = labels(plain) - labels(optimised)
        same(one, other, removed)
        seen.update(
            [one["status"], "removed" if removed else "nothing removed"] + ["same"] * (plain == optimised)
        )

    check()
    assert min(seen["completed"], seen["failed"], seen["removed"]) > 20, seen


def test_a_fused_plan_runs_as_the_plain_one(run):
    """In the bulk profile: chains in one task, a foreach in batches."""
    seen = Counter()

    @settings(max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(definition=st.one_of(chains(), definitions()), x=st.integers(0, 2))
    def check(definition, x):
        text = json.dumps(definition).replace("table/outcome", "table/work")
        plain = plan_without_checks(json.loads(text))
        bulk = optimise(plan_without_checks(json.loads(text) | {"execution": {"profile": "bulk"}}))
        one, other = run(plain, {"x": x}), run(bulk, {"x": x})
        same(one, other, labels(plain) - labels(bulk))
        seen.update([one["status"], *("fused" for _ in bulk.fused)])

    check()
    assert min(seen["completed"], seen["failed"]) > 10, seen
    assert seen["fused"] > 40, seen
