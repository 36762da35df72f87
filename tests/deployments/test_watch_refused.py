"""What a watch says of links, which it leaves alone, and of names that are not UTF-8, with which nodes fail."""

import logging
import os

import pytest

from tests.deployments import watches
from tests.deployments.watches import eventually, looks_again

folder, watching = watches.folder, watches.watching


@pytest.fixture
def said(caplog):
    """The warnings so far."""

    def lines():
        return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]

    return lines


def named(folder, name, content=b"picture"):
    with open(os.path.join(os.fsencode(folder), name), "wb") as file:
        file.write(content)


def test_a_link_is_told_of_once_with_the_ways_out(folder, watching, said, tmp_path):
    (tmp_path / "outside.jpg").write_bytes(b"outside")
    (folder / "link.jpg").symlink_to(tmp_path / "outside.jpg")
    (folder / "real.jpg").write_bytes(b"real")
    watch, receiver = watching()
    eventually(lambda: receiver.events)
    looks_again(watch, 5)
    assert receiver.names == ["real.jpg"]
    (line,) = said()
    assert line.startswith(
        f"{folder}/link.jpg: a symbolic link (to {tmp_path}/outside.jpg), which is not followed: "
    )
    assert "put the file itself there, or watch the folder that it points to" in line


def test_links_to_folders_to_nothing_and_to_themselves(folder, watching, said, tmp_path):
    (folder / "linked").symlink_to(tmp_path)
    (folder / "away").symlink_to("/media/unplugged")
    (folder / "loop").symlink_to("loop")
    watch, receiver = watching(patterns=["*.jpg"])
    eventually(lambda: watch.status.scans)
    looks_again(watch)
    assert sorted(line.partition(":")[0] for line in said()) == [
        f"{folder}/{name}" for name in ("away", "linked", "loop")
    ]
    assert not receiver.events


def test_a_link_that_would_not_be_taken_is_nothing_to_tell(folder, watching, said, tmp_path):
    (folder / ".hidden.jpg").symlink_to(tmp_path / "a.jpg")
    (folder / "@eaDir").symlink_to(tmp_path)
    (folder / "notes.txt").symlink_to(tmp_path / "notes.txt")
    (folder / "linked").symlink_to(tmp_path)
    watch, _ = watching(patterns=["*.jpg"], recursive=False)
    eventually(lambda: watch.status.scans)
    looks_again(watch)
    assert said() == []


def test_a_name_that_is_no_text_is_told_of_in_text(folder, watching, said):
    named(folder, "照".encode() + b"\xff\xe9.jpg")
    watch, receiver = watching()
    eventually(lambda: receiver.events)
    looks_again(watch, 5)
    (line,) = said()
    line.encode("utf-8")
    assert line.startswith(rf"{folder}/照\xff\xe9.jpg: a name that is not UTF-8, ")
    assert "rename it" in line
    assert "realm instances retry ID --input file_path=" in line


def test_a_folder_with_such_a_name_is_told_of_instead_of_all_that_is_in_it(folder, watching, said):
    os.mkdir(os.path.join(os.fsencode(folder), b"\xe9t\xe9"))
    for n in range(5):
        named(folder, b"\xe9t\xe9/%d.jpg" % n, b"%d" % n)
    watch, receiver = watching()
    eventually(lambda: len(receiver.events) == 5)
    looks_again(watch)
    (line,) = said()
    assert line.startswith(rf"{folder}/\xe9t\xe9: a name that is not UTF-8")


def test_a_name_that_would_not_be_taken_is_nothing_to_tell(folder, watching, said):
    named(folder, b"\xff.txt")
    named(folder, b".\xff.jpg")
    os.mkdir(os.path.join(os.fsencode(folder), b".\xff"))
    watch, _ = watching(patterns=["*.jpg"])
    eventually(lambda: watch.status.scans)
    looks_again(watch)
    assert said() == []


def test_of_many_the_first_few_and_how_many_more(folder, watching, said):
    for n in range(20):
        (folder / f"{n}.jpg").symlink_to("elsewhere.jpg")
    for n in range(10):
        named(folder, b"%d\xff.jpg" % n, b"%d" % n)
    watch, receiver = watching()
    eventually(lambda: len(receiver.events) == 10)
    looks_again(watch)
    lines = said()
    assert sum("(to elsewhere.jpg)" in line for line in lines) == 3
    assert sum(r"\xff.jpg: " in line for line in lines) == 3
    assert [line for line in lines if ".jpg" not in line] == [
        f"{folder}: 17 more symbolic links",
        f"{folder}: 7 more names that are not UTF-8",
    ]
    assert len(lines) == 8


def test_one_that_comes_later_and_one_that_comes_back_are_told_of(folder, watching, said):
    watch, _ = watching()
    eventually(lambda: watch.status.scans)
    assert said() == []
    (folder / "late.jpg").symlink_to("elsewhere.jpg")
    eventually(lambda: len(said()) == 1)
    (folder / "later.jpg").symlink_to("elsewhere.jpg")
    eventually(lambda: len(said()) == 2)
    (folder / "late.jpg").unlink()
    looks_again(watch)
    (folder / "late.jpg").symlink_to("elsewhere.jpg")
    eventually(lambda: len(said()) == 3)
    looks_again(watch)
    assert len(said()) == 3


def test_a_folder_that_was_away_for_a_while_is_no_news(folder, watching, said):
    (folder / "link.jpg").symlink_to("elsewhere.jpg")
    watch, _ = watching()
    eventually(lambda: len(said()) == 1)
    away = folder.with_name("unplugged")
    folder.rename(away)
    eventually(lambda: watch.status.missing)
    away.rename(folder)
    eventually(lambda: not watch.status.missing)
    looks_again(watch)
    assert sum("link.jpg" in line for line in said()) == 1
