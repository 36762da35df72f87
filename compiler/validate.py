"""The canonical document against the model: every finding at its place, and the rest of the definition saved.

One wrong value must not hide the findings of later checks, so a definition that fails is mended: what is
wrong is removed (or, where something must stand there, replaced by a stand-in that no check looks at) and
validated again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from .close_matches import listed
from .diagnostics import Diagnostic, Path
from .document import Document, MapMark, Mark, SeqMark, span_of
from .explain import explain, fields_at, item_name, without_echoes
from .model import LENIENT, Definition

_ROUNDS = 6
MOST_ERRORS = 1000
"""Beyond these a document is not mended."""
_STAND_INS = {"name": "unnamed", "type": "", "source": "", "target": ""}
_IDS = ("node_id", "source", "target", "goto")
NO_ID = "needs 'id'"
"""How the finding ends that tells of a node of another dialect without one."""
UNNAMED = "?/"
"""Ids of nodes that have none begin so; no author's id can, since the form check refuses theirs."""


@dataclass(frozen=True)
class Validated:
    """``definition`` only where the form is right; ``mended`` and ``document`` are what later checks look at."""

    definition: Definition | None
    mended: Definition | None
    document: Document
    diagnostics: tuple[Diagnostic, ...]


def validate(document: Document) -> Validated:
    """Validate a canonical document. Never raises for a bad one."""
    if not isinstance(document.tree, dict):
        hint = "start with `name: my-workflow` and `nodes:`"
        found = document.report("MR106", "a definition is a mapping of name, nodes, edges, …", (), hint=hint)
        return Validated(None, None, document, (found,))
    try:
        definition = Definition.model_validate(document.tree)
        return Validated(definition, definition, document, ())
    except ValidationError as error:
        if error.error_count() > MOST_ERRORS:
            return _hopeless(document, error)
        errors = without_echoes(error.errors(include_url=False), _known)
    diagnostics: list[Diagnostic] = []
    mended = document.rewritten(*_copy(document.tree, document.marks))
    for round_number in range(_ROUNDS):
        told = _without_references(errors) if round_number == 0 else filter(_fresh, errors)
        diagnostics += [_diagnostic(mended, error) for error in told]
        for error in sorted(errors, key=lambda e: _order(e["loc"]), reverse=True):
            _mend(mended, error)
        try:
            saved = Definition.model_validate(mended.tree, context=LENIENT)
            return Validated(None, saved, mended, tuple(diagnostics))
        except ValidationError as error:
            errors = error.errors(include_url=False)
    return Validated(None, None, mended, tuple(diagnostics))


def _hopeless(document: Document, error: ValidationError) -> Validated:
    """What is told of a document in which so much is wrong that nobody meant it: the first errors, nothing more."""
    some = error.errors(include_url=False)[:MOST_ERRORS]
    diagnostics = tuple(_diagnostic(document, one) for one in some)
    return Validated(None, None, document.rewritten({}, MapMark(span_of(document.marks))), diagnostics)


def _known(path: Path) -> tuple[str, ...]:
    return fields_at(Definition, path)


def _fresh(error: Any) -> bool:
    # Later rounds meet what mending left behind; only a wrong value behind a mended one is news.
    return error["type"] not in ("missing", "too_short", "string_too_short")


def _without_references(errors: list[Any]) -> list[Any]:
    """``errors`` without those of edges that name a node by an id that no node can have: that is told at the node that
    has it, and where none has, the check of references says so."""
    numbers = {error["input"] for error in errors if error["loc"][-1] == "node_id" and _is_number(error)}
    return [
        error
        for error in errors
        if error["loc"][-1] == "node_id"
        or not (
            error["input"] in numbers if _is_number(error) else error["type"] == "node_id" and error["input"]
        )
    ]


def _is_number(error: Any) -> bool:
    return error["type"] == "string_type" and isinstance(error["input"], int | float)


def _order(path: Path) -> tuple[tuple[int, str | int], ...]:
    return tuple((1, part) if isinstance(part, int) else (0, part) for part in path)


