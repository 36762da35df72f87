"""What `realm run` makes of its arguments."""

from __future__ import annotations

import json

import pytest

from mirror_realm.cli.running import exit_code, instance_input, node_parameters
from mirror_realm.core.errors import Code, RealmError


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], {}),
        (["file_path=照片 1.jpg"], {"file_path": "照片 1.jpg"}),
        (
            ["n=1", "x=1.5", "on=true", "off=null", "list=[1, 2]"],
            {"n": 1, "x": 1.5, "on": True, "off": None, "list": [1, 2]},
        ),
        (["a.b.c=1", "a.b.d=2"], {"a": {"b": {"c": 1, "d": 2}}}),
        (["equation=a=b"], {"equation": "a=b"}),
        (["empty="], {"empty": ""}),
        (['quoted="1"'], {"quoted": "1"}),
        (["version=1.0.0"], {"version": "1.0.0"}),
    ],
)
def test_pairs(pairs, expected):
    assert instance_input(pairs) == expected


@pytest.mark.parametrize("pair", ["file_path", "=x", "a..b=1", ".a=1"])
def test_what_is_no_pair(pair):
    with pytest.raises(RealmError, match="--input") as caught:
        instance_input([pair])
    assert "KEY=VALUE" in (caught.value.hint or "")


def test_a_key_cannot_be_a_value_and_an_object():
    with pytest.raises(RealmError, match="no object"):
        instance_input(["a=1", "a.b=2"])


@pytest.mark.parametrize("name", ["input.json", "input.yaml"])
def test_a_file_is_the_ground_and_pairs_come_on_top(tmp_path, name):
    file = tmp_path / name
    file.write_text(json.dumps({"a": {"b": 1}, "c": "照片"}, ensure_ascii=False), encoding="utf-8")
    assert instance_input(["a.d=2", "c=x"], file) == {"a": {"b": 1, "d": 2}, "c": "x"}


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{"), ("a.yaml", "a: [1"), ("a.json", "[1]"), ("a.yaml", "")]
)
def test_a_file_that_is_no_object(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(RealmError, match="--input-file"):
        instance_input([], file)


def test_parameters_of_nodes():
    assert node_parameters(["enhance-01.scale_factor=4", "enhance-01.model=x", "a.b=[1]"]) == {
        "enhance-01": {"scale_factor": 4, "model": "x"},
        "a": {"b": [1]},
    }
    for wrong in ("scale_factor=4", "a.b.c=1", "a.b"):
        with pytest.raises(RealmError, match="--set"):
            node_parameters([wrong])


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ({"status": "completed", "error": None}, 0),
        ({"status": "failed", "error": {"code": Code.DATA_CORRUPTED}}, 1),
        ({"status": "failed", "error": {"code": Code.UNAVAILABLE}}, 3),
        ({"status": "failed", "error": None}, 3),
        ({"status": "canceled", "error": {"code": Code.CANCELLED}}, 1),
    ],
)
def test_the_exit_code_says_whose_fault_it_is(result, code):
    assert exit_code(result) == code
