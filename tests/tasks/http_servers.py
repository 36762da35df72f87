"""Servers on loopback that answer http/request as a test needs it. A module takes the fixtures by name:
``server, url = http_servers.server, http_servers.url``."""

from __future__ import annotations

import gzip
import http.server
import json
import ssl
import threading

import pytest

from mirror_realm.core.settings import settings
from mirror_realm.tasks import http as http_family
from tests.running import Node

request = Node(http_family, "http/request")


class Handler(http.server.BaseHTTPRequestHandler):
    """/echo tells what it was sent; /status/N answers N; the rest are named for what they do."""

    protocol_version = "HTTP/1.1"

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _any(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        action = path.strip("/").split("/")
        if action[0] == "echo":
            told = {
                "method": self.command,
                "query": query,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": body.decode(),
            }
            self._answer(200, json.dumps(told).encode(), content_type="application/json")
        elif action[0] == "status":
            self._answer(
                int(action[1]), b'{"reason": "told"}', content_type="application/json", **self.server.extra
            )  # pyright: ignore[reportAttributeAccessIssue]
        elif action[0] == "redirect":
            self._answer(302, location=query)
        else:
            getattr(self, action[0])()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any

    def xml(self) -> None:
        self._answer(200, "<r id='1'><v>照</v></r>".encode(), content_type="application/xml; charset=utf-8")

    def latin(self) -> None:
        self._answer(200, "é".encode("latin-1"), content_type="text/plain; charset=iso-8859-1")

    def binary(self) -> None:
        self._answer(200, b"\x89PNG....", content_type="image/png")

    def broken(self) -> None:
        self._answer(200, b'{"a":', content_type="application/json")

    def large(self) -> None:
        body = json.dumps({"id": 7, "data": "x" * 900_000}).encode()
        self._answer(200, body, content_type="application/json")

    def bomb(self) -> None:
        self._answer(
            200, gzip.compress(b"0" * 20_000_000), content_encoding="gzip", content_type="text/plain"
        )

    def nested(self) -> None:
        self._answer(
            200, gzip.compress(gzip.compress(b"0")), content_encoding="gzip, gzip", content_type="text/plain"
        )

    def drip(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "100000")
        self.end_headers()
        try:
            while not self.server.closing.wait(0.02):  # pyright: ignore[reportAttributeAccessIssue]
                self.wfile.write(b".")
                self.wfile.flush()
        except OSError:
            pass

    def cut(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "100")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True

    def log_message(self, *args):
        pass


def start(context: ssl.SSLContext | None = None) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.extra = {}  # pyright: ignore[reportAttributeAccessIssue]
    server.closing = threading.Event()  # pyright: ignore[reportAttributeAccessIssue]
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True).start()
    return server


@pytest.fixture(scope="module")
def server():
    server = start()
    yield server
    server.closing.set()  # pyright: ignore[reportAttributeAccessIssue]
    server.shutdown()
    server.server_close()


@pytest.fixture
def url(server, monkeypatch):
    server.extra = {}
    monkeypatch.setenv("MIRROR_REALM_HTTP_ALLOW", "127.0.0.1")
    monkeypatch.setenv("MIRROR_REALM_ENV_ALLOW", "SERVICE_TOKEN,SERVICE_PASSWORD")
    settings.cache_clear()
    return f"http://127.0.0.1:{server.server_port}"
