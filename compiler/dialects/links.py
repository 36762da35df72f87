"""``links``: a mapping of ``tasks`` and the ``links`` between them. Source: seed 004 §4.1.2.

What the seed leaves open is read so:

- A duration is text with a unit (``30s``) or a number: of seconds in ``timeout`` and ``timeouts``, of milliseconds in
  ``retry``, as in the retry policy of §6.1.1. ``maxAttempts`` counts the first attempt.
- An input comes ``from`` a task's output, from there along a ``path``, from the instance's input by a ``path`` alone,
  is a ``value``, or a ``template`` with ``{{ }}`` or ``${ }`` in it. Data that no link carries makes its own edge.
- A task runs when all its ``conditions`` hold; they and its config may read ``inputs.name``. The condition of a link
  may read the source's ``output``. Conditions are CEL.
- An action of ``onComplete`` or ``onError`` goes on with a task (``{type: goto, task: …}``) or is a task of its own
  (``{type: notify, config: …}``). ``onError`` also has ``{type: ignore}`` and ``{type: fallback, config: …}``.
"""

from __future__ import annotations

import re
from typing import Any

from ..diagnostics import Diagnostic
from ..document import Document
from .fields import Entry, Fields, Made, stand_in, whole
from .head import HEAD_KEYS, SYNONYMS, milliseconds, write_head
from .link_graph import LinkGraph, Way
from .link_inputs import Inputs
from .phrases import Phrases, node
from .rewriting import Draft
from .task_parameters import Filling
from .task_types import task_type, write_type

ID = "links"
VOCABULARY = None
_TOP = (*HEAD_KEYS, "tasks", "links", "inputSchema", "timeouts", "dialect")
_TASK = (
    "type", "name", "description", "config", "retry", "timeout", "inputs", "conditions", "onComplete", "onError",
)  # fmt: skip
_TASK_SYNONYMS = {
    "parameters": "config", "params": "config", "condition": "conditions", "input": "inputs", "task_type": "type",
    "oncomplete": "onComplete", "onerror": "onError", "on_success": "onComplete", "on_failure": "onError",
}  # fmt: skip
_TIMEOUTS = {"workflow": "workflow", "workflowTimeout": "workflow", "workflow_timeout": "workflow",
             "task": "task", "taskTimeout": "task", "task_timeout": "task"}  # fmt: skip
_RETRY = {
    "maxAttempts": "max_attempts", "max_attempts": "max_attempts", "initialInterval": "initial",
    "initial_interval": "initial", "multiplier": "multiplier", "backoffCoefficient": "multiplier",
    "maxInterval": "max", "max_interval": "max",
}  # fmt: skip
_ACTION = ("type", "name", "task", "config", "condition", "codes")
_ACTION_SYNONYMS = {"target": "task", "to": "task", "parameters": "config", "goto": "task", "action": "type"}
_WAYS: dict[str, Way] = {"onComplete": "completed", "onError": "failed"}
_GO = ("goto", "go_to", "run", "start", "next", "task")
_IGNORE = ("ignore", "continue", "skip")


def recognises(tree: Any) -> bool:
    """A mapping of tasks beside links, or tasks with inputs, actions or conditions as this dialect writes them."""
    tasks = tree.get("tasks") if isinstance(tree, dict) else None
    if not isinstance(tasks, dict):
        return False
    own = ("onComplete", "onError", "conditions")
    return isinstance(tree.get("links"), list) or any(
        isinstance(task, dict) and any(key in task for key in own) for task in tasks.values()
    )


def rewrite(document: Document) -> tuple[Document, tuple[Diagnostic, ...]]:
    """Tasks and actions become nodes, links and dependencies on data edges."""
    draft = Draft(document)
    top = Fields(draft, whole(draft), "a workflow of tasks and links", _TOP, SYNONYMS)
    made = Made(top.entry)
    write_head(top, made)
    made.put("input", top.take("inputSchema", dict))
    task_timeout = _timeouts(top, made)
    tasks = top.take("tasks", dict, needed=True, example="{fetch: {type: http, config: {…}}}")
    opened = [
        Fields(draft, entry, "a task", _TASK, _TASK_SYNONYMS) for entry in (tasks.items() if tasks else ())
    ]
    graph = LinkGraph(draft, opened)
    graph.read_links(top.take("links", list))
    writer = _Writer(draft, graph, task_timeout)
    for task in opened:
        if isinstance(task.entry.value, dict):
            writer.task(task)
    graph.add_dependencies()
    at = tasks or top.entry
    made.add_list("nodes", writer.nodes or ([stand_in(at)] if draft.diagnostics else []), at)
    made.add_list("edges", graph.edges(), top.get("links") or at)
    return document.rewritten(made.tree, made.mark), tuple(draft.diagnostics)


def _timeouts(top: Fields, made: Made) -> Entry | None:
    """Put the workflow's timeout; the tasks' is returned."""
    entry = top.take("timeouts", dict)
    if entry is None:
        return None
    fields = Fields(top.draft, entry, "timeouts", tuple(_TIMEOUTS))
    found = {meant: value for key, meant in _TIMEOUTS.items() if (value := fields.get(key)) is not None}
    made.put("timeout", found.get("workflow"))
    return found.get("task")


