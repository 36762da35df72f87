"""Library exceptions → codes: real exceptions of the real libraries; the map itself loads none."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import jmespath
import pytest
import requests
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from PIL import Image
from pydantic import BaseModel
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import settings
from mirror_realm.tasks.exceptions import RULES, to_record
from mirror_realm.tasks.redact import redact, redact_tree


def client_error(code: str, status: int) -> ClientError:
    answer = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PutObject")  # pyright: ignore[reportArgumentType]


def http_error(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://h/")
    return httpx.HTTPStatusError("bad", request=request, response=httpx.Response(status, request=request))


REQUEST = httpx.Request("GET", "http://h/")


@pytest.mark.parametrize(
    ("exception", "code"),
    [
        (OSError(errno.ENOSPC, "x", "/a"), Code.RESOURCE_EXHAUSTED),
        (PermissionError(errno.EACCES, "x", "/a"), Code.PERMISSION_DENIED),
        (FileNotFoundError(errno.ENOENT, "x", "/a"), Code.NOT_FOUND),
        (FileExistsError(errno.EEXIST, "x", "/a"), Code.ALREADY_EXISTS),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Code.UNAVAILABLE),
        (TimeoutError(errno.ETIMEDOUT, "x"), Code.UNAVAILABLE),
        (TimeoutError(), Code.DEADLINE_EXCEEDED),
        (MemoryError(), Code.RESOURCE_EXHAUSTED),
        (NotImplementedError("x"), Code.UNIMPLEMENTED),
        (ModuleNotFoundError("x", name="open_clip.model"), Code.FAILED_PRECONDITION),
        (httpx.ConnectTimeout("x", request=REQUEST), Code.UNAVAILABLE),
        (httpx.TooManyRedirects("x", request=REQUEST), Code.DEPENDENCY_FAILURE),
        (http_error(404), Code.NOT_FOUND),
        (http_error(500), Code.DEPENDENCY_FAILURE),
        (requests.exceptions.ConnectionError("x"), Code.UNAVAILABLE),
        (requests.exceptions.ReadTimeout("x"), Code.UNAVAILABLE),
        (client_error("NoSuchKey", 404), Code.NOT_FOUND),
        (client_error("AccessDenied", 403), Code.PERMISSION_DENIED),
        (client_error("SlowDown", 503), Code.TRANSIENT_ERROR),
        (client_error("SomethingNew", 401), Code.UNAUTHENTICATED),
        (client_error("SomethingNew", 500), Code.DEPENDENCY_FAILURE),
        (EndpointConnectionError(endpoint_url="http://h"), Code.UNAVAILABLE),
        (NoCredentialsError(), Code.UNAUTHENTICATED),
        (IntegrityError("insert", {}, Exception("UNIQUE constraint failed: a.b")), Code.ALREADY_EXISTS),
        (Image.DecompressionBombError("x"), Code.OUT_OF_RANGE),
        (subprocess.TimeoutExpired("x", 1), Code.DEADLINE_EXCEEDED),
        (zipfile.BadZipFile("x"), Code.DATA_CORRUPTED),
        (ValueError("x"), Code.INTERNAL_ERROR),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_library_exceptions_have_codes(exception, code):
    assert to_record(exception).code is code


class Model(BaseModel):
    width: int


@pytest.mark.parametrize(
    ("provoke", "code", "words"),
    [
        (lambda: json.loads("{"), Code.INVALID_ARGUMENT, "not valid JSON"),
        (lambda: b"\xff".decode("utf-8"), Code.INVALID_ARGUMENT, "utf-8"),
        (lambda: Model(width="wide"), Code.INVALID_ARGUMENT, "width: Input should be a valid integer"),  # pyright: ignore[reportArgumentType]
        (lambda: jmespath.compile("a["), Code.INVALID_ARGUMENT, "a["),
        (lambda: Image.open(io.BytesIO(b"no image")), Code.UNSUPPORTED_FILE_TYPE, "cannot identify"),
        (
            lambda: create_engine("sqlite:////no/such/folder/x.db").connect(),
            Code.UNAVAILABLE,
            "unable to open",
        ),
        (
            lambda: create_engine("sqlite://").connect().execute(text("selec 1")),
            Code.INVALID_ARGUMENT,
            "syntax",
        ),
        (lambda: httpx.get("http://127.0.0.1:1/"), Code.UNAVAILABLE, "refused"),
        (lambda: Path("/no/such/file").read_text(), Code.NOT_FOUND, "/no/such/file: there is no such file"),
    ],
)
def test_what_libraries_really_raise(provoke, code, words):
    with pytest.raises(Exception) as caught:
        provoke()
    record = to_record(caught.value)
    assert record.code is code
    assert words in record.message


def test_torch_out_of_memory():
    torch = pytest.importorskip("torch")
    assert to_record(torch.OutOfMemoryError("CUDA out of memory")).code is Code.RESOURCE_EXHAUSTED


def test_an_unknown_exception_is_judged_by_its_cause():
    class LibraryError(Exception):
        pass

    error = LibraryError("upload failed")
    error.__cause__ = ConnectionResetError(errno.ECONNRESET, "reset")
    assert to_record(error).code is Code.UNAVAILABLE
    group = ExceptionGroup("several", [RealmError(Code.ABORTED, "first"), ValueError("second")])
    assert to_record(group).message == "first"


def test_a_cause_that_points_to_itself_ends():
    error = ValueError("x")
    error.__cause__ = error
    assert to_record(error).code is Code.INTERNAL_ERROR


def test_the_map_loads_no_library():
    program = (
        "import sys, mirror_realm.tasks.exceptions as e; e.to_record(ValueError('x'));"
        "heavy = ('httpx', 'requests', 'botocore', 'sqlalchemy', 'PIL', 'torch', 'cv2');"
        "print([m for m in heavy if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"
    )


def test_every_rule_names_a_class_that_exists():
    """A renamed class would silently lose its rule. A few live only where the library is newer or older."""
    import importlib

    missing = []
    for name in RULES:
        module, _, cls = name.rpartition(".")
        try:
            loaded = importlib.import_module(module)
        except ImportError:
            continue
        found = getattr(loaded, cls, None)
        if found is None or f"{found.__module__}.{found.__qualname__}" not in (
            name,
            "torch.OutOfMemoryError",
        ):
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://ann:s3cret@db/x", "postgresql://ann:***@db/x"),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer ***"),
        ("https://h/?a=1&X-Amz-Signature=abc&b=2", "https://h/?a=1&X-Amz-Signature=***&b=2"),
        ('{"password": "p", "user": "u"}', '{"password": "***", "user": "u"}'),
        ("the basic idea: 12:30 at the bearer of news", "the basic idea: 12:30 at the bearer of news"),
    ],
)
def test_redaction(given, shown):
    assert redact(given) == shown


def test_settings_secrets_are_redacted_everywhere(monkeypatch):
    monkeypatch.setenv("MIRROR_REALM_S3_SECRET_KEY", "topsecretkey")
    monkeypatch.setenv("MIRROR_REALM_DATABASE_URL", "postgresql://ann:dbpassword@db/x")
    settings.cache_clear()
    error = RealmError(Code.ABORTED, "key topsecretkey", details={"deep": [{"a": "dbpassword!"}]})
    record = to_record(error)
    assert record.message == "key ***"
    assert record.details == {"deep": [{"a": "***!"}]}
    assert redact_tree({"n": 1, "t": ("a",)}) == {"n": 1, "t": ["a"]}


def test_a_name_that_is_no_utf_8_is_shown_with_the_way_out():
    with pytest.raises(UnicodeEncodeError) as caught:
        os.fsdecode(b"/nas/\xe7\x85\xa7\xff.jpg").encode()
    record = to_record(caught.value)
    assert (record.code, record.message) == (Code.INVALID_ARGUMENT, "not UTF-8: /nas/照\\xff.jpg")
    assert "rename" in (record.hint or "")
    with pytest.raises(UnicodeEncodeError) as caught:
        ("x" * 300 + "\udcfe\ud800" + "y" * 300).encode()
    assert to_record(caught.value).message == "not UTF-8: " + "x" * 60 + "\\xfe?" + "y" * 20
    with pytest.raises(UnicodeEncodeError) as caught:
        "照".encode("ascii")
    assert to_record(caught.value).hint == "choose utf-8"
