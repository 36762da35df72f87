"""A task's inputs in ``next-branch``: ``{from, value, transform}``, a template, or a literal."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

from ..close_matches import did_you_mean
from ..document import Mark
from ..expressions.functions import GLOBAL_NAMES, METHOD_NAMES
from .canonical_values import expression_of
from .fields import Entry, Fields
from .phrases import Phrases
from .rewriting import Draft
from .task_names import TaskNames, wrapped

_SPEC = ("from", "value", "transform")
_OPENING = "{{ "


class Input(NamedTuple):
    """An input: its name, the expression that its task's other expressions read, and its canonical value."""

    name: str
    expression: str
    entry: Entry


def read_inputs(draft: Draft, task: Fields, names: TaskNames) -> list[Input]:
    """The inputs of a task; those that are not required may be absent."""
    inputs, required = task.take("inputs", dict), task.take("required_inputs", list)
    needed = (
        None if required is None else [one.value for one in required.items() if isinstance(one.value, str)]
    )
    found = [_input(draft, entry, names, needed) for entry in inputs.items()] if inputs else []
    for one in required.items() if required is not None else ():
        if one.value not in [given.name for given in found]:
            guess = did_you_mean(str(one.value), [given.name for given in found])
            message = f"required input {one.value!r} comes from nowhere"
            hint = guess or f"add inputs: {{{one.value}: {{from: task.output}}}}"
            draft.report("MR350", message, one.path, hint=hint)
    return found


def _input(draft: Draft, entry: Entry, names: TaskNames, needed: Collection[str] | None) -> Input:
    name, phrases = str(entry.path[-1]), Phrases(draft, names, names.odd)
    optional = needed is not None and name not in needed
    if not isinstance(entry.value, dict) or (entry.value and not entry.value.keys() & set(_SPEC)):
        value, mark = phrases.tree(entry.value, entry.mark, entry.path)
        return Input(name, expression_of(value), entry._replace(value=value, mark=mark))
    spec = Fields(draft, entry, "an input", _SPEC)
    source, value, transform = spec.take("from", str), spec.get("value"), spec.take("transform", str)
    if source is None and value is None and transform is None:
        if not optional and needed is not None:
            draft.report(
                "MR350",
                f"required input {name!r} comes from nowhere",
                entry.path,
                hint="add from: task.output",
            )
        return Input(name, "null", entry._replace(value=None, mark=entry.key))
    made = _read(phrases, source, value) or entry._replace(value=None, mark=entry.key)
    if transform is not None:
        # A transform brings branches together, as merge(a.output, b.output), of which one was not taken.
        local = replace(names, instead="{}").with_own(
            dict.fromkeys(("value", name), expression_of(made.value))
        )
        made = _transformed(Phrases(draft, local, local.odd), transform, expression_of(made.value), made)
    expression = expression_of(made.value)
    instead = "null" if value is None else expression_of(phrases.tree(value.value, value.mark, value.path)[0])
    if source is not None and (optional or value is not None) and isinstance(made.value, str):
        text, mark = wrapped(made.value, made.mark, "default(", f", {instead})", _OPENING)
        made = made._replace(value=text, mark=mark)
        expression = expression_of(text) if value is not None else expression
    return Input(name, expression, made)


def _read(phrases: Phrases, source: Entry | None, value: Entry | None) -> Entry | None:
    if source is not None:
        text, mark = phrases.expression(source.value, source.mark, source.path)
        return source._replace(value=text, mark=mark)
    if value is not None:
        tree, mark = phrases.tree(value.value, value.mark, value.path)
        return value._replace(value=tree, mark=mark)
    return None


def _transformed(phrases: Phrases, transform: Entry, of: str, before: Entry) -> Entry:
    """What a transform makes: the name of a function, a path, or an expression that reads ``value``."""
    text: str = transform.value.strip()
    mark: Mark = transform.mark
    if text.startswith("$") and not text.startswith("${"):
        made, mark = phrases.path(transform.value, of, mark, transform.path)
    elif text in METHOD_NAMES and text not in GLOBAL_NAMES:
        made = f"{{{{ {of}.{text}() }}}}"
    elif text in GLOBAL_NAMES:
        made = f"{{{{ {text}({of}) }}}}"
    else:
        made, mark = phrases.expression(transform.value, mark, transform.path)
    return transform._replace(value=made, mark=mark)
