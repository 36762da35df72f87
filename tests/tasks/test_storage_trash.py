"""storage/trash and storage/restore: nothing is lost, overwritten or moved that was not decided about."""

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from mirror_realm.core.errors import Code
from mirror_realm.tasks import storage, storage_trash
from tests.running import Node

TRASH = Node(storage, "storage/trash")
RESTORE = Node(storage, "storage/restore")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "2024").mkdir(parents=True)
    for name in ("a 图.jpg", "2024/a 图.jpg", "b.jpg"):
        (folder / name).write_bytes(name.encode())
    return folder


def unwanted(*paths):
    return {
        "files": [{"file_path": str(p), "sha256": hashlib.sha256(p.read_bytes()).hexdigest()} for p in paths]
    }


def there(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.jpg")}


def test_files_go_and_come_back_with_their_times_and_folders(photos, tmp_path):
    before = there(photos)
    os.utime(photos / "b.jpg", (1_000_000_000, 1_000_000_000))
    parameters = {"folder": str(tmp_path / "trash"), "relative_to": str(photos)}
    given = unwanted(*sorted(photos.rglob("*.jpg")))
    gone = TRASH(parameters, given)
    assert (gone["count"], gone["bytes"], gone["left"]) == (3, sum(map(len, before.values())), [])
    assert there(photos) == {}
    again = TRASH(parameters, given)
    assert again == gone, "an attempt that is repeated finds its work done"
    assert RESTORE({}, {"manifest": gone["manifest"]})["count"] == 3
    assert there(photos) == before
    assert (photos / "b.jpg").stat().st_mtime == 1_000_000_000
    assert RESTORE({}, gone)["count"] == 3, "twice changes nothing more"


def test_equal_names_without_a_common_folder_do_not_meet(photos, tmp_path):
    given = unwanted(photos / "a 图.jpg", photos / "2024" / "a 图.jpg", photos / "b.jpg", photos / "b.jpg")
    gone = TRASH({"folder": str(tmp_path / "trash")}, given)
    assert gone["count"] == 3
    assert len({one["target"] for one in gone["moved"]}) == 3


def test_what_changed_or_is_gone_or_a_link_is_left_with_the_reason(photos, tmp_path):
    given = unwanted(photos / "a 图.jpg", photos / "b.jpg")
    (photos / "a 图.jpg").write_bytes(b"edited")
    (photos / "b.jpg").unlink()
    (photos / "link.jpg").symlink_to(photos / "2024" / "a 图.jpg")
    given["files"].append({"file_path": str(photos / "link.jpg")})
    gone = TRASH({"folder": str(tmp_path / "trash")}, given)
    assert gone["moved"] == []
    assert [one["reason"] for one in gone["left"]] == [
        "it has changed since this was decided", "it is gone", "it is a link",
    ]  # fmt: skip
    assert (photos / "a 图.jpg").read_bytes() == b"edited"


def test_a_place_that_is_taken_meanwhile_is_not_overwritten(photos, tmp_path):
    gone = TRASH({"folder": str(tmp_path / "trash")}, unwanted(photos / "b.jpg"))
    (photos / "b.jpg").write_bytes(b"new")
    back = RESTORE({}, gone)
    assert (back["count"], back["restored"]) == (0, [])
    assert "is taken" in back["left"][0]["reason"]
    assert (photos / "b.jpg").read_bytes() == b"new"
    assert there(tmp_path / "trash")


def test_another_disk_is_copied_to_and_checked_before_the_file_goes(photos, tmp_path, monkeypatch):
    class Disks:
        """The system's functions, on a machine where the trash is another disk."""

        utime = os.utime

        @staticmethod
        def link(*names, **options):
            raise OSError(errno.EXDEV, "another disk")

    os.utime(photos / "b.jpg", (1_000_000_000, 1_000_000_000))
    monkeypatch.setattr(storage_trash, "os", Disks)
    given = unwanted(photos / "b.jpg")
    gone = TRASH({"folder": str(tmp_path / "trash")}, given)
    target = gone["moved"][0]["target"]
    assert Path(target).read_bytes() == b"b.jpg"
    assert os.stat(target).st_mtime == 1_000_000_000
    assert not (photos / "b.jpg").exists()


def test_an_attempt_that_was_cut_off_is_taken_up(photos, tmp_path):
    given = unwanted(photos / "b.jpg", photos / "a 图.jpg")
    gone = TRASH({"folder": str(tmp_path / "trash")}, given)
    # As if the process had ended between copying the second file and removing it.
    second = gone["moved"][1]
    shutil.copyfile(second["target"], second["source"])
    assert TRASH({"folder": str(tmp_path / "trash")}, given) == gone
    assert not os.path.exists(second["source"])


def test_files_outside_the_roots_and_lists_that_are_none_are_refused(photos, tmp_path):
    assert TRASH.error({"folder": "/etc/trash"}, unwanted(photos / "b.jpg")).code is Code.PERMISSION_DENIED
    outside = {"files": [{"file_path": "/etc/hostname"}]}
    assert TRASH.error({"folder": str(tmp_path / "t")}, outside).code is Code.PERMISSION_DENIED
    (tmp_path / "manifest.json").write_text(json.dumps({"moved": [{"source": 1}]}))
    assert RESTORE.error({}, {"manifest": str(tmp_path / "manifest.json")}).code is Code.DATA_CORRUPTED
    assert RESTORE.error({}, {}).code is Code.INVALID_ARGUMENT
    forged = {"source": "/etc/passwd", "target": str(photos / "b.jpg"), "sha256": "0" * 64, "size": 1}
    assert RESTORE.error({}, {"moved": [forged]}).code is Code.PERMISSION_DENIED
    assert (photos / "b.jpg").exists()
