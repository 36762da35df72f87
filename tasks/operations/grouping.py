"""Compute over items: counts, sums and others, of all items or of each group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, Tag, model_validator

from ...core.errors import Code, RealmError
from ..unions import by_shape
from .reading import Items, Key, Operation, Reader, is_expression, rank

Function = Literal["count", "sum", "avg", "min", "max", "first", "last", "collect"]
Computation = Annotated[
    Annotated[Literal["count"], Tag("text")]
    | Annotated[dict[Function, Key], Field(min_length=1, max_length=1), Tag("mapping")],
    by_shape("text", "mapping"),
]
GroupKeys = Annotated[
    Annotated[Key, Tag("text")]
    | Annotated[list[Key], Field(min_length=1), Tag("list")]
    | Annotated[dict[str, Key], Field(min_length=1), Tag("mapping")],
    by_shape("text", "list", "mapping"),
]


class Aggregate(Operation):
    """Make one item of each group of items, or of all."""

    op: Literal["aggregate"]
    by: GroupKeys | None = Field(
        default=None,
        description="A field or several that make the groups, or {name: key}; default one group of all",
    )
    compute: dict[str, Computation] = Field(
        default_factory=lambda: {"count": "count"},
        description="{name: count}, or {name: {function: key}}, as {total: {sum: size}, names: {collect: name}}; "
        "items without the key (null) do not count; default {count: count}",
    )

    @model_validator(mode="after")
    def _names(self) -> Aggregate:
        if not isinstance(self.by, dict) and any(map(is_expression, self.names().values())):
            raise ValueError("a group by an expression needs a name: by: {name: '{{ … }}'}")
        if both := self.names().keys() & self.compute:
            raise ValueError(f"{', '.join(sorted(map(repr, both)))} is both a group's name and computed")
        return self

    def names(self) -> dict[str, str]:
        """The names of the groups' keys, and the keys."""
        if isinstance(self.by, dict):
            return self.by
        keys = [self.by] if isinstance(self.by, str) else self.by or []
        return {key.rpartition(".")[2]: key for key in keys}

    def apply(self, items: Items, reader: Reader) -> Items:
        """The groups in the order of their first items; without ``by``, one item."""
        names = self.names()
        members: dict[str, list[int]] = {}
        if names:
            for index, group in enumerate(reader.identities(list(names.values()), items)):
                members.setdefault(group, []).append(index)
        else:
            members[""] = list(range(len(items)))
        keys = {name: reader.keys(key, items) for name, key in names.items()}
        computed = {name: _Column(name, how, items, reader) for name, how in self.compute.items()}
        return [
            {name: values[indices[0]] for name, values in keys.items()}
            | {name: column.of(indices) for name, column in computed.items()}
            for indices in members.values()
        ]


class _Column:
    """One computation: its values for all items, read once."""

    def __init__(self, name: str, how: Computation, items: Items, reader: Reader) -> None:
        self.name = name
        self.function, key = ("count", None) if isinstance(how, str) else next(iter(how.items()))
        self.values = [True] * len(items) if key is None else reader.keys(key, items)

    def of(self, indices: list[int]) -> Any:
        """The result for the items at ``indices``."""
        values = [self.values[index] for index in indices if self.values[index] is not None]
        if self.function in ("sum", "avg"):
            for value in values:
                if isinstance(value, bool) or not isinstance(value, int | float):
                    message = f"{self.name}: {self.function} needs numbers, but an item has {value!r:.40}"
                    raise RealmError(
                        Code.INVALID_ARGUMENT, message, hint="filter before, or convert in a map"
                    )
        return FUNCTIONS[self.function](values)


FUNCTIONS: Mapping[str, Callable[[Items], Any]] = {
    "count": len,
    "sum": sum,
    "avg": lambda values: sum(values) / len(values) if values else None,
    "min": lambda values: min(values, key=rank, default=None),
    "max": lambda values: max(values, key=rank, default=None),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "collect": list,
}
