"""Test files are checked against their definition: every fault at its place, with a way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mirror_realm.compiler.cases import definition_of, load_suite
from mirror_realm.compiler.cases_schema import cases_schema
from mirror_realm.compiler.source import load

EXAMPLES = Path(__file__).parents[2] / "examples"

DEFINITION = """\
name: shop
variables: {limit: 10}
nodes:
  - node_id: pay
    type: http/request
    parameters: {url: 'https://pay.example/charge', method: POST}
    compensate: {type: storage/delete}
  - node_id: each
    type: control/foreach
    depends_on: pay
    parameters: {items: [1, 2]}
    body:
      nodes: [{node_id: pack, type: control/set, parameters: {values: {n: "{{ item }}"}}}]
"""


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yaml").write_text(DEFINITION, encoding="utf-8")

    def load(text: str, name: str = "shop.test.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return load_suite(tmp_path / name)

    return load


CASE = "tests:\n  - name: one\n"


@pytest.mark.parametrize(
    ("text", "code", "place", "words"),
    [
        (CASE + "    mocks: {pya: {output: {}}}\n", "MR201", "3:13", "did you mean 'pay'?"),
        (CASE + "    mocks: {each/pak: {output: {}}}\n", "MR201", "3:13", "did you mean 'each/pack'"),
        (CASE + "    mocks: {storage/put: {output: {}}}\n", "MR201", "3:13", "storage/delete"),
        (CASE + "    mock: {}\n", "MR111", "3:5", "did you mean 'mocks'?"),
        (CASE + "    expct: {status: failed}\n", "MR111", "3:5", "did you mean 'expect'?"),
        (CASE + "    expect: {statsu: failed}\n", "MR111", "3:14", "did you mean 'status'?"),
        (CASE + "    expect: {status: faild}\n", "MR113", "3:22", "failed"),
        (CASE + "    expect: {nodes: {pay: complete}}\n", "MR113", "3:27", "completed"),
        (CASE + "    expect: {nodes: {pax: completed}}\n", "MR201", "3:22", "did you mean 'pay'?"),
        (CASE + "    expect: {ran: [pay, packk]}\n", "MR201", "3:25", "pack"),
        (CASE + "    expect: {error: NOT_FUND}\n", "MR128", "3:21", "NOT_FOUND"),
        (CASE + "    mocks: {pay: {error: UNAVAILABEL}}\n", "MR128", "3:26", "UNAVAILABLE"),
        (CASE + "    mocks: {pay: {delay: 1s}}\n", "MR150", "3:13", "{error: CODE}"),
        (CASE + "    mocks: {pay: {output: {}, error: ABORTED}}\n", "MR150", "3:13", "or real"),
        (CASE + "    mocks: {pay: {output: {status_code: many}}}\n", "MR150", "3:41", "a whole number"),
        (
            CASE + "    mocks: {pay: [{error: ABORTED}, {output: {status_code: x}}]}\n",
            "MR150",
            "3:60",
            "number",
        ),
        (CASE + "    mocks: {pay: {output: {}, delay: soon}}\n", "MR116", "3:38", "300s"),
        (CASE + "    variables: {limt: 3}\n", "MR302", "3:17", "did you mean 'limit'?"),
        (CASE + "    expect: {that: ['output. ==']}\n", "MR301", "3:21", ""),
        (CASE + "    expect: {that: ['outptu.x == 1']}\n", "MR302", "3:21", "output"),
        (CASE + "  - name: one\n", "MR119", "3:11", "-k"),
        ("tests: []\n", "MR113", "1:1", "at least one"),
        ("tests:\n  - input: {}\n", "MR110", "2:5", "name"),
        ("workflow: shp.yaml\n" + CASE, "MR100", "1:11", "workflow: FILE"),
        ("- a\n", "MR106", "1:1", "tests:"),
        ("tests: [\n", "MR101", None, ""),
    ],
)
def test_a_wrong_file_is_told_where_and_what_to_write(suite, text, code, place, words):
    found = suite(text)
    assert not found.ok
    (one, *rest) = found.diagnostics
    assert (one.code, rest) == (code, []), found.diagnostics
    if place is not None:
        assert f"{one.line}:{one.column}" == place, one
    assert words in (one.hint or "") + one.message


def test_what_is_right_has_no_finding(suite):
    found = suite(
        """
mocks: {http/*: {output: {}}, pay!compensate: real}
tests:
  - name: one
    input: {a: 1}
    variables: {limit: 3}
    mocks:
      pay: [{error: {code: UNAVAILABLE, message: busy}}, {output: {status_code: 200, body: '{{ call.attempt }}'}}]
      each/pack[1]: {output: {n: 5}, delay: 10ms}
      control/set: real
    expect:
      nodes: {'each/pack[0]': {status: completed, output: {n: 1}}, pay: {attempts: 2}}
      that: ["nodes['each/pack[1]'].n == 5", "ran.exists(n, n == 'pay')", "error == null"]
"""
    )
    assert found.diagnostics == ()
    assert found.ok


def test_a_definition_with_errors_is_said(suite, tmp_path):
    (tmp_path / "shop.yaml").write_text("name: shop\nnodes: [{node_id: a, type: control/st}]\n")
    (one,) = suite(CASE).diagnostics
    assert one.code == "MR100"
    assert "shop.yaml:2:" in one.message
    assert "realm validate shop.yaml" in one.hint


def test_the_schema_accepts_what_the_checker_accepts():
    schema = Draft202012Validator(cases_schema())
    for file in EXAMPLES.glob("*/*.test.yaml"):
        document = load(file).document
        assert document is not None
        assert list(schema.iter_errors(document.tree)) == [], file
    for wrong in ({"mock": {}}, {"mocks": {"a": {"error": "NONE"}}}, {"expect": {"nodes": {"a": "done"}}}):
        assert list(schema.iter_errors({"tests": [{"name": "one", **wrong}]})), wrong


def test_the_definition_beside_a_test_file(tmp_path):
    for name in ("a.yaml", "workflow.json"):
        (tmp_path / name).write_text("")
    assert definition_of(tmp_path / "a.test.yaml") == tmp_path / "a.yaml"
    assert definition_of(tmp_path / "other.test.json") == tmp_path / "workflow.json"
    assert definition_of(tmp_path / "sub" / "a.test.yaml") is None
