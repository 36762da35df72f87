"""A file that waits to be taken, and the decision about it once its content is known."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from .watch_tree import Signature, path_text
from .watch_types import FileEvent, Known, KnownFiles

log = logging.getLogger(__name__)

Outcome = Literal["taken", "duplicate", "touched", "left"]


@dataclass(slots=True)
class Candidate:
    """A file that looks new. Times are of the monotonic clock."""

    signature: Signature
    since: float
    """When it began to look like this."""
    due: float = 0.0
    """When to look again."""
    looks: int = 1
    failures: int = 0
    sha256: str | None = None
    reading: bool = False
    known: Known | None = None
    asked: bool = False
    """Whether ``known`` is what the memory has."""

    def restart(self, signature: Signature, now: float) -> None:
        """It looks different now: begin to wait anew."""
        self.signature, self.since, self.looks, self.failures, self.sha256 = signature, now, 1, 0, None


@dataclass(frozen=True, slots=True)
class Receiver:
    """The caller's memory and its callback, and what is decided between them."""

    known: KnownFiles
    on_file: Callable[[FileEvent], object]
    events: Collection[str]

    def decide(self, path: str, candidate: Candidate) -> tuple[Outcome, FileEvent]:
        """Hand a complete file over, or remember why not. Raises what the memory and the callback raise."""
        signature, known, sha256 = candidate.signature, candidate.known, candidate.sha256
        assert sha256 is not None, "only what was read is decided"
        text = path_text(path)
        if not candidate.asked:
            known = self.known.known_file(text)
        what = "create" if known is None else "modify"
        event = FileEvent(text, what, signature.size, signature.mtime_ns, sha256, datetime.now(UTC))
        looks = (text, signature.size, signature.mtime_ns)
        if known is not None and known.sha256 == sha256:
            self.known.remember_file(*looks, sha256)
            return "touched", event
        if self.known.seen(sha256):
            log.info("%s has a content that was taken before: not taken again", text)
            self.known.remember_file(*looks, sha256)
            return "duplicate", event
        if what in self.events:
            self.on_file(event)
            return "taken", event
        log.info("%s: %s is not among the trigger's events; left alone", text, what)
        # Under the old content, so that the new one does not count as taken.
        self.known.remember_file(*looks, sha256 if known is None else known.sha256)
        return "left", event
