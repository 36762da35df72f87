"""Human tasks of seed 004 §9.2: one person's, several persons' at once, several persons' in a row.

Who approves are roles. In a sequence a role may have a ``condition``: it is asked only where that holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..close_matches import did_you_mean, listed
from .fields import Entry, Fields
from .task_names import wrapped
from .task_parameters import Filling

HUMAN_OUTPUTS = {
    "outcome": "@.outcome",
    "decisions": "@.decisions",
    "form": "@.form",
    "approval_result": "@.outcome",
    "decision": "@.outcome",
    "is_approved": "(@.outcome == 'approved')",
    "approval_results": "@.decisions",
    "final_approver": "@.decisions[size(@.decisions) - 1].by",
    "comments": "@.decisions.map(each, each.comment)",
    "consolidated_comments": "@.decisions.map(each, each.comment)",
}
"""What the seed calls the outputs of an approval, as expressions of ``control/human-task``."""

_RULES = {"all": "all", "any": "any", "quorum": "quorum", "majority": "quorum", "sequential": "sequential"}
_APPROVER = ("role", "assignee", "condition", "form_template", "timeout_hours")


def fill_human_task(filling: Filling) -> None:
    """Title and form of one person's task."""
    _fill_title(filling)
    required, template = filling.config_entry("required_fields"), filling.config_entry("form_template")
    if "form" in filling.parameters.tree:
        return
    if (at := required or template) is not None:
        filling.parameters.add("form", _form(required, template), at._replace(mark=at.key))


def _form(required: Entry | None, template: Entry | None) -> dict[str, Any]:
    """The JSON Schema of a form with the required fields; that somebody decides is no field of it."""
    listed_fields = required.value if required is not None and isinstance(required.value, list) else []
    names = [name for name in listed_fields if isinstance(name, str) and name != "decision"]
    title = {"title": template.value} if template is not None and isinstance(template.value, str) else {}
    return {**title, "type": "object", "properties": {name: {} for name in names}, "required": names}


def _fill_title(filling: Filling) -> None:
    parameters = filling.parameters
    if "title" not in parameters.tree:
        parameters.add("title", *filling.text_of(filling.title))


def fill_approvals(filling: Filling) -> None:
    """Who approves, and how many of them must."""
    _fill_title(filling)
    sequence, together = filling.config_entry("approval_sequence"), filling.config_entry("approval_tasks")
    approvers = sequence or together
    rule, quorum = filling.config_entry("approval_rule"), filling.config_entry("quorum")
    if approvers is None or not isinstance(approvers.value, list):
        place = approvers.path if approvers else filling.kind.path
        hint = "write approval_tasks: [{role: …}], or approval_sequence for one after the other"
        filling.draft.report("MR110", f"{filling.kind.value} needs a list of approvers", place, hint=hint)
        filling.parameters.add("role", "?", filling.kind)
        return
    _fill_assignees(filling, approvers)
    mode = "sequential" if sequence is not None else _mode(filling, rule)
    filling.parameters.add("approval", mode, rule or approvers._replace(mark=approvers.key))
    if quorum is not None and mode == "quorum":
        filling.parameters.put("quorum", quorum)
    elif mode == "quorum" and rule is not None and rule.value == "majority":
        filling.parameters.add("quorum", len(approvers.value) // 2 + 1, rule)


def _mode(filling: Filling, rule: Entry | None) -> str:
    if rule is None:
        return "all"
    found = _RULES.get(str(rule.value).lower())
    if found is None:
        hint = did_you_mean(str(rule.value), _RULES) or f"write one of {listed(_RULES)}"
        filling.draft.report("MR113", f"there is no approval rule {rule.value!r}", rule.path, hint=hint)
    return found or "all"


def _fill_assignees(filling: Filling, approvers: Entry) -> None:
    """A list of roles, or, where some have a condition, an expression that gives the list."""
    found = list(_approvers(filling, approvers))
    conditions = [condition for _, condition in found if condition is not None]
    names = [name for name, _ in found]
    if not conditions:
        filling.parameters.add("assignees", names, approvers._replace(mark=approvers.key))
        return
    parts = [f"[{_quoted(name)}]" if condition is None else "@" for name, condition in found]
    at = conditions[0]
    text, mark = filling.phrases.expression(str(at.value), at.mark, at.path)
    position = next(index for index, (_, condition) in enumerate(found) if condition is not None)
    before = "".join(f"{part} + " for part in parts[:position])
    after = "".join(
        f" + {part}" if condition is None else f" + ({_bare(filling, condition)} ? [{_quoted(name)}] : [])"
        for part, (name, condition) in zip(parts[position + 1 :], found[position + 1 :], strict=True)
    )
    inside = f") ? [{_quoted(names[position])}] : [])"
    text, mark = wrapped(text, mark, f"{before}((", inside + after, "{{ ")
    filling.parameters.add("assignees", text, at._replace(value=text, mark=mark))


def _bare(filling: Filling, condition: Entry) -> str:
    return filling.phrases.condition(str(condition.value), condition.mark, condition.path)[0]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _approvers(filling: Filling, approvers: Entry) -> Iterator[tuple[str, Entry | None]]:
    told = False
    for entry in approvers.items():
        fields = Fields(filling.draft, entry, "an approver", _APPROVER)
        if not isinstance(entry.value, dict):
            continue
        person = "assignee" in fields
        who = (
            fields.take("assignee", str)
            if person
            else fields.take("role", str, needed=True, example="manager")
        )
        condition = fields.take("condition", str)
        if not told and (idle := fields.get("timeout_hours") or fields.get("form_template")) is not None:
            told = True
            filling.idle(idle)
        if who is not None:
            yield who.value, condition
