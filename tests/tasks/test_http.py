"""http/request against real servers on loopback: bodies, auth, statuses, redirects, the address guard,
limits."""

from __future__ import annotations

import base64
import gzip
import http.server
import ipaddress
import json
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from mirror_realm.core.errors import Code
from mirror_realm.core.settings import settings
from mirror_realm.tasks import http as http_family
from mirror_realm.tasks import http_transport
from mirror_realm.tasks.http_bodies import parse_xml
from mirror_realm.tasks.http_guard import is_allowed, is_public
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


def test_a_get_with_query_and_headers(url):
    output = request(
        {
            "url": f"{url}/echo?a=1",
            "params": {"b": "照 片", "c": [1, 2], "d": None},
            "headers": {"X-One": "1"},
        }
    )
    assert output["status_code"] == 200
    assert output["body"]["query"] == "a=1&b=%E7%85%A7+%E7%89%87&c=1&c=2"
    assert output["body"]["headers"]["x-one"] == "1"
    assert output["body"]["headers"]["user-agent"].startswith("mirror-realm/")
    assert "idempotency-key" not in output["body"]["headers"]
    assert output["headers"]["content-type"] == "application/json"
    assert output["file"] is None


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        ({"json": {"照": [1]}}, '{"照":[1]}', "application/json"),
        ({"body": {"a": None}}, '{"a":null}', "application/json"),
        ({"body": "plain 照"}, "plain 照", "text/plain; charset=utf-8"),
        ({"text": "plain"}, "plain", "text/plain; charset=utf-8"),
        ({"form": {"a": "1 2"}}, "a=1+2", "application/x-www-form-urlencoded"),
    ],
)
def test_bodies(url, body, sent, content_type):
    told = request({"url": f"{url}/echo", "method": "post", **body})["body"]
    assert told["method"] == "POST"
    assert told["body"] == sent
    assert told["headers"]["content-type"] == content_type
    assert told["headers"]["idempotency-key"] == "inst-1/node-01"


def test_authentication_from_the_definition_and_from_the_environment(url, monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "token-1")
    monkeypatch.setenv("SERVICE_PASSWORD", "password-1")
    monkeypatch.setenv("HOME_SECRET", "x")

    def sent(**auth):
        return request({"url": f"{url}/echo", "auth": auth})["body"]["headers"]["authorization"]

    assert sent(type="bearer", token="abc") == "Bearer abc"
    assert sent(type="bearer", token_from="SERVICE_TOKEN") == "Bearer token-1"
    basic = sent(type="basic", username="ann", password_from="SERVICE_PASSWORD")
    assert base64.b64decode(basic.removeprefix("Basic ")) == b"ann:password-1"
    refused = request.error({"url": url, "auth": {"type": "bearer", "token_from": "HOME_SECRET"}})
    assert refused.code is Code.PERMISSION_DENIED
    assert request.error({"url": url, "auth": {"type": "bearer"}}).code is Code.INVALID_ARGUMENT


def test_answers_are_parsed_by_their_type(url):
    assert request({"url": f"{url}/xml"})["body"] == {"r": {"@id": "1", "v": "照"}}
    assert request({"url": f"{url}/xml", "response": "text"})["body"] == "<r id='1'><v>照</v></r>"
    assert request({"url": f"{url}/latin"})["body"] == "é"
    broken = request.error({"url": f"{url}/broken"})
    assert broken.code is Code.DEPENDENCY_FAILURE
    assert broken.details["body"] == '{"a":'


def test_binary_and_large_answers_become_files(url):
    output = request({"url": f"{url}/binary"})
    assert output["body"] is None
    assert (output["file"]["media_type"], output["file"]["size"]) == ("image/png", 8)
    output = request({"url": f"{url}/large", "output_mapping": {"found.id": "$.body.id"}})
    assert output["body"] is None
    assert output["file"]["size"] > 900_000
    assert output["found"] == {"id": 7}


