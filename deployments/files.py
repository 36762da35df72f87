"""Filesystem triggers: a file in a watched folder becomes a persisted pending instance, each content once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import Code, RealmError
from ..store import NewInstance, Store
from .registration import Registered
from .surroundings import Announce, Surroundings
from .watch import FileEvent, FolderWatch

if TYPE_CHECKING:
    from ..store import KnownFile

log = logging.getLogger(__name__)


class KnownFiles:
    """What a workflow has taken, as the watcher asks it: the store's memory for one workflow."""

    def __init__(self, store: Store, workflow: str) -> None:
        self._store = store
        self._workflow = workflow

    def seen(self, sha256: str) -> bool:
        """Whether this content was taken under any name."""
        return bool(self._store.triggers.seen(self._workflow, sha256))

    def known_file(self, path: str) -> KnownFile | None:
        """What is remembered of the file at ``path``."""
        return self._store.triggers.known_file(self._workflow, path)

    def remember_file(self, path: str, size: int, mtime_ns: int, sha256: str) -> None:
        """Remember a file that was found to be a copy of one already taken."""
        self._store.triggers.remember_file(self._workflow, path, size, mtime_ns, sha256, None)


def watch_files(
    workflow: Registered, around: Surroundings, wake: Callable[[], None], announce: Announce
) -> list[FolderWatch]:
    """The watches of a workflow's filesystem triggers. PERMISSION_DENIED for a folder outside the roots."""
    watches: list[FolderWatch] = []
    for trigger in workflow.definition.triggers:
        if trigger.type != "filesystem" or not trigger.enabled:
            continue
        config = {**trigger.config, "path": _allowed(Path(str(trigger.config["path"])), around)}
        known = KnownFiles(around.store, workflow.name)
        batch = _batch(around.store, wake)
        watches.append(
            FolderWatch(config, known, lambda event, w=workflow: _take(w, event, around), batch=batch)
        )
        announce(f"{workflow.name}: watching {config['path']}")
    return watches


def _allowed(path: Path, around: Surroundings) -> Path:
    resolved = path.expanduser().resolve()
    if not any(resolved.is_relative_to(root) for root in around.environment.roots):
        raise RealmError(
            Code.PERMISSION_DENIED,
            f"the trigger's folder {resolved} is outside the allowed folders",
            hint=f"realm serve --root {resolved}",
        )
    return resolved


def _batch(store: Store, wake: Callable[[], None]) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def batch() -> Iterator[None]:
        """One transaction for many files; the dispatcher hears of them once they are there."""
        with store.transaction():
            yield
        wake()

    return batch


def _take(workflow: Registered, event: FileEvent, around: Surroundings) -> None:
    """Persist the event as a pending instance, then remember the file: dying in between repeats it harmlessly."""
    store = around.store
    payload: dict[str, Any] = {
        "file_path": str(event.path),
        "event_type": event.event,
        "timestamp": datetime.now(UTC).isoformat(),
        "size": event.size,
        "sha256": event.sha256,
    }
    new = NewInstance(
        workflow=workflow.name,
        version=workflow.version,
        input={},
        trigger_type="filesystem",
        trigger_payload=payload,
        idempotency_key=f"file:{workflow.name}:{event.sha256}",
        definition_hash=workflow.definition.hash,
    )
    instance, created = store.instances.create(new)
    store.triggers.remember_file(
        workflow.name, str(event.path), event.size, event.mtime_ns, event.sha256, instance.id
    )
    log.info("%s: %s %s", workflow.name, "took" if created else "already had", event.path)
