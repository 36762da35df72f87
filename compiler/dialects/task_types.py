"""The task types of seed 004 and the node types that they become, as one table.

A type that is not here is one of ours (``family/name``), or one of the family ``task``, which the setting ``nodes``
registers: ``data_extraction`` is ``task/data-extraction``. Its configuration becomes its parameters; what of it nothing
acts on is reported, never dropped without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...tasks.sdk import NAME
from ..close_matches import closest
from .approvals import HUMAN_OUTPUTS, fill_approvals, fill_human_task
from .fields import Entry, Fields, Made
from .head import milliseconds
from .naming import workflow_name
from .task_names import Outputs
from .task_parameters import KINDS, NO_KIND, Filling

FAMILY = "task"
"""The family of node types that only these languages know, by the plain names that they have there."""
NOTIFY_URLS = "NOTIFY_URLS"
"""The environment variable that says whom a notification without addresses tells."""


@dataclass(frozen=True)
class TaskType:
    """What a type becomes.

    ``names`` maps keys of the configuration to parameters; ``idle`` are keys without a parameter, on which nothing acts
    unless ``fill`` does, which adds what is more than a name. A type that ``waits`` has its task's timeout as a
    parameter. ``outputs`` and ``below`` are as in :class:`~.task_names.Outputs`.
    """

    node_type: str
    names: Mapping[str, str] = field(default_factory=dict)
    idle: tuple[str, ...] = ()
    fill: Callable[[Filling], None] | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    below: str = ""
    waits: bool = False


def _fill_notification(filling: Filling) -> None:
    parameters = filling.parameters
    if "body" not in parameters.tree:
        shown = filling.config_entry("subject") or filling.config_entry("title") or filling.title
        parameters.add("body", *filling.text_of(shown))
    if "urls" not in parameters.tree and "urls_from" not in parameters.tree:
        parameters.add("urls_from", NOTIFY_URLS, filling.kind)


def _fill_delay(filling: Filling) -> None:
    for key in ("delay_ms", "duration_ms"):
        if (entry := filling.config_entry(key)) is not None:
            filling.parameters.add("duration", milliseconds(entry.value), entry)


def _fill_subworkflow(filling: Filling) -> None:
    for key in ("workflow_id", "workflow", "name"):
        entry = filling.config_entry(key)
        if entry is not None and isinstance(entry.value, str):
            filling.parameters.add("name", workflow_name(entry.value), entry)
            return


def _fill_set(filling: Filling) -> None:
    if "values" in filling.parameters.tree or filling.config is None:
        return
    values = filling.parameters
    filling.parameters = Made(filling.config)
    filling.parameters.add_map("values", values)


_HTTP = TaskType(
    "http/request",
    {
        "endpoint": "url",
        "uri": "url",
        "query_params": "params",
        "query": "params",
        "payload": "json",
        "data": "json",
    },
    outputs={"status": "@.status_code", "response": "@.body", "data": "@.body"},
)
_NOTIFY = TaskType(
    "notify/send",
    {"subject": "title", "message": "body", "content": "body", "text": "body", "url": "urls"},
    ("notification_type", "recipients", "template", "notification_templates", "channels", "to"),
    _fill_notification,
)
_HUMAN = TaskType(
    "control/human-task",
    {"assignee_type": "role"},
    ("assignee_resolution", "form_template", "required_fields"),
    fill_human_task,
    HUMAN_OUTPUTS,
    ".form",
    waits=True,
)
_APPROVALS = TaskType(
    "control/human-task",
    {},
    ("approval_tasks", "approval_sequence", "approval_rule", "quorum"),
    fill_approvals,
    HUMAN_OUTPUTS,
    ".form",
    waits=True,
)
_SUBWORKFLOW = TaskType(
    "control/subworkflow", {"inputs": "input"}, ("workflow_id", "workflow", "name"), _fill_subworkflow
)
_DELAY = TaskType(
    "control/delay",
    {"seconds": "duration", "delay_seconds": "duration", "delay": "duration"},
    ("delay_ms", "duration_ms"),
    _fill_delay,
)
_WAIT = TaskType(
    "control/wait-event",
    {"event_type": "type"},
    outputs={"event": "@.event"},
    below=".event.payload",
    waits=True,
)

TYPES: Mapping[str, TaskType] = {
    "start": TaskType("control/start"),
    "end": TaskType("control/end"),
    **dict.fromkeys(("http", "http_request", "rest", "rest_api", "api", "api_call", "webhook"), _HTTP),
    **dict.fromkeys(("notification", "notify"), _NOTIFY),
    **dict.fromkeys(("human_task", "human_approval", "approval"), _HUMAN),
    **dict.fromkeys(("parallel_approval", "sequential_approval"), _APPROVALS),
    **dict.fromkeys(("sub_workflow", "subworkflow", "subprocess"), _SUBWORKFLOW),
    **dict.fromkeys(("delay", "timer", "wait"), _DELAY),
    **dict.fromkeys(("event", "wait_event", "consume_event"), _WAIT),
    **dict.fromkeys(
        ("publish_event", "emit_event"),
        TaskType("control/emit-event", {"event_type": "type", "data": "payload"}),
    ),
    **dict.fromkeys(("set", "assign", "compute"), TaskType("control/set", fill=_fill_set)),
    **dict.fromkeys(
        ("script", "function"), TaskType("script/python", {"handler": "function", "args": "arguments"})
    ),
}


STEP_TYPES = ("service_call", "publish_event", "consume_event", "condition", "transform")
"""Types of steps that follow events; :mod:`.event_steps` writes them."""


def task_type(kind: str) -> TaskType | None:
    """The table's row for a type, however it is spelled: ``humanTask``, ``human-task``, ``HUMAN_TASK``."""
    return TYPES.get(_plain(kind))


