"""The filesystem trigger when something is amiss: a receiver that refuses, files that do not open, folders that go."""

import os
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import watchdog.observers  # noqa: F401 - while we still may read it: a test becomes an ordinary user

from tests.deployments import watches
from tests.deployments.watches import Memory, eventually, looks_again, sha

folder, watching = watches.folder, watches.watching


def test_a_refused_file_is_offered_again_and_holds_up_no_other(folder, watching):
    refusals = []

    def refuse(event):
        if event.path.endswith("bad.jpg") and len(refusals) < 2:
            refusals.append(event)
            raise OSError("the database is down")

    watch, receiver = watching(refuse=refuse)
    (folder / "bad.jpg").write_bytes(b"bad")
    eventually(lambda: refusals)
    (folder / "good.jpg").write_bytes(b"good")
    eventually(lambda: receiver.names == ["good.jpg"])
    eventually(lambda: receiver.names == ["bad.jpg", "good.jpg"])
    assert watch.status.failures == 2


def test_a_receiver_that_is_down_is_left_in_peace_and_gets_everything_later(folder, watching):
    down = threading.Event()
    down.set()
    calls = []

    def refuse(event):
        calls.append(event)
        if down.is_set():
            raise OSError("the database is down")

    for n in range(200):
        (folder / f"{n}.jpg").write_bytes(b"%d" % n)
    _, receiver = watching(refuse=refuse)
    eventually(lambda: len(calls) >= 3)
    assert len(calls) < 50
    down.clear()
    eventually(lambda: len(receiver.events) == 200)
    assert len({event.sha256 for event in receiver.events}) == 200


@pytest.fixture
def ordinary_user():
    """Be nobody in particular, whom file permissions bind, in a folder of one's own."""
    with tempfile.TemporaryDirectory(prefix="watched-") as name:
        if os.geteuid() == 0:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
            yield Path(name)
            os.seteuid(0)
        else:
            yield Path(name)


def test_an_unreadable_file_is_reported_once_and_taken_when_it_opens(watching, ordinary_user, caplog):
    (ordinary_user / "locked.jpg").write_bytes(b"locked")
    (ordinary_user / "locked.jpg").chmod(0)
    (ordinary_user / "closed").mkdir(mode=0)
    watch, receiver = watching(path=ordinary_user)
    eventually(lambda: "locked.jpg" in caplog.text)
    seen = watch.status.scans
    eventually(lambda: watch.status.scans >= seen + 10)
    assert caplog.text.count("locked.jpg: ") == 1
    assert caplog.text.count("closed: ") == 1
    (ordinary_user / "locked.jpg").chmod(0o600)
    (ordinary_user / "closed").chmod(0o700)
    eventually(lambda: receiver.names == ["locked.jpg"])


def test_a_vanished_folder_is_waited_for_and_nothing_is_taken_twice(folder, watching, caplog):
    for n in range(30):
        (folder / f"{n}.jpg").write_bytes(b"%d" % n)
    watch, receiver = watching()
    eventually(lambda: len(receiver.events) == 30)
    away = folder.with_name("unplugged")
    folder.rename(away)
    eventually(lambda: watch.status.missing)
    away.rename(folder)
    eventually(lambda: not watch.status.missing)
    folder.rename(away)
    eventually(lambda: watch.status.missing)
    folder.mkdir()  # the mount point without the mount: suddenly empty
    looks = watch.status.scans
    eventually(lambda: watch.status.scans >= looks + 3)
    assert watch.status.missing
    folder.rmdir()
    away.rename(folder)
    eventually(lambda: not watch.status.missing)
    (folder / "new.jpg").write_bytes(b"new")
    eventually(lambda: len(receiver.events) == 31)
    looks_again(watch)
    assert len(receiver.events) == 31
    assert not receiver.duplicates
    assert caplog.text.count("waiting; nothing is forgotten") == 2


def test_a_folder_that_is_not_there_yet(folder, watching):
    folder.rmdir()
    watch, receiver = watching()
    eventually(lambda: watch.status.missing)
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a")
    eventually(lambda: receiver.events)


def test_batches_are_decided_together_or_not_at_all(folder, watching):
    """A transaction of the receiver's around many files; one bad file costs the others nothing."""
    log = []

    class Transactional(Memory):
        @contextmanager
        def transaction(self):
            before = dict(self.files)
            try:
                yield
            except OSError:
                self.files = before
                log.append("rolled back")
                raise

    def refuse(event):
        if event.path.endswith("7.jpg") and log.count("rolled back") < 2:
            raise OSError("this one is bad")

    memory = Transactional()
    for n in range(120):
        (folder / f"{n}.jpg").write_bytes(b"%d" % n)
    watch, receiver = watching(memory=memory, refuse=refuse, batch=memory.transaction)
    eventually(lambda: len(memory.files) == 120)
    looks_again(watch)
    assert watch.status.taken == 120
    assert log
    assert {event.sha256 for event in receiver.events} == {sha(b"%d" % n) for n in range(120)}
