"""data/file-read and data/file-write: formats, encodings, limits, confinement, atomicity."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from mirror_realm.core.errors import Code
from mirror_realm.core.settings import settings
from mirror_realm.tasks import data
from tests.running import Node, artifact

read, write = Node(data, "data/file-read"), Node(data, "data/file-write")

ROWS = [{"name": "照片", "n": 1, "tags": ["a"]}, {"name": "two\nlines", "n": None, "tags": []}]


@pytest.mark.parametrize("extension", ["json", "jsonl", "ndjson"])
def test_what_is_written_is_read(tmp_path, extension):
    path = tmp_path / "new" / "folder" / f"数据.{extension}"
    written = write({"path": str(path)}, {"data": ROWS})
    assert written["path"] == str(path)
    assert written["file"]["size"] == path.stat().st_size
    assert read({"path": str(path)})["data"] == ROWS
    assert read({}, {"file": written["file"]})["data"] == ROWS


def test_csv_is_text(tmp_path):
    path = tmp_path / "a.csv"
    assert write({"path": str(path), "delimiter": ";"}, {"data": ROWS})["rows"] == 2
    expected = [{"name": "照片", "n": "1", "tags": '["a"]'}, {"name": "two\nlines", "n": "", "tags": "[]"}]
    found = read({"path": str(path), "delimiter": ";"})
    assert (found["data"], found["rows"], found["format"]) == (expected, 2, "csv")
    assert read({"path": str(path), "delimiter": ";", "header": False, "limit": 1})["data"] == [
        ["name", "n", "tags"]
    ]
    write({"path": str(path), "columns": ["n"]}, {"data": ROWS})
    assert path.read_text().splitlines() == ["n", "1", '""']


def test_encodings(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "照片".encode())
    assert read({"path": str(path)})["data"] == "照片"
    path.write_bytes("照片".encode("gb18030"))
    assert read({"path": str(path), "encoding": "gb18030"})["data"] == "照片"
    assert read.error({"path": str(path)}).code is Code.INVALID_ARGUMENT
    assert "klingon" in read.error({"path": str(path), "encoding": "klingon"}).message
    write({"path": str(path), "encoding": "utf-8-sig", "data": "é"})
    assert path.read_bytes() == b"\xef\xbb\xbf\xc3\xa9"
    assert write.error({"path": str(path), "encoding": "ascii", "data": "é"}).code is Code.INVALID_ARGUMENT
    assert path.read_bytes() == b"\xef\xbb\xbf\xc3\xa9"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", '{"a": 1,}', "a.json is not valid JSON"),
        ("a.json", "[NaN]", "NaN is not JSON"),
        ("a.json", "[" * 100_000, "a.json is not valid JSON"),
        ("a.jsonl", '{"a": 1}\n\nnope\n', "a.jsonl, line 3, is not valid JSON"),
        ("a.csv", "a,b\n1,2\n1,2,3\n", "a.csv, line 3: 3 cells under 2 columns"),
        ("a.csv", "a,a\n1,2\n", "two columns named 'a'"),
        ("a.csv", 'a\n"x', "a.csv, line 2, is not valid CSV"),
    ],
)
def test_faults_in_files_have_a_place(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    record = read.error({"path": str(tmp_path / name)})
    assert record.code is Code.INVALID_ARGUMENT
    assert words in record.message


@pytest.mark.parametrize("extension", ["json", "jsonl", "csv", "txt"])
def test_what_does_not_fit_comes_as_a_reference(tmp_path, monkeypatch, extension):
    monkeypatch.setenv("MIRROR_REALM_MAX_PAYLOAD_BYTES", "20000")
    settings.cache_clear()
    rows = [{"n": index, "text": "x" * 50} for index in range(1000)]
    path = tmp_path / f"large.{extension}"
    content = "\n".join(map(json.dumps, rows)) if extension == "txt" else rows
    _write(path, content, extension)
    found = read({"path": str(path)})
    assert found["data"] is None
    assert found["truncated"] is True
    assert found["preview"]
    assert found["file"]["size"] == path.stat().st_size
    if extension in ("jsonl", "csv"):
        assert len(found["preview"]) == 20
        assert len(read({"path": str(path), "limit": 5})["data"]) == 5


def _write(path: Path, content, extension: str) -> None:
    lines = {
        "json": lambda: json.dumps(content),
        "jsonl": lambda: "\n".join(map(json.dumps, content)),
        "csv": lambda: "n,text\n" + "\n".join(f"{row['n']},{row['text']}" for row in content),
        "txt": lambda: content,
    }
    path.write_text(lines[extension]())


def test_paths_are_confined(tmp_path):
    assert read.error({"path": "/etc/passwd"}).code is Code.PERMISSION_DENIED
    assert write.error({"path": "/etc/new", "data": "x"}).code is Code.PERMISSION_DENIED
    (tmp_path / "link").symlink_to("/etc")
    assert read.error({"path": str(tmp_path / "link" / "passwd")}).code is Code.PERMISSION_DENIED
    assert write.error({"path": str(tmp_path / "link" / "new"), "data": "x"}).code is Code.PERMISSION_DENIED
    assert read.error({"path": f"{tmp_path}/../../etc/passwd"}).code is Code.PERMISSION_DENIED


def test_missing_and_wrong_things(tmp_path):
    assert read.error({"path": str(tmp_path / "none")}).code is Code.NOT_FOUND
    assert read.error({"path": str(tmp_path)}).code is Code.INVALID_ARGUMENT
    assert read.error({}).code is Code.INVALID_ARGUMENT
    assert write.error({"path": str(tmp_path), "data": "x"}).code is Code.INVALID_ARGUMENT
    assert write.error({"path": str(tmp_path / "a.csv"), "data": {"a": 1}}).code is Code.INVALID_ARGUMENT
    assert write.error({"path": str(tmp_path / "a.csv"), "data": [1]}).code is Code.INVALID_ARGUMENT
    assert write.error({"path": str(tmp_path / "a.txt"), "data": [1]}).code is Code.INVALID_ARGUMENT


def test_an_existing_file_can_be_protected(tmp_path):
    path = tmp_path / "a.txt"
    write({"path": str(path), "data": "one"})
    assert write.error({"path": str(path), "data": "two", "overwrite": False}).code is Code.ALREADY_EXISTS
    assert path.read_text() == "one"
    write({"path": str(path), "data": "two"})
    assert path.read_text() == "two"


def test_without_data_the_whole_input_is_written(tmp_path):
    path = tmp_path / "a.json"
    write({"path": str(path), "indent": None}, {"score": 1, "tags": []})
    assert path.read_text() == '{"score": 1, "tags": []}'
    write({"path": str(path), "indent": None}, {"data": None, "score": 1})
    assert path.read_text() == "null"


def test_a_file_of_an_earlier_node(tmp_path):
    reference = artifact(b'{"a": 1}', "given.json", tmp_path)
    found = read({}, {"file": reference})
    assert (found["data"], found["format"]) == ({"a": 1}, "json")


def test_parquet_where_pyarrow_is_and_a_clear_error_where_not(tmp_path):
    path = tmp_path / "a.parquet"
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        record = write.error({"path": str(path)}, {"data": [{"a": 1}]})
        assert record.code is Code.FAILED_PRECONDITION
        assert "pyarrow" in record.message
        path.write_bytes(b"PAR1")
        assert "pyarrow" in read.error({"path": str(path)}).message
    else:
        rows = [{"a": 1, "b": "照"}, {"a": 2, "b": None}]
        assert write({"path": str(path)}, {"data": rows})["rows"] == 2
        assert read({"path": str(path)})["data"] == rows


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@profile(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(values, max_size=5))
def test_any_json_survives(tmp_path, rows):
    for extension in ("json", "jsonl"):
        path = tmp_path / f"a.{extension}"
        write({"path": str(path)}, {"data": rows})
        assert read({"path": str(path)})["data"] == rows
