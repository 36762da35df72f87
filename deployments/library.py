"""Registered workflows as a library of sub-workflows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..compiler.library import Folder, Found, Library, Shelves
from ..core.settings import Settings

if TYPE_CHECKING:
    from ..store import Store


class RegisteredWorkflows:
    """The published versions in a store; see :class:`~mirror_realm.compiler.library.Library`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def names(self) -> Iterable[str]:
        """The workflows' names."""
        return [row.name for row in self._store.workflows.list()]

    def versions(self, name: str) -> Mapping[str, Found]:
        """The published versions of one."""
        return (
            {
                row.version: Found(
                    f"{name}@{row.version}",
                    json.dumps({**row.definition, "version": row.version}, ensure_ascii=False, indent=2),
                )
                for row in self._store.workflows.versions(name)
            }
            if name in self.names()
            else {}
        )


class ConfiguredStore:
    """The workflows registered in the configured store, which is opened only when a definition names one that is not
    beside it, and never made."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def names(self) -> Iterable[str]:
        """See :class:`RegisteredWorkflows`."""
        with self._opened() as store:
            return list(RegisteredWorkflows(store).names()) if store else []

    def versions(self, name: str) -> Mapping[str, Found]:
        """See :class:`RegisteredWorkflows`."""
        with self._opened() as store:
            return RegisteredWorkflows(store).versions(name) if store else {}

    @contextmanager
    def _opened(self) -> Iterator[Store | None]:
        from sqlalchemy.engine import make_url

        from ..store import Store

        url = make_url(self._settings.database)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            yield None
            return
        with Store.open(self._settings.database) as store:
            yield store


def library_of(file: Path, registered: Store | Settings) -> Library:
    """What a definition in ``file`` may name: those beside it first, then those that are registered."""
    configured = isinstance(registered, Settings)
    shelf = ConfiguredStore(registered) if configured else RegisteredWorkflows(registered)
    return Shelves(Folder(file.parent), shelf)
