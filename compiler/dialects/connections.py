"""``connections``: a list of ``tasks`` and the ``connections`` between them. Source: seed 004 §10.2.

Everything here counts seconds (``timeout_seconds``, ``delay_seconds``). ``max_retries`` counts tries after the first,
and without ``exponential_backoff`` they are all ``delay_seconds`` apart. A connection's ``condition`` reads the source
task's outputs as ``output``, any task's as ``task.output`` and the instance's input as ``workflow.input``; several
connections into a task are joined by ``any``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..diagnostics import Diagnostic
from ..document import Document
from .fields import Entry, Fields, Made, whole
from .head import HEAD_KEYS, NODE_KEYS, SYNONYMS, write_head
from .phrases import Phrases
from .rewriting import Draft
from .task_names import Outputs, TaskNames
from .task_parameters import Filling, kind_of
from .task_types import outputs_of, own_id, write_identity, write_nothing, write_type

ID = "connections"
VOCABULARY = None
_TOP = (*HEAD_KEYS, "tasks", "connections", "timeout_seconds")
_TASK = ("id", "name", "description", "task_type", "config", "retry_policy", "timeout_seconds", *NODE_KEYS)
_TASK_SYNONYMS = {
    "type": "task_type", "retry": "retry_policy", "timeout": "timeout_seconds", "parameters": "config",
    "params": "config", "task_id": "id",
}  # fmt: skip
_CONNECTION = ("source_task_id", "target_task_id", "condition")
_CONNECTION_SYNONYMS = {
    "source": "source_task_id", "target": "target_task_id", "from": "source_task_id", "to": "target_task_id",
    "when": "condition",
}  # fmt: skip
_RETRY = ("max_retries", "delay_seconds", "exponential_backoff")
_RETRY_SYNONYMS = {"retries": "max_retries", "delay": "delay_seconds", "exponential": "exponential_backoff"}
_LONGEST_DELAY = 86400.0


def recognises(tree: Any) -> bool:
    """A mapping with connections that name their ends as this dialect does, or beside a list of tasks with a
    ``task_type``."""
    if not isinstance(tree, dict) or "connections" not in tree or "nodes" in tree:
        return False
    return _any_has(tree["connections"], _CONNECTION[:2]) or _any_has(tree.get("tasks"), ("task_type",))


def _any_has(items: Any, keys: tuple[str, ...]) -> bool:
    return isinstance(items, list) and any(
        isinstance(item, dict) and item.keys() & set(keys) for item in items
    )


def rewrite(document: Document) -> tuple[Document, tuple[Diagnostic, ...]]:
    """Tasks become nodes, connections edges."""
    draft = Draft(document)
    fields = Fields(draft, whole(draft), "a workflow of tasks and connections", _TOP, SYNONYMS)
    made = Made(fields.entry)
    write_head(fields, made)
    made.put("timeout", fields.get("timeout_seconds"))
    tasks = fields.take("tasks", list, needed=True, example="[{id: extract, task_type: http/request}]")
    opened = (
        [Fields(draft, entry, "a task", _TASK, _TASK_SYNONYMS) for entry in tasks.items()] if tasks else []
    )
    owns = [own_id(task, number) for number, task in enumerate(opened, 1)]
    names = TaskNames({own.value: _outputs(task) for own, task in zip(owns, opened, strict=True)})
    if not opened:
        if tasks is not None:
            draft.report("MR210", "a workflow without tasks", tasks.path, hint="add a task", key=True)
        write_nothing(made, tasks or fields.entry)
        return document.rewritten(made.tree, made.mark), tuple(draft.diagnostics)
    if tasks is not None:
        nodes = [_node(draft, task, own, names) for own, task in zip(owns, opened, strict=True)]
        made.add_list("nodes", nodes, tasks)
    connections = fields.take("connections", list)
    if connections is not None:
        edges = [edge for entry in connections.items() if (edge := _edge(draft, entry, names)) is not None]
        made.add_list("edges", edges, connections)
    return document.rewritten(made.tree, made.mark), tuple(draft.diagnostics)


def _outputs(task: Fields) -> Outputs:
    return outputs_of(kind_of(task).value, {})


def _node(draft: Draft, task: Fields, own: Entry, names: TaskNames) -> Made:
    made = Made(task.entry)
    write_identity(task, made, own)
    phrases = Phrases(draft, names, names.odd)
    config, deadline = task.take("config", dict), task.get("timeout_seconds")
    write_type(made, Filling(draft, phrases, task, config, deadline, own))
    policy = task.get("retry_policy")
    if policy is not None:
        made.add_map("retry", _retry(draft, policy))
    for key in NODE_KEYS:
        made.put(key, task.get(key))
    return made


def _retry(draft: Draft, policy: Entry) -> Made:
    made, fields = Made(policy), Fields(draft, policy, "a retry policy", _RETRY, _RETRY_SYNONYMS)
    retries, delay = fields.take("max_retries", int), fields.take("delay_seconds", float)
    exponential = fields.take("exponential_backoff", bool)
    if retries is not None and retries.value < 0:
        message = f"'max_retries' must be at least 0, not {retries.value}"
        draft.report("MR113", message, retries.path, hint="write 0 for no second attempt")
        retries = None
    if retries is not None:
        made.add("max_attempts", retries.value + 1, retries)
    if delay is not None:
        made.put("initial", delay)
    grows = exponential is not None and exponential.value
    made.add("multiplier", 2.0 if grows else 1.0, exponential or policy)
    if delay is not None and delay.value > 0:
        steps = min(max(retries.value - 1, 0), 64) if retries is not None and grows else 0
        made.add("max", max(min(delay.value * 2.0**steps, _LONGEST_DELAY), float(delay.value)), delay)
    return made


def _edge(draft: Draft, entry: Entry, names: TaskNames) -> Made | None:
    made, fields = Made(entry), Fields(draft, entry, "a connection", _CONNECTION, _CONNECTION_SYNONYMS)
    if not isinstance(entry.value, dict):
        return None
    source = fields.take("source_task_id", str, needed=True, example="extract-data")
    target = fields.take("target_task_id", str, needed=True, example="load-data")
    condition = fields.get("condition")
    if source is None or target is None:
        return None
    made.put("source", source)
    made.put("target", target)
    if condition is None:
        return made
    if isinstance(condition.value, bool):
        made.put("condition", condition)
    elif fields.take("condition", str) is not None:
        aliases = dict.fromkeys(("output", "result"), source.value) if source.value in names.tasks else {}
        local = replace(names, aliases=aliases)
        text, mark = condition.value, condition.mark
        if text.strip() not in ("else", "default"):
            text, mark = Phrases(draft, local, local.odd).condition(text, mark, condition.path)
        made.add("condition", "else" if text.strip() == "default" else text, condition._replace(mark=mark))
    return made
