"""The filesystem trigger on real files, in real time."""

import logging
import os
import threading
import time

import pytest

from mirror_realm.core.references import local_path
from mirror_realm.deployments.watch import FolderWatch, WatchConfig
from mirror_realm.deployments.watch_tree import Changed, Signature, Stopped, digest
from tests.deployments import watches
from tests.deployments.watches import eventually, looks_again, sha

folder, watching = watches.folder, watches.watching


def test_a_new_file_is_handed_over_with_what_it_contains(folder, watching):
    _, receiver = watching()
    (folder / "a.jpg").write_bytes(b"picture")
    eventually(lambda: receiver.events)
    event = receiver.events[0]
    assert (event.path, event.event, event.size, event.sha256) == (
        str(folder / "a.jpg"),
        "create",
        7,
        sha(b"picture"),
    )
    assert event.mtime_ns == (folder / "a.jpg").stat().st_mtime_ns
    assert event.file == folder / "a.jpg"
    assert event.detected_at.tzinfo is not None


def test_files_that_were_there_are_taken_the_same_way(folder, watching):
    for n in range(3):
        (folder / f"{n}.jpg").write_bytes(b"%d" % n)
    _, receiver = watching()
    eventually(lambda: receiver.names == ["0.jpg", "1.jpg", "2.jpg"])


def test_files_that_were_there_can_be_left_alone(folder, watching):
    (folder / "old.jpg").write_bytes(b"old")
    watch, receiver = watching(existing=False)
    eventually(lambda: watch.status.scans)
    (folder / "new.jpg").write_bytes(b"new")
    eventually(lambda: receiver.events)
    looks_again(watch)
    assert receiver.names == ["new.jpg"]


def test_a_slowly_growing_file_is_taken_once_and_whole(folder, watching):
    """A writer that appends every 0.3 s: each gap is shorter than ``settle``."""
    watch, receiver = watching(settle=1.0)
    with (folder / "slow.mp4").open("wb", buffering=0) as file:
        for n in range(10):
            file.write(bytes([n]) * 1000)
            assert not receiver.events
            time.sleep(0.3)  # the writer's own pace
    eventually(lambda: receiver.events)
    looks_again(watch)
    assert [(e.size, e.sha256) for e in receiver.events] == [
        (10_000, sha(b"".join(bytes([n]) * 1000 for n in range(10))))
    ]


def test_a_restart_takes_and_reads_nothing_twice(folder, watching):
    for n in range(20):
        (folder / f"{n}.jpg").write_bytes(b"%d" % n)
    watch, receiver = watching()
    eventually(lambda: len(receiver.events) == 20)
    watch.stop()
    (folder / "meanwhile.jpg").write_bytes(b"dropped while nobody watched")
    times = {path: path.stat().st_atime_ns for path in folder.iterdir()}
    again, second = watching(memory=receiver.memory)
    eventually(lambda: second.events)
    looks_again(again)
    assert second.names == ["meanwhile.jpg"]
    assert not second.duplicates
    assert {p: p.stat().st_atime_ns for p in times if p.name != "meanwhile.jpg"} == {
        p: t for p, t in times.items() if p.name != "meanwhile.jpg"
    }, "a known file was read again"


def test_moved_files_and_copies_are_not_taken_again(folder, watching):
    watch, receiver = watching()
    (folder / "a.jpg").write_bytes(b"same")
    eventually(lambda: receiver.events)
    (folder / "a.jpg").rename(folder / "b.jpg")
    (folder / "sub").mkdir()
    (folder / "sub" / "copy.jpg").write_bytes(b"same")
    eventually(lambda: len(receiver.duplicates) == 2)
    looks_again(watch)
    assert receiver.names == ["a.jpg"]
    assert sorted(os.path.basename(event.path) for event in receiver.duplicates) == ["b.jpg", "copy.jpg"]
    assert watch.status.duplicates == 2


def test_copies_dropped_together_are_taken_once(folder, watching):
    for n in range(10):
        (folder / f"{n}.jpg").write_bytes(b"the same")
    _, receiver = watching()
    eventually(lambda: len(receiver.duplicates) == 9)
    assert len(receiver.events) == 1


def test_a_changed_file_is_taken_where_the_trigger_says_so(folder, watching):
    watch, receiver = watching(events=["create", "modify"])
    (folder / "a.txt").write_bytes(b"one")
    eventually(lambda: len(receiver.events) == 1)
    (folder / "a.txt").write_bytes(b"two, longer")
    eventually(lambda: len(receiver.events) == 2)
    os.utime(folder / "a.txt", (1, 1))  # touched, not changed
    eventually(lambda: receiver.memory.files[str(folder / "a.txt")].mtime_ns == 10**9)
    looks_again(watch)
    assert [(e.event, e.sha256) for e in receiver.events] == [
        ("create", sha(b"one")),
        ("modify", sha(b"two, longer")),
    ]
    assert not receiver.duplicates


