"""``branch_conditions`` of a task: the cases of a decision, or conditions on the edges out of another node.

The first condition that holds wins and ``default`` is the else. A task that only decides (:data:`DECIDING`, without a
configuration) becomes ``control/condition``; out of any other node each edge's condition excludes those before it.
"""

from __future__ import annotations

from typing import NamedTuple

from ..document import Mark, span_of
from ..explain import kind_of as json_kind
from .fields import Entry, Fields, Made
from .phrases import Phrases
from .platform_next import MOST_BRANCHES
from .task_names import wrapped
from .task_parameters import Filling

DECIDING = frozenset({"branch", "decision", "condition", "gateway", "switch", "business_rule"})
DECISION = "control/condition"
_BRANCH = ("expression", "target")
_SYNONYMS = {"condition": "expression", "when": "expression", "next": "target", "to": "target"}
_ELSE = ("default", "else")


class _Branch(NamedTuple):
    """A branch: where it leads, and its condition; without one it is the default."""

    target: Entry
    condition: Entry | None
    entry: Entry


def write_branches(filling: Filling, phrases: Phrases, own: Entry, edges: list[Made]) -> None:
    """The branches of a task, as parameters of its node or as edges out of it."""
    given = filling.task.take("branch_conditions", list)
    if given is None:
        return
    branches = [branch for entry in given.items() if (branch := _read(filling, entry)) is not None]
    defaults = [branch for branch in branches if branch.condition is None]
    for extra in defaults[1:]:
        message, hint = "a second default branch", "keep one; to go both ways, use next: [a, b]"
        filling.draft.report("MR119", message, extra.entry.path, hint=hint)
    cases = [branch for branch in branches if branch.condition is not None]
    if filling.kind.value.lower() in DECIDING and not (filling.config and filling.config.value):
        filling.kind = filling.kind._replace(value=DECISION)
        _write_cases(filling, phrases, given, cases, defaults[:1])
    elif len(branches) > MOST_BRANCHES:
        hint = "let a task of type branch decide: it may have any number"
        filling.draft.report("MR103", f"more than {MOST_BRANCHES} branches", given.path, hint=hint)
    else:
        _write_edges(phrases, own, cases, defaults[:1], edges)


def _read(filling: Filling, entry: Entry) -> _Branch | None:
    fields = Fields(filling.draft, entry, "a branch", _BRANCH, _SYNONYMS)
    target = fields.take("target", str, needed=isinstance(entry.value, dict), example="task-id")
    condition = fields.get("expression")
    if condition is not None and not isinstance(condition.value, str | bool):
        message = f"an expression is a string, not {json_kind(condition.value)}"
        filling.draft.report("MR112", message, condition.path, hint="put it in quotes")
        return None
    if (
        condition is not None
        and isinstance(condition.value, str)
        and condition.value.strip().lower() in _ELSE
    ):
        condition = None
    return None if target is None else _Branch(target, condition, entry)


def _write_cases(
    filling: Filling, phrases: Phrases, given: Entry, cases: list[_Branch], default: list[_Branch]
) -> None:
    parameters = Made(given)
    made = list[Made]()
    for branch in cases:
        case = Made(branch.entry)
        assert branch.condition is not None
        when = branch.condition
        if isinstance(when.value, str):
            text, mark = phrases.expression(when.value, when.mark, when.path)
            when = when._replace(value=text, mark=mark)
        case.put("when", when)
        case.put("target", branch.target)
        made.append(case)
    if made:
        parameters.add_list("cases", made, given)
    for branch in default:
        if made:
            parameters.put("default", branch.target)
        else:
            parameters.add("condition", True, branch.entry._replace(mark=span_of(branch.entry.mark)))
            parameters.put("true_path", branch.target)
    filling.parameters = parameters


def _write_edges(
    phrases: Phrases, own: Entry, cases: list[_Branch], default: list[_Branch], edges: list[Made]
) -> None:
    before = list[str]()
    for branch in cases:
        assert branch.condition is not None
        at = branch.condition
        text, mark = _condition(phrases, at)
        alone = text
        if before:
            others = "".join(f" && !({earlier})" for earlier in before)
            text, mark = wrapped(text, mark, "(", ")" + others)
        before.append(alone)
        edges.append(_edge(own, branch, at._replace(value=text, mark=mark)))
    for branch in default:
        otherwise = branch.entry._replace(value="else", mark=branch.entry.key) if cases else None
        edges += [_edge(own, branch, otherwise)]


def _condition(phrases: Phrases, at: Entry) -> tuple[str, Mark]:
    if isinstance(at.value, bool):
        return ("true" if at.value else "false"), at.mark
    return phrases.condition(at.value, at.mark, at.path)


def _edge(own: Entry, branch: _Branch, condition: Entry | None) -> Made:
    edge = Made(branch.entry)
    edge.put("source", own)
    edge.put("target", branch.target)
    edge.put("condition", condition)
    return edge
