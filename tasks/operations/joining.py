"""Bring two lists together by keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, Tag, model_validator

from ..unions import by_shape
from .reading import Expression, Items, Key, Keys, Operation, Reader, as_list, as_object, listed


class Join(Operation):
    """Bring the items of another list to those with the same key."""

    op: Literal["join"]
    other: Annotated[
        Annotated[Expression, Tag("text")] | Annotated[list[JsonValue], Tag("list")], by_shape("text", "list")
    ] = Field(description="The other list, an expression such as {{ nodes.users.data }}")
    on: Keys | None = Field(default=None, description="The key or keys of both lists")
    left: Keys | None = Field(default=None, description="Or those of the items")
    right: Keys | None = Field(default=None, description="And those of the other list")
    how: Literal["inner", "left"] = Field(
        default="inner", description="inner: only items with a match; left: every item"
    )
    into: Key | None = Field(
        default=None,
        description="The field that gets the match (null without one); default its fields beside the item's own, "
        "which win",
    )

    @model_validator(mode="after")
    def _keys(self) -> Join:
        if (self.on is None) == (self.left is None) or (self.left is None) != (self.right is None):
            raise ValueError("give either on, or left and right")
        if self.left and self.right and len(listed(self.left)) != len(listed(self.right)):
            raise ValueError("left and right have different numbers of keys")
        return self

    def apply(self, items: Items, reader: Reader) -> Items:
        """One item for each match, in the items' order and then in that of the other list."""
        other = as_list(reader.once(self.other), "other")
        left, right = self.on or self.left or [], self.on or self.right or []
        matches: dict[str, Items] = {}
        for key, row in zip(reader.identities(right, other), other, strict=True):
            matches.setdefault(key, []).append(row)
        joined: Items = []
        for key, item in zip(reader.identities(left, items), items, strict=True):
            for row in matches.get(key) or ([None] if self.how == "left" else []):
                joined.append(self._pair(item, row))
                reader.tick(len(joined))
        return joined

    def _pair(self, item: Any, row: Any) -> dict[str, Any]:
        own = as_object(item, "joined")
        if self.into is not None:
            return {**own, self.into: row}
        return {**(as_object(row, "joined") if row is not None else {}), **own}