def test_a_changed_file_is_left_alone_by_default_and_its_content_stays_new(folder, watching, caplog):
    watch, receiver = watching()
    (folder / "a.txt").write_bytes(b"one")
    eventually(lambda: receiver.events)
    with caplog.at_level(logging.INFO, logger="mirror_realm.deployments"):
        (folder / "a.txt").write_bytes(b"two")
        eventually(lambda: "modify is not among" in caplog.text)
    looks_again(watch)
    assert len(receiver.events) == 1
    (folder / "elsewhere.txt").write_bytes(b"two")
    eventually(lambda: len(receiver.events) == 2)


def test_unfinished_hidden_and_housekeeping_names_are_passed_over(folder, watching):
    for name in (".hidden.jpg", "x.part", "x.TMP", "x.crdownload", "x.jpg~", "Thumbs.db", ".DS_Store"):
        (folder / name).write_bytes(name.encode())
    for inside in ("@eaDir", "#recycle", ".snapshot", "sub/@eaDir"):
        (folder / inside).mkdir(parents=True)
        (folder / inside / "thumb.jpg").write_bytes(inside.encode())
    (folder / "sub" / "real.jpg").write_bytes(b"real")
    watch, receiver = watching()
    eventually(lambda: receiver.events)
    (folder / "@eaDir" / "later.jpg").write_bytes(b"later")
    (folder / "whole.part").write_bytes(b"whole")
    (folder / "whole.part").rename(folder / "whole.jpg")
    eventually(lambda: len(receiver.events) == 2)
    looks_again(watch)
    assert receiver.names == ["real.jpg", "whole.jpg"]


def test_patterns_and_own_ignores(folder, watching):
    for name in ("a.JPG", "b.png", "c.txt", "drafts/d.jpg", "final/e.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode())
    watch, receiver = watching(patterns=["*.jpg", "*.png"], ignore=["drafts"])
    eventually(lambda: len(receiver.events) == 3)
    looks_again(watch)
    assert receiver.names == ["a.JPG", "b.png", "e.jpg"]


def test_without_recursion_only_the_folder_itself(folder, watching):
    (folder / "sub").mkdir()
    (folder / "sub" / "deep.jpg").write_bytes(b"deep")
    (folder / "top.jpg").write_bytes(b"top")
    watch, receiver = watching(recursive=False)
    eventually(lambda: receiver.events)
    (folder / "moved-in").mkdir()
    (folder / "moved-in" / "x.jpg").write_bytes(b"x")
    looks_again(watch)
    assert receiver.names == ["top.jpg"]


def test_links_are_not_followed(folder, watching, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(b"secret")
    (folder / "link.jpg").symlink_to(outside / "secret.jpg")
    (folder / "linked").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "real.jpg").write_bytes(b"real")
    watch, receiver = watching()
    eventually(lambda: receiver.events)
    looks_again(watch)
    assert receiver.names == ["real.jpg"]


def test_odd_names_survive(folder, watching):
    names = [
        "照片 1.jpg".encode(),
        b"new\nline.jpg",
        b"not-text-\xff\xfe.jpg",
        "e\u0301.jpg".encode(),
        b"100%41?#.jpg",
    ]
    for name in names:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(name)
    _, receiver = watching()
    eventually(lambda: len(receiver.events) == len(names))
    assert {event.file.read_bytes() for event in receiver.events} == set(names)
    for event in receiver.events:
        event.path.encode("utf-8")
        assert local_path(event.path) == event.file


def test_an_empty_file_is_taken_only_when_it_stays_empty(folder, watching, monkeypatch):
    monkeypatch.setattr("mirror_realm.deployments.watch.EMPTY_PATIENCE", 1.5)
    watch, receiver = watching()
    (folder / "empty.txt").touch()
    (folder / "filled.txt").touch()
    eventually(lambda: watch.status.waiting == 2)
    looks = watch.status.scans
    eventually(lambda: watch.status.scans >= looks + 4)  # well past settle
    assert not receiver.events
    (folder / "filled.txt").write_bytes(b"now")
    eventually(lambda: len(receiver.events) == 2)
    assert {os.path.basename(e.path): e.size for e in receiver.events} == {"empty.txt": 0, "filled.txt": 3}


def test_a_file_rewritten_again_and_again_ends_in_its_last_form(folder, watching):
    """Always of the same size, so that only its times tell."""
    watch, receiver = watching(events=["create", "modify"], settle=0.05)
    for turn in range(200):
        (folder / "big.bin").write_bytes(bytes([turn]) * (1 << 20))
    eventually(lambda: receiver.events and receiver.events[-1].sha256 == sha(bytes([199]) * (1 << 20)))
    looks_again(watch)
    assert receiver.events[-1].sha256 == sha(bytes([199]) * (1 << 20))


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"a" * (3 << 20))
    before = Signature.of(path.stat())

    def meanwhile():
        with path.open("r+b") as file:
            file.write(b"b")
        return False

    with pytest.raises(Changed):
        digest(str(path), before, meanwhile)
    with pytest.raises(Changed):
        digest(str(path), before, lambda: False)
    assert digest(str(path), Signature.of(path.stat()), lambda: False) == sha(path.read_bytes())
    with pytest.raises(Stopped):
        digest(str(path), Signature.of(path.stat()), lambda: True)


