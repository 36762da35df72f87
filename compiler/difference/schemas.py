"""Two JSON Schemas of an input: whether what the old one accepted is accepted still.

Keyword by keyword, which decides the everyday cases; what it cannot decide counts as narrower.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..diagnostics import Path
from .changes import Impact
from .values import Edit, same

_SAID = frozenset(
    {"title", "description", "examples", "$comment", "deprecated", "readOnly", "writeOnly", "$id"}
)
_UPPER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_LOWER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_ALL_TYPES = frozenset({"null", "boolean", "object", "array", "number", "integer", "string"})


class SchemaEdit(NamedTuple):
    """One change of a schema, and what it means for who gives the input."""

    edit: Edit
    impact: Impact
    reason: str


def schema_edits(old: Any, new: Any, path: Path) -> Iterator[SchemaEdit]:
    """The changes between two schemas; ``None`` is no schema, which accepts everything."""
    if same(old, new):
        return
    if not isinstance(old, dict) or not isinstance(new, dict):
        kind = "added" if old is None else "removed" if new is None else "changed"
        wider = new is None or new is True or old is False
        yield _edit(kind, path, old, new, wider, "the input was not checked before")
        return
    for key in [*old, *(key for key in new if key not in old)]:
        if not same(old.get(key), new.get(key)):
            yield from _keyword(key, old, new, (*path, key))


def _keyword(key: str, old: dict[str, Any], new: dict[str, Any], path: Path) -> Iterator[SchemaEdit]:
    before, after = old.get(key), new.get(key)
    kind = "changed" if key in old and key in new else "added" if key in new else "removed"
    if key in _SAID:
        yield SchemaEdit(Edit(kind, path, before, after), Impact.COSMETIC, "")
    elif key == "properties" and isinstance(before, dict) and isinstance(after, dict):
        yield from _properties(before, after, new, path)
    elif key in ("items", "additionalProperties") and isinstance(before, dict) and isinstance(after, dict):
        yield from schema_edits(before, after, path)
    elif key == "required":
        yield _required(kind, path, before, after)
    else:
        wider, reason = _wider(key, old, new)
        yield _edit(kind, path, before, after, wider, reason)


def _properties(
    before: dict[str, Any], after: dict[str, Any], new: dict[str, Any], path: Path
) -> Iterator[SchemaEdit]:
    for name in [*before, *(name for name in after if name not in before)]:
        inner = (*path, name)
        if name not in before:
            # A field nobody could know of is nobody's to get wrong; whether it is required is said under `required`.
            yield _edit("added", inner, None, after[name], True, "")
        elif name not in after:
            closed = new.get("additionalProperties") is False
            yield _edit("removed", inner, before[name], None, not closed, f"{name} is refused now")
        else:
            yield from schema_edits(before[name], after[name], inner)


def _required(kind: Any, path: Path, before: Any, after: Any) -> SchemaEdit:
    known = set(before) if isinstance(before, list) else set()
    needed = [name for name in after if name not in known] if isinstance(after, list) else []
    verb = "is" if len(needed) == 1 else "are"
    return _edit(kind, path, before, after, not needed, f"{', '.join(needed)} {verb} required now")


def _wider(key: str, old: dict[str, Any], new: dict[str, Any]) -> tuple[bool, str]:
    """Whether the new value of a keyword accepts all that the old one did, and what to say where it does not."""
    before: Any = old.get(key)
    after: Any = new.get(key)
    if key not in new or key == "default":
        return True, ""
    if key == "type":
        lost = sorted(_types(before) - _types(after))
        return not lost, f"{' or '.join(lost)} is refused now"
    if key == "additionalProperties":
        return after is True or before is False, "fields beside those listed are not accepted as before"
    if key == "enum" and isinstance(before, list) and isinstance(after, list):
        return all(any(same(x, y) for y in after) for x in before), "a value is no longer accepted"
    if key == "uniqueItems":
        return after is False, "items must differ now"
    if key in _UPPER | _LOWER and _number(before) and _number(after):
        return (after >= before if key in _UPPER else after <= before), f"the bound {key} is tighter"
    return False, f"{key} may refuse what was accepted"


def _types(value: Any) -> frozenset[str]:
    named = [value] if isinstance(value, str) else value
    found = frozenset(named) if isinstance(named, list) else _ALL_TYPES
    return found | {"integer"} if "number" in found else found


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _edit(kind: Any, path: Path, old: Any, new: Any, wider: bool, reason: str) -> SchemaEdit:
    impact = Impact.COMPATIBLE if wider else Impact.BREAKING
    return SchemaEdit(Edit(kind, path, old, new), impact, "" if wider else reason)
