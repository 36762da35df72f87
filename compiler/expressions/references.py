"""References: the chains such as ``nodes.a.faces[0].box`` that an expression reads from its scope.

They are resolved in Python and handed to CEL one value each. So only what is read is converted (a scope of a hundred
nodes costs as much as one of three), node ids and fields may be in any script, and what is absent is known by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ...core.settings import settings
from .errors import ExpressionError, did_you_mean

SCOPE_NAMES: Final = ("input", "trigger", "nodes", "vars", "loop", "item", "execution", "env")
"""The names that an expression may read. A foreach may add one of its own."""


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""What a reference to something absent resolves to."""


@dataclass(frozen=True, slots=True)
class Reference:
    """``root`` and the keys and indices after it. ``mode`` says what its absence means: an error, null, or false.

    ``places`` are the start and end offsets of the root and of each part in the expression's text. They do not take
    part in equality, so one variable serves all occurrences; nor do ``follower`` and ``hyphened``, for hints.
    """

    root: str
    path: tuple[str | int, ...]
    mode: Literal["value", "maybe", "has"]
    places: tuple[tuple[int, int], ...] = field(compare=False)
    follower: str = field(default="", compare=False)
    hyphened: str = field(default="", compare=False)

    @property
    def start(self) -> int:
        """Offset of the first character."""
        return self.places[0][0]

    @property
    def end(self) -> int:
        """Offset after the last character."""
        return self.places[-1][1]

    def text(self, parts: int | None = None) -> str:
        """The reference as people write it, up to ``parts`` parts of the path."""
        shown = self.root
        for part in self.path[:parts]:
            shown += f".{part}" if isinstance(part, str) and part.isidentifier() else f"[{part!r}]"
        return shown


def environment() -> dict[str, str]:
    """The environment variables that expressions may read: those on the allow-list of the settings."""
    return {name: os.environ[name] for name in settings().env_allow if name in os.environ}


def node_key(nodes: Iterable[str], name: str) -> str | None:
    """The node id that ``name`` means: itself, or the one that reads so with underscores for hyphens.

    >>> node_key(["preprocess-01"], "preprocess_01")
    'preprocess-01'
    """
    if not isinstance(nodes, Mapping | set | frozenset):
        nodes = list(nodes)
    if name in nodes:
        return name
    if "_" not in name:
        return None
    if (hyphened := name.replace("_", "-")) in nodes:
        return hyphened
    return next((key for key in nodes if key.replace("-", "_") == name), None)


def resolve(reference: Reference, scope: Mapping[str, Any]) -> Any:
    """The value of ``reference`` in ``scope``, or :data:`MISSING`."""
    value = scope.get(reference.root, MISSING)
    if value is MISSING:
        if reference.root != "env":
            return MISSING
        value = environment()
    path: Sequence[str | int] = reference.path
    if reference.root == "nodes" and path and isinstance(value, Mapping):
        key = node_key(value, str(path[0]))
        value = MISSING if key is None else value[key]
        path = path[1:]
    for part in path:
        value = _step(value, part)
    return value


def spread(reference: Reference, value: Any) -> Any:
    """``value``, ready for an expression that reads ``nodes`` as a whole: hyphened ids under both spellings."""
    if (
        reference.root != "nodes"
        or reference.path
        or not isinstance(value, Mapping)
        or reference.mode == "has"
    ):
        return value
    return {key.replace("-", "_"): output for key, output in value.items()} | dict(value)


def _step(value: Any, part: str | int) -> Any:
    if type(value) is dict or isinstance(value, Mapping):
        return value.get(part, MISSING)
    if isinstance(part, int) and isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return value[part] if 0 <= part < len(value) else MISSING
    return MISSING


def explain(reference: Reference, scope: Mapping[str, Any], expression: str) -> ExpressionError:
    """The error of a reference that resolved to :data:`MISSING`: which part is absent, and what was meant."""
    value: Any = scope.get(reference.root, MISSING)
    if value is MISSING and reference.root == "env":
        value = environment()
    if value is MISSING:
        return unknown_root(reference, scope, expression)
    for index, part in enumerate(reference.path):
        container, shown = value, reference.text(index)
        if index == 0 and reference.root == "nodes" and isinstance(value, Mapping):
            key = node_key(value, str(part))
            value = MISSING if key is None else value[key]
        else:
            value = _step(value, part)
        if value is MISSING:
            problem, hint = _absence(reference, container, shown, part, index)
            start, end = reference.places[index + 1]
            return ExpressionError(
                problem,
                expression=expression,
                column=start + 1,
                end=end + 1,
                hint=hint,
                kind="field",
                absent=True,
            )
    raise AssertionError(f"{reference} is there")


