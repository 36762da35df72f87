"""The fault campaign in short, and that its own parts say the truth: the whole of it is `make chaos`."""

import json
import random
import socket
import threading

import pytest

from chaos.blocks import (
    ALWAYS,
    Asking,
    Each,
    Fork,
    Inlined,
    Outcome,
    Registered,
    Rescue,
    Transaction,
    Work,
    constructs,
)
from chaos.definitions import document, inner_documents, registered_documents
from chaos.drawing import Drawer
from chaos.evidence import Evidence, Findings
from chaos.invariants import check, outcome
from chaos.ledger import EFFECT, Ledger
from chaos.oracle import ABSENT, expected
from chaos.proxy import Proxy
from chaos.questions import Question
from chaos.report import report
from chaos.stage import prepare
from chaos.trial import describe, drawn, run
from mirror_realm.compiler import analyze
from mirror_realm.compiler.library import Folder
from mirror_realm.core.status import InstanceStatus
from mirror_realm.store import NewInstance, Store


@pytest.fixture(autouse=True)
def known_nodes(home, monkeypatch):
    monkeypatch.setenv("MIRROR_REALM_NODES", "chaos.nodes")
    monkeypatch.setenv("PYTHONPATH", "")
    prepare()


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "way", "count"), [(11, "run", 1), (58, "serve", 5)])
def test_a_short_campaign(seed, way, count):
    result = run(seed, way, count=count)
    assert result.wrong == [], result.line()
    assert len(result.statuses) == count
    assert sum(result.as_simulated) + result.canceled == count or result.degraded
    assert sum(result.checks.values()) > 40 * count
    assert json.loads(json.dumps(describe(result)))["seed"] == seed


def test_the_short_campaign_has_people_registered_workflows_and_transactions_that_are_tried_again():
    found = {name for part in drawn(58, "serve", 5).parts for name in constructs(part)}
    assert {"asking", "registered", "transaction tried again"} <= found


def test_every_definition_that_is_drawn_is_valid(tmp_path):
    for seed in range(25):
        drawer = Drawer(random.Random(seed))
        part = drawer.definition()
        for inner in inner_documents(part, "ledger"):
            (tmp_path / f"{inner['name']}.json").write_text(json.dumps(inner))
        for inner in registered_documents(part, "ledger"):
            (tmp_path / f"{inner['name']}-{inner['version']}.json").write_text(json.dumps(inner))
        definition = document(f"chaos-{seed}", part, str(tmp_path / "ledger"))
        analysis = analyze("drawn.json", text=json.dumps(definition), library=Folder(tmp_path))
        assert analysis.ok, analysis.render()


def test_the_same_seed_draws_the_same():
    first, second = (Drawer(random.Random(5)).definition() for _ in range(2))
    assert first == second


def work(id, fails=0, attempts=2, **more):
    return Work(id, Outcome(fails, attempts=attempts), **more)


@pytest.mark.parametrize(
    ("part", "status", "nodes"),
    [
        ([work("a"), work("b")], "completed", {"a": "completed", "b": "completed"}),
        ([work("a", 1)], "completed", {"a": "completed"}),
        ([work("a", ALWAYS), work("b")], "failed", {"a": "failed", "b": ABSENT}),
        ([work("a", ALWAYS, passes="ignore"), work("b")], "completed", {"a": "failed", "b": "completed"}),
        ([work("a", ALWAYS, passes="fallback")], "completed", {"a": "completed"}),
        ([work("a", guarded=True), work("b")], "completed", {"a": "skipped", "b": "skipped"}),
        (
            [Rescue(work("a", ALWAYS), work("then"), work("rescue"), work("last"))],
            "completed",
            {"a": "failed", "then": "skipped", "rescue": "completed", "last": "completed"},
        ),
        (
            [Transaction("tx", [work("a"), work("b", ALWAYS)], True), work("c")],
            "completed",
            {"tx": "failed", "tx/a": "completed", "tx/b": "failed", "c": "completed"},
        ),
        (
            [Fork("fork", {"x": [work("a", ALWAYS)], "y": [work("b")]}, False)],
            "failed",
            {"fork": "failed", "fork/x/a": "failed", "fork/y/b": "completed"},
        ),
        (
            [Transaction("tx", [work("a"), work("late", 3), work("b")], False, tries=2)],
            "completed",
            {"tx": "completed", "tx/a": "completed", "tx/late": "completed", "tx/b": "completed"},
        ),
        (
            [Transaction("tx", [work("late", 4), work("b")], False, tries=2)],
            "failed",
            {"tx": "failed", "tx/late": "failed", "tx/b": ABSENT},
        ),
        (
            [Registered("inner", [work("late", 2)], "^1.0", tries=2)],
            "completed",
            {"inner": "completed", "inner/late": "completed"},
        ),
        (
            [Asking("ask", Question("any", {"li": False}), work("yes"), work("no"), work("last"))],
            "completed",
            {"ask": "completed", "yes": "skipped", "no": "completed", "last": "completed"},
        ),
        (
            [Inlined("inner", [work("a", ALWAYS)]), work("b")],
            "failed",
            {"inner": "failed", "inner/a": "failed", "b": ABSENT},
        ),
    ],
)
def test_the_simulation(part, status, nodes):
    found = expected(part)
    assert found.status == status
    assert {name for name, _ in found.nodes} == set(nodes)
    for name, wanted in nodes.items():
        assert wanted in found.nodes[name, ""], name
        assert wanted == ABSENT or len(found.nodes[name, ""]) == 1


