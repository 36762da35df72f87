"""Shapes: what is known beforehand about a value, from a JSON Schema or a Pydantic model, for the checker.

A shape answers two questions: what lies under a field, and which type the value has. When the schema leaves room, the
answer is "anything", so that no expression is refused that could work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

CelType = Literal[
    "number", "string", "bool", "list", "map", "dyn", "number_or_null", "string_or_null", "bool_or_null"
]

_TYPES: Mapping[str, CelType] = {
    "integer": "number",
    "number": "number",
    "string": "string",
    "boolean": "bool",
    "array": "list",
    "object": "map",
}
_OR_NULL: Mapping[CelType, CelType] = {
    "number": "number_or_null",
    "string": "string_or_null",
    "bool": "bool_or_null",
}
_NOT_NULL: Mapping[CelType, CelType] = {both: plain for plain, both in _OR_NULL.items()}
_WORDS = {
    "number": "a number",
    "string": "a string",
    "bool": "true or false",
    "list": "a list",
    "map": "a map",
}


@dataclass(frozen=True, slots=True)
class Unknown:
    """A step that leads nowhere: the names that would, and what kind of value was asked."""

    known: tuple[str, ...]
    kind: str
    certain: bool
    """Whether the schema excludes the name; otherwise it only does not mention it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A JSON Schema (``schema``) whose references lie in ``root``. ``strict`` takes fields that an object does not
    list for absent even where the schema does not say so (an output model: its dump has just these)."""

    schema: Mapping[str, Any]
    root: Mapping[str, Any]
    strict: bool = False

    def step(self, part: str | int) -> Shape | Unknown:
        """What lies under ``part``."""
        schema = self._resolved()
        if schema is None:
            return ANYTHING
        kind = schema.get("type")
        if kind == "object" or (kind is None and "properties" in schema):
            return self._field(schema, str(part))
        if kind == "array":
            return self._item(schema, part) if isinstance(part, int) else Unknown((), "a list", True)
        if isinstance(kind, str) and kind in _TYPES:
            return Unknown((), _WORDS[_TYPES[kind]], True)
        return ANYTHING

    @property
    def places(self) -> tuple[Shape, ...]:
        """The shapes of the items of a list whose first items have one each, by their places; none for other lists."""
        schema = self._resolved() or {}
        first = schema.get("prefixItems") if schema.get("type") == "array" else None
        if not isinstance(first, list):
            return ()
        return tuple(self._under(one) if isinstance(one, dict) else ANYTHING for one in first)

    @property
    def least(self) -> int:
        """How many items a list surely has."""
        least = (self._resolved(nullable=False) or {}).get("minItems")
        return least if type(least) is int else 0

    @property
    def cel_type(self) -> CelType:
        """The type to check with; ``dyn`` where it may be several, or a list or map that may be null."""
        plain = _type_of(self._resolved(nullable=False))
        return plain if plain != "dyn" else _OR_NULL.get(_type_of(self._resolved()), "dyn")

    @property
    def kind(self) -> CelType:
        """The type of what is not null; ``dyn`` where it may be several."""
        plain = self.cel_type
        return _type_of(self._resolved()) if plain == "dyn" else _NOT_NULL.get(plain, plain)

    @property
    def whole(self) -> bool:
        """Whether it is surely a whole number."""
        schema = self._resolved(nullable=False)
        return bool(schema) and schema.get("type") == "integer"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are listed."""
        schema = self._resolved() or {}
        return tuple(schema.get("properties") or ())

    @property
    def certain(self) -> frozenset[str]:
        """The fields that it surely has; none, where it may be null or is not one plain schema."""
        schema = self._resolved(nullable=False) or {}
        names = schema.get("properties") if self.strict else schema.get("required")
        names = (
            names if isinstance(names, list | dict) else ()
        )  # What else it is, the schema's own check tells.
        return frozenset(name for name in names if isinstance(name, str))

    def _item(self, schema: Mapping[str, Any], index: int) -> Shape | Unknown:
        first, others, most = self.places, schema.get("items"), schema.get("maxItems")
        if index < len(first):
            return first[index]
        if others is False:
            most = len(first)
        if type(most) is int and index >= most:
            return Unknown((), f"a list of at most {most}", True)
        return self._under(others) if isinstance(others, dict) else ANYTHING

    def _field(self, schema: Mapping[str, Any], name: str) -> Shape | Unknown:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        if name in properties:
            found = properties[name]
            return self._under(found) if isinstance(found, dict) else ANYTHING
        extra = schema.get("additionalProperties")
        loose = (
            "patternProperties",
            "propertyNames",
            "unevaluatedProperties",
            "$dynamicRef",
            "if",
            "dependentSchemas",
        )
        if isinstance(extra, dict):
            return self._under(extra)
        if extra is True or any(word in schema for word in loose) or (not properties and extra is not False):
            return ANYTHING
        return Unknown(tuple(properties), "a map", extra is False or self.strict)

    def _under(self, schema: Mapping[str, Any]) -> Shape:
        return Shape(schema, self.root, self.strict)

    def _resolved(self, *, nullable: bool = True) -> Mapping[str, Any] | None:
        """The one plain schema that applies; ``None`` where several may. Null is looked through if ``nullable``."""
        schema: Mapping[str, Any] = self.schema
        for _ in range(32):
            if isinstance(schema.get("$ref"), str):
                target = _pointer(self.root, schema["$ref"])
            elif isinstance(options := schema.get("anyOf", schema.get("oneOf")), list):
                kept = [o for o in options if isinstance(o, dict) and o.get("type") != "null"]
                if len(kept) != 1 or (len(kept) != len(options) and not nullable) or "properties" in schema:
                    return None
                target = kept[0]
            elif isinstance(parts := schema.get("allOf"), list):
                if len(parts) != 1 or "properties" in schema:
                    return None
                target = parts[0]
            elif isinstance(kinds := schema.get("type"), list):
                kept = [kind for kind in kinds if kind != "null"]
                if len(kept) != 1 or (len(kept) != len(kinds) and not nullable):
                    return None
                return {**schema, "type": kept[0]}
            else:
                return schema
            if not isinstance(target, dict):
                return None
            schema = target
        return None


