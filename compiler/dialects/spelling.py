"""Unknown keys of a definition, its nodes, edges and triggers: found before anything else reads them.

A key that is one slip away from a known one is reported once and then read as that one, so that ``edegs:``
does not also make every node look unconnected.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..close_matches import closest, listed
from ..diagnostics import Diagnostic, Path
from ..document import Document, MapMark
from ..model import TRIGGER_CONFIGS, Definition, EdgeDefinition, NodeDefinition, Trigger
from .rewriting import Draft, drop

Vocabulary = Mapping[str, tuple[str, ...]]
LEVELS = ("nodes", "edges", "triggers")
_WHERE = {"": "a definition", "nodes": "a node", "edges": "an edge", "triggers": "a trigger"}

SYNONYMS: Mapping[str, Mapping[str, str]] = {
    "": {
        "steps": "nodes",
        "tasks": "nodes",
        "connections": "edges",
        "links": "edges",
        "trigger": "triggers",
        "on": "triggers",
        "vars": "variables",
        "inputs": "input",
        "outputs": "output",
        "id": "name",
        "title": "display_name",
        "label": "labels",
        "on_error": "error_handling",
    },
    "nodes": {
        "id": "node_id",
        "name": "node_id",
        "params": "parameters",
        "config": "parameters",
        "args": "parameters",
        "with": "parameters",
        "if": "when",
        "condition": "when",
        "needs": "depends_on",
        "after": "depends_on",
        "dependencies": "depends_on",
        "then": "next",
        "retries": "retry",
        "inputs": "input",
        "kind": "type",
        "uses": "type",
        "requirements": "resources",
    },
    "edges": {"when": "condition", "if": "condition", "map": "mapping", "start": "source", "end": "target"},
    "triggers": {"kind": "type", "params": "config", "parameters": "config", "settings": "config"},
}

CANONICAL: Vocabulary = {
    "": tuple(Definition.model_fields),
    "nodes": tuple(NodeDefinition.model_fields),
    "edges": tuple(EdgeDefinition.model_fields),
    "triggers": tuple(Trigger.model_fields),
}


def correct(document: Document, also: Vocabulary) -> tuple[Document, tuple[Diagnostic, ...]]:
    """Report unknown keys and read each as what it was meant to be, or not at all. ``also`` adds a dialect's
    keys."""
    words = {level: (*known, *also.get(level, ())) for level, known in CANONICAL.items()}
    if not _any_unknown(document.tree, words):
        return document, ()
    draft = Draft(document)
    _level(draft, "", (), draft.tree, draft.marks, words[""])
    for level in LEVELS:
        for index, tree, mark in draft.maps(level):
            _level(draft, level, _author(mark, level, index), tree, mark, words[level])
    return draft.done()


def _author(mark: MapMark, level: str, index: int) -> Path:
    return mark.origin or (level, index)


def _any_unknown(tree: dict[str, Any], words: Vocabulary) -> bool:
    if not tree.keys() <= set(words[""]):
        return True
    for level in LEVELS:
        known, items = set(words[level]), tree.get(level)
        if isinstance(items, list) and any(isinstance(i, dict) and not i.keys() <= known for i in items):
            return True
    return False


def _level(
    draft: Draft, level: str, path: Path, tree: dict[str, Any], mark: MapMark, words: tuple[str, ...]
) -> None:
    for key in [key for key in tree if key not in words]:
        meant = closest(key, words, SYNONYMS[level])
        hint = f"did you mean {meant!r}?" if meant else f"{_WHERE[level]} has {listed(words, 24)}"
        if level == "triggers" and key in _config_keys(tree):
            hint = f"put it under config: {{{key}: …}}"
        draft.diagnostics.append(
            draft.document.report(
                "MR111", f"unknown key {key!r} in {_WHERE[level]}", (*path, key), hint=hint, key=True
            )
        )
        if meant and meant not in tree:
            draft.rename(tree, mark, path, {key: meant})
        else:
            drop(tree, mark, key)


def _config_keys(trigger: dict[str, Any]) -> frozenset[str]:
    """The keys that this trigger's ``config`` takes: written beside ``type``, they are only misplaced."""
    config = TRIGGER_CONFIGS.get(str(trigger.get("type")))
    return frozenset(config.model_fields) if config else frozenset()
