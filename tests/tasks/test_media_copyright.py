"""media/copyright-check against a real service on loopback: verdicts, rights, the cache, and every way to be down."""

from __future__ import annotations

import http.server
import json
import os
import threading
import time
from collections import Counter

import pytest
from PIL import Image
from pydantic import ValidationError

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.references import local_path
from mirror_realm.tasks.ai.analyze import image_analyze
from mirror_realm.tasks.media import media_copyright_check
from mirror_realm.tasks.media.copyright_rules import Answer, Rights, assess, risk_of, usage_of
from tests import photos
from tests.photo_context import context_in, run

RIGHTS = {"allowed_purposes": ["editorial"], "allowed_regions": ["CN", "EU"], "attribution_required": True}


def match(similarity: float, *holders: str) -> dict:
    return {"id": f"work-{similarity}", "similarity": similarity, "rights_holders": list(holders)}


class Handler(http.server.BaseHTTPRequestHandler):
    """/answer gives what the test put into ``server.answer``; the others are named for what they do."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        action = self.path.split("/")[1]
        self.server.asked.append(
            (self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(body))
        )
        if action == "answer":
            self._send(200, json.dumps(self.server.answer).encode())
        elif action == "status":
            self._send(int(self.path.split("/")[2]), b"{}")
        elif action == "garbage":
            self._send(200, b"<html>")
        elif action == "huge":
            self._send(200, b" " * (5 << 20))
        elif action == "redirect":
            self.send_response(302)
            self.send_header("location", "/answer/v1/check-copyright")
            self.send_header("content-length", "0")
            self.end_headers()
        elif action == "silent":
            self.server.closing.wait(5)
            self.close_connection = True

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="module")
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.closing = threading.Event()
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True).start()
    yield server
    server.closing.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def service(server):
    server.asked, server.answer = [], {"status": "success", "matches": [], "rights": RIGHTS}
    return server


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path, limits={"http_allow": ("127.0.0.1",), "env_allow": ("SERVICE_TOKEN",)})


def check(service, context, picture, action: str = "answer", **parameters):
    url = f"http://127.0.0.1:{service.server_port}/{action}"
    return run(media_copyright_check, context, picture, url=url, pause=0, **parameters)


@pytest.fixture
def picture(tmp_path):
    return photos.photo(tmp_path / "照片.jpg", picture=photos.detailed(300, 200), orientation=6)


def test_what_is_sent_is_the_hash_and_what_comes_back_is_believed(service, context, picture, monkeypatch):
    monkeypatch.setenv("SERVICE_TOKEN", "token-1")
    output = check(service, context, picture, token_from="SERVICE_TOKEN", metadata={"project": "镜界"})
    ((path, headers, body),) = service.asked
    assert path == "/answer/v1/check-copyright"
    assert headers["authorization"] == "Bearer token-1"
    assert body == {"image_hash": output.checks[0].phash, "metadata": {"project": "镜界"}}
    assert output.checks[0].phash == run(image_analyze, context, picture).phash
    assert (output.status, output.compliant, output.allowed, output.risk_level) == (
        "success",
        True,
        True,
        "low",
    )
    assert output.image.sha256 == output.checks[0].sha256
    report = json.loads(local_path(output.report.uri).read_text(encoding="utf-8"))
    assert report["report_version"] == "1.0"
    assert report["checks"][0]["name"] == "照片.jpg"
    assert "token-1" not in local_path(output.report.uri).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("similarity", "level", "compliant"),
    [
        (0.5, "low", True),
        (0.7, "medium", True),
        (0.849, "medium", True),
        (0.85, "high", False),
        (0.95, "critical", False),
    ],
)
def test_levels(service, context, picture, similarity, level, compliant):
    service.answer["matches"] = [match(0.3), match(similarity, "李雷", "Agency")]
    output = check(service, context, picture)
    assert (output.risk_level, output.compliant, output.allowed) == (level, compliant, compliant)
    assert output.max_similarity == similarity
    assert output.checks[0].matches[0].similarity == similarity
    named = any("Agency, 李雷" in s.message for s in output.suggestions)
    assert named is not compliant


def test_the_services_own_no_is_believed_and_its_yes_is_not(service, context, picture):
    service.answer |= {"compliant": False}
    assert not check(service, context, picture).compliant
    service.answer |= {"compliant": True, "matches": [match(0.99)]}
    assert not check(service, context, picture, metadata={"again": 1}).compliant


def test_a_use_must_be_covered(service, context, picture):
    covered = check(service, context, picture, usage={"purpose": "Editorial", "region": "cn"})
    assert (covered.allowed, covered.checks[0].usage.attribution_required) == (True, True)
    for use, word in (
        ({"purpose": "commercial", "region": "CN"}, "purpose"),
        ({"purpose": "editorial", "region": "US"}, "region"),
    ):
        output = check(service, context, picture, usage=use)
        assert (output.compliant, output.allowed) == (True, False)
        assert word in output.checks[0].usage.message
    with pytest.raises(RealmError) as caught:
        check(service, context, picture, usage={"purpose": "commercial", "region": "CN"}, on_violation="fail")
    assert caught.value.code is Code.COPYRIGHT_VIOLATION


def test_a_violation_may_end_the_run(service, context, picture):
    service.answer["matches"] = [match(0.97, "Agency")]
    with pytest.raises(RealmError, match="critical") as caught:
        check(service, context, picture, on_violation="fail")
    assert caught.value.code is Code.COPYRIGHT_VIOLATION
    assert "Agency" in caught.value.hint


DOWN = {
    "status/503": Code.UNAVAILABLE,
    "status/429": Code.UNAVAILABLE,
    "status/500": Code.DEPENDENCY_FAILURE,
    "garbage": Code.DEPENDENCY_FAILURE,
    "redirect": Code.DEPENDENCY_FAILURE,
    "huge": Code.OUT_OF_RANGE,
}


@pytest.mark.parametrize("action", DOWN)
def test_no_answer_is_never_compliant(service, context, picture, action):
    output = check(service, context, picture, action)
    assert (output.status, output.compliant, output.allowed, output.risk_level) == (
        "error",
        False,
        False,
        "unknown",
    )
    assert output.message
    assert output.checks[0].error_code == DOWN[action]
    with pytest.raises(RealmError) as caught:
        check(service, context, picture, action, on_error="fail")
    assert caught.value.code is DOWN[action]
    assert len(service.asked) == 2, "an error is not kept"


def test_a_service_that_is_not_there_or_says_nothing(service, context, picture):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    output = run(media_copyright_check, context, picture, url=f"http://127.0.0.1:{port}")
    assert (output.status, output.checks[0].error_code) == ("error", Code.UNAVAILABLE)
    output = check(service, context, picture, "silent", timeout=0.1)
    assert (output.status, output.compliant) == ("error", False)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"status": "pending"},
        {"status": "success", "matches": [{"similarity": 1.5}]},
        {"status": "success", "matches": [{"similarity": "NaN"}]},
        {"status": "success", "matches": [{}]},
        {"status": "error", "compliant": True},
    ],
)
def test_answers_that_are_none(service, context, picture, answer):
    service.answer = answer
    output = check(service, context, picture)
    assert (output.status, output.compliant, output.risk_level) == ("error", False, "unknown")


@pytest.mark.parametrize(
    ("status", "code"), [(401, Code.UNAUTHENTICATED), (403, Code.PERMISSION_DENIED), (404, Code.NOT_FOUND)]
)
def test_a_wrong_configuration_ends_the_node(service, context, picture, status, code):
    with pytest.raises(RealmError) as caught:
        check(service, context, picture, f"status/{status}")
    assert caught.value.code is code


def test_private_addresses_need_leave_and_tokens_their_variable(service, tmp_path, picture):
    with pytest.raises(RealmError, match="not a public address") as caught:
        check(service, context_in(tmp_path), picture)
    assert caught.value.code is Code.PERMISSION_DENIED
    with pytest.raises(RealmError, match="HOME"):
        check(service, context_in(tmp_path), picture, token_from="HOME")
    assert service.asked == []


def test_answers_are_kept_by_what_was_asked(service, context, picture, tmp_path, home):
    renamed = tmp_path / "b.jpg"
    renamed.write_bytes(picture.read_bytes())
    assert not check(service, context, picture).checks[0].cached
    for again in (picture, renamed):
        output = check(service, context, again)
        assert (output.checks[0].cached, output.compliant) == (True, True)
    assert len(service.asked) == 1
    check(service, context, picture, metadata={"other": 1})
    check(service, context, picture, cache_ttl=0)
    assert len(service.asked) == 3
    (kept, *_) = sorted((home / "cache" / "copyright").rglob("*.json"))
    for content in (b"{broken", b'{"time": 99999999999, "answer": {"status": "success"}}', b"[]"):
        for path in (home / "cache" / "copyright").rglob("*.json"):
            path.write_bytes(content)
        before = len(service.asked)
        assert not check(service, context, picture).checks[0].cached
        assert len(service.asked) == before + 1
    assert kept.parent.is_dir()


def test_old_answers_are_asked_again_and_removed(service, context, picture, home):
    check(service, context, picture)
    (path,) = (home / "cache" / "copyright").rglob("*.json")
    entry = json.loads(path.read_bytes())
    path.write_text(json.dumps(entry | {"time": time.time() - 90_000}))
    stale = path.with_name("0" * 64 + ".json")
    stale.write_text("{}")
    os.utime(stale, (0, 0))
    assert not check(service, context, picture).checks[0].cached
    assert not stale.exists()


def images(tmp_path, context, count: int) -> dict:
    taken = [
        run(
            image_analyze,
            context,
            photos.photo(tmp_path / f"{n}.jpg", picture=photos.detailed(200, 150, seed=n)),
        )
        for n in range(count)
    ]
    return {"images": [one.image.model_dump() for one in taken]}


def test_many_pictures_and_the_worst_counts(service, context, tmp_path):
    given = images(tmp_path, context, 5)
    output = check(service, context, given, batch_size=2)
    assert [c.name for c in output.checks] == [f"{n}.jpg" for n in range(5)]
    assert (len(service.asked), output.allowed) == (5, True)
    assert [i.sha256 for i in output.images] == [i["sha256"] for i in given["images"]]
    assert output.image is None
    for kept in (context.settings.home / "cache").rglob("*.json"):
        entry = json.loads(kept.read_bytes())
        entry["answer"]["matches"] = [match(0.9, "Agency")]
        kept.write_text(json.dumps(entry))
        break
    mixed = check(service, context, given)
    assert (mixed.compliant, mixed.risk_level, mixed.max_similarity) == (False, "high", 0.9)
    assert Counter(c.compliant for c in mixed.checks) == {True: 4, False: 1}


def test_a_service_that_is_down_is_not_asked_for_ever(service, context, tmp_path):
    output = check(service, context, images(tmp_path, context, 6), "status/503", batch_size=2)
    assert len(service.asked) == 3
    assert [c.status for c in output.checks] == ["error"] * 6
    assert output.status == "error"


def test_a_plain_picture_is_remarked_upon(service, context, tmp_path):
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    assert "plain" in check(service, context, tmp_path / "red.png").checks[0].remarks[0]


@pytest.mark.parametrize("url", ["ftp://host", "host", "http://", "http://[::1"])
def test_urls_that_are_none(context, picture, url):
    with pytest.raises(RealmError) as caught:
        run(media_copyright_check, context, picture, url=url)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_parameters_and_rules_on_their_own():
    with pytest.raises(ValidationError):
        media_copyright_check.parameters(url="http://a", usage={"purpose": "x"})
    assert [risk_of(s) for s in (None, 0, 0.7, 0.8499999, 0.85, 0.95, 1)] == [
        "low", "low", "medium", "medium", "high", "critical", "critical",
    ]  # fmt: skip
    anything = Rights(allowed_purposes=["ANY"], allowed_regions=["Global"])
    assert usage_of(anything, True, purpose="x", region="y").authorized
    assert not usage_of(anything, False, purpose="x", region="y").authorized
    assert not usage_of(Rights(), True, purpose="x", region="y").authorized
    unknown = assess(Answer.model_validate({"status": "success", "matches": [{"similarity": 0.96}]}))
    assert unknown.suggestions[0].type == "warning"
