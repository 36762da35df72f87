"""Two JSON values, compared to the place; and values without the secrets in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ...tasks.redact import MASK, redact
from ..diagnostics import Path
from .changes import Kind

_SECRET = re.compile(
    r"(?:^|[_-])(?:password|passwd|pwd|secret|token|credentials?|signature|authorization|(?:api|access|secret|private)[_-]?key)$",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"\s*\{\{.*\}\}\s*", re.DOTALL)


class Edit(NamedTuple):
    """One place where two values differ."""

    kind: Kind
    path: Path
    old: Any
    new: Any


def edits(old: Any, new: Any, path: Path = ()) -> Iterator[Edit]:
    """Where two JSON values differ: key by key in mappings, item by item in lists of the same length, else whole.

    >>> list(edits({"a": 1, "b": [1, 2]}, {"b": [1, 3], "c": 2}))[0]
    Edit(kind='removed', path=('a',), old=1, new=None)
    >>> [(e.kind, e.path) for e in edits({"a": 1, "b": [1, 2]}, {"b": [1, 3], "c": 2})]
    [('removed', ('a',)), ('changed', ('b', 1)), ('added', ('c',))]
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in new:
                yield Edit("removed", (*path, key), old[key], None)
            elif key not in old:
                yield Edit("added", (*path, key), None, new[key])
            else:
                yield from edits(old[key], new[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from edits(one, other, (*path, index))
    elif not same(old, new):
        yield Edit("changed", path, old, new)


def same(old: Any, new: Any) -> bool:
    """Whether two JSON values are the same; ``1`` and ``true`` are not."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(same(old[key], new[key]) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(same, old, new))
    return old == new and type(old) is type(new)


def shown(value: Any, path: Path) -> Any:
    """A value as it may be shown: what is named as a secret, and passwords in URLs, are masked. Templates are not.

    >>> shown("hunter2", ("parameters", "api_key")), shown({"token": "{{ secret('t') }}"}, ())
    ('***', {'token': "{{ secret('t') }}"})
    """
    names = [part for part in path if isinstance(part, str)]
    hidden = any(map(_SECRET.search, names))
    if isinstance(value, dict):
        return {key: shown(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [shown(item, path) for item in value]
    if hidden and value is not None and not isinstance(value, bool):
        return value if isinstance(value, str) and _TEMPLATE.fullmatch(value) else MASK
    return redact(value) if isinstance(value, str) else value
