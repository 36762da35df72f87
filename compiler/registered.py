"""Ordered lists of passes, checks and dialects by name: a new one is a new file and one line in its list."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any


def functions(package: str, *names: str) -> tuple[Any, ...]:
    """The function of the same name in each of the package's modules; ``module.function`` where the names differ.

    >>> [one.__name__ for one in functions("mirror_realm.compiler.passes", "unique_edges")]
    ['unique_edges']
    """
    found: list[Any] = []
    for name in names:
        module, _, function = name.partition(".")
        found.append(getattr(import_module(f"{package}.{module}"), function or module))
    return tuple(found)


def modules(package: str, *names: str) -> tuple[ModuleType, ...]:
    """The package's modules of those names."""
    return tuple(import_module(f"{package}.{name}") for name in names)
