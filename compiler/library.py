"""Libraries: where the compiler finds the sub-workflows that a definition names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..core.versions import precedence

SUFFIXES = (".yaml", ".yml", ".json")
MOST_FILES = 1000
"""Files of a folder that are looked at."""
UNVERSIONED = "0.0.0"
"""What a definition without a version counts as when ranges are compared."""


@dataclass(frozen=True, slots=True)
class Found:
    """A definition: its text, and what to call it in messages."""

    file: str
    text: str


class Library(Protocol):
    """Finds definitions by name."""

    def names(self) -> Iterable[str]:
        """The names that it has, for suggestions."""
        ...

    def versions(self, name: str) -> Mapping[str, Found]:
        """The definitions of that name by version; empty if there are none."""
        ...


class Folder:
    """The definitions in one folder, read when the first one is asked for."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._found: dict[str, dict[str, Found]] | None = None

    def names(self) -> Iterable[str]:
        """See :class:`Library`."""
        return self._scan()

    def versions(self, name: str) -> Mapping[str, Found]:
        """See :class:`Library`."""
        return self._scan().get(name, {})

    def _scan(self) -> dict[str, dict[str, Found]]:
        if self._found is None:
            self._found = {}
            files = (f for f in sorted(self._folder.glob("*")) if f.suffix in SUFFIXES and f.is_file())
            for _, file in zip(range(MOST_FILES), files, strict=False):
                self._add(file)
        return self._found

    def _add(self, file: Path) -> None:
        from .source import load

        loaded = load(file)
        tree = loaded.document.tree if loaded.document else None
        if not isinstance(tree, dict) or not isinstance(name := tree.get("name"), str):
            return
        version = tree.get("version")
        known = version if isinstance(version, str) and _is_version(version) else UNVERSIONED
        assert self._found is not None
        self._found.setdefault(name, {}).setdefault(known, Found(str(file), loaded.text))


class Shelves:
    """Several libraries; the first that has a name gives all its versions."""

    def __init__(self, *libraries: Library) -> None:
        self._libraries = libraries

    def names(self) -> Iterable[str]:
        """See :class:`Library`."""
        return dict.fromkeys(name for library in self._libraries for name in library.names())

    def versions(self, name: str) -> Mapping[str, Found]:
        """See :class:`Library`."""
        return next((found for library in self._libraries if (found := library.versions(name))), {})


def _is_version(text: str) -> bool:
    try:
        precedence(text)
    except ValueError:
        return False
    return True
