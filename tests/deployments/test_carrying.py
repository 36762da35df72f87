"""What an instance runs when it is carried on: what it ran before, whatever was published meanwhile."""

import json

from mirror_realm.compiler import analyze
from mirror_realm.core.settings import settings
from mirror_realm.deployments.carrying import analysis_of
from mirror_realm.deployments.registration import register
from mirror_realm.deployments.run import run_workflow
from mirror_realm.store import Store


def publish(store, version):
    told = {"node_id": "say", "type": "control/set", "parameters": {"values": {"version": version}}}
    text = json.dumps({"name": "inner", "version": version, "nodes": [told]})
    register(analyze("inner.json", text=text), store, settings())


async def test_a_registered_workflow_inside_stays_at_the_version_that_the_run_began_with(home, tmp_path):
    call = {
        "node_id": "call",
        "type": "control/subworkflow",
        "parameters": {"name": "inner", "version": "^1.0"},
    }
    file = tmp_path / "outer.json"
    file.write_text(json.dumps({"name": "outer", "nodes": [call]}))
    with Store.open(settings().database) as store:
        publish(store, "1.0.0")
        first = await run_workflow(file, engine="local", configured=settings())
        assert first["output"] == {"call": {"say": {"version": "1.0.0"}}}
        publish(store, "1.1.0")
        carried = analysis_of(store.instances.get(first["instance_id"]), store)
        assert [one.definition.version for one in carried.subworkflows.values()] == ["1.0.0"]
        second = await run_workflow(file, engine="local", configured=settings())
        assert second["output"] == {"call": {"say": {"version": "1.1.0"}}}
        carried = analysis_of(store.instances.get(second["instance_id"]), store)
        assert [one.definition.version for one in carried.subworkflows.values()] == ["1.1.0"]
