"""When people have decided: the rules against every possible future."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.store.approval import next_in_turn, outcome

PEOPLE = ["a", "b", "c", "d"]


@dataclass(frozen=True)
class Asked:
    approval: str
    assignees: list[str] | None = None
    quorum: int | None = None


def votes(text: str) -> list[dict[str, str]]:
    """``a+ b-`` as decisions."""
    words = {"+": "approve", "-": "reject"}
    return [{"by": word[:-1], "decision": words[word[-1]]} for word in text.split()]


@pytest.mark.parametrize(
    ("asked", "decisions", "expected"),
    [
        (Asked("any", ["a", "b"]), "", None),
        (Asked("any", ["a", "b"]), "a+", "approved"),
        (Asked("any", ["a", "b"]), "a-", None),
        (Asked("any", ["a", "b"]), "a- b+", "approved"),
        (Asked("any", ["a", "b"]), "a- b-", "rejected"),
        (Asked("any"), "x-", "rejected"),
        (Asked("any"), "x+ y-", "approved"),
        (Asked("all", ["a", "b"]), "a+", None),
        (Asked("all", ["a", "b"]), "a+ b+", "approved"),
        (Asked("all", ["a", "b"]), "b-", "rejected"),
        (Asked("quorum", ["a", "b", "c"], 2), "a+ b-", None),
        (Asked("quorum", ["a", "b", "c"], 2), "a+ b- c+", "approved"),
        (Asked("quorum", ["a", "b", "c"], 2), "a- b-", "rejected"),
        (Asked("quorum", None, 2), "x+ y- z-", "rejected"),
        (Asked("quorum", None, 2), "x+ y- z+", "approved"),
        (Asked("sequential", ["a", "b", "c"]), "a+ b+", None),
        (Asked("sequential", ["a", "b", "c"]), "a+ b-", "rejected"),
        (Asked("sequential", ["a", "b", "c"]), "a+ b+ c+", "approved"),
        (Asked("any", ["a"]), "a- a+", "rejected"),
        (Asked("any", ["a"]), "stranger+", None),
    ],
)
def test_the_rules(asked, decisions, expected):
    assert outcome(asked, votes(decisions)) == expected


@st.composite
def questions(draw):
    people = PEOPLE[: draw(st.integers(1, 4))]
    approval = draw(st.sampled_from(["any", "all", "quorum", "sequential"]))
    return Asked(approval, people, draw(st.integers(1, len(people))) if approval == "quorum" else None)


@st.composite
def elections(draw):
    """A question, and a decision of everyone who is asked, in any order."""
    asked = draw(questions())
    order = asked.assignees if asked.approval == "sequential" else draw(st.permutations(asked.assignees))
    return asked, [
        {"by": person, "decision": draw(st.sampled_from(["approve", "reject"]))} for person in order
    ]


@given(elections())
def test_it_is_decided_exactly_when_no_further_decision_could_change_it(election):
    asked, decisions = election
    needed = {"any": 1, "quorum": asked.quorum}.get(asked.approval, len(asked.assignees))
    approvals = sum(one["decision"] == "approve" for one in decisions)
    final = "approved" if approvals >= needed else "rejected"
    assert outcome(asked, decisions) == final
    for count in range(len(decisions)):
        so_far = decisions[:count]
        given_approvals = sum(one["decision"] == "approve" for one in so_far)
        possible = {"approved"} if given_approvals >= needed else {"approved", "rejected"}
        if given_approvals + len(decisions) - count < needed:
            possible = {"rejected"}
        assert outcome(asked, so_far) == (possible.pop() if len(possible) == 1 else None)


@given(elections())
def test_a_task_once_decided_stays_so(election):
    asked, decisions = election
    found = [outcome(asked, decisions[:count]) for count in range(len(decisions) + 1)]
    decided = [one for one in found if one is not None]
    assert found == [None] * (len(found) - len(decided)) + decided
    assert len(set(decided)) == 1


@given(elections())
def test_the_order_of_decisions_does_not_matter(election):
    asked, decisions = election
    assert len({outcome(asked, list(order)) for order in permutations(decisions)}) == 1


def test_people_take_turns_only_where_the_order_matters():
    asked = Asked("sequential", ["a", "b"])
    assert next_in_turn(asked, []) == "a"
    assert next_in_turn(asked, votes("a+")) == "b"
    assert next_in_turn(asked, votes("a+ b+")) is None
    assert next_in_turn(Asked("all", ["a", "b"]), []) is None
