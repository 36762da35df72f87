"""What the tests of the folder watch share: a receiver with its memory, watches that end with their test, and waiting
for what they do. A module takes the fixtures by name: ``folder, watching = watches.folder, watches.watching``."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass

import pytest

from mirror_realm.deployments.watch import FolderWatch


@dataclass
class Row:
    size: int
    mtime_ns: int
    sha256: str


class Memory:
    """What the store does for the watch, for one workflow."""

    def __init__(self):
        self.files: dict[str, Row] = {}
        self.asked: list[str] = []

    def known_file(self, path):
        self.asked.append(path)
        return self.files.get(path)

    def seen(self, sha256):
        return any(row.sha256 == sha256 for row in self.files.values())

    def remember_file(self, path, size, mtime_ns, sha256):
        self.files[path] = Row(size, mtime_ns, sha256)


class Receiver:
    """Takes events, and remembers them as the dispatcher's side does."""

    def __init__(self, memory, refuse=None):
        self.memory = memory
        self.events = []
        self.duplicates = []
        self.refuse = refuse or (lambda event: None)

    def take(self, event):
        self.refuse(event)
        self.events.append(event)
        self.memory.remember_file(event.path, event.size, event.mtime_ns, event.sha256)

    @property
    def names(self):
        return sorted(os.path.basename(event.path) for event in self.events)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "watched"
    path.mkdir()
    return path


@pytest.fixture
def watching(folder):
    """Start watches that end with the test: ``watching(memory=…, refuse=…, **config) -> (watch, receiver)``."""
    started = []

    def start(memory=None, refuse=None, batch=None, **config):
        receiver = Receiver(memory if memory is not None else Memory(), refuse)
        given = {"path": folder, "settle": 0.15, "poll_interval": 0.1, **config}
        watch = FolderWatch(given, receiver.memory, receiver.take, receiver.duplicates.append, batch)
        started.append(watch)
        return watch.start(), receiver

    yield start
    for watch in started:
        watch.stop()


def eventually(condition, seconds=15.0):
    """Wait until ``condition()`` holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def looks_again(watch, times=3):
    """Wait until the watch has looked at the whole tree ``times`` more and has nothing waiting."""
    seen = watch.status.scans
    eventually(lambda: watch.status.scans >= seen + times and watch.status.waiting == 0)


def sha(data):
    return hashlib.sha256(data).hexdigest()