class _Writer:
    """Writes the node of each task, and those of its actions."""

    def __init__(self, draft: Draft, graph: LinkGraph, timeout: Entry | None) -> None:
        self.draft, self.graph, self.timeout = draft, graph, timeout
        self.nodes: list[Made] = []

    def task(self, task: Fields) -> None:
        """One task."""
        name = str(task.path[-1])
        made = Made(task.entry)
        self.nodes.append(made)
        key = task.entry._replace(mark=task.entry.key)
        identity = self.graph.ids.get(name)
        if identity is None:
            self.nodes.pop()  # its id is taken, which was reported
            return
        made.add("node_id", identity, key)
        made.put("display_name", task.take("name", str))
        if "display_name" not in made.tree and identity != name:
            made.add("display_name", name, key)
        made.put("description", task.get("description"))
        inputs = Inputs(self.draft, self.graph, name, task.take("inputs", dict))
        phrases = Phrases(self.draft, inputs.resolve, self.graph.odd)
        kind, config = task.take("type", str, needed=True, example="http"), task.take("config", dict)
        if kind is not None and (config is not None or "config" not in task):
            write_type(made, Filling(self.draft, phrases, task, config=config))
        else:
            made.add("type", "control/end", key)  # a stand-in for what is wrong and was reported
        if inputs.made is not None:
            made.add_map("input", inputs.made)
        self._conditions(task, made, phrases)
        made.put("timeout", task.get("timeout") or self.timeout)
        self._retry(task, made)
        self._actions(name, task, made)

    def _conditions(self, task: Fields, made: Made, phrases: Phrases) -> None:
        """``when``: every condition must hold."""
        entry = task.get("conditions")
        if entry is None:
            return
        written = list(entry.items()) if isinstance(entry.value, list) else [entry]
        found = [one for item in written if (one := self.graph.condition(item, phrases)) is not None]
        if len(found) == 1:
            made.add("when", found[0].value, found[0])
        elif found:
            made.add("when", " && ".join(f"({one.value})" for one in found), entry._replace(mark=entry.key))

    def _retry(self, task: Fields, made: Made) -> None:
        policy = task.take("retry", dict)
        if policy is None:
            return
        fields, retry = Fields(self.draft, policy, "a retry policy", tuple(_RETRY)), Made(policy)
        for key, name in _RETRY.items():
            if (entry := fields.get(key)) is not None:
                value = milliseconds(entry.value) if name in ("initial", "max") else entry.value
                retry.add(name, value, entry)
        made.add_map("retry", retry)

    # --- actions ------------------------------------------------------------------------------------------------

    def _actions(self, name: str, task: Fields, made: Made) -> None:
        rules: list[Made] = []
        for key, way in _WAYS.items():
            entry = task.get(key)
            if entry is None:
                continue
            for number, action in enumerate(entry.items() if isinstance(entry.value, list) else (entry,), 1):
                fields = Fields(self.draft, action, f"an action of {key}", _ACTION, _ACTION_SYNONYMS)
                if isinstance(action.value, dict):
                    self._action(name, fields, way, f"{self.graph.ids[name]}-{_kebab(key)}-{number}", rules)
        at = task.get("onError") or task.entry
        if rules:
            made.add_list("on_error", rules, at)
        if self.graph.catches(name) or self.graph.tolerates(name):
            made.add("fail_on_error", False, at)

    def _action(self, name: str, action: Fields, way: Way, identity: str, rules: list[Made]) -> None:
        kind = action.take("type", str, needed="task" not in action, example="goto")
        word = kind.value.strip().lower() if kind else "goto"
        if word in _GO:
            target = action.take("task", str, needed=True, example="a task's id")
            if target is not None:
                self.graph.go_on(name, target, action.entry, self._condition(name, action), way)
        elif word in _IGNORE and way == "failed" and "codes" not in action:
            self.graph.tolerate(name)
        elif word in (*_IGNORE, "fallback") and way == "failed":
            rules.append(self._rule(name, action, word))
        elif kind is not None:
            self._action_node(name, action, kind, way, identity)

    def _rule(self, name: str, action: Fields, word: str) -> Made:
        rule = Made(action.entry)
        rule.put("codes", action.get("codes"))
        if word in _IGNORE:
            rule.add("ignore", True, action.get("type") or action.entry)
            return rule
        config = action.take("config", dict, needed=True, example="{url: https://…}")
        if config is not None:
            inputs = Inputs(self.draft, self.graph, name, None)
            phrases = Phrases(self.draft, inputs.resolve, self.graph.odd)
            value, mark = phrases.tree(config.value, config.mark, config.path)
            rule.add("fallback", value, config._replace(mark=mark))
        return rule

    def _action_node(self, name: str, action: Fields, kind: Entry, way: Way, identity: str) -> None:
        if task_type(kind.value) is None and "/" not in kind.value:
            ways = "goto, ignore, fallback" if way == "failed" else "goto"
            hint = f"write {ways}, or a task's type such as notify or http"
            self.draft.report("MR113", f"unknown action {kind.value!r}", kind.path, hint=hint)
            return
        made = Made(action.entry)
        made.add("node_id", identity, kind)
        inputs = Inputs(self.draft, self.graph, name, None)
        local = self.graph.names.with_own({"output": node(self.graph.ids[name])})
        phrases = Phrases(self.draft, inputs.resolving(local), self.graph.odd)
        write_type(made, Filling(self.draft, phrases, action, config=action.take("config", dict)))
        self.nodes.append(made)
        condition = self._condition(name, action)
        self.graph.lead(name, identity, action.entry, kind, kind, condition, way)

    def _condition(self, name: str, action: Fields) -> Entry | None:
        entry = action.get("condition")
        return None if entry is None else self.graph.condition(entry, self.graph.after(name))


def _kebab(key: str) -> str:
    return re.sub(r"(?=[A-Z])", "-", key).lower()
