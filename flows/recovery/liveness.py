"""Which processes that run instances are dead.

A process of this host is dead when it is gone. Any other is dead when its count of signs of life stood still for a
*lease*, as measured by our own monotonic clock over looks that followed closely: a wall clock that jumps, a database
that was away or a machine that slept make nobody dead.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...core.process import identity
from ..presence import BEAT, here

if TYPE_CHECKING:
    from ...store.runners import Runner

GAP = 4 * BEAT
"""Seconds between two looks beyond which the time between them proves nothing."""


@dataclass
class Verdicts:
    """What a look found: the dead runners, and why each is."""

    runners: dict[str, Runner] = field(default_factory=dict)
    dead: dict[str, str] = field(default_factory=dict)
    """Why, by the id of the runner."""
    silent: set[str] = field(default_factory=set)
    """Owners of whom no process is known, and was not for a lease."""

    def owner_dead(self, owner: str | None) -> bool:
        """Whether no process of an owner lives."""
        lives = [one for one in self.runners.values() if one.owner == owner]
        if lives:
            return all(one.id in self.dead for one in lives)
        return owner in self.silent


class Liveness:
    """Judges in a series of looks; it remembers when each count last moved."""

    def __init__(self, lease: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.lease = lease
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}
        self._unknown: dict[str, float] = {}
        self._last: float | None = None

    def look(self, runners: Sequence[Runner], owners: Iterable[str] = ()) -> Verdicts:
        """Judge these runners, and ``owners`` whose claims are to be judged."""
        now = self._clock()
        if self._last is None or now - self._last > max(GAP, self.lease / 2):
            self._seen.clear()
            self._unknown.clear()
        self._last = now
        verdicts = Verdicts({runner.id: runner for runner in runners})
        for runner in runners:
            if (why := self._dead(runner, now)) is not None:
                verdicts.dead[runner.id] = why
        known = {runner.owner for runner in runners}
        unknown = {owner: gone(owner) for owner in owners if owner not in known}
        self._unknown = {
            owner: self._unknown.get(owner, now) for owner, is_gone in unknown.items() if is_gone is None
        }
        verdicts.silent = {owner for owner, is_gone in unknown.items() if is_gone}
        verdicts.silent |= {owner for owner, since in self._unknown.items() if now - since >= self.lease}
        self._seen = {id: seen for id, seen in self._seen.items() if id in verdicts.runners}
        return verdicts

    def _dead(self, runner: Runner, now: float) -> str | None:
        if runner.ended_at is not None:
            return "the process that ran it has ended"
        if runner.host == here() and not runner.identity.alive():
            return f"the process that ran it (pid {runner.pid}) is gone"
        beat, since = self._seen.get(runner.id, (-1, now))
        if beat != runner.beat:
            self._seen[runner.id] = (runner.beat, now)
            return None
        if now - since >= self.lease:
            return silence(runner, now - since)
        return None


def silence(runner: Runner, seconds: float) -> str:
    """Why a silent runner is taken for dead."""
    where = f"pid {runner.pid} on {runner.host.partition('/')[0]}"
    return f"the process that ran it ({where}) gave no sign of life for {seconds:.0f} s"


def gone(owner: str) -> bool | None:
    """Whether a person's process (``run:<host>:<pid>``) that has no row yet is gone; ``None`` where that cannot be
    seen from here."""
    kind, _, place = owner.partition(":")
    host, _, pid = place.rpartition(":")
    if kind != "run" or host != socket.gethostname() or not pid.isdigit():
        return None
    return identity(int(pid)) is None
