"""Dialects: the spellings of a definition. One module each: ``ID``, ``recognises(tree)``, ``rewrite(document)``
and ``VOCABULARY``: the keys it has beside the canonical ones, or ``None`` if it is a language of its own, whose keys it
checks itself.

A rewrite returns the document in canonical spelling, every value with the position and path of what the
author wrote, and what it could not rewrite as diagnostics. The first dialect that recognises a document takes
it; a top-level ``dialect:`` key, or an argument, overrides. A new dialect is a new module and one line in
:data:`DIALECTS`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ...tasks.registry import Registry
from ..close_matches import closest
from ..diagnostics import Diagnostic
from ..document import Document
from ..model import Definition
from ..registered import modules
from . import platform, platform_next
from .bare_conditions import bare_conditions
from .parts import gather_parts
from .spelling import correct

DIALECTS: tuple[ModuleType, ...] = modules(
    __name__,
    "api_orchestration",
    "wfformat",
    "links",
    "connections",
    "next_branch",
    "control_tree",
    "event_steps",
    "platform_next",
    "platform",
)

_MARKS = ("tasks", "links", "connections", "steps", "root_node", "trigger_event")
"""Keys of which a slip would hide the dialect."""


def rewrite(
    document: Document, dialect: str | None = None, registry: Registry | None = None
) -> tuple[Document, tuple[Diagnostic, ...]]:
    """The canonical document, by ``dialect``, by the document's own ``dialect`` key, or by recognition."""
    if not isinstance(document.tree, dict):
        return document, ()
    document = _without(document, "$schema")  # It is for editors.
    found: list[Diagnostic] = []
    tree = document.tree
    chosen = dialect if dialect is not None else document.tree.get("dialect")
    module = _named(chosen)
    if module is None and chosen is not None:
        known = ", ".join(module.ID for module in DIALECTS)
        message = (
            f"unknown dialect {chosen!r}" if isinstance(chosen, str) else "a dialect is named by a string"
        )
        hint = f"write one of {known}, or leave the key out"
        found.append(document.report("MR125", message, ("dialect",), hint=hint))
    if module is None:
        module = _own_language(tree) or ("nodes" not in tree and _own_language(_respelled(tree))) or None
    if module is None or module.VOCABULARY is not None:
        # A slip in a key may hide the very mark of a dialect, so keys are mended first.
        document, misplaced = gather_parts(document, registry)
        document, slips = correct(document, (module or _spoken(tree)).VOCABULARY)
        found += [*misplaced, *slips]
    document, others = (module or _recognised(document.tree)).rewrite(_without(document, "dialect"))
    return bare_conditions(document), (*found, *others)


def _own_language(tree: dict[str, Any]) -> ModuleType | None:
    return next((d for d in DIALECTS if d.VOCABULARY is None and d.recognises(tree)), None)


def _respelled(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with the keys that dialects are recognised by as they were probably meant."""
    known = Definition.model_fields
    return {
        key if key in known else closest(key, (*_MARKS, *known)) or key: item for key, item in tree.items()
    }


def _named(dialect: Any) -> ModuleType | None:
    return next((module for module in DIALECTS if dialect == module.ID), None)


def _recognised(tree: Any) -> ModuleType:
    return next((module for module in DIALECTS if module.recognises(tree)), platform)


def _spoken(tree: dict[str, Any]) -> ModuleType:
    """Whose keys are meant: where nothing else is recognised, those of ``platform-next``, which has all of ours."""
    found = _recognised(tree)
    return platform_next if found is platform or found.VOCABULARY is None else found


def _without(document: Document, key: str) -> Document:
    return document.rewritten({name: v for name, v in document.tree.items() if name != key}, document.marks)