def test_output_mapping(url):
    mapping = {"a": "$.body.method", "b.c": "response.headers.host", "d": "status_code", "e": "body.nothing"}
    output = request({"url": f"{url}/echo", "output_mapping": mapping})
    assert (output["a"], output["d"], output["e"]) == ("GET", 200, None)
    assert output["b"]["c"].startswith("127.0.0.1:")
    assert request.error({"url": url, "output_mapping": {"a": "b["}}).code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Code.INVALID_ARGUMENT),
        (401, Code.UNAUTHENTICATED),
        (403, Code.PERMISSION_DENIED),
        (404, Code.NOT_FOUND),
        (409, Code.ALREADY_EXISTS),
        (418, Code.FAILED_PRECONDITION),
        (429, Code.UNAVAILABLE),
        (500, Code.DEPENDENCY_FAILURE),
        (503, Code.UNAVAILABLE),
    ],
)
def test_an_unexpected_status_is_an_error(url, status, code):
    record = request.error({"url": f"{url}/status/{status}"})
    assert record.code is code
    assert f"answered {status}" in record.message
    assert record.details["body"] == '{"reason": "told"}'
    assert (
        request({"url": f"{url}/status/{status}", "expected_status": [200, status]})["status_code"] == status
    )


def test_retry_after_is_passed_on(url, server):
    server.extra = {"retry_after": "17"}
    assert request.error({"url": f"{url}/status/429"}).details["retry_after"] == 17
    server.extra = {"retry_after": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)}
    assert 3500 < request.error({"url": f"{url}/status/503"}).details["retry_after"] <= 3600


def test_redirects_are_followed_and_another_origin_gets_no_secrets(url, server):
    other = start()
    try:
        target = f"http://127.0.0.1:{other.server_port}/echo"
        parameters = {
            "url": f"{url}/redirect?/echo",
            "headers": {"X-Api-Key": "k"},
            "auth": {"type": "bearer", "token": "t"},
        }
        assert request(parameters)["body"]["headers"]["x-api-key"] == "k"
        output = request({**parameters, "url": f"{url}/redirect?{target}"})
        assert output["url"] == target
        assert not {"x-api-key", "authorization"} & output["body"]["headers"].keys()
    finally:
        other.shutdown()
        other.server_close()
    stopped = request({"url": f"{url}/redirect?/echo", "follow_redirects": False, "expected_status": 302})
    assert stopped["headers"]["location"] == "/echo"


def test_redirects_are_checked_and_bounded(url):
    denied = request.error({"url": f"{url}/redirect?http://169.254.169.254/latest/meta-data"})
    assert denied.code is Code.PERMISSION_DENIED
    assert "169.254.169.254" in denied.message
    assert request.error({"url": f"{url}/redirect?file:///etc/passwd"}).code is Code.INVALID_ARGUMENT
    record = request.error({"url": f"{url}/redirect?{url}/redirect?" * 8 + "/echo"})
    assert record.code is Code.DEPENDENCY_FAILURE
    assert "more than 5 redirects" in record.message


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_private_addresses_are_refused_by_default(server, host):
    record = request.error({"url": f"http://{host}:{server.server_port}/echo"})
    if record.code is Code.UNAVAILABLE:
        pytest.skip(f"this machine does not resolve {host}")
    assert record.code is Code.PERMISSION_DENIED
    assert "MIRROR_REALM_HTTP_ALLOW" in (record.hint or "")


@pytest.mark.parametrize("entry", ["localhost", "127.0.0.0/8", "LOCAL*"])
def test_private_hosts_can_be_allowed(server, monkeypatch, entry):
    monkeypatch.setenv("MIRROR_REALM_HTTP_ALLOW", entry)
    settings.cache_clear()
    output = request({"url": f"http://localhost:{server.server_port}/echo"})
    assert output["body"]["headers"]["host"] == f"localhost:{server.server_port}"


