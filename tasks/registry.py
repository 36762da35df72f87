"""The registry: every node type there is, collected from the families' modules and from entry points.

Nothing registers itself at import: the modules are listed here, third parties name theirs in the entry-point
group ``mirror_realm.nodes`` (a module or a list of node types).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from ..core.errors import Code, RealmError
from ..core.settings import settings
from .sdk import NodeType

FAMILIES = ("ai", "control", "data", "document", "http", "image", "media", "notify", "script", "storage")
"""Modules of this room that declare node types, one per family."""

ENTRY_POINT_GROUP = "mirror_realm.nodes"


class Registry:
    """An immutable set of node types by name. Raises ALREADY_EXISTS when two share one."""

    def __init__(self, types: Iterable[NodeType]) -> None:
        self._types: dict[str, NodeType] = {}
        for node_type in types:
            if node_type.name in self._types:
                raise RealmError(Code.ALREADY_EXISTS, f"two node types are named {node_type.name!r}")
            self._types[node_type.name] = node_type

    def __getitem__(self, name: str) -> NodeType:
        """The node type ``name``; NOT_FOUND with close matches."""
        if (found := self._types.get(name)) is None:
            raise RealmError(Code.NOT_FOUND, f"unknown node type {name!r}", hint=self.suggestion(name))
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def __iter__(self) -> Iterator[NodeType]:
        return iter(sorted(self._types.values(), key=lambda t: t.name))

    def __len__(self) -> int:
        return len(self._types)

    def close_matches(self, name: str) -> list[str]:
        """Names that a typo could have meant, best first."""
        known = list(self._types)
        matches = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
        short = name.rpartition("/")[2]
        return matches or [k for k in known if k.rpartition("/")[2] == short]

    def suggestion(self, name: str) -> str:
        """A sentence that shows the way out of an unknown name."""
        matches = self.close_matches(name)
        return (
            f"did you mean {' or '.join(map(repr, matches))}?" if matches else "`realm nodes` lists them all"
        )

    def plus(self, types: Iterable[NodeType]) -> Registry:
        """A new registry with ``types`` added."""
        return Registry([*self._types.values(), *types])


def node_types_of(source: Any) -> list[NodeType]:
    """The node types that a module, an iterable or one node type holds."""
    if isinstance(source, NodeType):
        return [source]
    if isinstance(source, ModuleType):
        return [
            value
            for name, value in vars(source).items()
            if isinstance(value, NodeType) and not name.startswith("_")
        ]
    return [value for value in source if isinstance(value, NodeType)]


@cache
def registry() -> Registry:
    """The process's registry: the built-in families, installed plugins, and the modules that the setting
    ``nodes`` names.

    Loaded once, lazily. NOT_FOUND when a named module cannot be imported.
    """
    package = __package__
    types = [t for family in FAMILIES for t in node_types_of(import_module(f".{family}", package))]
    for point in entry_points(group=ENTRY_POINT_GROUP):
        types += node_types_of(point.load())
    for module in settings().nodes:
        try:
            types += node_types_of(import_module(module))
        except ModuleNotFoundError as error:
            raise RealmError(
                Code.NOT_FOUND,
                f"the module {module!r} of setting `nodes` cannot be imported: {error}",
                hint="install it, or put its folder on PYTHONPATH",
            ) from None
    return Registry(types)
