"""When people have decided: the pure rules of approvals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

Outcome = Literal["approved", "rejected"]


class Question(Protocol):
    """What the rules need of a task. Of a role the number of people is not known: then ``assignees`` is ``None``."""

    @property
    def approval(self) -> str:
        """``any``, ``all``, ``quorum`` or ``sequential``."""
        ...

    @property
    def assignees(self) -> Sequence[str] | None:
        """Who may decide, in order."""
        ...

    @property
    def quorum(self) -> int | None:
        """How many approvals a quorum is."""
        ...


def outcome(task: Question, decisions: Iterable[Mapping[str, Any]]) -> Outcome | None:
    """What the ``decisions`` (``{by, decision}``, in the order in which they came) make of ``task``; ``None`` while it
    is open.

    Approved as soon as enough have approved: one (``any``), every assignee (``all``, ``sequential``), or a ``quorum``.
    Rejected as soon as enough no longer can; of a role, when as many have rejected; ``sequential`` by any rejection. Of
    one person only the first decision counts, and of those who are not asked none. Once decided, further decisions
    change nothing.
    """
    voted: dict[str, bool] = {}
    for decision in decisions:
        person = decision["by"]
        if person in voted or (task.assignees is not None and person not in task.assignees):
            continue
        voted[person] = decision["decision"] == "approve"
        if (found := _outcome(task, voted)) is not None:
            return found
    return None


def _outcome(task: Question, voted: Mapping[str, bool]) -> Outcome | None:
    approvals = sum(voted.values())
    rejections = len(voted) - approvals
    needed = needed_approvals(task)
    if approvals >= needed:
        return "approved"
    most_rejections = needed - 1
    if task.assignees is not None:
        most_rejections = 0 if task.approval == "sequential" else len(task.assignees) - needed
    return "rejected" if rejections > most_rejections else None


def needed_approvals(task: Question) -> int:
    """How many must approve."""
    if task.approval == "quorum":
        return task.quorum or 1
    if task.approval in ("all", "sequential"):
        return len(task.assignees or ()) or 1
    return 1


def next_in_turn(task: Question, decisions: Iterable[Mapping[str, Any]]) -> str | None:
    """Whose turn it is when people decide one after the other; ``None`` where the order does not matter."""
    if task.approval != "sequential":
        return None
    voted = {decision["by"] for decision in decisions}
    return next((person for person in task.assignees or () if person not in voted), None)
