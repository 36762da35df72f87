"""storage/delete: takes back what was stored, and no more."""

import pytest

from mirror_realm.core.errors import Code
from mirror_realm.core.references import local_path
from mirror_realm.tasks import storage
from tests.running import Node, artifact

DELETE = Node(storage, "storage/delete")
STORE = Node(storage, "storage/minio")


@pytest.fixture
def kept(tmp_path):
    return artifact(b"bytes", "a.bin", tmp_path)


def put(kept):
    return STORE(
        {"bucket": "things", "path_template": "{filename}", "include_metadata": True}, {"file": kept, "n": 1}
    )


def test_it_takes_a_storage_nodes_output_as_it_is(kept):
    stored = put(kept)
    gone = DELETE({}, stored)
    assert gone["deleted"] == [stored["uri"], stored["metadata_uri"]]
    assert not local_path(stored["uri"]).exists()
    again = DELETE({}, stored)
    assert (again["deleted"], again["missing"]) == ([], gone["deleted"])
    assert DELETE.error({"missing": "fail"}, stored).code is Code.NOT_FOUND


def test_what_was_there_before_stays(kept):
    put(kept)
    second = put(kept)
    assert DELETE({}, second)["kept"] == [second["uri"]]
    assert local_path(second["uri"]).exists()
    assert DELETE({"only_created": False}, second)["deleted"] == [second["uri"]]


def test_a_file_of_a_folder(tmp_path):
    file = tmp_path / "有 space.txt"
    file.write_text("x")
    assert DELETE({}, {"uri": file.as_uri()})["deleted"] == [file.as_uri()]
    assert not file.exists()


def test_artifacts_and_foreign_files_are_refused(kept):
    assert DELETE.error({}, {"uri": kept["uri"]}).code is Code.PERMISSION_DENIED
    assert DELETE.error({}, {"uri": "file:///etc/hostname"}).code is Code.PERMISSION_DENIED
    assert DELETE.error({}, {}).code is Code.INVALID_ARGUMENT
