"""Domains: which values a reference may have, from what declares it and from how conditions use it.

A domain is never too small: what a schema says beyond types, listed values, bounds and lengths only makes it inexact.
Numbers are taken to be at most 2⁵³ in size, as JSON readers agree on them (RFC 7493, §2.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from ...expressions.references import MISSING
from ...expressions.shapes import Shape

Kind = Literal["absent", "null", "bool", "number", "string", "list", "map", "other"]
"""``other`` stands for values of the language that JSON has not, such as timestamps."""

KINDS: Final[tuple[Kind, ...]] = ("absent", "null", "bool", "number", "string", "list", "map", "other")
_ALL: Final[frozenset[Kind]] = frozenset(KINDS) - {"other"}
_PRESENT: Final[frozenset[Kind]] = _ALL - {"absent"}
LARGEST: Final = 2**53
"""The largest number in size."""
_TYPES: Final[Mapping[str, Kind]] = {
    "null": "null", "boolean": "bool", "integer": "number", "number": "number", "string": "string",
    "array": "list", "object": "map",
}  # fmt: skip
_CLASSES: Final[tuple[tuple[type[Any] | tuple[type[Any], ...], Kind], ...]] = (
    (bool, "bool"), ((int, float), "number"), (str, "string"), (list, "list"), (dict, "map"),
)  # fmt: skip
_PLAIN: Final[Mapping[type[Any], Kind]] = {
    bool: "bool", int: "number", float: "number", str: "string", list: "list", dict: "map",
}  # fmt: skip
_SILENT: Final = frozenset({
    "type", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment",
    "$defs", "definitions", "$id", "$schema", "$anchor", "properties", "required", "items",
})  # fmt: skip
"""Keys that say nothing about a single value that is not said by its type."""


@dataclass(frozen=True, slots=True)
class Domain:
    """The values of a reference: their ``kinds``; ``listed``, where these are all; bounds of numbers (open ones exclude
    themselves); lengths of strings; ``items``, the kind of a declared list's items, where that is all there is to know.

    ``exact``: whether every such value is allowed. ``typed``: whole numbers are ints, which JSON Schema does not
    promise: 60.0 is an integer to it, and divides as a decimal. ``assumed``: the kinds that remain when every use is
    taken for right; ``None`` where the uses do not say.
    """

    kinds: frozenset[Kind] = _ALL
    listed: tuple[Any, ...] | None = None
    whole: bool = False
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    shortest: int = 0
    longest: int | None = None
    items: Kind | None = None
    exact: bool = True
    typed: bool = False
    assumed: frozenset[Kind] | None = None
    declared: bool = False

    def admits(self, value: Any) -> bool:
        """Whether ``value`` is surely one of these."""
        if kind_of(value) not in self.kinds:
            return False
        if value is MISSING or (value is None and self.listed is None):
            return True
        if not self.exact:
            return False
        if self.listed is not None:
            return any(same(value, one) for one in self.listed)
        if isinstance(value, list) and self.declared:
            return all(kind_of(item) == self.items for item in value)
        if isinstance(value, str):
            return self.shortest <= len(value) and (self.longest is None or len(value) <= self.longest)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        if self.whole and not float(value).is_integer():
            return False
        above = self.low is None or value > self.low or (value == self.low and not self.low_open)
        below = self.high is None or value < self.high or (value == self.high and not self.high_open)
        return above and below and abs(value) <= LARGEST

    def including(self, *kinds: Kind) -> Domain:
        """It and these kinds."""
        return replace(self, kinds=self.kinds | frozenset(kinds))

    def among(self, kinds: Iterable[Kind]) -> Domain:
        """The part of it with these kinds."""
        return replace(self, kinds=self.kinds & frozenset(kinds))


def kind_of(value: Any) -> Kind:
    """The kind of a JSON value or of :data:`MISSING`."""
    if value is MISSING:
        return "absent"
    if value is None:
        return "null"
    if (kind := _PLAIN.get(type(value))) is not None:
        return kind
    for types, kind in _CLASSES:
        if isinstance(value, types):
            return kind
    return "other"


def same(one: Any, other: Any) -> bool:
    """Equality as JSON has it: true is not 1."""
    return kind_of(one) == kind_of(other) and one == other


def listed(values: Iterable[Any]) -> Domain:
    """The domain of just these values."""
    known = tuple(values)
    return Domain(frozenset[Kind](kind_of(value) for value in known), known, declared=True)


def domain_of(shape: Shape, *, present: bool) -> Domain:
    """The domain of a value of that ``shape``; absent too, unless it is surely ``present``."""
    found = _of_schema(shape.schema, shape.root, 0)
    if found is None:
        return Domain(_PRESENT if present else _ALL)
    found = replace(found, typed=shape.strict)
    return found if present else found.including("absent")


def _of_schema(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Domain | None:
    """The domain of a JSON Schema; ``None`` where it does not say which types."""
    if depth > 16:
        return None
    if isinstance(reference := schema.get("$ref"), str):
        target = _target(root, reference)
        return _of_schema(target, root, depth + 1) if target is not None else None
    for word in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(word), list):
            parts = [_of_schema(o, root, depth + 1) if isinstance(o, dict) else None for o in options]
            return _union(parts, exact=_silent(schema, {word}))
    if isinstance(parts := schema.get("allOf"), list) and len(parts) == 1 and isinstance(parts[0], dict):
        found = _of_schema(parts[0], root, depth + 1)
        return found and replace(found, exact=found.exact and _silent(schema, {"allOf"}))
    if "const" in schema or isinstance(schema.get("enum"), list):
        values = [schema["const"]] if "const" in schema else schema["enum"]
        return replace(listed(values), exact=_silent(schema, {"const", "enum"}))
    types = schema.get("type")
    names = [name for name in (types if isinstance(types, list) else [types]) if isinstance(name, str)]
    if not names or any(name not in _TYPES for name in names):
        return None
    return _constrained(schema, frozenset(_TYPES[name] for name in names), "number" not in names)


def _constrained(schema: Mapping[str, Any], kinds: frozenset[Kind], whole: bool) -> Domain:
    known: dict[str, Any] = {}
    seen: set[str] = set()
    for word, name, is_open in (
        ("minimum", "low", False), ("exclusiveMinimum", "low", True),
        ("maximum", "high", False), ("exclusiveMaximum", "high", True),
    ):  # fmt: skip
        value = schema.get(word)
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in known:
            known |= {name: value, f"{name}_open": is_open}
            seen.add(word)
    for word, name in (("minLength", "shortest"), ("maxLength", "longest")):
        if isinstance(value := schema.get(word), int):
            known[name] = value
            seen.add(word)
    items = schema.get("items")
    if isinstance(items, dict) and isinstance(items.get("type"), str) and _silent(items, set()):
        known["items"] = _TYPES.get(items["type"])
    exact = _silent(schema, seen) and "map" not in kinds
    return Domain(kinds, whole=whole and "number" in kinds, exact=exact, declared=True, **known)


def _silent(schema: Mapping[str, Any], known: set[str]) -> bool:
    return schema.keys() <= _SILENT | known


def _union(parts: list[Domain | None], *, exact: bool) -> Domain | None:
    """The values of any of ``parts``; bounds are kept where only one part has the kind that they bound."""
    known = [part for part in parts if part is not None]
    if len(known) != len(parts) or not known:
        return None
    kinds = frozenset[Kind]().union(*(part.kinds for part in known))
    if all(part.listed is not None for part in known):
        joined = listed(value for part in known for value in part.listed or ())
        return replace(joined, exact=exact and all(part.exact for part in known))
    real = [part for part in known if part.kinds != {"null"}]
    if len(real) == 1 and real[0].listed is None:
        return replace(real[0], kinds=kinds, exact=exact and real[0].exact)
    if len(real) == 1 and real[0].listed is not None:
        return replace(real[0], kinds=kinds, listed=(*real[0].listed, None), exact=exact and real[0].exact)
    return Domain(kinds, exact=False, declared=True)


def _target(root: Mapping[str, Any], reference: str) -> Mapping[str, Any] | None:
    if not reference.startswith("#"):
        return None
    value: Any = root
    for part in reference[1:].split("/")[1:]:
        value = value.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else None
