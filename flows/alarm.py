"""Which instances that were put aside can go on: what they wait for has come, or its time is over."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ..core.errors import RealmError
from .journal import now

if TYPE_CHECKING:
    from ..store import Event, EventWait, Instance, Store


class Alarm:
    """Asks the store, again and again. Each wait is compared with the past once, and then only with what is new."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._last: Event | None = None

    def due(self, store: Store, owner: str, at: datetime | None = None) -> list[Instance]:
        """The waiting instances of ``owner`` to carry on now. One that cannot go on yet after all waits again."""
        found = {instance.id: instance for instance in store.waiting.due(owner, at or now())}
        for instance_id in self._reached(store, owner) - found.keys():
            found[instance_id] = store.instances.get(instance_id)
        return list(found.values())

    def _reached(self, store: Store, owner: str) -> set[str]:
        """The instances for which an event is there."""
        waits = {wait.id: wait for wait in store.waiting.waits(owner)}
        if not waits:
            self._known.clear()
            return set()
        if self._last is None:
            self._last = next(iter(store.events.list(limit=1)), None)
        reached = {
            waits[wait_id].instance_id
            for wait_id in waits.keys() - self._known
            if any(_fits(waits[wait_id], event) for event in store.events.matching(wait_id))
        }
        for event in store.waiting.events_after(self._last):
            self._last = event
            reached |= {
                wait.instance_id
                for wait in store.events.waiting(event)
                if wait.id in waits and _fits(wait, event)
            }
        self._known = set(waits)
        return reached


def _fits(wait: EventWait, event: Event) -> bool:
    from ..compiler.expressions import holds

    if wait.filter is None:
        return True
    try:
        return holds(wait.filter, {"event": event.public()})
    except RealmError:
        return True  # It reads more than the event: only the run itself can tell.