def test_the_judged_address_is_the_one_connected_to(url, server, monkeypatch):
    """A name that resolves to an allowed address when judged, and to another one later (DNS rebinding), gains
    nothing."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host, port, *args, **kwargs):
        if host != "rebind.example":
            return real(host, port, *args, **kwargs)
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    output = request({"url": f"http://rebind.example:{server.server_port}/echo"})
    assert output["body"]["headers"]["host"] == f"rebind.example:{server.server_port}"
    assert asked == ["rebind.example"]


def test_what_is_public():
    public = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
    private = [
        "10.0.0.1",
        "172.16.5.5",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
    ]
    private += [
        "0.0.0.0",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ]
    assert [a for a in public if not is_public(ipaddress.ip_address(a))] == []
    assert [a for a in private if is_public(ipaddress.ip_address(a))] == []
    assert is_allowed("h", "::ffff:10.1.1.1", ["10.0.0.0/8"])
    assert not is_allowed("evil-nas.local", "10.1.1.1", ["nas.local"])


def test_urls_that_are_none(url):
    for wrong in (
        "file:///etc/passwd",
        "ftp://host/",
        "//host",
        "host/path",
        "http://",
        "http://[",
        "gopher://h",
    ):
        assert request.error({"url": wrong}).code is Code.INVALID_ARGUMENT, wrong
    assert request.error({"url": url, "headers": {"A": "x\r\nB: y"}}).code is Code.INVALID_ARGUMENT
    assert request.error({"url": url, "json": 1, "text": "x"}).code is Code.INVALID_ARGUMENT


def test_size_limits(url):
    assert request.error({"url": f"{url}/large", "max_bytes": 1000}).code is Code.OUT_OF_RANGE
    assert request.error({"url": f"{url}/bomb", "max_bytes": 1_000_000}).code is Code.OUT_OF_RANGE
    assert request.error({"url": f"{url}/nested"}).code is Code.DEPENDENCY_FAILURE


def test_a_server_that_drips_does_not_hold_the_node(url):
    record = request.error({"url": f"{url}/drip", "timeout": 0.3})
    assert record.code is Code.DEADLINE_EXCEEDED
    record = request.error({"url": f"{url}/drip", "timeout": 60}, timeout=0.3)
    assert record.code in (Code.DEADLINE_EXCEEDED, Code.NODE_EXECUTION_TIMEOUT)


def test_a_stalled_server_and_one_that_is_not_there(url):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        refused = request.error({"url": f"http://127.0.0.1:{port}/"})
        assert refused.code is Code.UNAVAILABLE
        assert f"http://127.0.0.1:{port}" in refused.message
        listening.listen(8)
        stalled = request.error({"url": f"http://127.0.0.1:{port}/", "timeout": 0.2})
        assert stalled.code is Code.DEADLINE_EXCEEDED
    assert request.error({"url": f"{url}/cut"}).code is Code.UNAVAILABLE
    assert request.error({"url": "http://no-such-host.invalid/"}).code is Code.UNAVAILABLE


def test_secrets_do_not_reach_the_error(url):
    record = request.error({"url": f"{url.replace('://', '://ann:hunter2@')}/status/500?token=abc123"})
    assert "hunter2" not in json.dumps(record.to_dict())
    assert "abc123" not in json.dumps(record.to_dict())


@pytest.fixture
def tls_server(tmp_path, monkeypatch):
    """A server with a certificate for `localhost` from an authority of its own; yields (port, authority
    file)."""
    trust = pytest.importorskip("cryptography.x509", reason="moto brings it")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = trust.Name([trust.NameAttribute(trust.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = trust.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    builder = builder.add_extension(
        trust.SubjectAlternativeName([trust.DNSName("localhost")]), critical=False
    )
    builder = builder.add_extension(trust.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    file, key_file = tmp_path / "authority.pem", tmp_path / "key.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    server = start(context)
    monkeypatch.setenv("MIRROR_REALM_HTTP_ALLOW", "127.0.0.1")
    settings.cache_clear()
    http_transport._tls.cache_clear()
    yield server.server_port, file
    http_transport._tls.cache_clear()
    server.shutdown()
    server.server_close()


def test_certificates_are_checked_against_the_name_not_the_address(tls_server, monkeypatch):
    port, authority = tls_server
    record = request.error({"url": f"https://localhost:{port}/echo"})
    assert record.code is Code.DEPENDENCY_FAILURE
    assert "certificate" in record.message
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    http_transport._tls.cache_clear()
    assert (
        request({"url": f"https://localhost:{port}/echo"})["body"]["headers"]["host"] == f"localhost:{port}"
    )
    assert request.error({"url": f"https://127.0.0.1:{port}/echo"}).code is Code.DEPENDENCY_FAILURE


def test_xml_without_its_dangers():
    assert parse_xml(b"<a><b/><b>t</b><c k='v'>x</c></a>") == {
        "a": {"b": [None, "t"], "c": {"@k": "v", "#text": "x"}}
    }
    for danger in (
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b"<a>" * 5000 + b"</a>" * 5000,
    ):
        with pytest.raises(ValueError):
            parse_xml(danger)
