"""How operations read items: fields, expressions, keys that are compared, sorted and grouped by.

A *key* reads one value of an item: a field, ``size`` or ``exif.camera`` (null where it is absent), or an expression
over ``item`` and ``index``, as ``{{ item.size / 1024 }}``, where the node runs in the flow.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Tag

from ...core.errors import Code, RealmError
from ..context import NodeContext
from ..unions import by_shape

MOST_ITEMS = 1_000_000
"""Items that one operation may give: a join of equal keys multiplies them."""
_CHECK_EVERY = 1000


def is_expression(value: Any) -> bool:
    """Whether a value is a text with an expression in it."""
    return isinstance(value, str) and "{{" in value


def _in_braces(value: str) -> str:
    if not is_expression(value):
        raise ValueError("write the expression in {{ }}")
    return value


Items = list[Any]
Key = Annotated[str, Field(min_length=1)]
Keys = Annotated[
    Annotated[Key, Tag("text")] | Annotated[list[Key], Field(min_length=1), Tag("list")],
    by_shape("text", "list"),
]
Expression = Annotated[str, AfterValidator(_in_braces)]


class Reader:
    """Reads values of items for the operations of one node; an error says at which item."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context

    def each(self, value: Any, items: Items) -> list[Any]:
        """``value``, a JSON tree with expressions, for each item."""
        return [self._render(value, item, index) for index, item in enumerate(items)]

    def keys(self, key: str, items: Items) -> list[Any]:
        """The key of each item."""
        if is_expression(key):
            return self.each(key, items)
        steps = key.split(".")
        return [_field(item, steps) for item in items]

    def identities(self, keys: Keys, items: Items) -> list[str]:
        """A text for each item that is the same where all ``keys`` are."""
        columns = [self.keys(key, items) for key in listed(keys)]
        return [identity(list(values)) for values in zip(*columns, strict=True)]

    def once(self, value: Any) -> Any:
        """A value that does not depend on an item."""
        return self._evaluate(value, {}) if is_expression(value) else value

    def tick(self, count: int) -> None:
        """Called while items are made: ends what was cancelled or grows without bound."""
        if count > MOST_ITEMS:
            raise RealmError(
                Code.OUT_OF_RANGE,
                f"more than {MOST_ITEMS} items",
                hint="filter before, or join by finer keys",
            )
        if count % _CHECK_EVERY == 0:
            self._context.check_canceled()

    def _render(self, value: Any, item: Any, index: int) -> Any:
        self.tick(index)
        try:
            return self._evaluate(value, {"item": item, "index": index})
        except RealmError as error:
            if error.code in (Code.CANCELLED, Code.NODE_EXECUTION_TIMEOUT):
                raise
            raise prefixed(f"item {index}", error) from None

    def _evaluate(self, value: Any, names: Mapping[str, Any]) -> Any:
        if self._context.evaluator is None:
            raise RealmError(
                Code.INVALID_ARGUMENT,
                "expressions over items are evaluated in the flow only",
                hint="use control/transform, or name a field",
            )
        return self._context.evaluator.render(value, names)


def prefixed(where: str, error: RealmError) -> RealmError:
    """``error`` with the place in front of its message."""
    record = error.record
    return RealmError(record.code, f"{where}: {record.message}", hint=record.hint, details=record.details)


def identity(value: Any) -> str:
    """A text that equal JSON values share: 1 is 1.0, but neither true nor "1".

    >>> identity(1) == identity(1.0), identity(True) == identity(1), identity({"a": 1, "b": 2})
    (True, False, '{"a": 1, "b": 2}')
    """
    return json.dumps(_whole(value), sort_keys=True, ensure_ascii=False)


def rank(value: Any) -> tuple[int, Any]:
    """Orders any two JSON values but null: numbers, then texts, false and true, then all others by their text."""
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (3, identity(value))


class Operation(BaseModel, ABC):
    """One step: a list of items into another."""

    model_config = ConfigDict(extra="forbid")

    @abstractmethod
    def apply(self, items: Items, reader: Reader) -> Items | str:
        """The result; ``items`` is left as it is."""


def as_list(value: Any, what: str) -> Items:
    """``value``, which must be a list."""
    if isinstance(value, list | tuple):
        return list(value)
    raise RealmError(
        Code.INVALID_ARGUMENT,
        f"{what} must be a list, but it is {'null' if value is None else type(value).__name__}",
        hint="write an expression that gives a list, as {{ nodes.read.data }}",
    )


def as_object(item: Any, verb: str) -> Mapping[str, Any]:
    """``item``, which must be an object."""
    if isinstance(item, Mapping):
        return item
    raise RealmError(
        Code.INVALID_ARGUMENT,
        f"only objects can be {verb}, but an item is {json.dumps(item, ensure_ascii=False, default=str)[:40]}",
        hint="make objects of the items first: {op: map, to: {value: '{{ item }}'}}",
    )


def listed(keys: Keys) -> Sequence[str]:
    """One key or several, as several."""
    return [keys] if isinstance(keys, str) else keys


def _field(item: Any, steps: Iterable[str]) -> Any:
    for step in steps:
        if not isinstance(item, Mapping):
            return None
        item = item.get(step)
    return item


def _whole(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _whole(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
