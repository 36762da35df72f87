"""Whether a value of which only the type is known can be what a field of a model takes.

The model itself is asked, with examples of the type, so that whatever it converts (a number in a string, say) is never
taken for a fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ValidationError

from ..explain import explain
from ..expressions.errors import ExpressionError
from ..expressions.functions import FUNCTIONS
from ..expressions.parser import parse
from ..expressions.shapes import CelType, Shape
from ..expressions.syntax import (
    Binary,
    Call,
    Conditional,
    Empty,
    ListOf,
    Logic,
    MapOf,
    Method,
    Unary,
    chain_of,
)
from ..expressions.syntax import (
    Literal as Constant,
)
from ..expressions.templates import Hole, parse_template

if TYPE_CHECKING:
    from ..diagnostics import Path
    from ..expressions.outputs import Outputs
    from ..expressions.syntax import Node
    from ..scopes import Scope

Kind: TypeAlias = Literal["string", "number", "whole", "bool", "list", "map"]

_USUAL: Mapping[Kind, Sequence[Any]] = {
    "string": (
        "text",
        "照片 1",
        "2024-05-01T08:00:00Z",
        "https://a.example/b",
        "/a/b.jpg",
        "1h",
        "a@b.example",
        "{}",
    ),
    "number": (7, 2.5),
    "whole": (7,),
    "bool": (True, False),
    "list": ([], [7], ["text"], [{}]),
    "map": ({}, {"a": 7}, {"a": "text"}),
}
"""Examples that any value of the kind is like."""
_SPECIAL: Mapping[Kind, Sequence[Any]] = {"string": ("1", "true"), "number": (1, 0), "whole": (1, 0)}
"""Examples that are read as something else."""
_WRONG_TYPE = "MR112"
_QUOTED = re.compile(r"'[^']*'")
"""A text among the values of a literal, as its refusal names them."""
_WORDS: Mapping[Kind, str] = {
    "string": "a string",
    "number": "a number",
    "whole": "a whole number",
    "bool": "true or false",
    "list": "a list",
    "map": "a mapping",
}
_OF_CEL: Mapping[CelType, Kind] = {
    "number": "number",
    "string": "string",
    "bool": "bool",
    "list": "list",
    "map": "map",
}
_RESULTS: Mapping[str, Kind] = {
    "int": "whole",
    "double": "number",
    "string": "string",
    "bool": "bool",
    "list": "list",
}
_FUNCTIONS: Mapping[str, Kind] = {
    **{f.name: _RESULTS[f.result] for f in FUNCTIONS if f.result in _RESULTS},
    "size": "whole",
    "int": "whole",
    "double": "number",
    "string": "string",
    "bool": "bool",
    "matches": "bool",
    "has": "bool",
    "contains": "bool",
    "startsWith": "bool",
    "endsWith": "bool",
    "all": "bool",
    "exists": "bool",
    "exists_one": "bool",
    "filter": "list",
    "map": "list",
}
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})


@dataclass(frozen=True, slots=True)
class Fit:
    """``no``: the field takes no value of the kind; ``rarely``: only some that look like another; ``wanted`` says in
    words what it takes."""

    verdict: Literal["yes", "rarely", "no"]
    wanted: str = ""


FITS = Fit("yes")


def words(kind: Kind) -> str:
    """The kind with its article."""
    return _WORDS[kind]


def kind_of(shape: Shape) -> Kind | None:
    """The kind of value that a shape has, null aside; ``None`` where it may be several or is one of a few values."""
    if "enum" in shape.schema or "const" in shape.schema:
        return None
    found = _OF_CEL.get(shape.kind)
    return "whole" if found == "number" and shape.whole else found


def kind_of_template(text: str, outputs: Outputs, scope: Scope) -> Kind | None:
    """The kind of value that a text with one template and nothing else renders to."""
    try:
        parts = parse_template(text)
        hole = parts[0]
        if len(parts) != 1 or not isinstance(hole, Hole):
            return None
        return _kind_of(parse(hole.expression), text, outputs, scope)
    except ExpressionError:
        return None


def _kind_of(tree: Node, text: str, outputs: Outputs, scope: Scope) -> Kind | None:
    if chain_of(tree) is not None:
        return kind_of(outputs.of_value(text, scope))
    match tree:
        case Logic() | Empty() | Unary(operator="!"):
            return "bool"
        case Binary(operator=operator) if operator in _COMPARISONS:
            return "bool"
        case Call(function=name) | Method(method=name):
            return _FUNCTIONS.get(name)
        case Constant(value=value):
            return _of_constant(value)
        case ListOf():
            return "list"
        case MapOf():
            return "map"
        case Conditional(then=then, otherwise=otherwise) if (
            chain_of(then) is None and chain_of(otherwise) is None
        ):
            kinds: set[Kind | None] = {_kind_of(part, text, outputs, scope) for part in (then, otherwise)}
            return kinds.pop() if len(kinds) == 1 else None
        case _:
            return None


def _of_constant(value: Any) -> Kind | None:
    if isinstance(value, bool):
        return "bool"
    kinds: Mapping[type, Kind] = {int: "whole", float: "number", str: "string"}
    return kinds.get(type(value))


@lru_cache(maxsize=4096)
def fit_field(model: type[BaseModel], name: str, kind: Kind) -> Fit:
    """How a value of ``kind`` fits the field ``name``, whatever the others are."""
    return fit(model, {}, (name,), kind)


def fit(model: type[BaseModel], given: Any, path: Path, kind: Kind) -> Fit:
    """How a value of ``kind`` at ``path`` fits what is ``given`` for the model otherwise."""
    found = fit_examples(model, given, path, _USUAL[kind])
    if found.verdict == "no" and fit_examples(model, given, path, _SPECIAL.get(kind, ())).verdict == "yes":
        return Fit("rarely", found.wanted)
    return found


def fit_examples(model: type[BaseModel], given: Any, path: Path, examples: Sequence[Any]) -> Fit:
    """Whether one of ``examples`` at ``path`` is of a type that the model takes there."""
    wanted = ""
    for example in examples:
        refusal = _refusal(model, _with(given, path, example), path)
        if refusal is None:
            return FITS
        wanted = wanted or refusal
    return Fit("no", wanted)


def _refusal(model: type[BaseModel], value: Any, path: Path) -> str | None:
    """What the model wants instead, where it refuses the value at ``path`` for its type; ``None`` else."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        here = [
            one for one in error.errors(include_url=False) if _place(value, one["loc"])[: len(path)] == path
        ]
    except Exception:  # noqa: BLE001 - a plugin's validator may raise anything
        return None
    else:
        return None
    if not here or not all(_is_of_type(one) for one in here):
        return None
    message = explain(here[0], "value").message.partition(" must be ")[2].rpartition(", not ")[0]
    return message or str(here[0]["msg"]).removeprefix("Input should be ")


def _is_of_type(error: Any) -> bool:
    if error["type"] == "literal_error":
        ways = str(error["ctx"]["expected"])
        others = _QUOTED.sub("", ways).replace(" or ", "").strip(" ,")
        return not (_QUOTED.search(ways) if isinstance(error["input"], str) else others)
    return error["type"].endswith("_type") or explain(error, "value").code == _WRONG_TYPE


def _place(value: Any, loc: Sequence[str | int]) -> Path:
    """An error's location without the names of union members."""
    path: list[str | int] = []
    for part in loc:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(part)
    return tuple(path)


def _with(value: Any, path: Path, leaf: Any) -> Any:
    """``value`` with ``leaf`` at ``path``; what is not there yet is made."""
    if not path:
        return leaf
    key, rest = path[0], path[1:]
    if isinstance(value, list) and isinstance(key, int):
        return [*value[:key], _with(value[key], rest, leaf), *value[key + 1 :]]
    inside = value if isinstance(value, dict) else {}
    return {**inside, str(key): _with(inside.get(key), rest, leaf)}
