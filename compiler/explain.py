"""Pydantic's findings in the words of a definition: what is wrong with a value, and what to write instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel

from ..core.errors import Code
from .close_matches import asked, closest, did_you_mean, listed
from .diagnostics import Path

MOST_GUESSES = 1000
"""Unknown keys of which it is asked what they were meant to be."""


class Explained(NamedTuple):
    """A finding's code, message and hint."""

    code: str
    message: str
    hint: str | None


_WANTED = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "none_required": "nothing",
}
_CUSTOM: Mapping[str, tuple[str, str]] = {
    "name": ("MR114", "use lower-case letters, digits and hyphens, at most 63, as in nas-photo-processing"),
    "version": ("MR115", "write three numbers, as 1.0.0 (SemVer)"),
    "node_id": (
        "MR114",
        "use letters of any language, digits, - and _ (no blank, dot or slash), at most 128",
    ),
    "duration": ("MR116", "write for example 300s, 5m, 1h30m, 250ms or PT5M"),
    "join": ("MR113", "write any, all, or how many incoming edges must fire"),
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
    "multiple_of": ("multiple_of", "a multiple of"),
}


def kind_of(value: Any) -> str:
    """The JSON type of a value, with its article.

    >>> kind_of(True), kind_of({}), kind_of(None)
    ('a boolean', 'a mapping', 'nothing')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    names = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return names.get(type(value), f"a {type(value).__name__}")


def explain(error: Mapping[str, Any], name: str, known: tuple[str, ...] = ()) -> Explained:
    """One error of ``ValidationError.errors()``.

    ``name`` is how the text calls the value; ``known`` are the keys that may stand beside it.
    """
    kind, value, context = error["type"], error.get("input"), error.get("ctx") or {}
    subject = _subject(name)
    if kind == "missing":
        return Explained("MR110", f"{name!r} is missing", f"add {name}: …")
    if kind == "extra_forbidden":
        meant = error.get("meant") or closest(name, known)
        others = f"known are {listed(known, 24)}" if known else "remove it"
        return Explained("MR111", f"unknown key {name!r}", asked(meant) if meant else others)
    if kind in _CUSTOM:
        code, hint = _CUSTOM[kind]
        return Explained(code, f"{subject}: {_shown(value)} is not {_article(kind)}", hint)
    if kind == "error_code":
        hint = did_you_mean(str(value).upper(), Code.__members__) or f"one of {listed(Code.__members__, 40)}"
        return Explained("MR128", f"{_shown(value)} is not an error code", hint)
    if kind in _WANTED:
        return _wrong_type(kind, value, name)
    if kind in ("literal_error", "enum"):
        expected = _expected(context)
        guess, ways = did_you_mean(str(value), expected, 1), f"one of {listed(expected, 24)}"
        return Explained(
            "MR113",
            f"{subject} cannot be {_shown(value)}",
            guess + f" It is {ways}" if guess else f"write {ways}",
        )
    if kind == "union_tag_not_found":
        return Explained("MR110", f"{context['discriminator']} is missing", f"add {_key(context)}: …")
    if kind == "union_tag_invalid":
        expected = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        hint = did_you_mean(context["tag"], expected, 1) or f"write one of {listed(expected, 24)}"
        return Explained("MR113", f"{_key(context)} cannot be {context['tag']!r}", hint)
    if kind.startswith(("datetime_", "date_")):
        hint = "write 2026-05-01T08:00:00+08:00, or 2026-05-01"
        return Explained("MR113", f"{subject}: {_shown(value)} is not a date and time", hint)
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        limit = f"{words} {context.get(key)}"
        return Explained(
            "MR113", f"{subject} must be {limit}, not {_shown(value)}", f"write a number of {limit}"
        )
    if kind in ("string_too_short", "too_short", "bytes_too_short"):
        hint = "list at least one item" if isinstance(value, list) else f"write a value, or remove {name}"
        return Explained("MR113", f"{subject} must not be empty", hint)
    sentence, _, hint = _sentence(error).partition("; write ")
    return Explained("MR113", f"{subject}: {sentence}", f"write {hint}" if hint else None)


def without_echoes(errors: Sequence[Any], known: Callable[[Path], tuple[str, ...]]) -> list[Any]:
    """``errors`` without what is missing only because its name is written wrong beside it.

    ``known`` gives the keys that a mapping at a path may have. Where one key is unknown and one other is missing, that
    is what was meant, however little they look alike; the error of the unknown one then says so as ``meant``.
    """
    unknown = [error["loc"] for error in errors if error["type"] == "extra_forbidden"]
    meant = {
        loc: closest(str(loc[-1]), known(tuple(loc[:-1])))
        for loc in map(tuple, islice(unknown, MOST_GUESSES))
    }
    missing: dict[Path, list[str]] = {}
    for error in errors:
        if error["type"] == "missing":
            missing.setdefault(tuple(error["loc"][:-1]), []).append(str(error["loc"][-1]))
    beside = Counter(loc[:-1] for loc in meant)
    for loc, guess in meant.items():
        absent = missing.get(loc[:-1], [])
        if guess is None and len(absent) == 1 and beside[loc[:-1]] == 1:
            meant[loc] = absent[0]
    told = {(*loc[:-1], guess) for loc, guess in meant.items()}
    return [
        {**error, "meant": meant.get(tuple(error["loc"]))} if error["type"] == "extra_forbidden" else error
        for error in errors
        if error["type"] != "missing" or tuple(error["loc"]) not in told
    ]


def _key(context: Mapping[str, Any]) -> str:
    return str(context["discriminator"]).strip("'")


def item_name(path: Path) -> str:
    """How the text calls the value at a path: its key, or ``key[2]`` for an item of a list.

    >>> item_name(("nodes", 0, "timeout")), item_name(("nodes", 0)), item_name((3,))
    ('timeout', 'nodes[0]', '[3]')
    """
    last = path[-1] if path else ""
    if not isinstance(last, int):
        return last
    before = path[-2] if len(path) > 1 and isinstance(path[-2], str) else ""
    return f"{before}[{last}]"


def fields_at(model: type[BaseModel], path: tuple[str | int, ...]) -> tuple[str, ...]:
    """The fields of the model that the value at ``path`` of a ``model`` is validated by; empty if by none."""
    candidates: list[type[BaseModel]] = [model]
    for part in path:
        fields = [one.model_fields[part] for one in candidates if part in one.model_fields]
        if fields:
            candidates = [found for field in fields for found in _models_in(field.annotation)]
        elif isinstance(part, str):  # the tag of one member of a union, or a key of a mapping
            candidates = [one for one in candidates if part in _tags(one)] or candidates
    return tuple(candidates[0].model_fields) if candidates else ()


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _tags(model: type[BaseModel]) -> set[str]:
    """What a union may call this member: its name, or the one value of a field."""
    values = (get_args(field.annotation) for field in model.model_fields.values())
    return {model.__name__, *(value[0] for value in values if len(value) == 1 and isinstance(value[0], str))}


def _wrong_type(kind: str, value: Any, name: str) -> Explained:
    wanted = _WANTED[kind]
    if value is None:
        what = "item" if name.endswith("]") else "key"
        return Explained("MR112", f"{name!r} has no value", f"write {wanted}, or remove the {what}")
    hint = f"write {wanted}"
    if isinstance(value, str):
        number = value.strip().lstrip("+-").replace(".", "", 1).isdigit()
        if "number" in wanted and number:
            hint = f"write {value.strip()} without quotes"
        elif wanted == "true or false":
            hint = "write true or false, without quotes"
        elif wanted == "a list":
            hint = f"write [{_shown(value, quoted=False)}]"
    elif wanted == "a string":
        hint = f'put it in quotes: "{_shown(value)}"' if not isinstance(value, list | dict) else hint
    elif wanted == "a mapping" and isinstance(value, list):
        hint = "write `key: value` lines, without dashes"
    elif wanted == "a list" and isinstance(value, dict):
        hint = "begin each item with `- `"
    return Explained("MR112", f"{_subject(name)} must be {wanted}, not {kind_of(value)}", hint)


def _expected(context: Mapping[str, Any]) -> list[str]:
    text = str(context.get("expected", "")).replace(" or ", ", ")
    return [word.strip().strip("'") for word in text.split(", ") if word.strip()]


def _sentence(error: Mapping[str, Any]) -> str:
    message = str(error.get("msg", "not allowed"))
    for prefix in ("Value error, ", "Assertion failed, "):
        message = message.removeprefix(prefix)
    return message[:1].lower() + message[1:] if message[1:2].islower() else message


def _article(kind: str) -> str:
    return {"node_id": "a node id", "join": "a way to join"}.get(kind, f"a {kind}")


def _subject(name: str) -> str:
    return repr(name) if not name.startswith("[") else f"item {name}"


def _shown(value: Any, *, quoted: bool = True) -> str:
    text = (
        ("true" if value else "false") if isinstance(value, bool) else repr(value) if quoted else str(value)
    )
    return text if len(text) <= 60 else text[:57] + "…"
