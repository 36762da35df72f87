"""Proofs about conditions are sound: what is said to be impossible never happens, what is said to be possible does."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirror_realm.compiler.expressions import ExpressionError, holds
from mirror_realm.compiler.expressions.references import MISSING
from mirror_realm.compiler.expressions.shapes import shape_of_schema
from mirror_realm.compiler.verify.logic import (
    AtLeast,
    Budget,
    Domain,
    Is,
    Prover,
    domain_of,
    every,
    read,
    some,
)
from mirror_realm.compiler.verify.logic.samples import scope_of

SCHEMAS = {
    "n": {"type": "integer", "minimum": 0, "maximum": 10},
    "x": {"type": "number"},
    "k": {"enum": ["a", "b", "照"]},
    "s": {"type": ["string", "null"]},
    "b": {"type": "boolean"},
    "l": {"type": "array", "items": {"type": "string"}},
}
VALUES = {
    "n": [0, 1, 2, 5, 5.0, 9, 10],
    "x": [-1, 0, 0.5, 1, 1.0, 2.5, 5, 9, 10, 1e15, 0.1, MISSING],
    "k": ["a", "b", "照"],
    "s": [None, "", "a", "照", "ab", MISSING],
    "b": [True, False],
    "l": [[], ["a"], ["a", "照"]],
    "u": [None, MISSING, 0, 2, 2.5, "a", "", True, False, [], ["a"], {}, {"v": 1}, {"v": None}, {"v": "a"}],
}
OPTIONAL = {"x", "s"}


def domain(chain):
    name = chain.path[0] if chain.path else None
    if chain.root != "input" or name not in SCHEMAS or len(chain.path) > 1:
        return Domain()
    return domain_of(shape_of_schema(SCHEMAS[name]), present=name not in OPTIONAL)


SHARED = Budget(proofs=10**6, trials=10**9)


def prover():
    return Prover(domain, lambda chain: chain, budget=SHARED)


def outcome(text, scope):
    try:
        return holds(text, scope)
    except ExpressionError:
        return None


NUMBERS = st.sampled_from(
    ["input.n", "input.x", "0", "1", "2.5", "10", "0.1", "input.u", "size(input.s)", "size(input.l)"]
)
NUMBERS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "%"]), inner),
        st.builds("default({}, {})".format, st.sampled_from(["input.x", "input.u", "input.zz"]), inner),
        st.builds("-{}".format, st.sampled_from(["input.n", "input.x"])),
        st.builds("double({})".format, inner),
        st.builds("int({})".format, inner),
    ),
    max_leaves=3,
)
STRINGS = st.sampled_from(
    ["input.k", "input.s", "'a'", "'照'", "''", "input.u", "input.k + 'b'", "default(input.s, 'a')"]
)
LISTS = st.sampled_from(["input.l", "['a', '照']", "[1, 2.5, null]", "[]", "[input.k, 'z']", "input.u"])
ANY = st.one_of(
    NUMBERS, STRINGS, LISTS, st.sampled_from(["null", "true", "input.b", "{}", "input.u.v", "input.n > 1"])
)
ATOMS = st.one_of(
    st.builds("{} {} {}".format, NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS),
    st.builds("{} {} {}".format, STRINGS, st.sampled_from(["==", "!=", "<", ">="]), STRINGS),
    st.builds("{} {} {}".format, ANY, st.sampled_from(["==", "!="]), ANY),
    st.builds("{} {} {}".format, ANY, st.sampled_from(["in", "not in"]), LISTS),
    st.builds(
        "{}.{}({})".format,
        STRINGS.filter(lambda s: "+" not in s),
        st.sampled_from(["startsWith", "endsWith", "contains"]),
        STRINGS,
    ),
    st.builds("{} is {}".format, ANY, st.sampled_from(["null", "not null", "empty", "not empty"])),
    st.builds("has({})".format, st.sampled_from(["input.x", "input.u", "input.u.v", "input.zz", "input.s"])),
    st.builds(
        "default({}, {})".format,
        st.sampled_from(["input.u", "input.b", "input.u.v"]),
        st.sampled_from(["true", "false"]),
    ),
    st.builds(
        "coalesce({}, {})".format,
        st.sampled_from(["input.u", "input.b"]),
        st.sampled_from(["input.u.v", "true"]),
    ),
    st.sampled_from(
        ["input.b", "true", "false", "input.u", "input.l.exists(i, i == 'a')", "input.k.upper() == 'A'"]
    ),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["&&", "||", "and", "or"]), inner),
        st.builds("!({})".format, inner),
        st.builds("({}) ? ({}) : ({})".format, inner, inner, inner),
    ),
    max_leaves=4,
)


def grid(names):
    for values in itertools.product(*(VALUES[name] for name in names)):
        given = {name: value for name, value in zip(names, values, strict=True) if value is not MISSING}
        yield {"input": {**{name: VALUES[name][0] for name in ("n", "k", "b", "l")}, **given}}


def names_in(*texts):
    conditions = [read(text) for text in texts]
    return sorted({chain.path[0] for c in conditions for chain in c.chains if chain.path[0] in VALUES})


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(CONDITIONS, st.booleans(), CONDITIONS, st.booleans(), st.booleans())
def test_verdicts_agree_with_evaluation_on_a_grid(one, first, other, second, together):
    if read(one) is None or read(other) is None:
        return
    join = every if together else some
    formula = join(Is(read(one), first), Is(read(other), second))
    answer = prover().possible(formula)
    if answer.verdict == "no":
        test = all if together else any
        for scope in itertools.islice(grid(names_in(one, other)), 3000):
            assert not test([outcome(one, scope) is first, outcome(other, scope) is second]), scope
    elif answer.verdict == "yes":
        scope = scope_of(answer.witness)
        found = [outcome(one, scope) is first, outcome(other, scope) is second]
        assert all(found) if together else any(found)
        for chain, value in answer.witness.items():
            assert domain(chain).admits(value), (chain, value)
    else:
        assert answer.why


@pytest.mark.parametrize(
    ("asked", "verdict"),
    [
        # numbers: whole and decimal ones, 64 bits, rounding, division
        ({"input.n > 4": True, "input.n < 5": True}, "no"),
        ({"input.x > 4": True, "input.x < 5": True}, "yes"),
        ({"input.n / 2 == 2": True, "input.n == 5": True}, "yes"),
        ({"input.x + 0.1 > 0.3": True, "input.x + 0.1 <= 0.3": True}, "no"),
        ({"double(input.n) / input.n != 1.0": True, "input.n > 0": True}, "unknown"),  # perhaps rounded
        ({"input.n > 0": True, "input.x / input.n > 3": False, "input.x / input.n <= 3": False}, "no"),
        ({"input.x / input.x > 3": False, "input.x / input.x <= 3": False}, "yes"),  # 0.0 / 0.0
        # text, in any script, with what z3 would take for an escape, beyond what z3 knows
        ({"input.s == 'a\\\\u{41}'": True, "input.s == 'aA'": True}, "no"),
        ({"input.s == 'a\\\\u{41}'": True, "size(input.s) == 7": True}, "yes"),
        ({"input.s.contains('照片')": True, "size(input.s) < 2": True}, "no"),
        ({"input.s.contains('😀')": True, "input.s.endsWith('照')": True, "size(input.s) == 2": True}, "yes"),
        ({"input.s == '\\U000E0001'": True}, "yes"),
        ({"input.s < 'b'": True, "input.s > 'c'": True}, "no"),
        # null, absence, maps
        ({"input.s == null": True, "input.s.startsWith('a')": False}, "no"),
        ({"default(input.s, 'a') == 'a'": False, "input.s is empty": True}, "yes"),
        ({"has(input.u.v)": True, "input.u == null": True}, "no"),
        ({"input.u.v > 3": True, "input.u == 5": True}, "no"),
        ({"input.u[5000] > 3": True}, "unknown"),
        ({"coalesce(input.zz, input.b) == true": True, "input.b": False}, "yes"),
        # lists
        ({"input.l == []": True, "size(input.l) > 0": True}, "no"),
        ({"input.k in ['a'] + ['b']": False, "input.k != '照'": True}, "no"),
        ({"'a' in input.l": True, "input.l is empty": True}, "no"),
        # what is not modelled is the same wherever it is written
        ({"input.s.matches('^a')": True, "!input.s.matches('^a')": True}, "no"),
        ({"input.s.upper() == 'A'": True}, "yes"),
        ({"now() == now()": False}, "unknown"),
    ],
)  # fmt: skip
def test_verdicts_on_conditions_that_hold_and_fail_together(asked, verdict):
    answer = prover().possible(every(*(Is(read(text), outcome) for text, outcome in asked.items())))
    assert answer.verdict == verdict, answer
    assert answer.why or verdict != "unknown"


def test_a_number_of_conditions_together():
    parts = tuple(Is(read(text), True) for text in ("input.n < 3", "input.n > 5", "input.n == 1", "input.b"))
    assert [prover().possible(AtLeast(count, parts)).verdict for count in range(6)] == [
        *["yes"] * 4,
        "no",
        "no",
    ]


def test_what_would_take_too_long_is_unknown():
    powers = "input.x * input.x * input.x"
    hard = f"{powers} + {powers.replace('x', 'y')} == {powers.replace('x', 'z')}"
    whole = [f"input.{name} % 1 == 0 && input.{name} > 1" for name in "xyz"]
    answer = Prover(lambda chain: Domain(frozenset({"number"}), declared=True), lambda chain: chain).possible(
        every(*(Is(read(text), True) for text in (hard, *whole)))
    )
    assert answer.verdict == "unknown"
    assert "too long" in answer.why