def test_stop_ends_at_once_also_while_reading_and_starts_again(folder, watching):
    (folder / "big.bin").write_bytes(os.urandom(1 << 20) * 256)
    watch, receiver = watching(settle=0.05)
    watch.stop()
    assert not any(thread.name.startswith(f"watch {folder}") for thread in threading.enumerate())
    watch.start()
    eventually(lambda: receiver.events)


def test_without_filesystem_events_the_scan_finds_everything(folder, watching, monkeypatch):
    """As on a NAS share: no events at all."""
    monkeypatch.setattr("mirror_realm.deployments.watch_hints.Hints.start", lambda self: None)
    watch, receiver = watching()
    eventually(lambda: watch.status.scans)
    (folder / "deep" / "er").mkdir(parents=True)
    for n in range(20):
        (folder / "deep" / "er" / f"{n}.jpg").write_bytes(b"%d" % n)
    eventually(lambda: len(receiver.events) == 20)


def test_with_events_a_new_folder_is_looked_into_before_the_next_scan(folder, watching, tmp_path):
    watch, receiver = watching(poll_interval=3600)
    eventually(lambda: watch.status.scans)
    prepared = tmp_path / "card"
    (prepared / "DCIM").mkdir(parents=True)
    for n in range(5):
        (prepared / "DCIM" / f"{n}.jpg").write_bytes(b"%d" % n)
    prepared.rename(folder / "card")
    eventually(lambda: len(receiver.events) == 5)
    (folder / "card" / "DCIM" / "late.jpg").write_bytes(b"late")
    eventually(lambda: len(receiver.events) == 6)
    assert watch.status.scans == 1


def test_with_the_store_a_restart_takes_nothing_twice(folder, home):
    """The whole contract on the real store: pending instances, remembered files, batches."""
    from mirror_realm.store import NewInstance, Store

    with Store.open(f"sqlite:///{home}/realm.db") as store:

        class Stored:
            def known_file(self, path):
                return store.triggers.known_file("w", path)

            def seen(self, sha256):
                return store.triggers.seen("w", sha256)

            def remember_file(self, path, size, mtime_ns, sha256, instance=None):
                store.triggers.remember_file("w", path, size, mtime_ns, sha256, instance)

            def take(self, event):
                key = f"file:w:{event.sha256}"
                new = NewInstance(
                    workflow="w", version="1.0.0", input={}, trigger_type="filesystem", idempotency_key=key
                )
                instance, _ = store.instances.create(new)
                self.remember_file(event.path, event.size, event.mtime_ns, event.sha256, instance.id)

        def watch():
            config = {"path": folder, "settle": 0.1, "poll_interval": 0.1}
            return FolderWatch(config, Stored(), Stored().take, batch=store.transaction)

        for n in range(60):
            (folder / f"{n % 50}-{n}.jpg").write_bytes(b"%d" % (n % 50))
        with open(os.path.join(os.fsencode(folder), b"\xff.jpg"), "wb") as file:
            file.write(b"bytes")
        with watch() as first:
            eventually(lambda: first.status.taken == 51 and first.status.duplicates == 10)
        with watch() as second:
            looks_again(second)
            assert (second.status.taken, second.status.duplicates) == (0, 0)
        assert store.instances.count() == 51


def test_the_config_of_a_definition():
    config = WatchConfig.of(
        {
            "path": "/nas",
            "events": ["create"],
            "settle": "500ms",
            "poll_interval": None,
            "patterns": ["*.jpg"],
        }
    )
    assert (config.settle, config.poll_interval, config.patterns) == (0.5, 1.0, ("*.jpg",))