def _type_of(schema: Mapping[str, Any] | None) -> CelType:
    kind = schema.get("type") if schema else None
    return _TYPES.get(kind, "dyn") if isinstance(kind, str) else "dyn"


ANYTHING = Shape({}, {})
"""The shape of which nothing is known."""


def _pointer(root: Mapping[str, Any], reference: str) -> Any:
    if not reference.startswith("#"):
        return None
    value: Any = root
    for part in reference[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


@lru_cache(maxsize=1024)
def shape_of_model(model: type[BaseModel]) -> Shape:
    """The shape of what a model dumps to; anything, where it has no JSON Schema."""
    try:
        schema = model.model_json_schema(mode="serialization", by_alias=False)
    except (PydanticInvalidForJsonSchema, PydanticUserError):
        return ANYTHING
    return Shape(schema, schema, strict=True)


def shape_of_schema(schema: Any) -> Shape:
    """The shape of an instance input; anything, where there is no schema."""
    return Shape(schema, schema) if isinstance(schema, dict) else ANYTHING


def shape_of_value(value: Any) -> Shape:
    """The shape of a constant."""
    schema = _schema_of(value)
    return Shape(schema, schema, strict=True)


def _schema_of(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int | float):
        return {"type": "integer" if isinstance(value, int) else "number"}
    if isinstance(value, str):
        return {} if "{{" in value else {"type": "string"}
    if isinstance(value, Mapping):
        fields = {str(key): _schema_of(item) for key, item in value.items()}
        return {"type": "object", "properties": fields, "additionalProperties": False}
    if isinstance(value, Sequence):
        return {"type": "array"}
    return {}
