"""Decision diagrams against truth tables."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.compiler.verify.diagrams import FALSE, TRUE, Diagrams, TooLarge

COUNT = 4
ROWS = list(itertools.product([False, True], repeat=COUNT))

formulas = st.recursive(
    st.integers(0, COUNT - 1),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["both", "either"]), inner, inner),
        st.tuples(st.just("chosen"), inner, inner, inner),
        st.tuples(st.just("least"), st.integers(0, 4), st.lists(inner, max_size=4)),
    ),
    max_leaves=12,
)


def build(diagrams, variables, formula):
    if isinstance(formula, int):
        return variables[formula]
    name, *rest = formula
    if name == "least":
        return diagrams.at_least(rest[0], [build(diagrams, variables, part) for part in rest[1]])
    parts = [build(diagrams, variables, part) for part in rest]
    return parts[0] ^ 1 if name == "not" else getattr(diagrams, name)(*parts)


def truth(formula, row):
    if isinstance(formula, int):
        return row[formula]
    name, *rest = formula
    if name == "least":
        return sum(truth(part, row) for part in rest[1]) >= rest[0]
    values = [truth(part, row) for part in rest]
    return {
        "not": lambda a: not a,
        "both": lambda a, b: a and b,
        "either": lambda a, b: a or b,
        "chosen": lambda a, b, c: b if a else c,
    }[name](*values)


@given(formulas, formulas)
def test_a_diagram_is_its_truth_table_and_equal_tables_are_one_diagram(one, other):
    diagrams = Diagrams(100_000)
    variables = [diagrams.variable() for _ in range(COUNT)]
    first, second = build(diagrams, variables, one), build(diagrams, variables, other)
    tables = [[truth(formula, row) for row in ROWS] for formula in (one, other)]
    assert [diagrams.holds(first, dict(enumerate(row))) for row in ROWS] == tables[0]
    assert (first == second) == (tables[0] == tables[1])
    assert (first == TRUE, first == FALSE) == (all(tables[0]), not any(tables[0]))


@given(formulas)
def test_a_witness_makes_it_hold_whatever_is_decided_otherwise(formula):
    diagrams = Diagrams(100_000)
    function = build(diagrams, [diagrams.variable() for _ in range(COUNT)], formula)
    found = diagrams.witness(function)
    if found is None:
        assert function == FALSE
    else:
        assert all(truth(formula, row) for row in ROWS if all(row[name] is found[name] for name in found))


def test_what_depends_on_a_decision_without_a_value_is_not_known():
    diagrams = Diagrams(100)
    one, other = diagrams.variable(), diagrams.variable()
    assert diagrams.holds(diagrams.either(one, other), {0: True}) is None
    assert diagrams.holds(diagrams.either(one, other), {0: True, 1: False}) is True


def test_work_is_bounded_and_what_is_known_stays_usable():
    diagrams = Diagrams(200)
    pairs = [(diagrams.variable(), diagrams.variable()) for _ in range(3)]
    small = diagrams.some(diagrams.both(*pair) for pair in pairs)
    first, second = ([diagrams.variable() for _ in range(20)] for _ in range(2))
    with pytest.raises(TooLarge):
        diagrams.some(diagrams.both(one, other) for one, other in zip(first, second, strict=True))
    assert diagrams.holds(small, dict.fromkeys(range(6), True))
    assert diagrams.both(small, small ^ 1) == FALSE
