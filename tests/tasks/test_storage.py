"""storage/*: keys, conflicts, verification, and what is said about where a file went."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from mirror_realm.core.errors import Code
from mirror_realm.core.settings import settings
from mirror_realm.tasks import storage
from tests.running import Node, artifact

minio, s3, local = (Node(storage, f"storage/{name}") for name in ("minio", "s3", "local"))


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def endpoint(server, monkeypatch):
    use_endpoint(monkeypatch, server)
    return server


def use_endpoint(monkeypatch, url: str) -> None:
    for name, value in {"ENDPOINT": url, "ACCESS_KEY": "key", "SECRET_KEY": "secret-key"}.items():
        monkeypatch.setenv(f"MIRROR_REALM_S3_{name}", value)
    settings.cache_clear()


def photo(folder, data: bytes = b"jpeg bytes", name: str = "照片 1.jpg", **more) -> dict:
    reference = artifact(data, name, folder, "image/jpeg")
    return {**reference, "width": 3000, "height": 2000, "captured_at": "2024-03-07T08:09:10", **more}


TEMPLATE = "year={year}/month={month}/{filename}"


def test_the_seeds_parameters_on_a_real_s3_server(endpoint, tmp_path):
    parameters = {
        "bucket": "processed-photos",
        "path_template": TEMPLATE,
        "metadata": {"processed_by": "mirror-realm-amp", "camera": "相机"},
    }
    given = photo(tmp_path)
    output = minio(parameters, {"image": given, "quality": 0.9})
    assert output["uri"] == "s3://processed-photos/year=2024/month=03/照片 1.jpg"
    assert output["key"] == "year=2024/month=03/照片 1.jpg"
    assert (output["bucket"], output["backend"], output["created"]) == ("processed-photos", "s3", True)
    assert output["sha256"] == given["sha256"]
    assert output["image"]["uri"] == given["uri"]
    assert output["archived_path"] is None
    assert output["note"] is None
    assert s3(parameters, {"image": given})["created"] is False


def test_without_an_endpoint_a_folder_stands_in_and_says_so(home, tmp_path):
    output = minio({"bucket": "processed-photos", "path_template": TEMPLATE}, {"image": photo(tmp_path)})
    archived = home / "objects" / "processed-photos" / "year=2024" / "month=03" / "照片 1.jpg"
    assert output["backend"] == "local-folder"
    assert output["archived_path"] == str(archived)
    assert "MIRROR_REALM_S3_ENDPOINT" in output["note"]
    assert archived.read_bytes() == b"jpeg bytes"
    assert list(home.rglob("*.part")) == []


@pytest.fixture(params=["s3", "local-folder", "folder"])
def put(request, tmp_path):
    """Store under one key through each backend: ``put(data, on_conflict) -> outcome``."""
    if request.param == "s3":
        request.getfixturevalue("endpoint")
    node = local if request.param == "folder" else minio
    place = (
        {"folder": str(tmp_path / "archive")}
        if request.param == "folder"
        else {"bucket": f"b-{tmp_path.name[-20:].replace('_', '-').strip('-').lower()}"}
    )

    def _put(data: bytes, on_conflict: str = "rename", **more):
        parameters = {**place, "path_template": "a/{filename}", "on_conflict": on_conflict, **more}
        return node.outcome(
            parameters, {"image": photo(tmp_path, data, "p.jpg"), "tags": ["cat"], "score": 3}
        )

    return _put


def test_the_same_bytes_are_archived_once(put):
    assert put(b"one").output["created"] is True
    again = put(b"one").output
    assert (again["key"], again["created"]) == ("a/p.jpg", False)


def test_other_bytes_are_renamed_by_default(put):
    first, second = put(b"one").output, put(b"two").output
    assert first["key"] == "a/p.jpg"
    assert second["key"] == f"a/p-{second['sha256'][:8]}.jpg"
    assert put(b"two").output["created"] is False
    assert put(b"one").output["key"] == "a/p.jpg"


def test_other_bytes_may_be_refused_overwritten_or_skipped(put):
    first = put(b"one").output
    error = put(b"two", "fail").error
    assert error["code"] == "ALREADY_EXISTS"
    assert "a/p.jpg is taken" in error["message"]
    skipped = put(b"two", "skip").output
    assert (skipped["key"], skipped["sha256"], skipped["created"]) == ("a/p.jpg", first["sha256"], False)
    replaced = put(b"two", "overwrite").output
    assert (replaced["key"], replaced["created"]) == ("a/p.jpg", True)
    assert put(b"two").output["created"] is False


def test_the_analysis_can_lie_beside_the_file(put):
    output = put(b"one", include_metadata=True).output
    assert output["metadata_uri"] == output["uri"] + ".json"
    if output["archived_path"]:
        assert json.loads(Path(output["archived_path"] + ".json").read_text()) == {
            "score": 3,
            "tags": ["cat"],
        }


def test_two_pictures_of_one_name_at_once_are_both_kept(tmp_path):
    outputs: list[dict] = []
    given = [photo(tmp_path, data, "same.jpg") for data in (b"first", b"second", b"third")]
    threads = [
        threading.Thread(
            target=lambda image=image: outputs.append(minio({"bucket": "photos"}, {"image": image}))
        )
        for image in given
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({output["key"] for output in outputs}) == 3
    assert {Path(output["archived_path"]).read_bytes() for output in outputs} == {
        b"first",
        b"second",
        b"third",
    }


def test_files_without_an_image(tmp_path):
    files = [artifact(b"one", "a.txt", tmp_path), artifact(b"two", "b.txt", tmp_path)]
    output = minio({"bucket": "docs"}, {"file": files[0], "files": files})
    assert [found["key"] for found in output["objects"]] == ["a.txt", "a.txt", "b.txt"]
    assert [found["created"] for found in output["objects"]] == [True, False, True]
    assert output["image"] is None


def test_nothing_to_store(tmp_path):
    record = minio.error({"bucket": "photos"}, {"text": "x"})
    assert record.code is Code.INVALID_ARGUMENT
    assert "it has text" in record.message


def test_parameters_are_checked(tmp_path):
    image = {"image": photo(tmp_path)}
    assert (
        "did you mean {year}?"
        in minio.error({"bucket": "b", "path_template": "{yaer}/{filename}"}, image).message
    )
    assert minio.error({"bucket": "b", "path_template": "../{filename}"}, image).code is Code.INVALID_ARGUMENT
    assert minio.error({"bucket": "../b"}, image).code is Code.INVALID_ARGUMENT
    assert local.error({"folder": "/etc/archive"}, image).code is Code.PERMISSION_DENIED
    no_width = minio.error(
        {"bucket": "b", "path_template": "{width}"}, {"file": artifact(b"x", "x", tmp_path)}
    )
    assert "has no width" in no_width.message


def test_a_missing_bucket_may_be_an_error(endpoint, tmp_path):
    given = {"image": photo(tmp_path)}
    record = minio.error({"bucket": "never-made", "create_bucket": False}, given)
    assert record.code is Code.NOT_FOUND
    assert "create_bucket" in (record.hint or "")


def test_a_changed_or_missing_artifact_is_not_archived(tmp_path, home):
    given = photo(tmp_path)
    stored = next((home / "artifacts").rglob("*.jpg"))
    stored.write_bytes(b"JPEG BYTES")
    assert minio.error({"bucket": "photos"}, {"image": given}).code is Code.DATA_CORRUPTED
    stored.unlink()
    assert minio.error({"bucket": "photos"}, {"image": given}).code is Code.NOT_FOUND
    assert not (home / "objects").exists()


def test_a_stalled_endpoint_is_named(tmp_path, monkeypatch):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        use_endpoint(monkeypatch, f"http://127.0.0.1:{listening.getsockname()[1]}")
        record = minio.error({"bucket": "photos", "timeout": 0.1}, {"image": photo(tmp_path)})
    assert record.code is Code.UNAVAILABLE
    assert record.details["endpoint"] in record.message


def test_a_full_or_read_only_folder_is_told(tmp_path, monkeypatch):
    blocker = tmp_path / "archive"
    blocker.write_text("a file where the folder should be")
    record = local.error({"folder": str(blocker)}, {"image": photo(tmp_path)})
    assert record.code in (Code.ALREADY_EXISTS, Code.INVALID_ARGUMENT)
    assert str(blocker) in record.message
