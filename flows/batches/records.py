"""On a worker: what the run asks the database around an attempt, asked here for the nodes that go without it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from ...core.errors import RealmError
from ...core.settings import Settings
from ...tasks.executor import NodeCall, NodeOutcome
from ...tasks.sdk import NodeType
from ..breakers import fault_of_service, service_of
from ..stages import found_again, kept, key_of, lasting

if TYPE_CHECKING:
    from ...store import Store

log = logging.getLogger(__name__)


class ForTheRun(Exception):
    """What is left is for the run to do; the message says why."""


class Records:
    """The records of contents and of services, opened when the first is asked for, in the store that knows the
    instance. ``reuse``: what is remembered by content is looked up, and recorded."""

    def __init__(self, settings: Settings, instance_id: str, *, reuse: bool) -> None:
        self._settings = settings
        self._instance_id = instance_id
        self._reuse = reuse
        self.service_failed = False
        """Whether a service is to blame for an attempt: before others call it, the run should hear of that."""

    def attempt(
        self, node_type: NodeType, call: NodeCall, perform: Callable[[], NodeOutcome]
    ) -> tuple[NodeOutcome, bool]:
        """What ``perform`` comes to, or what is remembered of it; also whether what was to be recorded is. Raises
        :class:`ForTheRun`, before anything is performed."""
        if not self._reuse or node_type.once is None:
            return self._guarded(node_type, call, perform), True
        key = key_of(node_type, call, self._settings)
        if key is None:
            return self._guarded(node_type, call, perform), True
        try:
            found = found_again(self._store.stages.get(key), call, self._settings)
        except RealmError as error:
            raise ForTheRun(error.record.message) from error
        if found is not None:
            return found, True
        outcome = self._guarded(node_type, call, perform)
        if lasting(outcome):
            try:
                self._store.stages.done(key, kept(outcome, call))
            except RealmError as error:
                log.warning("%s is left for the run to record: %s", call.node_id, error.record.message)
                return outcome, False
        return outcome, True

    def _guarded(
        self, node_type: NodeType, call: NodeCall, perform: Callable[[], NodeOutcome]
    ) -> NodeOutcome:
        """What ``perform`` comes to, where the service that it calls is well: only the run tries one that is not, and
        counts failures."""
        service = service_of(node_type, call)
        if service is None or self._settings.breaker_failures == 0:
            return perform()
        try:
            known = self._store.breakers.find(*service)
        except RealmError as error:
            raise ForTheRun(error.record.message) from error
        if known is not None and known.state != "closed":
            raise ForTheRun(f"{' '.join(service).strip()} is left alone for a while")
        outcome = perform()
        if fault_of_service(outcome) is not None:
            self.service_failed = True
        elif known is not None and known.failures and outcome.pid:
            try:
                self._store.breakers.succeeded(*service)
            except RealmError as error:
                log.warning("that %s answered is not recorded: %s", service[0], error.record.message)
        return outcome

    @cached_property
    def _store(self) -> Store:
        from ...store import Store

        # A worker elsewhere may have a database of its own: an answer there would be nobody's. It is not migrated from
        # here either.
        store = Store.open(self._settings.database, migrate=False)
        try:
            store.instances.get(self._instance_id)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close the store, where it was opened."""
        if "_store" in self.__dict__:
            self._store.close()
