"""The shared state of event-driven steps, which is no state here: a key of it is an output of the step that wrote it.

A step reads a key from the last step before it that writes it; where several may have (they are in branches), from
the first of them, latest first, that did. What is no key of the state, no step and no name of ours is a field of the
event that started the workflow, and of the instance's input where a person started it. Where such a name is a slip of
a key, and nothing says that the event has such a field, that is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from ..close_matches import asked, did_you_mean, slip_of
from .phrase import Doubt, Parts, Rename, Unknown
from .phrases import field
from .task_names import TaskNames

_EVENT = ("trigger_event", "event")
_STATE = ("state", "state_data")
_STEPS = ("steps", "tasks")


class Write(NamedTuple):
    """A key of the state that a step writes, and the output that it takes."""

    key: str
    step: str
    output: str


class State:
    """Who writes which key of the state, and who comes before whom."""

    def __init__(
        self, steps: Iterable[str], follows: Mapping[str, Collection[str]], writes: Iterable[Write]
    ) -> None:
        self._before = {step: set[str]() for step in steps}
        for step, following in follows.items():
            for other in following:
                if other in self._before:
                    self._before[other].add(step)
        self._writes: dict[str, list[Write]] = {}
        for write in writes:
            self._writes.setdefault(write.key, []).append(write)
        try:
            order = list(TopologicalSorter(self._before).static_order())
        except CycleError:
            order = list(self._before)  # the graph's check says so
        self._rank = {step: rank for rank, step in enumerate(order)}
        self._ancestors: dict[str, set[str]] = {}
        self._slips: dict[str, str | None] = {}
        self.odd_keys = [key for key in self._writes if not key.isidentifier()]

    @property
    def keys(self) -> Collection[str]:
        """Every key that a step writes."""
        return self._writes.keys()

    def meant(self, name: str) -> str | None:
        """The key of which ``name``, which is none, is a slip."""
        if name not in self._slips:
            self._slips[name] = slip_of(name, self._writes)
        return self._slips[name]

    def writers(self, key: str, reader: str | None) -> list[Write]:
        """The writes of a key that come before a reader, the latest first; without a reader all of them."""
        writes = self._writes.get(key, [])
        if reader is not None:
            before = self._ancestors_of(reader)
            writes = [write for write in writes if write.step in before]
        return sorted(writes, key=lambda write: self._rank.get(write.step, 0), reverse=True)

    def _ancestors_of(self, step: str) -> set[str]:
        if step not in self._ancestors:
            seen, waiting = set[str](), [step]
            while waiting:
                new = self._before.get(waiting.pop(), set()) - seen
                seen |= new
                waiting += new
            self._ancestors = {
                step: seen
            }  # of the last reader only: of all, they take the square of the steps
        return self._ancestors[step]


@dataclass(frozen=True)
class StateNames:
    """A :data:`~.phrase.Resolve` for the texts of one step, or of none: the state, the event, steps and workflow."""

    tasks: TaskNames
    state: State
    reader: str | None = None
    of_event: frozenset[str] = frozenset()
    """The fields that the event is known to have: a name of one of them is no slip."""

    def reading(self, reader: str, own: Mapping[str, str] | None = None) -> StateNames:
        """The same for the texts of a step, which read its inputs by name."""
        return replace(self, reader=reader, tasks=self.tasks.with_own(own or {}))

    @property
    def odd(self) -> list[str]:
        """The names that are no identifiers: expressions may hold them all the same."""
        return [*self.tasks.odd, *self.state.odd_keys]

    def __call__(self, root: str, parts: Parts) -> Rename | Unknown | None:
        """What the reference is called in canonical spelling."""
        if root in self.tasks.own:
            return self.tasks(root, parts)
        if root in self.state.keys:
            return self._state(root, 0)
        if root in _STATE and parts:
            key = str(parts[0])
            return self._state(key, 1) if key in self.state.keys else self._no_key(key)
        if root in _EVENT:
            return self._event(parts, 1 if parts[:1] in (("data",), ("payload",)) else 0)
        if root in _STEPS and parts:
            return self.tasks("tasks", parts)
        if root in self.tasks.tasks or root == "workflow" or self.tasks(root, parts) is None:
            return self.tasks(root, parts)
        return Rename(_event_field((root, *parts)), len(parts), self._doubt(root))

    def _doubt(self, name: str) -> Doubt | None:
        """What is said of a field of the event whose name is a slip of one that the step can read."""
        if name in self.of_event:
            return None
        own = slip_of(name, self.tasks.own)
        meant = own or self.state.meant(name)
        if meant is None or not (own or self.state.writers(meant, self.reader)):
            return None
        what = "an input of this step" if own else "a key of the state"
        message = f"{name!r} reads a field of the event, and {meant!r} is {what}"
        return Doubt(message, asked(meant) + f" A field of the event is written event.{name}")

    def text(self, key: str) -> str | Unknown:
        """The expression that reads a key of the state."""
        writers = self.state.writers(key, self.reader)
        if not writers:
            who = " and ".join(repr(write.step) for write in self.state.writers(key, None))
            return Unknown(
                f"{key!r} is written by {who}, which does not come before", "add next_steps", "MR310"
            )
        found = [self._output(write) for write in writers]
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def _output(self, write: Write) -> str:
        parts: Parts = tuple(write.output.split("."))
        found = self.tasks(write.step, parts)
        assert isinstance(found, Rename)
        return found.text + "".join(map(field, parts[found.parts :]))

    def _state(self, key: str, taken: int) -> Rename | Unknown:
        text = self.text(key)
        return Rename(text, taken) if isinstance(text, str) else text._replace(at=taken)

    def _no_key(self, key: str) -> Unknown:
        hint = did_you_mean(key, self.state.keys) or "a step writes it by output_mapping: {output: key}"
        return Unknown(f"no step writes {key!r} into the state", hint, at=1)

    @staticmethod
    def _event(parts: Parts, taken: int) -> Rename:
        if len(parts) == taken:
            return Rename("trigger.payload", taken)
        return Rename(_event_field(parts[taken:]), len(parts))


def _event_field(parts: Parts) -> str:
    """A field of the event, or of the input that a person gave in its place.

    >>> _event_field(("order", "id"))
    'coalesce(trigger.payload.order.id, input.order.id)'
    """
    below = "".join(map(field, parts))
    return f"coalesce(trigger.payload{below}, input{below})"
