"""Seed 004's task languages run under the local engine to the right result; their services are a server on loopback."""

import http.server
import json
import threading
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze
from mirror_realm.core.settings import settings
from mirror_realm.deployments.run import run_workflow

FOLDER = Path(__file__).parent / "fixtures" / "dialects"


async def run(document, **input):
    return await run_workflow(
        FOLDER / document if isinstance(document, str) else document, input=input, engine="local"
    )


async def output(document, **input):
    result = await run(document, **input)
    assert result["status"] == "completed", result
    return result["output"]


async def test_connections_fork_and_join():
    assert await output("connections/valid/fork-and-join.yaml") == {"sum": {"n": 8}}


@pytest.mark.parametrize(("marks", "expected"), [((70, 60), "及格: 130"), ((50, 40), "不及格")])
async def test_connections_decide(marks, expected):
    (only,) = (await output("connections/valid/成绩.json", 语文=marks[0], 数学=marks[1])).values()
    assert only == {"结果": expected}


@pytest.mark.parametrize(("points", "medal"), [(95, "gold"), (60, "silver"), (5, None)])
async def test_the_first_branch_that_holds_wins(points, medal):
    (only,) = (await output("next-branch/valid/branches.json", points=points)).values()
    assert only == {"medal": medal}


@pytest.mark.parametrize(("days", "expected"), [(5, "李雷 需要审批"), (2, "李雷 自动通过")])
async def test_inputs_of_branches_that_were_not_taken_have_their_value(days, expected):
    assert await output("next-branch/valid/请假.yaml", 天数=days, 申请人="李雷") == {"结果": expected}


async def test_inputs_are_transformed():
    assert await output("next-branch/valid/inputs.yaml") == {
        "use": {"text": "Ann: admin 42 7", "ids": ["admin", "editor"], "distinct": ["b", "a"], "a": 13}
    }


@pytest.mark.parametrize(("count", "way"), [(101, "batch"), (3, "direct")])
async def test_the_etl_example_loads_what_either_way_processed(count, way):
    assert await output("next-branch/valid/etl.yaml", records=list(range(count))) == {
        "load": {"loaded": count, "way": way}
    }


async def test_successors_of_several_tasks_wait_for_all():
    assert await output("next-branch/valid/list-of-tasks.yaml") == {"d": {"x": 5}}


@pytest.mark.parametrize(("score", "label"), [(70, "高"), (10, "无")])
async def test_every_step_of_a_control_tree(score, label):
    assert await output("control-tree/valid/every-step.json", score=score) == {
        "done": {"sum": score + 2, "n": 3, "label": label}
    }


async def test_forks_and_branches_in_loops_are_read_from_behind_them():
    assert await output("control-tree/valid/nested.yaml", rows=[1, 20]) == {"last": {"v": 20, "big": True}}
    assert await output("control-tree/valid/nested.yaml", rows=[20, 1]) == {"last": {"v": 1, "big": False}}


@pytest.mark.parametrize(("n", "text"), [(0, "none"), (1, "one"), (5, "many")])
async def test_branches_that_are_empty_go_on(n, text):
    assert await output("control-tree/valid/branches-in-branches.yaml", n=n) == {"end": {"text": text}}


@pytest.mark.parametrize(("amount", "expected"), [(5000, "大额已复核"), (50, "小额")])
async def test_a_tree_in_chinese(amount, expected):
    assert await output("control-tree/valid/审批.yaml", 金额=amount) == {"完成": {"结果": expected}}


@pytest.mark.parametrize(("quantity", "how"), [(2, "审核"), (1, "快速")])
async def test_steps_share_a_state(quantity, how):
    order = {"id": "o1", "price": 60, "quantity": quantity, "city": "x"}
    assert await output("event-steps/valid/订单履约.yaml", order=order) == {
        "slim": {"id": "o1", "price": 60}, "label": "X-o1", "big": quantity == 2, "how": how, "text": f"X-o1: {how}",
    }  # fmt: skip


@pytest.mark.parametrize(("n", "total"), [(1, 1), (5, 6)])
async def test_the_last_step_that_wrote_a_key_counts(n, total):
    assert await output("event-steps/valid/state-of-branches.yaml", n=n) == {"n": total}


async def test_transformations():
    rows = [{"key": "a", "n": 1, "address": {"city": "x"}}, {"key": "b", "n": 5, "address": {"city": "y"}},
            {"key": "c", "n": 3, "address": {"city": "z"}}]  # fmt: skip
    assert await output("event-steps/valid/transforms.yaml", rows=rows, name="report") == {
        "title": "REPORT: 9", "dashed": "REPORT:-9", "most": 5, "parsed": {"a": 1}, "instead": [1],
        "slim": [{"id": "a", "city": "x"}, {"id": "b", "city": "y"}, {"id": "c", "city": "z"}],
        "computed": "report-9", "rounded": 3.0, "n": 3,
    }  # fmt: skip


class Service(http.server.BaseHTTPRequestHandler):
    """Answers with what it was sent, and an id."""

    def do_POST(self):
        sent = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "null")
        answer = json.dumps({"id": self.path.strip("/").replace("/", "-"), "price": 9, "sent": sent}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


@pytest.fixture
def service(monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True).start()
    monkeypatch.setenv("MIRROR_REALM_HTTP_ALLOW", "127.0.0.1")
    settings.cache_clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


async def test_services_are_called_with_what_the_steps_before_answered(service):
    text = (FOLDER / "event-steps" / "valid" / "saga.yaml").read_text(encoding="utf-8")
    text = text.replace("steps:\n", f"services: {{flights: {service}/f, hotels: {service}/h}}\nsteps:\n", 1)
    result = await run(analyze("saga.yaml", text=text.replace("https://pay.example.com", service)), to="Oslo")
    assert result["status"] == "completed", result
    assert result["output"] == {"flight": "f-book", "hotel": "h-book"}
    paid = result["nodes"]["pay"]["output"]["body"]
    assert paid == {"id": "9", "price": 9, "sent": {"flight": "f-book", "hotel": "h-book"}}
