"""Keep the items for which something holds: a condition in an expression, or comparisons of fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, Tag, model_validator

from ...core.errors import Code, RealmError
from ..unions import by_shape
from .reading import Expression, Items, Key, Operation, Reader, identity, is_expression, rank


class Comparison(BaseModel):
    """A field held against a value. Values of different kinds are never greater or less."""

    model_config = ConfigDict(extra="forbid")

    field: Key = Field(description="The field, as size or exif.camera")
    compare: Literal["==", "!=", "<", "<=", ">", ">=", "in", "contains", "exists"] = Field(
        default="==", description="How; exists asks whether the field is there and not null"
    )
    value: JsonValue = Field(default=None, description="The value; for `in`, a list")

    @model_validator(mode="after")
    def _fitting(self) -> Comparison:
        if self.compare == "in" and not (isinstance(self.value, list) or is_expression(self.value)):
            raise ValueError("compare: in needs a list as value")
        return self

    def holds(self, found: Any) -> bool:
        """Whether the field's value ``found`` fits."""
        return COMPARE[self.compare](found, self.value)


def _ordered(check: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(found: Any, value: Any) -> bool:
        if found is None or value is None:
            return False
        left, right = rank(found), rank(value)
        return left[0] == right[0] and check(left[1], right[1])

    return holds


def _contains(found: Any, value: Any) -> bool:
    if isinstance(found, str):
        return isinstance(value, str) and value in found
    if isinstance(found, Mapping):
        return value in found
    return isinstance(found, list) and any(identity(one) == identity(value) for one in found)


COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda found, value: identity(found) == identity(value),
    "!=": lambda found, value: identity(found) != identity(value),
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
    "in": lambda found, value: isinstance(value, list) and _contains(value, found),
    "contains": _contains,
    "exists": lambda found, value: found is not None,
}


class Filter(Operation):
    """Keep the items for which something holds."""

    op: Literal["filter"]
    where: Annotated[
        Annotated[Expression, Tag("text")]
        | Annotated[bool, Tag("flag")]
        | Annotated[Comparison, Tag("mapping")]
        | Annotated[list[Comparison], Tag("list")],
        by_shape("text", "flag", "mapping", "list"),
    ] = Field(
        description="A condition over item and index in {{ }}, or comparisons of fields, all of which must hold"
    )

    def apply(self, items: Items, reader: Reader) -> Items:
        """Those that stay, in their order."""
        if isinstance(self.where, bool):
            return list(items) if self.where else []
        if isinstance(self.where, str):
            return [
                item
                for index, (item, holds) in enumerate(zip(items, reader.each(self.where, items), strict=True))
                if _true_or_false(holds, index)
            ]
        kept = items
        for comparison in self.where if isinstance(self.where, list) else [self.where]:
            against = comparison.model_copy(update={"value": reader.once(comparison.value)})
            found = reader.keys(comparison.field, kept)
            kept = [item for item, value in zip(kept, found, strict=True) if against.holds(value)]
        return list(kept)


def _true_or_false(value: Any, index: int) -> bool:
    if isinstance(value, bool):
        return value
    raise RealmError(
        Code.INVALID_ARGUMENT,
        f"item {index}: a condition must be true or false, but this is {json.dumps(value)[:40]}",
        hint="compare: item.x != null, item.x > 0",
    )
