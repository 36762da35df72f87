"""``next-branch``: ``tasks`` by id that name their successors by ``next`` and ``branch_conditions``.

Source: seed 004 §6.1.1, §9.1 and §9.2. The first branch condition that holds wins; ``default`` is the else. An input
comes ``from`` a task's output or the workflow's input, is a ``value``, or both (then the value is what stands in for an
absent output), and may be changed by a ``transform``. Where ``required_inputs`` are listed, the others may be absent
and are null then, so that a task can read from branches that were not taken. Expressions read a task's inputs by name.

Units: ``initial_interval`` and ``max_interval`` are milliseconds; ``timeout``, ``timeout_seconds`` and ``timeouts``
are seconds. ``max_attempts`` counts the first try. Texts may carry a unit (``5s``) in either place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..diagnostics import Diagnostic
from ..document import Document, span_of
from ..explain import kind_of as json_kind
from .fields import Entry, Fields, Made, whole
from .head import HEAD_KEYS, NODE_KEYS, SYNONYMS, milliseconds, write_head
from .phrases import Phrases, node, path
from .rewriting import Draft
from .task_branches import write_branches
from .task_inputs import Input, read_inputs
from .task_names import Outputs, TaskNames
from .task_parameters import Filling, kind_of
from .task_types import outputs_of, own_id, write_identity, write_nothing, write_type

ID = "next-branch"
VOCABULARY = None
_TOP = (*HEAD_KEYS, "tasks", "timeout_seconds", "timeout", "timeouts")
_TASK = (
    "id", "name", "description", "task_type", "type", "config", "retry", "timeout", "timeout_seconds", "inputs",
    "outputs", "next", "branch_conditions", "required_inputs", *NODE_KEYS,
)  # fmt: skip
_TASK_SYNONYMS = {
    "retry_policy": "retry", "parameters": "config", "params": "config", "input": "inputs", "output": "outputs",
    "branches": "branch_conditions", "conditions": "branch_conditions", "decisions": "branch_conditions",
    "next_tasks": "next", "then": "next", "required": "required_inputs",
}  # fmt: skip
_TIMEOUTS = ("workflow_timeout", "task_timeout")
_RETRY = ("max_attempts", "initial_interval", "multiplier", "max_interval")
_MARKS = ("task_type", "branch_conditions", "required_inputs")


def recognises(tree: Any) -> bool:
    """A mapping with tasks by id and without links, or a list of tasks of which one has a key of this dialect."""
    if not isinstance(tree, dict) or tree.keys() & {"links", "connections", "nodes"}:
        return False
    tasks = tree.get("tasks")
    items = list(tasks.values()) if isinstance(tasks, dict) else tasks if isinstance(tasks, list) else []
    mappings = [item for item in items if isinstance(item, dict)]
    if any(item.keys() & {"node_id", "onComplete", "onError"} for item in mappings):
        return False
    return bool(isinstance(tasks, dict) or any(item.keys() & set(_MARKS) for item in mappings))


@dataclass
class _Task:
    """A task as it was read."""

    own: Entry
    fields: Fields
    inputs: list[Input] = field(default_factory=list)


def rewrite(document: Document) -> tuple[Document, tuple[Diagnostic, ...]]:
    """Tasks become nodes, their successors edges or the cases of a decision, their inputs mappings."""
    draft = Draft(document)
    fields = Fields(draft, whole(draft), "a workflow of tasks", _TOP, SYNONYMS)
    made = Made(fields.entry)
    write_head(fields, made)
    given = fields.get("timeouts")
    timeouts = Fields(draft, given, "timeouts", _TIMEOUTS) if given is not None else None
    limits = (
        fields.get("timeout_seconds"),
        fields.get("timeout"),
        timeouts and timeouts.get("workflow_timeout"),
    )
    made.put("timeout", next((limit for limit in limits if limit is not None), None))
    entry = fields.get("tasks")
    tasks = _tasks(draft, fields, entry)
    names = TaskNames({task.own.value: _outputs(draft, task.fields) for task in tasks})
    usual = timeouts.get("task_timeout") if timeouts is not None else None
    edges: list[Made] = []
    nodes = [_node(draft, task, names, usual, edges) for task in tasks]
    if not tasks:
        if entry is not None and isinstance(entry.value, dict | list):
            draft.report("MR210", "a workflow without tasks", entry.path, hint="add a task", key=True)
        write_nothing(made, entry or fields.entry)
    elif entry is not None:
        made.add_list("nodes", nodes, entry)
        made.add_list("edges", edges, entry)
    return document.rewritten(made.tree, made.mark), tuple(draft.diagnostics)


def _tasks(draft: Draft, fields: Fields, entry: Entry | None) -> list[_Task]:
    if entry is None:
        fields.take("tasks", dict, needed=True, example="{extract: {task_type: http/request}}")
        return []
    if not isinstance(entry.value, dict | list):
        message, hint = (
            f"'tasks' must be a mapping, not {json_kind(entry.value)}",
            "write tasks: {task-id: {…}}",
        )
        draft.report("MR112", message, entry.path, hint=hint)
        return []
    found = list[_Task]()
    for number, one in enumerate(entry.items(), 1):
        opened = Fields(draft, one, "a task", _TASK, _TASK_SYNONYMS)
        if isinstance(entry.value, list):
            found.append(_Task(own_id(opened, number), opened))
            continue
        name = str(one.path[-1])
        found.append(_Task(one._replace(value=name, mark=one.key), opened))
        if (own := opened.take("id", str)) is not None and own.value != name:
            message = f"the task {name!r} calls itself {own.value!r}"
            draft.report("MR119", message, own.path, hint=f"write id: {name}, or leave it out")
    return found


def _outputs(draft: Draft, task: Fields) -> Outputs:
    """How a task's outputs are read; those that it declares may say where in its result they stand."""
    declared: dict[str, str | None] = {}
    outputs = task.take("outputs", dict)
    for entry in outputs.items() if outputs is not None else ():
        where = entry.value.get("path") if isinstance(entry.value, dict) else None
        found = path(where, "@") if isinstance(where, str) else None
        for code, message, hint, start, end in found.problems if found else ():
            origin = (*entry.path, "path")
            draft.diagnostics.append(
                draft.document.report(code, message, origin, hint=hint, within=(start, end))
            )
        declared[str(entry.path[-1])] = found.text if found and not found.problems else None
    return outputs_of(kind_of(task).value, declared)


