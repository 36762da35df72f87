"""The states of nodes as they are drawn. A node inside a loop has one state of all its rounds."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.durations import format_duration
from .palette import STATES, Tone

_ROUND = re.compile(r"\[[\d.]+\]$")
_FIRST = ("failed", "retrying", "running", "waiting", "pending", "canceled", "completed", "skipped")
"""Of rounds in several states, the one that comes first here is shown."""
_OPEN = frozenset(("retrying", "running", "waiting", "pending"))


@dataclass(frozen=True, slots=True)
class State:
    """A node's state, how long it took in seconds, and in a loop how many rounds are done, of how many, where
    known."""

    status: str
    seconds: float | None = None
    done: int | None = None
    total: int | None = None

    @property
    def text(self) -> str:
        """As shown: ``completed · 1.2s``, ``running · 7,341 of 10,000 done``."""
        parts = [self.status]
        if self.done is not None:
            parts.append(
                f"{self.done:,} done" if self.total is None else f"{self.done:,} of {self.total:,} done"
            )
        if self.seconds is not None:
            parts.append(format_duration(round(self.seconds, 2)))
        return " · ".join(parts)

    @property
    def tone(self) -> Tone:
        """The state's colour."""
        return STATES.get(self.status, STATES["pending"])


def state_of(value: Any) -> State:
    """A :class:`State` from a status, from ``(status, seconds)``, or from a mapping with the names of its
    fields."""
    if isinstance(value, State):
        return value
    if isinstance(value, Mapping):
        seconds = value.get("seconds", value.get("duration"))
        done, total = value.get("done"), value.get("total")
        return State(
            str(value.get("status", "pending")),
            None if seconds is None else float(seconds),
            None if done is None else int(done),
            None if total is None else int(total),
        )
    if isinstance(value, tuple):
        status, seconds = value
        return State(str(status), None if seconds is None else float(seconds))
    return State(str(value))


def gathered(states: Mapping[str, Any] | None, keys: Collection[str]) -> dict[str, State]:
    """The states by the keys of nodes. Rounds, such as ``each/resize[3]``, are counted under
    ``each/resize``."""
    found: dict[str, State] = {}
    rounds: dict[str, list[State]] = {}
    for name, value in (states or {}).items():
        if name in keys:
            found[name] = state_of(value)
        else:
            rounds.setdefault(_ROUND.sub("", name), []).append(state_of(value))
    for key, several in rounds.items():
        found.setdefault(key, _together(several))
    return found


def _together(rounds: Sequence[State]) -> State:
    if len(rounds) == 1:
        return rounds[0]
    statuses = [one.status for one in rounds]
    shown = min(statuses, key=lambda s: _FIRST.index(s) if s in _FIRST else len(_FIRST))
    if shown == "skipped":
        return State(shown)
    done = statuses.count("completed")
    over = not _OPEN.intersection(statuses)
    return State(shown, done=done, total=len(rounds) if over and done < len(rounds) else None)