def node_type_of(kind: str) -> str:
    """The node type that a task's type becomes.

    >>> node_type_of("HTTP"), node_type_of("image/convert"), node_type_of("DataExtraction"), node_type_of("采集")
    ('http/request', 'image/convert', 'task/data-extraction', '采集')
    """
    if (row := task_type(kind)) is not None:
        return row.node_type
    own = f"{FAMILY}/{_plain(kind).replace('_', '-')}"
    return own if "/" not in kind and NAME.fullmatch(own) else kind


def meant_type(node_type: str) -> str | None:
    """The task type that one of the family ``task`` was probably meant to be.

    >>> meant_type("task/sett"), meant_type("task/service-cal"), meant_type("image/sett")
    ('set', 'service_call', None)
    """
    family, _, name = node_type.partition("/")
    return closest(name, (*TYPES, *STEP_TYPES)) if family == FAMILY else None


def _plain(kind: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).lower()
    return re.sub(r"[-\s_]+", "_", words).strip("_")


def outputs_of(kind: str, declared: Mapping[str, str | None]) -> Outputs:
    """How the outputs of a task of this type are read; ``declared`` maps those that the author lists to the
    expression of each, with ``@`` for the node, where the author gives it one."""
    row = task_type(kind)
    given = {name: text for name, text in declared.items() if text is not None}
    renamed = {**(row.outputs if row else {}), **given}
    return Outputs(renamed, row.below if row else "", frozenset({*declared, *renamed}) if declared else ())


def own_id(task: Fields, number: int) -> Entry:
    """A task's id; where it lacks one, that is reported and its number stands in."""
    own = task.take("id", str, needed=isinstance(task.entry.value, dict), example="extract-data")
    return own or task.entry._replace(value=f"task-{number}", mark=task.entry.key)


def write_identity(task: Fields, node: Made, own: Entry) -> None:
    """Put the node's id, names and description; a type that is missing is reported."""
    if isinstance(task.entry.value, dict) and not any(key in task for key in KINDS):
        task.take(KINDS[0], str, needed=True, example="http/request")
    for key in KINDS:
        task.take(key, str)
    node.put("node_id", own)
    node.put("display_name", task.take("name", str))
    node.put("description", task.get("description"))


def write_nothing(made: Made, at: Entry) -> None:
    """A node that stands for the tasks where there are none, which was reported."""
    node = Made(at._replace(mark=at.key))
    node.add("node_id", "task-1", at._replace(mark=at.key))
    node.add("type", NO_KIND, at._replace(mark=at.key))
    made.add_list("nodes", [node], at._replace(mark=at.key))


def write_type(node: Made, filling: Filling) -> None:
    """Put the node's type and parameters, and its timeout where it does not wait for somebody."""
    row = task_type(filling.kind.value)
    if filling.kind.path == filling.task.path or (filling.config is None and "config" in filling.task):
        node.add("type", NO_KIND, filling.kind)  # that it has no type, or a wrong configuration, is reported
        return
    node.add("type", node_type_of(filling.kind.value), filling.kind)
    fill(filling, row)
    if row is None or not row.waits:
        node.put("timeout", filling.deadline)
    elif "timeout" not in filling.parameters.tree:
        filling.parameters.put("timeout", filling.deadline)
    if filling.parameters.tree:
        node.add_map("parameters", filling.parameters)


def fill(filling: Filling, row: TaskType | None) -> None:
    """The parameters of a task: its configuration, renamed and completed."""
    idle = list[Entry]()
    for entry in filling.config.items() if filling.config else ():
        key = str(entry.path[-1])
        if row is not None and key in row.idle:
            idle.append(entry)
            continue
        name = row.names.get(key, key) if row else key
        if name in filling.parameters.tree:
            message, hint = f"both {name!r} and another word for it are given", "keep one of them"
            filling.draft.report("MR119", message, entry.path, hint=hint, key=True)
            continue
        filling.parameters.add(name, *filling.tree_of(entry))
    if row is not None and row.fill is not None:
        row.fill(filling)
    for entry in idle:
        if str(entry.path[-1]) not in filling.used:
            filling.idle(entry)
