"""S3 through boto3, against a real S3 server (moto), a stalled one and failing ones; the folder obeys the
same contract."""

from __future__ import annotations

import hashlib
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from mirror_realm.blocks.atomic import atomic_file, copy_atomically
from mirror_realm.blocks.objectstore import LocalObjectStore, open_object_store
from mirror_realm.blocks.s3 import S3ObjectStore, decode_metadata, encode_metadata
from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.settings import Settings


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def s3(endpoint: str, **options) -> S3ObjectStore:
    given = Settings(s3_endpoint=endpoint, s3_access_key="key", s3_secret_key="secret")  # pyright: ignore[reportCallIssue]
    return S3ObjectStore.from_settings(given, **options)


@pytest.fixture(params=["s3", "local-folder"])
def store(request, tmp_path):
    if request.param == "s3":
        return s3(request.getfixturevalue("endpoint"))
    return LocalObjectStore(tmp_path / "objects")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def put(tmp_path):
    def _put(store, key: str, data: bytes, **more):
        path = tmp_path / "source"
        path.write_bytes(data)
        more.setdefault("media_type", "image/jpeg")
        return store.put_file(more.pop("bucket", "photos"), key, path, sha256=digest(data), **more)

    return _put


def test_what_is_stored_comes_back(store, put, tmp_path):
    key = "year=2024/month=03/照片 1 #?%41.jpg"
    stored = put(store, key, b"picture", metadata={"processed_by": "mirror-realm", "camera": "相机"})
    assert stored.created
    assert stored.size == 7
    found = store.head("photos", key)
    assert found.sha256 == digest(b"picture")
    assert found.metadata == {"processed_by": "mirror-realm", "camera": "相机"}
    store.fetch_file(stored.uri, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"picture"
    assert store.delete("photos", key)
    assert not store.delete("photos", key)
    assert store.head("photos", key) is None
    with pytest.raises(RealmError) as caught:
        store.fetch_file(stored.uri, tmp_path / "again")
    assert caught.value.code is Code.NOT_FOUND
    assert not (tmp_path / "again").exists()


def test_the_same_bytes_are_not_written_twice_and_others_only_when_allowed(store, put):
    assert put(store, "same.jpg", b"one").created
    assert not put(store, "same.jpg", b"one").created
    with pytest.raises(RealmError) as caught:
        put(store, "same.jpg", b"two", overwrite=False)
    assert caught.value.code is Code.ALREADY_EXISTS
    assert store.head("photos", "same.jpg").sha256 == digest(b"one")
    assert put(store, "same.jpg", b"two").created
    assert store.head("photos", "same.jpg").sha256 == digest(b"two")


def test_a_missing_bucket_is_made_only_when_allowed(endpoint, put, tmp_path):
    closed = [s3(endpoint, create_buckets=False), LocalObjectStore(tmp_path / "o", create_buckets=False)]
    for store in closed:
        with pytest.raises(RealmError) as caught:
            put(store, "a", b"x", bucket="unheard-of")
        assert caught.value.code is Code.NOT_FOUND
    assert put(s3(endpoint), "a", b"x", bucket="unheard-of").created


def test_large_objects_go_up_in_parts(endpoint, put, tmp_path):
    store = s3(endpoint, part_size=5 << 20)
    data = os.urandom(11 << 20)
    stored = put(store, "large.bin", data, metadata={"k": "v"})
    found = store.head("photos", "large.bin")
    assert (found.size, found.sha256, found.metadata) == (len(data), digest(data), {"k": "v"})
    store.fetch_file(stored.uri, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    path = tmp_path / "changing"
    path.write_bytes(data)
    with pytest.raises(RealmError) as caught:
        store.put_file("photos", "changed.bin", path, sha256=digest(b"other"), media_type="x/y")
    assert caught.value.code is Code.DATA_CORRUPTED
    assert store.head("photos", "changed.bin") is None
    assert "Uploads" not in store._client.list_multipart_uploads(Bucket="photos")


def test_an_object_that_others_put_there_is_recognised_by_its_bytes(endpoint, put):
    store = s3(endpoint)
    put(store, "any", b"x")
    store._client.put_object(Bucket="photos", Key="foreign.jpg", Body=b"picture")
    assert not put(store, "foreign.jpg", b"picture").created
    with pytest.raises(RealmError):
        put(store, "foreign.jpg", b"PICTURE", overwrite=False)


def test_bytes_changed_by_hand_are_found_out(endpoint, put, tmp_path):
    store = s3(endpoint)
    stored = put(store, "damaged", b"right")
    store._client.put_object(
        Bucket="photos", Key="damaged", Body=b"wrong", Metadata={"sha256": digest(b"right")}
    )
    with pytest.raises(RealmError) as caught:
        store.fetch_file(stored.uri, tmp_path / "back")
    assert caught.value.code is Code.DATA_CORRUPTED
    assert not (tmp_path / "back").exists()


def test_wrong_names_are_refused(store, put):
    with pytest.raises(RealmError) as caught:
        put(store, "a", b"x", bucket="Not/A_Bucket")
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("value", ["相机", " padded ", "line\nbreak", "=?x", "plain", "", "é" * 300])
def test_metadata_survives_as_ascii(value):
    encoded = encode_metadata({"Name": value})
    assert encoded["name"].isascii()
    assert "\n" not in encoded["name"]
    assert decode_metadata(encoded) == {"name": value}


def test_unusable_metadata_is_refused():
    with pytest.raises(RealmError, match="INVALID_ARGUMENT"):
        encode_metadata({"two words": "x"})
    with pytest.raises(RealmError, match="OUT_OF_RANGE"):
        encode_metadata({"a": "x" * 3000})


def test_nobody_there(put):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(RealmError) as caught:
        put(s3(address, attempts=1), "a", b"x")
    assert caught.value.code is Code.UNAVAILABLE
    assert address in caught.value.record.message
    assert "MIRROR_REALM_S3_ENDPOINT" in (caught.value.hint or "")


def test_a_stalled_server_is_given_up(put):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)  # connections are taken by the kernel and never answered
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(RealmError) as caught:
            put(s3(address, read_timeout=0.2, attempts=2), "a", b"x")
    assert caught.value.code is Code.UNAVAILABLE
    assert address in caught.value.record.message


class FailingS3(http.server.BaseHTTPRequestHandler):
    """Accepts the start of a multipart upload, then fails; notes what it was asked."""

    asked: list[str]

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.server.asked.append(f"{self.command} {self.path.partition('?')[2].split('&')[0]}")  # pyright: ignore[reportAttributeAccessIssue]
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        self._answer(404)

    def do_PUT(self):
        self._answer(500, b"<Error><Code>InternalError</Code><Message>broken</Message></Error>")

    def do_POST(self):
        ns = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        self._answer(
            200,
            f"<InitiateMultipartUploadResult {ns}><UploadId>u1</UploadId>"
            "</InitiateMultipartUploadResult>".encode(),
        )

    def do_DELETE(self):
        self._answer(204)

    def log_message(self, *args):
        pass


@pytest.fixture
def failing():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FailingS3)
    server.asked = []  # pyright: ignore[reportAttributeAccessIssue]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_failing_server_is_named_and_no_half_object_stays(failing, put):
    address = f"http://127.0.0.1:{failing.server_port}"
    with pytest.raises(RealmError) as caught:
        put(s3(address, attempts=1, part_size=4), "a", b"0123456789")
    assert caught.value.code is Code.DEPENDENCY_FAILURE
    assert address in caught.value.record.message
    assert "DELETE uploadId=u1" in failing.asked


