"""What people are asked in a trial, what they answer, and what that comes to.

What it comes to is counted here by itself: it shares no code with the runtime.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

BOSS = "boss"
"""Who decides what was escalated."""
ROLE = "reviewer"
FORM = {"type": "object", "properties": {"seen": {"type": "integer"}}, "required": ["seen"]}
FOREVER = 600.0
"""Seconds that nobody needs."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. ``votes`` say who approves, in the order in which they are asked, or, where a ``role`` is asked,
    who has it: then all say the same, for the first one decides.

    ``timeout``, if there is one, is short, and what happens then is ``on_timeout``. With ``withheld`` people decide
    nothing before it; else they decide when they can, and after a timeout those of the next round (``boss``, where it
    is escalated). So what it comes to does not hang on who is faster.
    """

    approval: str
    votes: Mapping[str, bool]
    quorum: int | None = None
    role: bool = False
    form: bool = False
    timeout: float | None = None
    on_timeout: str = "notify"
    withheld: bool = False
    boss: bool = True
    delay: float = 0.1
    """Seconds until somebody answers, at most."""

    def parameters(self) -> dict[str, Any]:
        """Those of the node that asks."""
        found: dict[str, Any] = {"title": "May it go on?", "approval": self.approval}
        found |= {"role": ROLE} if self.role else {"assignees": list(self.votes)}
        found |= {} if self.quorum is None else {"quorum": self.quorum}
        found |= {"form": FORM} if self.form else {}
        if self.timeout is not None:
            found |= {"timeout": f"{self.timeout:g}s", "on_timeout": self.on_timeout}
            found |= {"escalate_to": [BOSS]} if self.on_timeout == "escalate" else {}
        return found

    @property
    def approved(self) -> bool:
        """What it comes to."""
        if self.withheld and self.on_timeout in ("approve", "reject"):
            return self.on_timeout == "approve"
        if self.withheld and self.on_timeout == "escalate":
            return self.boss
        found = self.counted(self.votes.items())
        assert found is not None
        return found

    def counted(self, votes: Iterable[tuple[str, bool]]) -> bool | None:
        """What votes, in the order in which they came, come to; ``None`` while it is open."""
        given = dict(votes)
        yes, no, people = sum(given.values()), len(given) - sum(given.values()), len(self.votes)
        if self.approval == "any":
            return True if yes else (False if no and (self.role or no == people) else None)
        if self.approval == "quorum":
            quorum = self.quorum or 1
            lost = no >= quorum if self.role else people - no < quorum
            return True if yes >= quorum else (False if lost else None)
        return False if no else (True if yes == people else None)

    def before(self) -> dict[str, bool]:
        """The votes that are given in the first round: with ``withheld`` as many as decide nothing."""
        if not self.withheld:
            return dict(self.votes)
        some: dict[str, bool] = {}
        for person, vote in self.votes.items():
            if self.counted([*some.items(), (person, vote)]) is None:
                some[person] = vote
            elif self.approval == "sequential":
                break
        return some

    def told(self, asked: Iterable[str] | None, *, timed_out: bool) -> dict[str, bool]:
        """The votes that are given by those who are ``asked`` (``None``: the role), before or after a timeout."""
        if asked is not None and BOSS in asked:
            return {BOSS: self.boss}
        goes_on = timed_out and self.on_timeout in ("notify", "retry")
        return dict(self.votes) if goes_on else self.before()