def _diagnostic(document: Document, error: Any) -> Diagnostic:
    path, kind = _real(document.tree, error["loc"]), error["type"]
    parent = path if kind == "missing" else path[:-1]
    name = str(error["loc"][-1]) if kind == "missing" else item_name(path)
    found = explain(error, name, fields_at(Definition, parent))
    message, hint = found.message, found.hint
    if kind == "missing" and parent:
        message = f"{message} in {_called(parent)}"
    if hint == "write a mapping" and (fields := fields_at(Definition, path)):
        hint = f"write a mapping of {listed(fields, 6)}"
    container = isinstance(error.get("input"), dict | list)
    key = kind == "extra_forbidden" or found.code == "MR110" or container
    return document.report(found.code, message, path, hint=hint, key=key)


def _called(path: Path) -> str:
    names = {
        "nodes": "this node", "edges": "this edge", "triggers": "this trigger", "branches": "this branch",
    }  # fmt: skip
    if isinstance(path[-1], int):
        return names.get(str(path[-2]), "this item")
    return repr(path[-1])


def _real(tree: Any, loc: Path) -> Path:
    """The part of a location that the tree has: the model lists some values that may stand alone."""
    path: list[str | int] = []
    for part in loc:
        if isinstance(tree, dict):
            if part not in tree:
                continue
        elif not (isinstance(tree, list) and isinstance(part, int) and part < len(tree)):
            continue
        tree = tree[part]  # type: ignore[index]
        path.append(part)
    return tuple(path)


def _mend(document: Document, error: Any) -> None:
    kind, loc = error["type"], error["loc"]
    path = _real(document.tree, loc)
    if kind in ("name", "version", "node_id"):
        return  # the lenient second validation takes it as it is
    if kind == "missing":
        field = str(loc[-1])
        parent = document.value(path)
        if field == "node_id":
            parent[field] = f"{UNNAMED}{path[-1]}"
        elif field in _STAND_INS:
            parent[field] = _STAND_INS[field]
        elif field == "nodes":
            parent[field] = []
        elif path:
            _remove(document, path)
    elif path and loc[-1] in _IDS and _is_number(error):
        document.value(path[:-1])[path[-1]] = json.dumps(error["input"])
    elif path:
        _remove(document, path)


def _remove(document: Document, path: Path) -> None:
    try:
        parent, last = document.value(path[:-1]), path[-1]
    except (KeyError, IndexError, TypeError):
        return  # an earlier mend removed what holds it
    mark = _mark_at(document.marks, path[:-1])
    if isinstance(parent, list) and isinstance(last, int) and last < len(parent):
        if path[-2:-1] in (("nodes",), ("edges",), ("triggers",), ("branches",)):
            # Its place must stay taken, or every later index would name another item.
            parent[last] = {}
            return
        del parent[last]
        if isinstance(mark, SeqMark):
            del mark.items[last]
    elif isinstance(parent, dict):
        parent.pop(last, None)


def _mark_at(mark: Mark, path: Path) -> Mark:
    for part in path:
        if isinstance(mark, MapMark) and isinstance(part, str):
            mark = mark.children.get(part, 0)
        elif isinstance(mark, SeqMark) and isinstance(part, int):
            mark = mark.items[part]
    return mark


def _copy(tree: Any, mark: Mark) -> tuple[Any, Mark]:
    """Every container anew, so that aliases no longer share and mending changes one place only."""
    if isinstance(tree, dict) and isinstance(mark, MapMark):
        copy = mark.copy()
        fresh: dict[str, Any] = {}
        for key, value in tree.items():
            fresh[key], copy.children[key] = _copy(value, mark.children.get(key, mark.span))
        return fresh, copy
    if isinstance(tree, list) and isinstance(mark, SeqMark):
        pairs = [_copy(value, item) for value, item in zip(tree, mark.items, strict=True)]
        return [value for value, _ in pairs], SeqMark(mark.span, [item for _, item in pairs], mark.origin)
    return tree, mark
