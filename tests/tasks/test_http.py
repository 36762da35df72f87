"""http/request against real servers on loopback: bodies, auth, answers, statuses, limits."""

from __future__ import annotations

import base64
import json
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from mirror_realm.core.errors import Code
from mirror_realm.tasks.http_bodies import parse_xml
from tests.tasks import http_servers
from tests.tasks.http_servers import request

server, url = http_servers.server, http_servers.url


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