def _node(draft: Draft, task: _Task, names: TaskNames, usual: Entry | None, edges: list[Made]) -> Made:
    made, fields = Made(task.fields.entry), task.fields
    write_identity(fields, made, task.own)
    task.inputs = read_inputs(draft, fields, names)
    local = names.with_own({one.name: one.expression for one in task.inputs})
    phrases = Phrases(draft, local, local.odd)
    deadline = fields.get("timeout_seconds") or fields.get("timeout") or usual
    filling = Filling(draft, phrases, fields, fields.take("config", dict), deadline, task.own)
    results = {name: f"{node(task.own.value)}.{name}" for name in names.tasks[task.own.value].declared}
    deciding = names.with_own({**results, **local.own})
    write_branches(filling, Phrases(draft, deciding, deciding.odd), task.own, edges)
    write_type(made, filling)
    if task.inputs:
        _write_inputs(made, task)
    if (retry := fields.get("retry")) is not None:
        made.add_map("retry", _retry(draft, retry))
    for key in NODE_KEYS:
        made.put(key, fields.get(key))
    _write_successors(draft, task, edges)
    return made


def _write_inputs(made: Made, task: _Task) -> None:
    entry = task.fields.get("inputs")
    assert entry is not None
    inner = Made(entry)
    for one in task.inputs:
        inner.add(one.name, one.entry.value, one.entry)
    made.add_map("input", inner)


def _retry(draft: Draft, policy: Entry) -> Made:
    made, fields = Made(policy), Fields(draft, policy, "a retry policy", _RETRY)
    made.put("max_attempts", fields.get("max_attempts"))
    made.put("multiplier", fields.get("multiplier"))
    for key, name in (("initial_interval", "initial"), ("max_interval", "max")):
        if (interval := fields.get(key)) is not None:
            made.add(name, milliseconds(interval.value), interval)
    return made


def _write_successors(draft: Draft, task: _Task, edges: list[Made]) -> None:
    following = task.fields.get("next")
    if following is None:
        return
    for one in following.items() if isinstance(following.value, list) else (following,):
        if not isinstance(one.value, str):
            message = f"'next' takes task ids, not {json_kind(one.value)}"
            draft.report("MR112", message, one.path, hint="write next: [task-id]")
            continue
        edge = Made(one._replace(mark=span_of(one.mark)))
        edge.put("source", task.own)
        edge.put("target", one)
        edges.append(edge)
