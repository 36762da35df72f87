"""notify/send through Apprise to a real HTTP server on loopback."""

from __future__ import annotations

import http.server
import json
import socket
import threading

import pytest

from mirror_realm.core.errors import Code
from mirror_realm.core.settings import settings
from mirror_realm.tasks import notify
from tests.running import Node

send = Node(notify, "notify/send")


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append(json.loads(body))  # pyright: ignore[reportAttributeAccessIssue]
        self.send_response(500 if "refuse" in self.path else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.received = []  # pyright: ignore[reportAttributeAccessIssue]
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def url(server):
    return f"json://ann:hunter2@127.0.0.1:{server.server_port}"


def test_a_message_arrives_and_the_input_passes_through(server, url):
    parameters = {"urls": f"{url}/hook", "title": "完成", "body": "1 photo", "type": "success"}
    output = send(parameters, {"image": 1})
    assert (output["image"], output["sent"]) == (1, 1)
    assert "hunter2" not in output["services"][0]
    (received,) = server.received
    assert (received["title"], received["message"], received["type"]) == ("完成", "1 photo", "success")


def test_urls_can_stay_out_of_the_definition(server, url, monkeypatch):
    monkeypatch.setenv("NOTIFY_URLS", f"{url}/a {url}/b")
    denied = send.error({"urls_from": "NOTIFY_URLS", "body": "x"})
    assert denied.code is Code.PERMISSION_DENIED
    monkeypatch.setenv("MIRROR_REALM_ENV_ALLOW", "NOTIFY_URLS,EMPTY")
    settings.cache_clear()
    assert send({"urls_from": "NOTIFY_URLS", "body": "x"})["sent"] == 2
    assert send.error({"urls_from": "EMPTY", "body": "x"}).code is Code.FAILED_PRECONDITION


def test_a_service_that_refuses_is_named_without_its_secrets(server, url):
    record = send.error({"urls": [f"{url}/refuse", f"{url}/fine"], "body": "x"})
    assert record.code is Code.DEPENDENCY_FAILURE
    assert "127.0.0.1" in record.message
    assert "500" in record.message
    assert len(record.details["told"]) == 1
    assert "hunter2" not in json.dumps(record.to_dict())
    assert len(server.received) == 2


def test_a_service_that_is_not_there():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        record = send.error({"urls": f"json://ann:hunter2@127.0.0.1:{unused.getsockname()[1]}", "body": "x"})
    assert record.code is Code.DEPENDENCY_FAILURE
    assert "onnection" in record.message


@pytest.mark.parametrize(
    "parameters",
    [
        {"body": "x"},
        {"urls": [], "body": "x"},
        {"urls": "nonsense://hunter2", "body": "x"},
        {"urls": "mailto://", "body": "x"},
        {"urls": "json://h", "body": ""},
        {"urls": "json://h", "body": "x", "type": "loud"},
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is(parameters):
    record = send.error(parameters)
    assert record.code is Code.INVALID_ARGUMENT
    assert "hunter2" not in json.dumps(record.to_dict())
