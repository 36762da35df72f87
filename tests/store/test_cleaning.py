"""Text and JSON that databases refuse, made storable; everything else comes back as it was."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from mirror_realm.core.errors import Code, RealmError
from mirror_realm.core.status import NodeStatus
from mirror_realm.store.cleaning import clean_text, encode_json

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
CLEAN_TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


@given(ANY_TEXT)
def test_clean_text_is_storable_and_stable(text):
    cleaned = clean_text(text)
    assert "\0" not in cleaned
    cleaned.encode()
    assert clean_text(cleaned) == cleaned


@given(CLEAN_TEXT)
def test_clean_text_stays_as_it_is(text):
    assert clean_text(text) is text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
def test_any_json_is_storable(value):
    text = encode_json(value)
    text.encode()
    again = json.loads(text, parse_constant=pytest.fail)
    assert encode_json(again) == text
    assert "\0" not in str(again)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES)
def test_any_json_comes_back_from_the_database(store, accept, value):
    expected = json.loads(encode_json(value))
    instance = accept(input={"value": value})
    assert instance.input == {"value": expected}
    assert store.instances.get(instance.id).input == {"value": expected}


def test_numbers_json_does_not_know_come_back_through_pydantic():
    class Output(BaseModel):
        score: float

    for number in (math.inf, -math.inf, math.nan):
        again = Output.model_validate_json(encode_json({"score": number}))
        assert repr(again.score) == repr(number)


def test_known_kinds_are_accepted_and_others_named():
    value = {
        "at": datetime(2026, 11, 21, tzinfo=UTC),
        "path": Path("/a"),
        "status": NodeStatus.FAILED,
        "set": {2, 1},
    }
    assert json.loads(encode_json(value)) == {
        "at": "2026-11-21T00:00:00+00:00",
        "path": "/a",
        "status": "failed",
        "set": [1, 2],
    }
    for odd in ({"a": {"b": b"bytes"}}, {(1, 2): 3}, [object()]):
        with pytest.raises(RealmError) as caught:
            encode_json(odd)
        assert caught.value.code is Code.INVALID_ARGUMENT
    cycle = []
    cycle.append(cycle)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for odd in (cycle, deep):
        with pytest.raises(RealmError):
            encode_json(odd)


def test_text_columns_are_cleaned(store):
    made, _ = store.workflows.register(
        {"name": "w"},
        name="w",
        version=None,
        hash="h",
        description="a\x00b",
        source_text="x: \udcff",
        tags=["\x00"],
    )
    assert (made.description, made.source_text, made.tags) == ("a\\u0000b", "x: \\udcff", ["\\u0000"])


def test_a_megabyte_of_json(store, accept):
    words = [f"照片-{n}-\U0001f40b" for n in range(60_000)]
    assert len(encode_json(words).encode()) > 1 << 20
    instance = accept(input={"words": words})
    assert store.instances.get(instance.id).input["words"] == words


def test_a_literal_escape_is_kept_apart_from_a_character():
    assert json.loads(encode_json("\\u0000")) == "\\u0000"
    assert encode_json({"a": "C:\\u0000"}) == '{"a":"C:\\\\u0000"}'


def test_large_floats_stay_floats(store, accept):
    value = {"e+": [1e16, -1.5e300, 1e-300], "text": 'not "1e+16"'}
    again = store.instances.get(accept(input=value).id).input
    assert again == value
    assert [type(number) for number in again["e+"]] == [float] * 3
