"""Expressions whatever they hold: work and results are bounded, odd data passes or is refused, any text is a value or a
clear error."""

import json
import pickle
import string
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror_realm.compiler.expressions import ExpressionError, render
from mirror_realm.core.settings import settings as realm_settings
from tests.compiler.evaluation import fault, value


@pytest.mark.parametrize(
    "expression",
    [
        "range(9000).filter(x, x > 0).filter(y, y > 0)",
        "range(10000).all(x, range(10000).all(y, x * y >= 0))",
        "1" + "+1" * 600,
        "(" * 500 + "1" + ")" * 500,
        "not " * 500 + "true",
        "[" * 60 + "1" + "]" * 60,
        "input.items.map(x, default(" * 40 + "1" + ", 0))" * 40,
        "default(" * 100 + "input.x" + ", 1)" * 100,
        "['aaaaaaaa']" + ".map(v, v + v + v + v)" * 12,
        "'" + "a" * 20_000 + "'",
        "in " * 3000,
        "and " * 2000 + "or",
        "join(range(300), 'x').replace('', join(range(3000), 'xxxxxxxxxxxxxxxx'))",
        "range(1000000)",
        "join(range(100000), 'x' + join(range(1000), 'yyyyyyyyyyy'))",
        "[join(range(20000), 'x')].map(a, [a, a, a, a, a, a, a, a, a, a, a, a])",
    ],
)
def test_work_is_bounded(expression):
    assert fault(expression).problem


def test_a_result_is_bounded_by_the_payload_limit(monkeypatch):
    monkeypatch.setenv("MIRROR_REALM_MAX_PAYLOAD_BYTES", "2048")
    realm_settings.cache_clear()
    assert "larger than 2048 bytes" in fault("range(2000).map(x, 'abc')").problem
    assert len(value("'" + "a" * 2000 + "'")) == 2000


def test_errors_travel_between_processes():
    error = fault("input.scoer")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ExpressionError)
    assert (again.problem, again.column, again.hint, str(again)) == (
        error.problem,
        error.column,
        error.hint,
        str(error),
    )
    assert json.dumps(error.record.to_dict())


def test_scopes_may_hold_what_is_almost_json(tmp_path):
    from datetime import UTC, datetime

    scope = {"input": {"t": (1, 2), "p": tmp_path, "d": datetime(2026, 1, 2, tzinfo=UTC)}}
    assert value("input.t[0] + size(input.t)", scope) == 3
    assert value("input.d + ' ' + input.p", scope) == f"2026-01-02T00:00:00Z {tmp_path}"


def test_text_with_nul_is_passed_on_or_refused_but_never_cut():
    scope = {"input": {"a": "x\0y", "l": [{"k\0": 1}], "fine": ["\\u0000"]}}
    assert value("input.a", scope) == "x\0y"
    assert render("<{{ input.a }}>", scope) == "<x\0y>"
    assert "NUL" in fault("input.a + 'z'", scope).problem
    assert "NUL" in fault("input.l + []", scope).problem
    assert value("has(input.a) && default(input.b, 'x') == 'x'", scope) is True
    assert value("input.fine + []", scope) == ["\\u0000"]


def test_threads_share_compiled_expressions():
    with ThreadPoolExecutor(8) as pool:
        scopes = [{"input": {"n": n, "l": list(range(50))}} for n in range(200)]
        found = list(pool.map(lambda s: value("input.l.map(x, x * input.n)[2] + sum(input.l)", s), scopes))
    assert found == [2 * n + 1225 for n in range(200)]


PIECES = (
    "0 1 2.5 a input nodes == and or not is null empty in has default map x input.score true // === r\" b'"
)
WORDS = st.sampled_from(
    [*string.punctuation, *PIECES.split(), "{{", "}}", "照", "\n", "input.items", ".map("]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS, max_size=14), st.sampled_from(["", " "]))
def test_any_text_is_a_value_or_a_clear_error(words, separator):
    try:
        json.dumps(value(separator.join(words)))
    except ExpressionError as error:
        places = range(1, len(error.expression) + 2)
        assert error.column is None or error.column in places  # noqa: PT017 - a value is right too


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=12,
    )
)
def test_json_passes_through_unchanged(data):
    """By reference, through CEL itself, and as text."""
    scope = {"input": {"data": data}}
    assert value("input.data", scope) == data
    assert json.dumps(value("[input.data]", scope)[0], sort_keys=True) == json.dumps(data, sort_keys=True)
    assert json.loads(value("to_json(input.data)", scope)) == data
