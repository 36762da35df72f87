"""Parameters and explicit inputs against the node type's models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError

from ...tasks.sdk import NodeType
from ..close_matches import asked, closest, listed
from ..constant_values import with_constants, with_origins
from ..diagnostics import Diagnostic, Path
from ..explain import explain, fields_at, item_name, without_echoes
from ..expressions.lookalikes import reads_something
from .subject import Subject


def parameters(subject: Subject) -> Iterator[Diagnostic]:
    """Unknown, missing and wrong parameters, and literal parts of ``input`` that the node type refuses.

    A value with a template in it is only known when the node runs, so nothing is said about it; the literal
    values beside it count, and those that templates make of the definition's variables.
    """
    for path, node in subject.nodes():
        if (node_type := subject.node_type(node.get("type"))) is None:
            continue
        given = node.get("parameters", {})
        if isinstance(given, dict):
            yield from against(
                subject, node_type, node_type.parameters, given, (*path, "parameters"), "parameter"
            )
        explicit = node.get("input")
        if isinstance(explicit, dict):
            yield from against(subject, node_type, node_type.input, explicit, (*path, "input"), "input")
        for number, rule in enumerate(
            node["on_error"] if isinstance(node.get("on_error"), list) else [node.get("on_error")]
        ):
            fallback = rule.get("fallback") if isinstance(rule, dict) else None
            if isinstance(fallback, dict) and isinstance(given, dict):
                where = (*path, "on_error", number, "fallback")
                yield from against(
                    subject,
                    node_type,
                    node_type.parameters,
                    {**given, **fallback},
                    where,
                    "parameter",
                    fallback,
                )


def against(
    subject: Subject,
    node_type: NodeType,
    model: type[BaseModel],
    given: dict[str, Any],
    where: Path,
    what: str,
    only: Mapping[str, Any] | None = None,
) -> Iterator[Diagnostic]:
    """What ``model`` has against the mapping at ``where``: each value's first error; with ``only``, its keys'."""
    seen: set[Path] = set()
    written = given
    later = node_type.deferred if what == "parameter" else ()
    given = with_constants(subject.document, subject.scope, written, tuple(later))
    for error in without_echoes(_errors(model, given), partial(_fields, model)):
        loc = _within(given, error)
        if loc in seen or (only is not None and (not loc or loc[0] not in only)):
            continue
        seen.add(loc)
        if error["type"].startswith("union_tag") and isinstance(_at(given, loc), dict):
            loc = (*loc, *(key for key in [_tag(error)] if key in _at(given, loc)))
        if (
            error["type"] != "missing"
            and error["type"] != "extra_forbidden"
            and has_template(_at(given, loc))
        ):
            continue
        if error["type"] == "missing" and what == "input" and len(loc) == 1:
            continue  # the check of supplied fields says so
        found = _finding(subject, node_type, model, error, loc, where, what)
        template = _template(written, given, loc)
        if template is None or (error["type"] == "extra_forbidden" and len(template[0]) == len(loc)):
            yield found
        elif not _judged_by_type(subject, model, written, *template):
            hint = with_origins(subject.document, found.hint, template[1])
            yield replace(found, hint=hint, suggestions=())  # The word belongs where the variable stands.


def _template(written: Any, given: Any, loc: Path) -> tuple[Path, Any] | None:
    """Where the template stands that made the value at ``loc``, or a part of it, and the template."""
    for depth, part in enumerate(loc):
        if written is given:
            return None
        if isinstance(written, str):
            return loc[:depth], written
        if part not in written if isinstance(written, dict) else not isinstance(part, int):
            return None  # the key is missing, or is none that it takes
        written, given = written[part], given[part]
    return None if written is given else (loc, written)


def _judged_by_type(
    subject: Subject, model: type[BaseModel], written: dict[str, Any], place: Path, template: Any
) -> bool:
    """Whether the check of templates' types says already that such a value does not fit."""
    from .template_types import judged

    if not place or not isinstance(template, str):
        return False
    found = judged(subject, model, written, place, template)[1]
    return found is not None and found.verdict == "no"


