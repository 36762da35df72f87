"""The seeds' examples run under the local engine to the right result; their services are a server on loopback."""

import http.server
import json
import threading
import urllib.parse
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze
from mirror_realm.core.settings import settings
from mirror_realm.deployments.run import run_workflow
from tests import wfcommons

FOLDER = Path(__file__).parent / "fixtures" / "dialects"
API = FOLDER / "api-orchestration" / "valid"


class Service(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked; ``/broken`` with 500, ``/orders`` with orders, ``/none`` with 404."""

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        query = dict(urllib.parse.parse_qsl(url.query))
        data = {"id": 7, "access_token": "t-1", "user_profile": {"name": "小明"}}
        answer = {"path": url.path, "query": query, "sent": body, "data": data, "x": 1, "y": 2}
        status = {"/broken": 400, "/none": 404}.get(url.path, 200)
        if url.path.endswith("/orders"):
            answer = {"orders": [1, 2], "token": self.headers.get("authorization")}
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def service():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def apis(service, monkeypatch):
    """The platform's APIs 1 to 6, as the environment gives them."""
    names = [f"API_{number}_URL" for number in range(1, 7)]
    for name in names:
        monkeypatch.setenv(name, f"{service}/{name.lower()}")
    monkeypatch.setenv("MIRROR_REALM_ENV_ALLOW", ",".join(names))
    monkeypatch.setenv("MIRROR_REALM_HTTP_ALLOW", "127.0.0.1")
    settings.cache_clear()
    return service


async def run(target, input):
    return await run_workflow(target, input=input, engine="local")


def statuses(result):
    return {name: row["status"] for name, row in result["nodes"].items()}


@pytest.mark.parametrize(
    ("score", "taken", "left"), [(75, "通过处理", "失败处理"), (59, "失败处理", "通过处理")]
)
async def test_the_conditional_example_takes_one_way(apis, score, taken, left):
    result = await run(API / "条件分支.json", {"value": "test_data", "score": score, "update_data": "新"})
    assert result["status"] == "completed", result
    assert statuses(result)[taken] == "completed"
    assert statuses(result)[left] == "skipped"
    answer = result["output"]["结束"]["body"]
    if taken == "通过处理":
        assert answer["path"] == "/api_2_url"
        assert answer["query"] == {"user_id": "7", "token": "t-1", "data": "新"}


async def test_the_parallel_example_waits_for_both(apis):
    result = await run(API / "并行执行.yaml", {})
    assert result["status"] == "completed", result
    assert statuses(result)["并行处理/任务1/任务1"] == "completed"
    assert statuses(result)["并行处理/任务2/任务2"] == "completed"
    assert result["output"] == {"汇总": {"a": 1, "b": 2}}


@pytest.mark.parametrize(("most", "rounds"), [(0, 0), (3, 3)])
async def test_the_loop_example_goes_through_the_data(apis, most, rounds):
    result = await run(API / "循环执行.yaml", {"max_count": most, "data": ["a", "b", "c", "d"]})
    assert result["status"] == "completed", result
    done = result["output"]["循环处理"]
    queries = [one["循环体"]["body"]["query"] for one in done]
    assert queries == [{"index": str(index), "data": "abcd"[index]} for index in range(rounds)]


async def test_loops_in_forks_in_loops():
    result = await run(API / "nested-loops.yaml", {"pages": 2})
    assert result["status"] == "completed", result
    assert result["output"]["end"] == {"last": 3, "page": 1}


@pytest.mark.parametrize(
    ("marks", "expected"),
    [({"语文": 95, "数学": 90, "等级": "高级"}, "优秀"), ({"语文": 95, "数学": 90, "等级": "普通"}, "及格"),
     ({"语文": 50, "数学": 50, "等级": "高级"}, "不及格")],
)  # fmt: skip
async def test_conditions_with_text_in_chinese(marks, expected):
    result = await run(API / "分数.yaml", marks)
    assert [name for name in ("优秀", "及格", "不及格") if statuses(result)[name] == "completed"] == [
        expected
    ]


def orders(service, login="/login"):
    text = (API / "order-api.yaml").read_text(encoding="utf-8")
    text = text.replace("https://api.example.com/login", service + login)
    text = text.replace("https://api.example.com", service).replace("retry_count: 3", "retry_count: 0")
    return analyze("order-api.yaml", text=text.replace("seconds: 1", "seconds: 0.01"))


async def test_calls_hand_on_what_they_were_answered(apis):
    result = await run(orders(apis), {"user": "u", "password": "p", "kind": "new"})
    assert result["status"] == "completed", result
    assert result["output"]["END"] == {"orders": [1, 2], "text": "for u"}
    assert statuses(result)["alarm"] == "skipped"


async def test_an_error_goes_its_own_way(apis):
    result = await run(orders(apis, "/broken"), {"user": "u", "password": "p", "kind": "new"})
    assert statuses(result)["log-in"] == "failed"
    assert statuses(result)["alarm"] == "completed"
    assert statuses(result)["get-orders"] == "skipped"


async def test_a_links_document_runs_in_the_order_of_its_data():
    result = await run(FOLDER / "links" / "valid" / "data-only.yaml", {"n": 4})
    assert result["status"] == "completed", result
    assert result["output"] == {"both": {"answer": "9 from 8"}}


async def test_conditions_skip_a_task_of_links():
    result = await run(FOLDER / "links" / "valid" / "data-only.yaml", {"n": 400})
    assert set(statuses(result).values()) == {"skipped"}


async def test_the_order_intake_of_links(apis):
    path = FOLDER / "links" / "valid" / "订单处理.yaml"
    result = await run(path, {"url": f"{apis}/x/orders", "threshold": 5})
    assert statuses(result)["fetch"] == "completed"
    assert statuses(result)["alarm"] == "skipped"


@pytest.mark.parametrize(("score", "taken"), [(90, "high"), (10, "low")])
async def test_branches_of_links(score, taken):
    result = await run(
        FOLDER / "links" / "valid" / "loop-of-conditions.yaml", {"score": score, "kind": "高级"}
    )
    assert result["status"] == "completed", result
    assert [name for name in ("high", "low", "never") if statuses(result).get(name) == "completed"] == [taken]


async def test_a_recorded_workflow_runs_as_a_graph_of_its_figures():
    instance = wfcommons.montage(4)
    result = await run(analyze("montage.json", text=json.dumps(instance)), {})
    assert result["status"] == "completed", result
    assert set(statuses(result).values()) == {"completed"}
    (figures,) = result["output"].values()
    recorded = instance["workflow"]["execution"]["tasks"][-1]
    assert figures["runtime_seconds"] == recorded["runtimeInSeconds"]