def test_without_an_endpoint_a_folder_stands_in(tmp_path):
    assert open_object_store(Settings(home=tmp_path)).kind == "local-folder"
    assert open_object_store(Settings(home=tmp_path, s3_endpoint="http://h")).kind == "s3"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def test_a_copy_is_complete_or_absent(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    with pytest.raises(RealmError, match="DATA_CORRUPTED"):
        copy_atomically(source, target, sha256=digest(b"other"))
    with pytest.raises(RealmError, match="ALREADY_EXISTS"):
        copy_atomically(source, target, overwrite=False)
    with pytest.raises(TypeError), atomic_file(target) as file:
        file.writelines([b"half", "no bytes"])  # pyright: ignore[reportArgumentType]
    assert target.read_bytes() == b"old"
    copy_atomically(source, target, sha256=digest(b"new"))
    assert target.read_bytes() == b"new"
    assert files(tmp_path) == [source, target]


def test_without_unnamed_files_a_copy_is_atomic_too(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    test_a_copy_is_complete_or_absent(tmp_path)


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="unnamed files are Linux's")
def test_a_killed_writer_leaves_nothing(tmp_path):
    program = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from mirror_realm.blocks.atomic import atomic_file\n"
        f"with atomic_file(Path({str(tmp_path / 'target')!r})) as file:\n"
        "    file.write(b'half'); file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert files(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="unnamed files are Linux's")
def test_what_a_writer_killed_while_replacing_left_goes_with_the_next(tmp_path):
    target = tmp_path / ("é" * 127)  # 254 bytes: no room for anything more in the name
    target.write_bytes(b"old")
    program = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from mirror_realm.blocks.atomic import atomic_file\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"with atomic_file(Path({str(target)!r})) as file:\n"
        "    file.write(b'new')\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    assert [p.suffix for p in files(tmp_path) if p != target] == [".part"]
    with atomic_file(target) as file:
        file.write(b"newer")
    assert target.read_bytes() == b"newer"
    assert files(tmp_path) == [target]


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="unnamed files are Linux's")
def test_many_writers_that_replace_one_file_at_once_leave_it_whole(tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"0" * 1000)

    def write(letter: int) -> None:
        for _ in range(50):
            with atomic_file(target) as file:
                file.write(bytes([letter]) * 1000)

    threads = [threading.Thread(target=write, args=(ord("a") + index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert len(set(target.read_bytes())) == 1
    assert len(target.read_bytes()) == 1000
    assert files(tmp_path) == [target]


def test_a_write_that_finds_no_room_names_the_file(tmp_path):
    program = (
        "import resource\n"
        "from pathlib import Path\n"
        "from mirror_realm.blocks.atomic import atomic_file\n"
        "from mirror_realm.tasks.exceptions import to_record\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        f"    with atomic_file(Path({str(tmp_path / 'target')!r})) as file:\n"
        "        file.write(b'x' * 100_000)\n"
        "except OSError as error:\n"
        "    print(to_record(error).code, to_record(error).message)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    assert told.startswith(f"RESOURCE_EXHAUSTED {tmp_path / 'target'}: ")
    assert files(tmp_path) == []


def test_two_writers_of_one_name_without_overwrite(tmp_path):
    target = tmp_path / "target"
    sources: list[Path] = []
    for index in range(8):
        sources.append(tmp_path / f"s{index}")
        sources[-1].write_bytes(str(index).encode() * 1000)
    results: list[bool] = []

    def write(source: Path) -> None:
        try:
            copy_atomically(source, target, overwrite=False)
            results.append(True)
        except RealmError:
            results.append(False)

    threads = [threading.Thread(target=write, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]
    assert len(set(target.read_bytes())) == 1
