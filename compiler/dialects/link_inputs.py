"""The inputs of a task of ``links``: ``from``, ``path``, ``value`` and ``template``."""

from __future__ import annotations

import json
import re
from typing import Any

from ..close_matches import did_you_mean, listed
from ..expressions.spelling import quoted
from ..expressions.templates import Hole, parse_template
from .fields import Entry, Fields, Made
from .link_graph import LinkGraph
from .phrase import Parts, Rename, Unknown
from .phrases import Phrases, condition
from .rewriting import Draft
from .task_names import TaskNames

_KEYS = ("from", "path", "value", "template")
_WAYS = "write {from: task}, {from: task, path: $.rows}, {value: …} or {template: …}"


class Inputs:
    """A task's inputs: ``made`` is the canonical mapping, ``None`` where the task has none."""

    def __init__(self, draft: Draft, graph: LinkGraph, name: str, inputs: Entry | None) -> None:
        self.draft, self.graph, self.name = draft, graph, name
        self.phrases = Phrases(draft, graph.names, graph.odd)
        self.made = None if inputs is None else Made(inputs)
        self._expressions: dict[str, str] = {}
        for entry in inputs.items() if inputs else ():
            fields = Fields(
                draft, entry, "an input", _KEYS, {"source": "from", "task": "from", "default": "value"}
            )
            if isinstance(entry.value, dict) and self.made is not None:
                self._input(self.made, str(entry.path[-1]), fields)

    def resolve(self, root: str, parts: Parts) -> Rename | Unknown | None:
        """What a name in the task's config and conditions means: ``inputs.name`` or what every task may read."""
        return self._resolve(self.graph.names, root, parts)

    def resolving(self, names: TaskNames) -> Any:
        """The same with other names beside the inputs."""
        return lambda root, parts: self._resolve(names, root, parts)

    def _resolve(self, names: TaskNames, root: str, parts: Parts) -> Rename | Unknown | None:
        if root != "inputs" or "inputs" in names.tasks:
            return names(root, parts)
        if not parts or parts[0] not in self._expressions:
            hint = did_you_mean(str(parts[0]) if parts else "", self._expressions)
            known = f"its inputs are {listed(self._expressions)}" if self._expressions else "add it to inputs"
            shown = f"input {parts[0]!r}" if parts else "such name"
            return Unknown(f"task {self.name!r} has no {shown}", hint or known, "MR303", min(1, len(parts)))
        return Rename(self._expressions[str(parts[0])], 1)

    def _input(self, made: Made, key: str, fields: Fields) -> None:
        given = [one for one in _KEYS if fields.get(one) is not None]
        value = fields.written("value")
        if not given and value is None:
            self.draft.report(
                "MR110", f"the input {key!r} comes from nowhere", fields.path, hint=_WAYS, key=True
            )
        elif len(given) > 1 and set(given) != {"from", "path"}:
            message = f"the input {key!r} is said in several ways: {listed(given)}"
            self.draft.report("MR119", message, fields.path, hint=_WAYS, key=True)
        elif "template" in given:
            template = fields.take("template", str, example='"{{ task.field }}"')
            if template is not None:
                text, mark = self.phrases.template(template.value, template.mark, template.path)
                made.add(key, text, template._replace(mark=mark))
                self._expressions[key] = _expression_of(text)
        elif "from" in given or "path" in given:
            self._reference(made, key, fields)
        elif value is not None:
            made.add(key, _literal(value.value), value)
            self._expressions[key] = json.dumps(value.value, ensure_ascii=False)

    def _reference(self, made: Made, key: str, fields: Fields) -> None:
        source, path = fields.take("from", str), fields.take("path", str)
        base, at = "input", path
        if source is not None:
            found = self._source(key, source)
            if found is None:
                self._expressions[key] = "trigger.payload"  # Anything: that it comes from nowhere is told.
                return
            base, at = found, source
        if at is None:
            return
        if path is not None:
            text, mark = self.phrases.path(path.value, base, path.mark, path.path)
            made.add(key, text, path._replace(mark=mark))
        else:
            text, mark = self.phrases.expression(at.value, at.mark, at.path)
            made.add(key, text, at._replace(mark=mark))
        self._expressions[key] = text.removeprefix("{{ ").removesuffix(" }}")

    def _source(self, key: str, source: Entry) -> str | None:
        """The expression that ``from`` means, for what stands behind it; the dependency is noted."""
        text = source.value.strip()
        task = text if text in self.graph.ids else re.split(r"[.\[]", text)[0]
        if task == "tasks":
            task = re.split(r"[.\[]", text)[1] if "." in text else task
        if task in self.graph.ids:
            self.graph.need(task, self.name, source)
        elif task not in ("workflow", "input", "trigger", "vars", "execution", "env"):
            hint = did_you_mean(task, self.graph.ids) or f"the tasks are {listed(self.graph.ids, 8)}"
            message = f"the input {key!r} comes from task {task!r}, which does not exist"
            self.draft.report("MR201", message, source.path, hint=hint)
            return None
        phrase = condition(source.value, self.graph.names, self.graph.odd)
        if phrase.problems:
            self.phrases.expression(source.value, source.mark, source.path)  # reports them
            return None
        return phrase.text


def _expression_of(template: str) -> str:
    """A canonical template as an expression; ``join`` writes every kind of value as a template does.

    >>> _expression_of("{{ nodes.a.b }}"), _expression_of("no. {{ input.n }}")
    ('nodes.a.b', 'join(["no. ", input.n])')
    """
    parts = parse_template(template)
    if len(parts) == 1 and isinstance(parts[0], Hole):
        return parts[0].expression
    return f"join([{', '.join(quoted(one) if isinstance(one, str) else one.expression for one in parts)}])"


def _literal(value: Any) -> Any:
    """``value`` as it is, though it may hold what reads like a template."""
    if isinstance(value, str):
        return value.replace("{{", "\\{{")
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    return [_literal(item) for item in value] if isinstance(value, list) else value
