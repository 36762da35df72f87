"""Edge mappings: ``{dotted target: "$.jmespath" | template | literal}``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ...core.errors import Code, RealmError
from .errors import ExpressionError
from .templates import render


def apply_mapping(
    mapping: Mapping[str, Any], source: Any, scope: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What ``mapping`` makes of ``source``: each key is a dotted path in the result.

    A value ``$`` is the whole source, ``$.…`` a JMESPath over it (null where nothing is found), every other value a
    literal; with a ``scope`` its templates are evaluated. A key in which a dot belongs to the name is written
    ``a\\.b``. Raises :class:`ExpressionError` for a bad path and INVALID_ARGUMENT for targets that exclude each other.

    >>> apply_mapping({"user.id": "$.data.id", "kind": "premium"}, {"data": {"id": 7}})
    {'user': {'id': 7}, 'kind': 'premium'}
    """
    result: dict[str, Any] = {}
    for target, value in mapping.items():
        _put(result, target, _read(value, source, scope))
    return result


def _read(value: Any, source: Any, scope: Mapping[str, Any] | None) -> Any:
    if isinstance(value, str) and is_path(value):
        path = compile_path(value)
        return source if path is None else path.search(source)
    return value if scope is None else render(value, scope)


def is_path(value: str) -> bool:
    """Whether a mapping's value reads from the source: ``$``, ``$.name``, ``$[0]``."""
    return value == "$" or value.startswith(("$.", "$["))


@lru_cache(maxsize=1024)
def compile_path(text: str) -> Any:
    """The compiled JMESPath of ``$.…``; ``None`` for ``$``. Raises :class:`ExpressionError` with the column."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    if text == "$":
        return None
    skip = 2 if text.startswith("$.") else 1
    path = text[skip:]
    try:
        return jmespath.compile(_quoted(path))
    except JMESPathError as error:
        position = getattr(error, "lex_position", None)
        column = None if position is None else min(position, len(path)) + skip + 1
        raise ExpressionError(
            _problem(error, path),
            expression=text,
            column=column or skip + 1,
            hint='write $.name, $.list[0].name, $.list[*].name, $."a-b"',
        ) from None


def _quoted(path: str) -> str:
    """JMESPath wants quotes around names that are not ASCII; people do not. Only plain dotted paths are changed."""
    if path.isascii() or any(character in path for character in "\"'`|&()*?@! "):
        return path
    steps = path.split(".")
    return ".".join(
        step if step.isascii() else '"' + step.partition("[")[0] + '"' + "".join(step.partition("[")[1:])
        for step in steps
    )


def _problem(error: Exception, path: str) -> str:
    if not path:
        return "the path is empty"
    token = getattr(error, "token_value", None)
    if token:
        return f"{token!r} does not belong here in a JMESPath"
    return "the JMESPath ends too early or is not well formed"


def _put(result: dict[str, Any], target: str, value: Any) -> None:
    *parents, name = _steps(target)
    place = result
    for step in parents:
        inner = place.setdefault(step, {})
        if not isinstance(inner, dict):
            raise _conflict(target)
        place = inner
    if isinstance(place.get(name), dict) and isinstance(value, dict):
        place[name] = {**place[name], **value}
    elif name in place:
        raise _conflict(target)
    else:
        place[name] = dict(value) if isinstance(value, dict) else value


def is_target(text: str) -> bool:
    """Whether a mapping's key is a path in the target's input."""
    return all(text.replace("\\.", "\0").split("."))


@lru_cache(maxsize=1024)
def _steps(target: str) -> tuple[str, ...]:
    steps = [step.replace("\0", ".") for step in target.replace("\\.", "\0").split(".")]
    if not all(steps):
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{target!r} is not a target path",
            hint="write names with dots between, as user.id",
        )
    return tuple(steps)


def _conflict(target: str) -> RealmError:
    return RealmError(
        Code.INVALID_ARGUMENT,
        f"the mapping's target {target!r} lies inside another target's value",
        hint="give each target a path of its own",
    )
