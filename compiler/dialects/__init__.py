"""Dialects: the spellings of a definition. One module each: ``ID``, ``recognises(tree)`` and
``rewrite(document)``.

A rewrite returns the document in canonical spelling, every value with the position and path of what the
author wrote, and what it could not rewrite as diagnostics. The first dialect that recognises a document takes
it; a top-level ``dialect:`` key, or an argument, overrides. A new dialect is a new module and one line in
:data:`DIALECTS`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..diagnostics import Diagnostic
from ..document import Document
from . import platform, platform_next
from .spelling import correct

DIALECTS: tuple[ModuleType, ...] = (platform_next, platform)


def rewrite(document: Document, dialect: str | None = None) -> tuple[Document, tuple[Diagnostic, ...]]:
    """The canonical document, by ``dialect``, by the document's own ``dialect`` key, or by recognition."""
    if not isinstance(document.tree, dict):
        return document, ()
    found: list[Diagnostic] = []
    chosen = dialect if dialect is not None else document.tree.get("dialect")
    module = _named(chosen)
    if module is None and chosen is not None:
        known = ", ".join(module.ID for module in DIALECTS)
        message = (
            f"unknown dialect {chosen!r}" if isinstance(chosen, str) else "a dialect is named by a string"
        )
        hint = f"write one of {known}, or leave the key out"
        found.append(document.report("MR125", message, ("dialect",), hint=hint))
    # A slip in a key may hide the very mark of a dialect, so keys are mended first.
    document, slips = correct(document, (module or platform_next).VOCABULARY)
    document, others = (module or _recognised(document.tree)).rewrite(_without_dialect(document))
    return document, (*found, *slips, *others)


def _named(dialect: Any) -> ModuleType | None:
    return next((module for module in DIALECTS if dialect == module.ID), None)


def _recognised(tree: Any) -> ModuleType:
    return next((module for module in DIALECTS if module.recognises(tree)), platform)


def _without_dialect(document: Document) -> Document:
    return document.rewritten({k: v for k, v in document.tree.items() if k != "dialect"}, document.marks)
