"""What goes into a node and comes out of it: checked against its models, finite, and small."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from ..core.errors import Code, RealmError
from .exceptions import field_violations
from .sdk import NodeType

if TYPE_CHECKING:
    from .executor import NodeCall

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], value: Mapping[str, Any], call: NodeCall, what: str) -> Model:
    """``value`` as ``model``; INVALID_ARGUMENT names every wrong field, the first one in the message.

    ``what`` is ``parameters`` or ``input``, the first part of the fields' paths.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        violations = field_violations(error, what)
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"node {call.node_id} ({call.node_type}): {first['field']}: {first['description']}{more}",
            hint=_hint(model, value, error, what),
            details={"field_violations": violations},
        ) from None


def checked_output(node_type: NodeType, result: Any, call: NodeCall) -> dict[str, Any]:
    """The output as a JSON object: the declared model, only finite numbers, at most ``max_payload_bytes``."""
    model = _as_model(node_type, result)
    for path in _not_finite(model.model_dump(mode="python"), ()):
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"node {call.node_id} returned NaN or infinity at {'.'.join(path)}, which JSON cannot hold",
            hint="return null where there is no value",
        )
    try:
        output = model.model_dump(mode="json", by_alias=True)
    except PydanticSerializationError as error:
        raise RealmError(
            Code.INTERNAL_ERROR, f"{node_type.name} returned something that is not JSON: {error}"
        ) from error
    check_size(output, call.max_payload_bytes, f"the output of node {call.node_id}")
    return output


def check_size(value: Any, limit: int, what: str) -> None:
    """OUT_OF_RANGE when ``value`` as JSON is larger than ``limit`` bytes."""
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode())
    if size > limit:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"{what} is {size} bytes of JSON; at most {limit} are allowed",
            hint="put large data in context.artifacts and return the reference",
            details={"size": size, "limit": limit},
        )


def _as_model(node_type: NodeType, result: Any) -> BaseModel:
    if isinstance(result, node_type.output):
        return result
    if not isinstance(result, Mapping):
        raise RealmError(
            Code.INTERNAL_ERROR,
            f"{node_type.name} returned {type(result).__name__} instead of {node_type.output.__name__}",
        )
    try:
        return node_type.output.model_validate(result)
    except ValidationError as error:
        violations = field_violations(error, "output")
        first = violations[0]
        raise RealmError(
            Code.INTERNAL_ERROR,
            f"{node_type.name} returned an unfit output: {first['field']}: {first['description']}",
            details={"field_violations": violations},
        ) from None


def _hint(model: type[BaseModel], value: Mapping[str, Any], error: ValidationError, what: str) -> str:
    first = error.errors(include_url=False)[0]
    known = [field.alias or name for name, field in model.model_fields.items()]
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        matches = difflib.get_close_matches(str(first["loc"][0]), known, n=1)
        return f"did you mean {matches[0]!r}?" if matches else f"known are: {', '.join(known)}"
    if what == "input" and first["type"] == "missing":
        given = ", ".join(map(str, value)) or "nothing"
        return f"the input had {given}; map what is missing with the node's `input`, or an edge's `mapping`"
    return "`realm nodes` shows what the node type takes"


def _not_finite(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(value, float):
        if not math.isfinite(value):
            yield path or ("(value)",)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, (*path, str(key)))
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            yield from _not_finite(item, (*path, str(index)))
