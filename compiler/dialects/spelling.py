"""Unknown keys of a definition, its nodes, edges and triggers: found before anything else reads them.

A key that is one slip away from a known one is reported once and then read as that one, so that ``edegs:``
does not also make every node look unconnected.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from ..close_matches import asked, closest, listed
from ..diagnostics import Diagnostic, Path
from ..document import Document, MapMark
from ..explain import MOST_GUESSES
from ..model import TRIGGER_CONFIGS, Definition, EdgeDefinition, NodeDefinition, Part, Trigger
from .rewriting import Draft, drop

Vocabulary = Mapping[str, tuple[str, ...]]
LEVELS = ("nodes", "edges", "triggers")
_WHERE = {
    "": "a definition",
    "parts": "a part",
    "nodes": "a node",
    "edges": "an edge",
    "triggers": "a trigger",
}

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
        "do": "body",
        "steps": "body",
        "loop_body": "body",
    },
    "parts": {"id": "name", "steps": "nodes", "tasks": "nodes", "connections": "edges", "outputs": "output"},
    "edges": {"when": "condition", "if": "condition", "map": "mapping", "start": "source", "end": "target"},
    "triggers": {"kind": "type", "params": "config", "parameters": "config", "settings": "config"},
}

_IDS = frozenset({"node_id", "id", "name"})
CANONICAL: Vocabulary = {
    "": tuple(Definition.model_fields),
    "parts": tuple(Part.model_fields),
    "nodes": tuple(NodeDefinition.model_fields),
    "edges": tuple(EdgeDefinition.model_fields),
    "triggers": tuple(Trigger.model_fields),
}


def correct(document: Document, also: Vocabulary) -> tuple[Document, tuple[Diagnostic, ...]]:
    """Report unknown keys and read each as what it was meant to be, or not at all. ``also`` adds a dialect's
    keys."""
    words = {level: (*known, *also.get(level, ())) for level, known in CANONICAL.items()}
    if not _any_unknown(document.tree, words) and not _cuts(document.tree.get("nodes")):
        return document, ()
    draft = Draft(document)
    for part in draft.walk():
        root = part is draft
        _level(
            part, "" if root else "parts", part.base, part.tree, part.marks, words["" if root else "parts"]
        )
        _join(part)
        _move_out(part, words["nodes"], words["" if root else "parts"])
        for level in LEVELS if root else LEVELS[:2]:
            for index, tree, mark in part.maps(level):
                _level(part, level, (*part.base, level, index), tree, mark, words[level])
    return draft.done()


def _join(draft: Draft) -> None:
    """A node that a dash too many has cut in two: its id, and the rest of it."""
    cuts = _cuts(draft.tree.get("nodes"))
    if not cuts:
        return
    values, marks = draft.open_list("nodes")
    for index in reversed(cuts):
        first, rest = marks.items[index], marks.items[index + 1]
        if not isinstance(first, MapMark) or not isinstance(rest, MapMark):
            continue
        message = f"a dash begins another node here, and the one above has only {' and '.join(values[index])}"
        hint = "remove the dash, and align the line with the one above"
        path = (*draft.base, "nodes", index + 1)
        draft.diagnostics.append(draft.document.report("MR110", message, path, hint=hint, key=True))
        whole = rest.copy()
        whole.keys.update(first.keys)
        whole.children.update(first.children)
        values[index : index + 2] = [{**values[index], **values[index + 1]}]
        marks.items[index : index + 2] = [whole]


def _cuts(nodes: Any) -> list[int]:
    pairs = pairwise(nodes) if isinstance(nodes, list) else ()
    return [index for index, (one, other) in enumerate(pairs) if _is_cut(one, other)]


def _is_cut(one: Any, other: Any) -> bool:
    if not isinstance(one, dict) or not isinstance(other, dict) or _IDS.isdisjoint(one):
        return False
    return set(one) <= {*_IDS, "display_name", "description"} and _IDS.isdisjoint(other) and "type" in other


def _move_out(draft: Draft, of_nodes: tuple[str, ...], around: tuple[str, ...]) -> None:
    """An item of the nodes that is none: keys of what is around them, indented too far. They are read as meant."""
    mine = {*of_nodes, *SYNONYMS["nodes"]}
    nodes: Any = draft.tree.get("nodes")
    astray = [
        index
        for index, node in enumerate(nodes if isinstance(nodes, list) else ())
        if isinstance(node, dict) and node and mine.isdisjoint(node) and set(node) <= set(around)
    ]
    if not astray:
        return
    values, marks = draft.open_list("nodes")
    for index in reversed(astray):
        node, mark = values.pop(index), marks.items.pop(index)
        for key in node:
            message = f"{key!r} stands among the nodes"
            path = (*draft.base, "nodes", index, key)
            hint = "write it beside nodes:, indented as that is"
            draft.diagnostics.append(draft.document.report("MR111", message, path, hint=hint, key=True))
            if key not in draft.tree and isinstance(mark, MapMark):
                draft.tree[key], draft.marks.children[key] = node[key], mark.children[key]
                draft.marks.keys[key] = mark.keys[key]


def _any_unknown(tree: dict[str, Any], words: Vocabulary, level: str = "") -> bool:
    if not tree.keys() <= set(words[level]):
        return True
    for inner in LEVELS:
        known, items = set(words[inner]), tree.get(inner)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and (not item.keys() <= known or _unknown_inside(item, words)):
                return True
    return False


def _unknown_inside(node: dict[str, Any], words: Vocabulary) -> bool:
    branches = node.get("branches")
    inside = [node.get("body"), *(branches if isinstance(branches, list) else ())]
    return any(isinstance(part, dict) and _any_unknown(part, words, "parts") for part in inside)


def _level(
    draft: Draft, level: str, path: Path, tree: dict[str, Any], mark: MapMark, words: tuple[str, ...]
) -> None:
    config = _config_keys(tree) if level == "triggers" else frozenset[str]()
    unknown = [key for key in tree if key not in words]
    for key in unknown[MOST_GUESSES:]:
        drop(tree, mark, key)
    for key in unknown[:MOST_GUESSES]:
        meant = None if key in config else closest(key, words, SYNONYMS[level])
        hint = asked(meant) if meant else f"{_WHERE[level]} has {listed(words, 24)}"
        if key in config:
            hint = f"put it under config: {{{key}: …}}"
        draft.diagnostics.append(
            draft.document.report(
                "MR111", f"unknown key {key!r} in {_WHERE[level]}", (*path, key), hint=hint, key=True
            )
        )
        if meant and meant not in tree:
            draft.rename(tree, mark, path, {key: meant})
        elif key in config and isinstance(tree.get("config", {}), dict):
            _into_config(tree, mark, key)
        else:
            drop(tree, mark, key)


def _into_config(trigger: dict[str, Any], mark: MapMark, key: str) -> None:
    """Put a key that stands beside ``type`` where it belongs, unless that is there."""
    inner = mark.children.get("config")
    marks = inner.copy() if isinstance(inner, MapMark) else MapMark(mark.span)
    config = dict(trigger.get("config", {}))
    if key not in config:
        config[key] = trigger[key]
        marks.keys[key], marks.children[key] = mark.keys[key], mark.children[key]
    drop(trigger, mark, key)
    trigger["config"], mark.children["config"] = config, marks
    mark.keys.setdefault("config", mark.span)


def _config_keys(trigger: dict[str, Any]) -> frozenset[str]:
    """The keys that this trigger's ``config`` takes: written beside ``type``, they are only misplaced."""
    config = TRIGGER_CONFIGS.get(str(trigger.get("type")))
    return frozenset(config.model_fields) if config else frozenset()
