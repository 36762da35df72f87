"""Operations on one item after the other: make, order, choose, rename, unfold, write."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, Tag

from ...core.errors import Code, RealmError
from ..unions import by_shape
from .reading import Expression, Items, Key, Keys, Operation, Reader, as_object, identity, rank


class Map(Operation):
    """Make something else of each item."""

    op: Literal["map"]
    to: JsonValue = Field(
        description="What each item becomes, with expressions over item and index, as {name: '{{ item.name }}'}"
    )

    def apply(self, items: Items, reader: Reader) -> Items:
        """One for one."""
        return reader.each(self.to, items)


class SortKey(BaseModel):
    """A key and its direction."""

    model_config = ConfigDict(extra="forbid")

    key: Key = Field(description="A field, or an expression over item")
    order: Literal["asc", "desc"] = Field(default="asc", description="Smallest or largest first")


OneSortKey = Annotated[
    Annotated[Key, Tag("text")] | Annotated[SortKey, Tag("mapping")], by_shape("text", "mapping")
]


class Sort(Operation):
    """Put the items in order; equal ones keep theirs, those without the key come last."""

    op: Literal["sort"]
    by: Annotated[
        Annotated[Key, Tag("text")]
        | Annotated[SortKey, Tag("mapping")]
        | Annotated[list[OneSortKey], Field(min_length=1), Tag("list")],
        by_shape("text", "mapping", "list"),
    ] = Field(description="A field or an expression, or several, the most important first")
    order: Literal["asc", "desc"] = Field(
        default="asc", description="The direction of keys that name none of their own"
    )

    def apply(self, items: Items, reader: Reader) -> Items:
        """All of them."""
        for one in reversed(self.by if isinstance(self.by, list) else [self.by]):
            key, order = (one, self.order) if isinstance(one, str) else (one.key, one.order)
            keyed = list(zip(reader.keys(key, items), items, strict=True))
            there = [pair for pair in keyed if pair[0] is not None]
            there.sort(key=lambda pair: rank(pair[0]), reverse=order == "desc")
            items = [item for _, item in [*there, *(pair for pair in keyed if pair[0] is None)]]
        return list(items)


class Limit(Operation):
    """Keep only so many."""

    op: Literal["limit"]
    count: Annotated[int, Field(ge=0)] | Expression = Field(description="How many")
    offset: Annotated[int, Field(ge=0)] | Expression = Field(
        default=0, description="How many to leave out before"
    )

    def apply(self, items: Items, reader: Reader) -> Items:
        """A stretch of them."""
        offset, count = (
            _whole_number(reader, self.offset, "offset"),
            _whole_number(reader, self.count, "count"),
        )
        return items[offset : offset + count]


def _whole_number(reader: Reader, given: int | str, name: str) -> int:
    value = reader.once(given)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise RealmError(Code.INVALID_ARGUMENT, f"{name} must be a whole number from 0 on, but it is {value!r}")


class Distinct(Operation):
    """Keep the first of equal items."""

    op: Literal["distinct"]
    by: Keys | None = Field(default=None, description="By these keys; default the whole item")

    def apply(self, items: Items, reader: Reader) -> Items:
        """Those that stay, in their order."""
        ids = [identity(item) for item in items] if self.by is None else reader.identities(self.by, items)
        first = dict(zip(reversed(ids), reversed(items), strict=True))
        seen: set[str] = set()
        return [first[one] for one in ids if not (one in seen or seen.add(one))]


class Flatten(Operation):
    """Unfold lists: items that are lists, or items by the list in one of their fields."""

    op: Literal["flatten"]
    field: Key | None = Field(
        default=None, description="The field with a list, of which each element makes an item of its own"
    )

    def apply(self, items: Items, reader: Reader) -> Items:
        """One item for each element, in order; what is no list stays, what is an empty one goes."""
        flat: Items = []
        for item in items:
            flat.extend(self._unfolded(item))
            reader.tick(len(flat))
        return flat

    def _unfolded(self, item: Any) -> Items:
        if self.field is None:
            return item if isinstance(item, list) else [item]
        fields = as_object(item, "unfolded by a field")
        elements = fields.get(self.field)
        if not isinstance(elements, list):
            return [item]
        return [{**fields, self.field: element} for element in elements]


class Pick(Operation):
    """Keep only some fields."""

    op: Literal["pick"]
    fields: Annotated[
        Annotated[list[Key], Field(min_length=1), Tag("list")]
        | Annotated[dict[str, Key], Field(min_length=1), Tag("mapping")],
        by_shape("list", "mapping"),
    ] = Field(
        description="The fields, or {new name: field}; a field of a field as exif.camera, then named camera"
    )

    def apply(self, items: Items, reader: Reader) -> Items:
        """An object for each, null where the item lacks the field."""
        names = (
            self.fields
            if isinstance(self.fields, dict)
            else {key.rpartition(".")[2]: key for key in self.fields}
        )
        columns = [reader.keys(key, items) for key in names.values()]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


class Rename(Operation):
    """Give fields other names, and keep the others."""

    op: Literal["rename"]
    fields: Annotated[dict[str, Key], Field(min_length=1)] = Field(description="{old name: new name}")

    def apply(self, items: Items, reader: Reader) -> Items:
        """An object for each."""
        return [
            {self.fields.get(name, name): value for name, value in as_object(item, "renamed in").items()}
            for item in items
        ]


class Template(Operation):
    """Write a text for each item."""

    op: Literal["template"]
    text: str = Field(description="The text, as {{ index + 1 }}. {{ item.name }}")
    separator: str | None = Field(
        default=None, description="What stands between the texts of one text; default a list of texts"
    )

    def apply(self, items: Items, reader: Reader) -> Items | str:
        """A list of texts, or with a separator one text."""
        texts = [_text(value) for value in reader.each(self.text, items)]
        return texts if self.separator is None else self.separator.join(texts)


def _text(value: Any) -> str:
    """A template that is nothing but one expression gives its value, of any type."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
