"""The ledger of effects: what nodes really did, one synced line each, beside and independent of the journal."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEGIN, FAIL, EFFECT, AGAIN = "begin", "fail", "effect", "again"
"""What a line says: an attempt started, failed as drawn, had its effect, or found that its effect was there."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``key`` is the execution key: instance, node and iteration."""

    what: str
    key: str
    attempt: int
    at: float
    pid: int


class Ledger:
    """The file. Several processes write it at once; a line is there as a whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[Counter[tuple[str, str]]]:
        """Hold the ledger alone; how often each ``(what, key)`` is in it."""
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield Counter((line.what, line.key) for line in self.lines())

    def write(self, what: str, key: str, attempt: int) -> None:
        """Add a line, synced."""
        record: dict[str, Any] = {"what": what, "key": key, "attempt": attempt}
        text = json.dumps({**record, "at": time.time(), "pid": os.getpid()}) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lines(self) -> list[Line]:
        """All lines, in the order in which they were written."""
        if not self.path.exists():
            return []
        return [Line(**json.loads(text)) for text in self.path.read_text(encoding="utf-8").splitlines()]

    def count(self) -> int:
        """How many lines there are."""
        return self.path.read_bytes().count(b"\n") if self.path.exists() else 0