def test_the_simulation_of_rounds():
    body = [work("a", by_round={1: ALWAYS}), work("b")]
    collected = expected([Each("each", 3, body, "collect", 2)])
    assert collected.status == "completed"
    assert collected.nodes["each/a", "1"] == {"failed"}
    assert collected.nodes["each/b", "2"] == {"completed"}
    failed = expected([Each("each", 3, body, "fail", 2)])
    assert failed.status == "failed"
    assert failed.nodes["each/a", "0"] == {"completed"}
    assert {"completed", ABSENT} <= failed.nodes["each/a", "2"]


class Told:
    """An instance of one node in the journal, with a ledger beside it, both to be tampered with."""

    def __init__(self, folder):
        self.part, self.ledger = [work("a")], Ledger(folder / "ledger")
        self.store = Store.open(f"sqlite:///{folder / 'told.db'}")
        new = NewInstance(workflow="told", version="1.0.0", input={}, trigger_type="manual")
        self.id = self.store.instances.create(new)[0].id
        self.store.instances.transition(self.id, InstanceStatus.RUNNING)
        row = self.store.executions.begin(self.id, "a", "chaos/work", attempt=1)
        self.ledger.write("begin", f"{self.id}/a", 1)
        self.ledger.write(EFFECT, f"{self.id}/a", 1)
        self.store.executions.finish(row.id, 1, status=row.status.COMPLETED, output={})

    def findings(self):
        evidence = Evidence(self.store, self.id, self.part, self.ledger)
        return check(evidence, expected(self.part))


@pytest.fixture
def told(tmp_path):
    one = Told(tmp_path)
    with one.store:
        yield one


def test_what_is_right_is_found_right(told):
    told.store.instances.transition(told.id, InstanceStatus.COMPLETED, output={})
    assert told.findings().wrong == []


def test_an_instance_that_does_not_end_is_found(told):
    assert any("every instance ends" in one for one in told.findings().wrong)


def test_a_second_effect_is_found(told):
    told.store.instances.transition(told.id, InstanceStatus.COMPLETED, output={})
    told.ledger.write(EFFECT, f"{told.id}/a", 1)
    assert any("exactly once" in one for one in told.findings().wrong)


def test_a_node_that_runs_again_is_found(told):
    told.store.instances.transition(told.id, InstanceStatus.COMPLETED, output={})
    told.ledger.write("begin", f"{told.id}/a", 2)
    assert any("runs again" in one for one in told.findings().wrong)


def test_an_end_that_was_not_drawn_is_found(told):
    error = {"code": "UNKNOWN", "message": "something"}
    told.store.instances.transition(told.id, InstanceStatus.FAILED, error=error)
    findings = Findings()
    outcome(Evidence(told.store, told.id, told.part, told.ledger), findings, expected(told.part))
    assert findings.wrong == ["ends as simulated: is failed (something), simulated completed"]


def test_the_proxy_drops_and_heals():
    server = socket.create_server(("127.0.0.1", 0))

    def echo():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(100):
                    connection.sendall(data)

    threading.Thread(target=echo, daemon=True).start()
    proxy = Proxy(server.getsockname())
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(b"one")
        assert client.recv(10) == b"one"
        proxy.drop()
        assert client.recv(10) == b""
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        assert client.recv(10) == b"", "it refuses while it is dropped"
    proxy.heal()
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(b"two")
        assert client.recv(10) == b"two"
    proxy.close()
    server.close()


def test_the_report_names_what_went_wrong():
    trial = {
        "seed": 7,
        "way": "serve",
        "database": "sqlite",
        "constructs": [["each", "work"]],
        "faults": ["kill -9 of the run"],
        "statuses": ["completed"],
        "as_simulated": [False],
        "degraded": [],
        "nodes": 3,
        "starts": 2,
        "seconds": 4.0,
        "recovery": 1.5,
        "checks": {"every instance ends": 2},
        "wrong": ["inst-1: every instance ends: it is running"],
    }
    page = report([trial], [], "abc")
    assert "| kill -9 of the run | 1 | 1.5 s | 1.5 s |" in page
    assert "- seed 7 (serve, sqlite; kill -9 of the run): inst-1: every instance ends: it is running" in page
    assert "| every instance ends | 2 | 1 |" in page
