"""The expense approval of the specification, as it stands: every path, decided by other processes, through a kill."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from mirror_realm.core.settings import settings
from mirror_realm.store import Store

EXAMPLE = Path(__file__).parent.parent / "examples" / "expense-approval"
SEED = Path(__file__).parent / "compiler/fixtures/dialects/next-branch/seed/expense.json"
REALM = [sys.executable, "-m", "mirror_realm.cli"]
GIVEN = {
    "request_id": "R-1",
    "requester_id": "王",
    "title": "镜头",
    "currency": "EUR",
    "department": "市场部",
}


@pytest.fixture
def told():
    """What those who are to be told get."""
    received = []

    class Mailbox(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Mailbox)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    received_at = f"json://127.0.0.1:{server.server_port}"
    yield received, received_at
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path, monkeypatch, home, told):
    shutil.copytree(EXAMPLE, tmp_path / "expenses", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path / "expenses")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "expenses"))
    monkeypatch.setenv("MIRROR_REALM_NODES", "expense_nodes")
    monkeypatch.setenv("MIRROR_REALM_ENV_ALLOW", "NOTIFY_URLS")
    monkeypatch.setenv("MIRROR_REALM_ROOTS", "")
    monkeypatch.setenv("NOTIFY_URLS", told[1])
    return tmp_path / "expenses"


@pytest.fixture
def begin():
    """Start a command in a process of its own, which ends with the test."""
    begun = []

    def beginning(*words: str) -> subprocess.Popen:
        command = [*REALM, *words, "--root", ".", "--engine", "local", "--json"]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield beginning
    for process in begun:
        process.kill()
        process.communicate()


def request(amount: float, **more: str) -> list[str]:
    given = {**GIVEN, "amount": amount, **more}
    return ["run", "workflow.json", *(w for k, v in given.items() for w in ("--input", f"{k}={v}"))]


def task(process: subprocess.Popen | None, title: str):
    """The open task of that title, once somebody is asked."""
    with Store.open(settings().database) as store:
        for _ in range(900):
            if found := [one for one in store.human_tasks.list(status="open") if one.title == title]:
                return found[0]
            assert process is None or process.poll() is None, process.communicate()
            time.sleep(0.1)
    raise AssertionError(f"nobody was asked for {title}")


def decide(verdict: str, id: str, person: str, *more: str) -> None:
    done = subprocess.run(
        [*REALM, "tasks", verdict, id, "--as", person, *more], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr + done.stdout


def result(process: subprocess.Popen) -> dict:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return json.loads(out)


def entries(folder: Path) -> list[dict]:
    return [json.loads(path.read_text("utf-8")) for path in (folder / "finance_system").glob("*.json")]


def archived(folder: Path) -> dict:
    assert (folder / "archive" / "R-1.pdf").read_bytes().startswith(b"%PDF")
    return json.loads((folder / "archive" / "R-1.json").read_text("utf-8"))


def test_the_definition_is_the_specifications_own():
    assert (EXAMPLE / "workflow.json").read_bytes() == SEED.read_bytes()


def test_a_small_one_is_the_managers(folder, begin, told):
    process = begin(*request(600))
    asked = task(process, "Manager Approval")
    decide("approve", asked.id, "李", "--role", "manager", "--form", "comments=可以")
    done = result(process)
    nodes = done["nodes"]
    assert (
        nodes["manager_and_finance_approval"]["status"] == nodes["executive_approval"]["status"] == "skipped"
    )
    (entry,) = entries(folder)
    assert entry["transaction_id"] == nodes["process_approved_request"]["output"]["transaction_id"]
    assert (entry["amount"], entry["department_code"], entry["requester_id"]) == (600, "D-400", "王")
    kept = archived(folder)
    assert (kept["request"]["status"], kept["transaction_id"]) == ("Approved", entry["transaction_id"])
    assert len(told[0]) == 1


def test_a_middling_one_needs_the_manager_and_finance(folder, begin):
    process = begin(*request(1000.01))
    asked = task(process, "Manager and Finance Approval")
    decide("approve", asked.id, "finance_officer", "--comment", "within budget")
    decide("approve", asked.id, "department_manager")
    assert (
        result(process)["nodes"]["archive_request"]["output"]["workflow_output"]["final_status"] == "Approved"
    )
    assert [one["by"] for one in archived(folder)["request"]["approvals"]] == [
        "finance_officer",
        "department_manager",
    ]
    assert len(entries(folder)) == 1


def test_a_large_one_goes_up_and_survives_a_kill(folder, begin, told):
    process = begin(*request(60_000))
    asked = task(process, "Executive Approval")
    decide("approve", asked.id, "department_director")
    process.send_signal(signal.SIGKILL)
    process.wait()
    decide("approve", asked.id, "finance_director", "--comment", "if the CFO agrees")
    with Store.open(settings().database) as store:
        (instance,) = store.instances.list()
    process = begin("instances", "resume", instance.id)
    assert task(process, "Executive Approval").id == asked.id
    decide("reject", asked.id, "cfo", "--comment", "next year")
    output = result(process)["nodes"]["archive_request"]["output"]["workflow_output"]
    assert (output["final_status"], output["approver_id"], output["comments"]) == (
        "Rejected",
        "cfo",
        "next year",
    )
    assert entries(folder) == []
    kept = archived(folder)
    assert [one["decision"] for one in kept["request"]["approvals"]] == ["approve", "approve", "reject"]
    assert len(told[0]) == 1


def test_a_request_that_breaks_a_rule_goes_no_further(folder, begin):
    process = begin(*request(600, department="kitchen"))
    out, err = process.communicate(timeout=240)
    assert process.returncode == 1, err
    failed = json.loads(out)["error"]
    assert failed["code"] == "INVALID_ARGUMENT"
    assert failed["details"]["violations"] == ["department: valid department"]