def _errors(model: type[BaseModel], given: dict[str, Any]) -> list[Any]:
    errors: list[Any] = []
    try:
        model.model_validate(given)
    except ValidationError as error:
        errors = list(error.errors(include_url=False))
    except Exception as error:  # noqa: BLE001 - a plugin's validator may raise anything; the node would fail so too
        message = f"{type(error).__name__}: {error}"
        return [{"type": "value_error", "loc": (), "msg": message, "input": given}]
    if model.model_config.get("extra") in ("allow", "forbid"):
        return errors
    # The model would drop them without a word, which is never what their author meant.
    unknown = given.keys() - set(_names(model))
    dropped = [{"type": "extra_forbidden", "loc": (name,), "input": given[name]} for name in sorted(unknown)]
    return [*errors, *dropped]


def _finding(
    subject: Subject,
    node_type: NodeType,
    model: type[BaseModel],
    error: Any,
    loc: Path,
    where: Path,
    what: str,
) -> Diagnostic:
    kind, document = error["type"], subject.document
    name = item_name(loc) if loc else what + "s"
    known = _fields(model, tuple(error["loc"][:-1]))
    if kind == "extra_forbidden":
        guess = error.get("meant") or closest(name, known)
        hint = asked(guess) if guess else f"{node_type.name} takes {listed(known, 30) or 'none'}"
        return document.report(
            "MR121", f"unknown {what} {name!r} of {node_type.name}", (*where, *loc), hint=hint, key=True
        )
    if kind == "missing":
        field = model.model_fields.get(name) if len(loc) == 1 else None
        about = f" ({field.description})" if field is not None and field.description else ""
        message = f"{what} {name!r} of {node_type.name} is missing"
        path = where if len(loc) == 1 else (*where, *loc)
        if len(loc) == 1 and where[-1] not in document.value(where[:-1]):
            path = (*where[:-1], "type")
        return document.report("MR123", message, path, hint=f"add {name}: …{about}", key=True)
    found = explain(error, name, known)
    hint = found.hint
    place = (*loc, *_mentioned(found.message, error.get("input")))
    value = error.get("input")
    if isinstance(value, str) and reads_something(value):
        hint = f'write "{{{{ {value.strip()} }}}}"'
    elif isinstance(value, str) and "true or false" in found.message:
        hint = "write true or false without quotes, or an expression in {{ }}"
    message = found.message if loc else f"{what}s of {node_type.name}: {found.message.partition(': ')[2]}"
    return document.report(
        "MR122",
        message,
        (*where, *place),
        hint=hint or f"`realm nodes {node_type.name}` shows what it takes",
        key=not place,
    )


def _tag(error: Any) -> str:
    """The key that says which member of a union is meant."""
    return str(error["ctx"]["discriminator"]).strip("'")


def _mentioned(message: str, given: Any) -> Path:
    """Of a mapping that is refused as a whole, the first of its keys that the reason names; or what lies below that."""
    for match in re.finditer(r"\w+(?:\.\w+)*", message):
        path, value = list[str](), given
        for step in match[0].split("."):
            if not isinstance(value, dict) or step not in value:
                break
            path.append(step)
            value = value[step]
        if path:
            return tuple(path)
    return ()


def _fields(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    return fields_at(model, path) if path else _names(model)


def _names(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _within(given: Any, error: Any) -> Path:
    """The error's location without the names of union members; with the key that is missing."""
    path: list[str | int] = []
    value = given
    for part in error["loc"]:
        if (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        ):
            value = value[part]
        else:
            continue
        path.append(part)
    return (*path, error["loc"][-1]) if error["type"] == "missing" else tuple(path)


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def has_template(value: Any) -> bool:
    """Whether a value is known only at run time: a ``{{`` in any string of it."""
    if isinstance(value, str):
        return "{{" in value
    if isinstance(value, dict):
        return any(has_template(item) for item in value.values())
    return isinstance(value, list) and any(has_template(item) for item in value)
