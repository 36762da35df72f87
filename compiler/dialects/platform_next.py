"""``platform-next``: successors in the nodes, by ``next``, ``branch_conditions`` or ``depends_on``.

Source: seed 001 §4.1.1; ``branch_conditions`` as in seed 004 §6.1.1: the first condition that holds wins, and
``default`` is the else. Edges listed beside them count too.
"""

from __future__ import annotations

from typing import Any

from ..diagnostics import Diagnostic, Path
from ..document import Document, MapMark, Mark, SeqMark, span_of
from .platform import TOP_NAMES, rename_aliases
from .platform import VOCABULARY as PLATFORM
from .rewriting import Draft, drop

ID = "platform-next"
KEYS = ("next", "branch_conditions", "depends_on")
VOCABULARY = {**PLATFORM, "nodes": (*PLATFORM["nodes"], *KEYS)}
MOST_BRANCHES = 100
"""Each branch excludes those before it, so the text of their conditions grows with the square of their number."""
_ELSE = ("default", "else")


def recognises(tree: Any) -> bool:
    """A mapping in whose nodes, or in those inside them, one of the keys appears."""
    nodes = tree.get("nodes") if isinstance(tree, dict) else None
    return isinstance(nodes, list) and any(isinstance(n, dict) and _marked(n) for n in nodes)


def _marked(node: dict[str, Any]) -> bool:
    branches = node.get("branches")
    inside = [node.get("body"), *(branches if isinstance(branches, list) else ())]
    return any(key in node for key in KEYS) or any(map(recognises, inside))


def rewrite(document: Document) -> tuple[Document, tuple[Diagnostic, ...]]:
    """Turn each node's successors and dependencies into edges, after those that are listed."""
    draft = Draft(document)
    draft.rename(draft.tree, draft.marks, (), TOP_NAMES)
    for part in draft.walk():
        rename_aliases(part)
        _successors(part)
    return draft.done()


def _successors(draft: Draft) -> None:
    draft.open_list("edges")
    for index, node, mark in draft.maps("nodes"):
        path: Path = (*draft.base, "nodes", index)
        for key in KEYS:
            if key not in node:
                continue
            value, value_mark = node[key], mark.children[key]
            drop(node, mark, key)
            node_id = node.get("node_id")
            if not isinstance(node_id, str) or value is None:
                continue  # the form check says that the node has no id
            own: tuple[Any, Mark, str | None] = (node_id, mark.children["node_id"], None)
            if key == "branch_conditions":
                _branches(draft, (*path, key), own, value, value_mark)
            else:
                _links(draft, (*path, key), own, value, value_mark)


def _links(draft: Draft, path: Path, own: tuple[Any, Mark, str | None], value: Any, mark: Mark) -> None:
    """``next`` and ``depends_on``: one id or a list of ids."""
    items = value if isinstance(value, list) else [value]
    marks = mark.items if isinstance(mark, SeqMark) else [mark]
    for index, (item, item_mark) in enumerate(zip(items, marks, strict=True)):
        origin = (*path, index) if isinstance(value, list) else path
        if not isinstance(item, str):
            what = "a node id" if isinstance(value, list) else "a list of node ids"
            draft.report("MR112", f"{path[-1]} takes {what}", origin, hint=f"write {path[-1]}: [node-id]")
            continue
        other: tuple[Any, Mark, str | None] = (item, item_mark, None)
        forward = path[-1] == "next"
        ends = {"source": own if forward else other, "target": other if forward else own}
        draft.add_edge(origin, span_of(item_mark), ends)


def _branches(draft: Draft, path: Path, own: tuple[Any, Mark, str | None], value: Any, mark: Mark) -> None:
    """``branch_conditions``: each edge's condition excludes those before it."""
    if not isinstance(value, list) or not isinstance(mark, SeqMark):
        hint = "write branch_conditions: [{expression: …, target: node-id}]"
        draft.report("MR112", "branch_conditions takes a list", path, hint=hint)
        return
    if len(value) > MOST_BRANCHES:
        hint = "decide in two steps: a first node chooses a group, another one within it"
        draft.report("MR103", f"more than {MOST_BRANCHES} branches", path, hint=hint)
        return
    before: list[str] = []
    for index, (item, item_mark) in enumerate(zip(value, mark.items, strict=True)):
        origin = (*path, index)
        if not isinstance(item, dict) or not isinstance(item_mark, MapMark):
            draft.report(
                "MR112", "a branch is a mapping", origin, hint="write {expression: …, target: node-id}"
            )
            continue
        for key in item:
            if key not in ("expression", "target"):
                hint = "a branch has expression and target"
                draft.report("MR111", f"unknown key {key!r} in a branch", (*origin, key), hint=hint, key=True)
        condition = _condition(draft, origin, item)
        if not isinstance(item.get("target"), str):
            draft.report("MR110", "a branch without a target", origin, hint="add target: node-id")
        elif condition is not None:
            where = item_mark.children.get("expression", item_mark.span)
            name = "expression" if "expression" in item else None
            if condition.strip() in _ELSE:
                condition = "else"
            else:
                bare = _bare(condition)
                condition = _first_match(condition, before)
                before.append(bare)
            target = (item["target"], item_mark.children["target"], "target")
            ends = {"source": own, "target": target, "condition": (condition, where, name)}
            draft.add_edge(origin, item_mark.span, ends)


def _condition(draft: Draft, origin: Path, item: dict[str, Any]) -> str | None:
    """A branch's expression as text; ``default`` where it has none, ``None`` where it is no text."""
    condition = item.get("expression", "default")
    if isinstance(condition, bool):
        return "true" if condition else "false"
    if isinstance(condition, str):
        return condition
    draft.report("MR112", "an expression is a string", (*origin, "expression"), hint="put it in quotes")
    return None


def _first_match(condition: str, before: list[str]) -> str:
    """``condition`` where none of those before it held.

    >>> _first_match("input.x > 1", ["input.x > 9"])
    '(input.x > 1) && !(input.x > 9)'
    """
    if not before:
        return condition
    return " && ".join([f"({_bare(condition)})", *(f"!({earlier})" for earlier in before)])


def _bare(condition: str) -> str:
    """The expression inside ``{{ }}``, where that is all there is."""
    text = condition.strip()
    if text.startswith("{{") and text.endswith("}}") and "{{" not in text[2:]:
        return text[2:-2].strip()
    return text