def _absence(
    reference: Reference, container: Any, shown: str, part: str | int, index: int
) -> tuple[str, str | None]:
    forgiving = f"write default({reference.text()}, …) if it may be absent"
    if container is None:
        return f"{shown} is null, so it has no {part!r}", forgiving
    if isinstance(container, Mapping):
        known = [str(key) for key in container]
        hint = did_you_mean(str(part), known)
        if reference.root == "env":
            return f"env.{part} is not set or not allowed", "name it in MIRROR_REALM_ENV_ALLOW"
        if reference.root == "nodes" and index == 0:
            return f"there is no output of a node {part!r} here", hint or forgiving
        return f"{shown} has no field {part!r}", hint or forgiving
    if isinstance(container, Sequence) and not isinstance(container, str):
        if isinstance(part, int):
            return f"{shown} has {len(container)} items, so there is none at index {part}", forgiving
        hint = f"write size({shown})" if part in ("length", "size", "count") else f"write {shown}[0].{part}"
        return f"{shown} is a list and has no field {part!r}", hint
    kind = {str: "a string", bool: "true or false"}.get(type(container), "a number")
    hint = f"write size({shown})" if part in ("length", "size") and kind == "a string" else None
    return f"{shown} is {kind} and has no field {part!r}", hint


WORDS: Final = {
    "None": "write null",
    "nil": "write null",
    "undefined": "write null, or has(…) to ask whether a field is there",
    "True": "write true",
    "False": "write false",
    "TRUE": "write true",
    "FALSE": "write false",
    "NULL": "write null",
    "AND": "write and, or &&",
    "OR": "write or, or ||",
    "NOT": "write not, or !",
    "if": "write condition ? a : b",
    "else": "write condition ? a : b",
    "otherwise": "write else, as the condition of an edge",
    "secrets": "name the secret in the node's own parameters",
    "lambda": "write list.map(x, …) or list.filter(x, …)",
    "for": "write list.map(x, …) or list.filter(x, …)",
    "workflow": "write input.…",
    "context": "write input.…, vars.… or trigger.…",
    "variables": "write vars.…",
    "inputs": "write input.…",
    "node": "write nodes.id.field",
    "steps": "write nodes.id.field",
    "math": "write abs(x), round(x), floor(x), ceil(x), min(…) or max(…)",
}
"""Words from other languages, and what this one says instead."""


def unknown_root(reference: Reference, scope: Iterable[str], expression: str) -> ExpressionError:
    """The error of a name that is not in the scope."""
    root = reference.root
    start, end = reference.places[0]
    absent = root in SCOPE_NAMES
    if absent:
        problem = f"there is no {root!r} here"
        hint = "it exists only inside a loop or foreach" if root in ("loop", "item") else None
    else:
        problem = f"unknown name {root!r}"
        names = [*SCOPE_NAMES, *(name for name in scope if name not in SCOPE_NAMES)]
        hint = _root_hint(reference, names, scope)
    return ExpressionError(
        problem, expression=expression, column=start + 1, end=end + 1, hint=hint, kind="name", absent=absent
    )


def _root_hint(reference: Reference, names: list[str], scope: Iterable[str]) -> str:
    root = reference.root
    nodes = scope.get("nodes") if isinstance(scope, Mapping) else None
    if root in WORDS:
        return WORDS[root]
    if reference.hyphened:
        return f"a name with a hyphen is written in brackets: [{reference.hyphened!r}]"
    if isinstance(nodes, Mapping) and node_key(nodes, root):
        return f"write nodes.{reference.text()}"
    if matches := did_you_mean(root, names):
        return matches
    if reference.follower == ":":
        return f"put the key in quotes: {root!r}"
    return f"put text in quotes; the names are {', '.join(names)}"
