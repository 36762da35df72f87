"""The canonical model: what it takes, its canonical form, and its hash."""

import json

import pytest
from pydantic import ValidationError

from mirror_realm.compiler import Definition, analyze
from mirror_realm.compiler.model import TRIGGER_CONFIGS, resources_of
from mirror_realm.core.errors import Code
from mirror_realm.core.resources import Gpu, Resources

EVERYTHING = {
    "name": "everything",
    "display_name": "一切",
    "description": "every key there is",
    "version": "1.2.3-rc.1+build",
    "labels": {"team": "photos"},
    "tags": ["a"],
    "metadata": {"created_by": "user-123"},
    "input": {"type": "object"},
    "output": {"path": "{{ nodes.a.uri }}"},
    "variables": {"quality": 92},
    "triggers": [{"type": "filesystem", "config": {"path": "/nas"}, "name": "nas", "enabled": False}],
    "nodes": [
        {
            "node_id": "a",
            "type": "control/set",
            "display_name": "甲",
            "description": "the first",
            "parameters": {"values": {"x": 1}},
            "input": {"file_path": "{{ trigger.payload.file_path }}"},
            "when": "{{ input.size_mb < 200 }}",
            "join": 2,
            "timeout": "5m",
            "retry": {
                "max_attempts": 5,
                "initial": "2s",
                "multiplier": 3,
                "max": "90s",
                "jitter": 0.2,
                "on": ["TRANSIENT_ERROR"],
            },
            "resources": {"cpu_millis": 500, "gpu": "required", "custom": {"license": 1}},
            "cache": {"ttl": "1h", "key": ["inputs"]},
            "fail_on_error": False,
            "on_error": [{"codes": ["UNAVAILABLE"], "goto": "b"}, {"ignore": True}],
            "compensate": {"type": "storage/delete", "input": {"uri": "x"}},
            "priority": 9,
            "breakpoint": True,
            "position": {"x": 100, "y": 200},
        },
        {"node_id": "b", "type": "control/set", "on_error": {"fallback": {"values": {}}}, "join": "all"},
    ],
    "edges": [
        {"source": "a", "target": "b", "condition": "else", "mapping": {"user.id": "$.data.id", "kind": "x"}}
    ],
    "error_handling": {
        "max_retries": 3,
        "retry_delay": "10s",
        "on_failure": "notify-admin",
        "notify": ["ops"],
    },
    "timeout": "24h",
    "concurrency": {"max_instances": 4, "on_limit": "cancel-running"},
    "execution": {"profile": "bulk", "max_batch": 500, "max_wait": "200ms", "task_runner": "prefect-dask"},
}


def test_every_key_of_the_language_is_taken():
    definition = Definition.model_validate(EVERYTHING)
    node = definition.node("a")
    assert (node.timeout, node.retry.max, node.cache.ttl) == (300.0, 90.0, 3600.0)
    assert node.retry.on == [Code.TRANSIENT_ERROR]
    assert definition.execution.max_wait == 0.2
    assert definition.error_handling.retry_delay == 10.0
    with pytest.raises(KeyError):
        definition.node("c")


def test_the_canonical_form_means_the_same_and_leaves_out_defaults():
    definition = Definition.model_validate(EVERYTHING)
    form = definition.document()
    assert json.loads(json.dumps(form)) == form
    assert Definition.model_validate(form) == definition
    assert Definition.model_validate(form).document() == form
    assert "timeout" not in form  # 24 hours is what holds without it
    assert form["nodes"][1] == {
        "node_id": "b",
        "type": "control/set",
        "on_error": [{"fallback": {"values": {}}}],
        "join": "all",
    }


def test_the_hash_is_of_the_meaning_not_the_spelling():
    plain = Definition.model_validate(EVERYTHING)
    shuffled = json.loads(json.dumps(EVERYTHING))
    shuffled = dict(reversed(shuffled.items())) | {"timeout": 86400}
    assert Definition.model_validate(shuffled).hash == plain.hash
    assert plain.hash.startswith("sha256:")
    changed = EVERYTHING | {"variables": {"quality": 93}}
    assert Definition.model_validate(changed).hash != plain.hash


def test_what_is_accepted_but_not_executed_is_said():
    node = {"node_id": "a", "type": "control/end"}
    tree = {"name": "w", "nodes": [node], **{key: EVERYTHING[key] for key in ("concurrency", "execution")}}
    warned = {d.path for d in analyze("w.json", text=json.dumps(tree)).diagnostics if d.code == "MR130"}
    assert warned == {"concurrency", "execution.max_batch", "execution.max_wait"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "-a"),
        ("name", "a" * 64),
        ("name", "照片"),
        ("version", "1.0"),
        ("version", "01.0.0"),
        ("version", "1.0.0 "),
        ("timeout", 0),
        ("timeout", True),
        ("timeout", "0s"),
        ("timeout", float("inf")),
        ("tags", [1]),
        ("labels", {"a": 1}),
        ("nodes", []),
    ],
)
def test_values_that_are_refused(key, value):
    with pytest.raises(ValidationError):
        Definition.model_validate(EVERYTHING | {key: value})


@pytest.mark.parametrize("node_id", ["照片-01", "Ünï_1", "a" * 128, "1", "é", "中文節點"])
def test_node_ids_of_every_language(node_id):
    node = {"node_id": node_id, "type": "control/set"}
    assert Definition.model_validate({"name": "w", "nodes": [node]}).node(node_id)


@pytest.mark.parametrize(
    "node_id", ["", "a b", "a/b", "a.b", "a{b", "a" * 129, "a\x00", "a\u200b", "a\\b", "a\tb"]
)
def test_node_ids_that_would_break_something(node_id):
    with pytest.raises(ValidationError):
        Definition.model_validate({"name": "w", "nodes": [{"node_id": node_id, "type": "control/set"}]})


def test_resources_override_the_types():
    node = Definition.model_validate(EVERYTHING).node("a")
    default = Resources(memory_mb=2048)
    assert resources_of(node, default) == Resources(
        cpu_millis=500, memory_mb=2048, gpu=Gpu.REQUIRED, custom={"license": 1.0}
    )
    assert resources_of(Definition.model_validate(EVERYTHING).node("b"), default) is default


def test_every_trigger_type_has_a_model_with_a_docstring():
    assert set(TRIGGER_CONFIGS) == {"filesystem", "schedule", "manual", "webhook", "event"}
    assert all(model.__doc__ for model in TRIGGER_CONFIGS.values())
